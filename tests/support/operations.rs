//! Every operation of `ops` as cases: inputs, and the operation in both of its forms.
#![allow(dead_code)] // Each test program uses a part.

mod warps;

use burn::tensor::{DType, Device, Tensor, TensorData};
use half::f16;
use hmorph::kernels::oracle::random::uniform;
use hmorph::ops::{self, Border, ConvOptions, CorrelationForm, Norm, reference};
use warps::warps;

type Operation = Box<dyn Fn(&[Tensor<5>]) -> Tensor<5>>;

/// One operation on given inputs.
pub struct Case {
    pub name: String,
    pub inputs: Vec<Input>,
    /// How many of the first inputs may be features of a network, in 16-bit floats.
    pub features: usize,
    /// What the networks call: kernels on the CPU, elsewhere the same as `composed`.
    pub public: Operation,
    /// The form made of burn's operations.
    pub composed: Operation,
}

pub struct Input {
    shape: [usize; 5],
    values: Vec<f32>,
}

/// What an operation gives: its value, and the gradient of a weighted sum of it with respect to each input.
pub struct Outcome {
    pub value: Vec<f32>,
    pub gradients: Vec<Vec<f32>>,
}

impl Input {
    /// The nearest values of 16 bits.
    fn round_to_half(&mut self) {
        for value in &mut self.values {
            *value = f16::from_f32(*value).to_f32();
        }
    }
}

impl Case {
    /// Features of 16 bits: what follows from them alone is the same in half and in single precision.
    pub fn with_rounded_features(mut self) -> Self {
        let features = &mut self.inputs[..self.features];
        features.iter_mut().for_each(Input::round_to_half);
        self
    }

    fn new(
        name: impl Into<String>,
        inputs: Vec<Input>,
        public: impl Fn(&[Tensor<5>]) -> Tensor<5> + 'static,
        composed: impl Fn(&[Tensor<5>]) -> Tensor<5> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            inputs,
            features: 0,
            public: Box::new(public),
            composed: Box::new(composed),
        }
    }

    fn with_features(self, features: usize) -> Self {
        Self { features, ..self }
    }

    /// Value and gradients of one of the forms on `device`.
    pub fn run(&self, operation: &Operation, device: &Device) -> Outcome {
        self.evaluate(operation, device, 0)
    }

    /// The same of the public form with its features, and its value, in 16-bit floats.
    pub fn run_in_half(&self, device: &Device) -> Outcome {
        self.evaluate(&self.public, device, self.features)
    }

    fn evaluate(&self, operation: &Operation, device: &Device, halved: usize) -> Outcome {
        let device = device.clone().autodiff();
        let inputs: Vec<Tensor<5>> = self
            .inputs
            .iter()
            .map(|input| tensor(&input.values, input.shape, &device).require_grad())
            .collect();
        let stored = |(n, input): (usize, &Tensor<5>)| match n < halved {
            true => input.clone().cast(DType::F16),
            false => input.clone(),
        };
        let stored: Vec<Tensor<5>> = inputs.iter().enumerate().map(stored).collect();
        let out = operation(&stored).cast(DType::F32);
        // Random weights, so that no gradient is the same everywhere.
        let shape = out.dims();
        let weights = uniform(99, shape.iter().product(), 1.0);
        let weights = tensor(&weights, shape, &device.clone().inner());
        let value = values(out.clone());
        let gradients = (out * weights).sum().backward();
        let gradients = inputs
            .iter()
            .map(|input| values(input.grad(&gradients).expect("every input was used")))
            .collect();
        Outcome { value, gradients }
    }
}

fn tensor(values: &[f32], shape: [usize; 5], device: &Device) -> Tensor<5> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// Read back at once: on a GPU later operations could change what has not been read.
fn values(tensor: Tensor<5>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Uniform between -1 and 1.
fn random(seed: u64, shape: [usize; 5]) -> Input {
    let values = uniform(seed, shape.iter().product(), 1.0);
    Input { shape, values }
}

/// All operations in 2-D and 3-D, in sizes that a software GPU can manage.
pub fn cases() -> Vec<Case> {
    let mut all = convolutions();
    all.extend(joined_convolutions());
    all.extend(warps());
    all.extend(resizing());
    all.extend(pooling());
    all.extend(correlations());
    all.extend(integrations());
    all.extend(penalties());
    all
}

/// Those of [`cases`] whose gradients many units of a GPU add to at once.
pub fn scattered() -> Vec<Case> {
    let mut all = warps();
    all.extend(integrations());
    all
}

fn convolutions() -> Vec<Case> {
    let case =
        |stride: [usize; 3], slope, depth: usize, extent: [usize; 3], channels: [usize; 2]| {
            let options = ConvOptions { stride, slope };
            let [d, h, w] = extent;
            let [inside, outside] = channels;
            let inputs = vec![
                random(1, [2, inside, d, h, w]),
                random(2, [outside, inside, depth, 3, 3]),
                random(3, [outside, 1, 1, 1, 1]),
            ];
            let bias = move |inputs: &[Tensor<5>]| inputs[2].clone().reshape([outside]);
            Case::new(
                format!(
                    "conv of {extent:?}, {channels:?} channels, stride {stride:?}, slope {slope:?}"
                ),
                inputs,
                move |x| ops::conv(x[0].clone(), x[1].clone(), bias(x), options),
                move |x| reference::conv(x[0].clone(), x[1].clone(), bias(x), options),
            )
            .with_features(1)
        };
    vec![
        case([1, 1, 1], Some(0.2), 1, [1, 16, 12], [3, 4]),
        case([1, 2, 2], Some(0.2), 1, [1, 15, 12], [3, 4]),
        case([1, 1, 1], None, 3, [8, 9, 10], [3, 4]),
        case([2, 2, 2], Some(0.2), 3, [8, 9, 10], [3, 4]),
        // More channels and voxels than one group of units of a GPU takes.
        case([1, 1, 1], Some(0.2), 3, [5, 9, 36], [17, 18]),
        case([2, 2, 2], Some(0.2), 3, [6, 9, 70], [9, 40]),
        case([1, 1, 1], Some(0.2), 1, [1, 20, 37], [18, 34]),
    ]
}

fn joined_convolutions() -> Vec<Case> {
    let case = |slope, depth: usize, low: [usize; 3], skip: [usize; 3], channels: [usize; 3]| {
        let options = ConvOptions {
            stride: [1; 3],
            slope,
        };
        let tensor = |seed, channels, [d, h, w]: [usize; 3]| random(seed, [2, channels, d, h, w]);
        let [coarse, fine, out] = channels;
        let inputs = vec![
            tensor(11, coarse, low),
            tensor(12, fine, skip),
            random(13, [out, coarse + fine, depth, 3, 3]),
            random(14, [out, 1, 1, 1, 1]),
        ];
        let bias = move |inputs: &[Tensor<5>]| inputs[3].clone().reshape([out]);
        let [public, composed] = [ops::joined_conv, reference::joined_conv].map(|form| {
            move |x: &[Tensor<5>]| {
                let [low, skip, weight] = [0, 1, 2].map(|n| x[n].clone());
                form(low, skip, weight, bias(x), options)
            }
        });
        let name =
            format!("conv of {low:?} joined with {skip:?}, {channels:?} channels, slope {slope:?}");
        Case::new(name, inputs, public, composed).with_features(2)
    };
    vec![
        case(Some(0.2), 1, [1, 8, 6], [1, 16, 12], [5, 3, 6]),
        case(Some(0.2), 3, [3, 4, 5], [6, 8, 10], [5, 3, 6]),
        // More channels and voxels than one group of units of a GPU takes, and an odd number of them out.
        case(None, 3, [2, 5, 18], [4, 10, 36], [17, 2, 35]),
        case(Some(0.2), 1, [1, 10, 20], [1, 20, 40], [4, 9, 19]),
        // Odd: joined first.
        case(Some(0.2), 3, [3, 4, 5], [6, 9, 10], [5, 3, 6]),
    ]
}

fn correlations() -> Vec<Case> {
    let case = |form: CorrelationForm, shape: [usize; 5], window: [usize; 3]| {
        Case::new(
            format!("{form:?} local correlation of {shape:?}, window {window:?}"),
            vec![random(20, shape), random(21, shape)],
            move |x| ops::local_correlation(x[0].clone(), x[1].clone(), window, form),
            move |x| reference::local_correlation(x[0].clone(), x[1].clone(), window, form),
        )
    };
    vec![
        case(CorrelationForm::Clamped, [2, 1, 8, 9, 10], [5, 5, 5]),
        case(CorrelationForm::Plain, [1, 1, 8, 9, 10], [3, 3, 3]),
        case(CorrelationForm::Signed, [2, 1, 1, 15, 12], [1, 9, 9]),
    ]
}

fn integrations() -> Vec<Case> {
    let case = |border: Border, shape: [usize; 5], steps: usize| {
        Case::new(
            format!("integration of {shape:?} in {steps} steps, {border:?}"),
            vec![random(15, shape)],
            move |x| ops::integrate(x[0].clone(), steps, border),
            move |x| reference::integrate(x[0].clone(), steps, border),
        )
    };
    vec![
        case(Border::Edge, [2, 2, 1, 16, 12], 5),
        case(Border::Zeros, [2, 3, 8, 9, 10], 3),
        case(Border::Zeros, [2, 2, 1, 16, 12], 0),
    ]
}

/// Losses of one value an item.
fn penalties() -> Vec<Case> {
    fn of_items(values: Tensor<1>) -> Tensor<5> {
        let n = values.dims()[0];
        values.reshape([n, 1, 1, 1, 1])
    }
    let diffusion = |norm: Norm, shape: [usize; 5]| {
        Case::new(
            format!("{norm:?} diffusion of {shape:?}"),
            vec![random(16, shape)],
            move |x| of_items(ops::diffusion(x[0].clone(), norm)),
            move |x| of_items(reference::diffusion(x[0].clone(), norm)),
        )
    };
    let squares = |shape: [usize; 5]| {
        Case::new(
            format!("mean squared difference of {shape:?}"),
            vec![random(17, shape), random(18, shape)],
            |x| of_items(ops::mean_squared_difference(x[0].clone(), x[1].clone())),
            |x| {
                of_items(reference::mean_squared_difference(
                    x[0].clone(),
                    x[1].clone(),
                ))
            },
        )
    };
    vec![
        diffusion(Norm::L2, [2, 3, 8, 9, 10]),
        diffusion(Norm::L1, [2, 2, 1, 16, 12]),
        diffusion(Norm::L2, [2, 3, 8, 1, 10]),
        squares([2, 1, 8, 9, 10]),
        squares([3, 2, 1, 30, 40]),
    ]
}

fn resizing() -> Vec<Case> {
    let resize = |shape: [usize; 5], to: [usize; 3], scale: f32| {
        Case::new(
            format!("resize of {shape:?} to {to:?}"),
            vec![random(6, shape)],
            move |x| ops::resize_scaled(x[0].clone(), to, scale),
            move |x| reference::resize(x[0].clone(), to, scale),
        )
    };
    vec![
        resize([2, 2, 1, 8, 6], [1, 16, 12], 2.0),
        resize([2, 3, 4, 5, 6], [8, 9, 10], 2.0),
        resize([2, 3, 8, 9, 10], [4, 4, 5], 0.5),
    ]
}

fn pool(input: Input, factor: [usize; 3]) -> Case {
    Case::new(
        format!("max-pool of {:?} by {factor:?}", input.shape),
        vec![input],
        move |x| ops::max_pool2(x[0].clone(), factor),
        move |x| reference::max_pool2(x[0].clone(), factor),
    )
    .with_features(1)
}

/// Three blocks of four voxels, two of them with a NaN; see [`assert_nan_won`].
pub fn pool_of_nan() -> Case {
    let rows = [
        [1.0, f32::NAN, 3.0, 4.0, 8.0, 9.0],
        [2.0, 5.0, f32::NAN, 7.0, 6.0, 1.0],
    ];
    let values = rows.concat();
    let shape = [1, 1, 1, 2, 6];
    pool(Input { shape, values }, [1, 2, 2])
}

/// Fails unless each block gave its NaN, or else its maximum, and the gradient went there.
pub fn assert_nan_won(found: &Outcome) {
    assert!(found.value[0].is_nan() && found.value[1].is_nan());
    assert_eq!(found.value[2], 9.0);
    let gradient = found.gradients[0].iter().enumerate();
    let places: Vec<usize> = gradient
        .filter(|(_, g)| **g != 0.0)
        .map(|(n, _)| n)
        .collect();
    assert_eq!(places, [1, 5, 8]);
}

fn pooling() -> Vec<Case> {
    let upsample = |low: [usize; 5], skip: [usize; 5]| {
        Case::new(
            format!("upsample of {low:?} to {skip:?}"),
            vec![random(9, low), random(10, skip)],
            |x| ops::upsample_concat(x[0].clone(), x[1].clone()),
            |x| reference::upsample_concat(x[0].clone(), x[1].clone()),
        )
        .with_features(2)
    };
    vec![
        pool(random(8, [2, 2, 1, 16, 12]), [1, 2, 2]),
        pool(random(8, [2, 2, 8, 9, 10]), [2, 2, 2]),
        upsample([2, 2, 1, 8, 6], [2, 3, 1, 16, 12]),
        upsample([2, 2, 4, 4, 5], [2, 3, 8, 9, 10]),
    ]
}
