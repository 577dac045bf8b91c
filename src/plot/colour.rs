//! Colours: scales for values, distinct ones for structures and curves.

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// Curves and boxes on white, told apart by colour-blind readers (Okabe & Ito 2008, without yellow).
pub(super) const DISTINCT: [Rgb; 10] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [86, 180, 233],
    [230, 159, 0],
    [70, 70, 70],
    [128, 62, 20],
    [110, 60, 170],
    [140, 150, 30],
];

/// `a` with `alpha` (0..1) of `b` over it.
pub(super) fn mix(a: Rgb, b: Rgb, alpha: f64) -> Rgb {
    [0, 1, 2].map(|c| {
        let value = f64::from(a[c]) + alpha.clamp(0.0, 1.0) * (f64::from(b[c]) - f64::from(a[c]));
        value.round() as u8
    })
}

/// Grey of a value in 0..1.
pub(super) fn grey(value: f64) -> Rgb {
    [(255.0 * value.clamp(0.0, 1.0)).round() as u8; 3]
}

/// Diverging scale of -1..1 on a dark page: light blue, blue, near black at 0, red-brown, light orange.
pub(super) fn diverging(value: f64) -> Rgb {
    const STOPS: [Rgb; 7] = [
        [190, 232, 255],
        [72, 160, 224],
        [24, 78, 132],
        [22, 22, 26],
        [138, 52, 22],
        [232, 122, 48],
        [255, 222, 150],
    ];
    let place = (value.clamp(-1.0, 1.0) + 1.0) / 2.0 * (STOPS.len() - 1) as f64;
    let low = (place as usize).min(STOPS.len() - 2);
    mix(STOPS[low], STOPS[low + 1], place - low as f64)
}

/// Where the transform folds: on no scale above.
pub(super) const FOLD: Rgb = [255, 40, 214];

/// Colour of the `index`-th structure on a dark image: eight chosen ones, then evenly spread hues.
pub(super) fn structure(index: usize) -> Rgb {
    const FIRST: [Rgb; 8] = [
        [90, 200, 250],
        [255, 179, 71],
        [130, 224, 130],
        [255, 120, 170],
        [255, 236, 110],
        [190, 140, 255],
        [70, 215, 195],
        [255, 130, 110],
    ];
    match FIRST.get(index) {
        Some(&colour) => colour,
        None => hue(index as f64 * 0.618_033_988_75 % 1.0),
    }
}

/// A bright colour of the given hue (0..1).
fn hue(h: f64) -> Rgb {
    [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|shift| {
        let distance = ((h + shift).fract() - 0.5).abs() * 6.0 - 1.0;
        (255.0 * (0.4 + 0.6 * distance.clamp(0.0, 1.0))).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(c: Rgb) -> f64 {
        0.2126 * f64::from(c[0]) + 0.7152 * f64::from(c[1]) + 0.0722 * f64::from(c[2])
    }

    #[test]
    fn the_diverging_scale_brightens_towards_both_ends() {
        for side in [-1.0, 1.0] {
            let steps: Vec<f64> = (0..=20)
                .map(|step| luminance(diverging(side * f64::from(step) / 20.0)))
                .collect();
            assert!(steps.is_sorted(), "{steps:?}");
        }
        assert!(diverging(-0.5)[2] > diverging(-0.5)[0]);
        assert!(diverging(0.5)[0] > diverging(0.5)[2]);
    }

    #[test]
    fn structures_differ_and_show_on_black() {
        let colours: Vec<Rgb> = (0..60).map(structure).collect();
        for (index, colour) in colours.iter().enumerate() {
            assert!(luminance(*colour) > 100.0);
            assert!(!colours[..index].contains(colour));
        }
    }
}
