pub struct ConvSpec { pub batch: usize, pub in_channels: usize, pub out_channels: usize, pub input: super::Extent, pub kernel_depth: usize, pub stride: [usize; 3] }
impl ConvSpec { pub fn output(&self) -> super::Extent { todo!() } }
pub fn forward(_: &ConvSpec, _: &[f32], _: &[f32], _: Option<&[f32]>, _: Option<f32>, _: &mut [f32]) { todo!() }
pub fn grad_input(_: &ConvSpec, _: &[f32], _: &[f32], _: &mut [f32]) { todo!() }
pub fn grad_weights(_: &ConvSpec, _: &[f32], _: &[f32], _: &mut [f32], _: Option<&mut [f32]>) { todo!() }
pub fn leaky_relu_grad(_: &[f32], _: &[f32], _: f32) -> Vec<f32> { todo!() }
