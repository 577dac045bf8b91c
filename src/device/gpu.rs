//! The GPUs that the program was built for and the machine has.

use std::fmt;

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
use burn::tensor::DeviceType;

use super::failure::guard;
use crate::error::Result;

/// An interface to GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Cuda,
    Vulkan,
    Wgpu,
}

impl Api {
    /// The one to try first comes first.
    const ALL: [Self; 3] = [Self::Cuda, Self::Vulkan, Self::Wgpu];

    /// What stands before the colon of a device's name; also the cargo feature that adds it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    /// The interface through which a GPU is used.
    pub fn of(device: &Device) -> Self {
        let text = format!("{device:?}");
        if text.contains("Cuda(") {
            Self::Cuda
        } else if text.contains("backend: Vulkan") {
            Self::Vulkan
        } else {
            Self::Wgpu
        }
    }

    /// Its GPUs, the best kind first; `None` where the program was built without it.
    pub fn gpus(self) -> Option<Vec<Gpu>> {
        let mut devices: Vec<(Kind, Device)> = self
            .devices()?
            .into_iter()
            .map(|device| (Kind::from_debug(&format!("{device:?}")), device))
            .collect();
        devices.sort_by_key(|(kind, _)| *kind);
        let gpu = |(index, (kind, device)): (usize, (Kind, Device))| Gpu {
            name: format!("{}:{index}", self.name()),
            kind,
            device,
        };
        Some(devices.into_iter().enumerate().map(gpu).collect())
    }

    fn devices(self) -> Option<Vec<Device>> {
        match self {
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(Device::enumerate(DeviceType::Cuda).into_vec()),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => None,
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Some(Device::enumerate(DeviceType::Vulkan).into_vec()),
            #[cfg(not(feature = "vulkan"))]
            Self::Vulkan => None,
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(Device::enumerate(DeviceType::Wgpu).into_vec()),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => None,
        }
    }
}

/// Kinds of adapters, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Discrete,
    Integrated,
    Virtual,
    Other,
    /// The CPU in the guise of a GPU.
    Software,
}

impl Kind {
    /// burn tells the kind by the debug form of a device alone, such as
    /// `Device<Cube(Wgpu(WgpuDevice { kind: DiscreteGpu(0), backend: Auto }))>`.
    fn from_debug(device: &str) -> Self {
        let kinds = [
            ("Cuda(", Self::Discrete),
            ("DiscreteGpu", Self::Discrete),
            ("IntegratedGpu", Self::Integrated),
            ("VirtualGpu", Self::Virtual),
            ("kind: Cpu", Self::Software),
        ];
        let found = kinds.into_iter().find(|(part, _)| device.contains(part));
        found.map_or(Self::Other, |(_, kind)| kind)
    }

    /// Whether it is certainly a GPU.
    pub fn is_physical(self) -> bool {
        matches!(self, Self::Discrete | Self::Integrated)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete GPU",
            Self::Integrated => "integrated GPU",
            Self::Virtual => "virtual GPU",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

/// A GPU, or what passes for one.
#[derive(Debug)]
pub struct Gpu {
    /// As `--device` takes it.
    pub name: String,
    pub kind: Kind,
    pub device: Device,
}

impl Gpu {
    /// Starts it; what it calls itself.
    ///
    /// # Errors
    /// A GPU that does not start.
    pub fn start(&self) -> Result<String> {
        let adapter = guard(&self.name, || adapter(&self.device))?;
        Ok(adapter.unwrap_or_default())
    }
}

/// Every GPU, in the order in which `auto` looks at them. One that several interfaces reach comes several times.
pub fn gpus() -> Vec<Gpu> {
    Api::ALL
        .into_iter()
        .filter_map(Api::gpus)
        .flatten()
        .collect()
}

/// What a GPU calls itself; starts it.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub fn adapter(device: &Device) -> Option<String> {
    device.identity().map(|identity| identity.name)
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
pub fn adapter(_: &Device) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_and_ordered() {
        let wgpu = |kind: &str| {
            let text = format!("Device<Cube(Wgpu(WgpuDevice {{ kind: {kind}, backend: Auto }}))>");
            Kind::from_debug(&text)
        };
        let mut kinds = [
            wgpu("Cpu"),
            wgpu("Other(0)"),
            wgpu("VirtualGpu(0)"),
            wgpu("IntegratedGpu(0)"),
            wgpu("DiscreteGpu(1)"),
            Kind::from_debug("Device<Cube(Cuda(Cuda(0)))>"),
        ];
        kinds.sort();
        let names: Vec<String> = kinds.iter().map(Kind::to_string).collect();
        assert_eq!(
            names,
            [
                "discrete GPU",
                "discrete GPU",
                "integrated GPU",
                "virtual GPU",
                "other",
                "software"
            ]
        );
        assert_eq!(kinds.iter().filter(|kind| kind.is_physical()).count(), 3);
    }

    /// The form in which burn shows a device is not promised.
    #[test]
    #[cfg(feature = "wgpu")]
    fn burn_shows_devices_as_expected() {
        use burn::tensor::DeviceKind;
        for (kind, expected) in [
            (DeviceKind::DiscreteGpu(1), Kind::Discrete),
            (DeviceKind::IntegratedGpu(0), Kind::Integrated),
            (DeviceKind::VirtualGpu(0), Kind::Virtual),
            (DeviceKind::Cpu, Kind::Software),
        ] {
            let device = Device::wgpu(kind);
            assert_eq!(Kind::from_debug(&format!("{device:?}")), expected);
            assert_eq!(Api::of(&device), Api::Wgpu);
        }
    }
}
