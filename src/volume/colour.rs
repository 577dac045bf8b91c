//! Colours as intensities.

use super::Image;

/// Shares of red, green and blue in what the eye takes for brightness (ITU-R BT.709).
const LUMINANCE: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// The brightness of grey with alpha, RGB or RGBA, without regard to alpha.
pub(super) fn luminance(channels: &[Image]) -> Image {
    let shares: &[f32] = match channels.len() {
        1 | 2 => &[1.0],
        _ => &LUMINANCE,
    };
    let mut sum = channels[0].map(|value| value * shares[0]);
    for (channel, share) in channels.iter().zip(shares).skip(1) {
        sum.data.scaled_add(*share, &channel.data);
    }
    sum
}
