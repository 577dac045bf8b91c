//! Network building blocks and networks.

mod block;
mod unet;

pub use block::ConvBlock;
pub use unet::{Encoder, Joint, UNet, UNetConfig};
