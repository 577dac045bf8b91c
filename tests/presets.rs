//! The presets inside the program, and the settings a run folder keeps.

use hmorph::config::{PRESETS, RunConfig, load, summary};
use hmorph::dataset::Mode;
use hmorph::error::Result;
use hmorph::model::TransformKind;
use hmorph::nn::Encoder;

/// The settings of a preset or file, checked.
fn settings(name: &str, overrides: &[String]) -> Result<RunConfig> {
    let config: RunConfig = load(name, overrides)?;
    config.validate()?;
    Ok(config)
}

fn preset(name: &str) -> RunConfig {
    settings(name, &[]).unwrap()
}

#[test]
fn every_preset_is_valid_and_survives_a_round_trip() {
    assert_eq!(PRESETS.len(), 8);
    for (name, _) in PRESETS {
        let config = preset(name);
        let again: RunConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again, "{name}");
    }
}

#[test]
fn every_line_of_a_preset_is_commented() {
    for (name, text) in PRESETS {
        assert!(
            summary(text).len() > 20,
            "{name} does not say what it is for"
        );
        for line in text.lines().filter(|line| line.contains('=')) {
            assert!(line.contains('#'), "{name}: `{line}` has no comment");
        }
    }
}

#[test]
fn hybridmorph_is_the_published_network_and_training() {
    for name in [
        "hybridmorph-fewshot",
        "hybridmorph-transfer",
        "hybridmorph-weighted",
    ] {
        let config = preset(name);
        assert_eq!(config.model.encoder, Encoder::Strided);
        assert_eq!(config.model.encoder_features, [32; 4]);
        assert_eq!(config.model.decoder_features, [32, 32, 32, 32, 32, 16]);
        assert_eq!(config.model.transform, TransformKind::Displacement);
        assert_eq!(
            (
                config.train.lr,
                config.train.steps_per_epoch,
                config.train.epochs
            ),
            (1e-4, 100, 1000)
        );
        assert!(config.loss.mse.is_some() && config.loss.ncc.is_none());
    }
    // 900 epochs of 100 steps are synthetic.
    let alpha = |name, step| preset(name).mixture.alpha.at(step);
    assert_eq!(
        [0, 89_999, 90_000].map(|s| alpha("hybridmorph-transfer", s)),
        [0.0, 0.0, 1.0]
    );
    assert_eq!(alpha("hybridmorph-weighted", 90_000), 0.7);
    assert_eq!(alpha("hybridmorph-fewshot", 0), 1.0);
}

#[test]
fn voxelmorph_is_the_default_network() {
    for name in ["voxelmorph-2d", "voxelmorph-3d"] {
        let config = preset(name);
        assert_eq!(config.model.encoder_features, [16, 32, 32, 32]);
        assert_eq!(config.model.decoder_features, [32, 32, 32, 32, 32, 16, 16]);
        assert_eq!((config.model.int_steps, config.model.int_downsize), (7, 2));
    }
}

#[test]
fn overrides_reach_every_section() {
    let overrides = [
        "seed=7",
        "mixture.alpha=0.5",
        "mixture.mode=weighted",
        "model.encoder_features=[8, 8]",
        "model.decoder_features=[8, 8, 8]",
        "loss.field_mse.weight=0.1",
        "train.batch=2",
        "data.n_train=5",
        "synth.shapes.labels=8",
    ]
    .map(String::from);
    let config = settings("hybridmorph-fewshot", &overrides).unwrap();
    assert_eq!((config.seed, config.mixture.mode), (7, Mode::Weighted));
    assert_eq!(config.data.as_ref().unwrap().n_train, Some(5));
    assert_eq!(config.synth.as_ref().unwrap().shapes.labels, 8);
    assert_eq!(config.loss.field_mse.as_ref().unwrap().weight, 0.1);
}

#[test]
fn settings_that_no_run_can_follow_are_refused() {
    for (overrides, reason) in [
        (vec!["mixture.alpha=0.5"], "[synth]"),
        (vec!["loss.field_mse.weight=1.0"], "mixture.alpha is 1"),
        (vec!["seed=-1"], "--set seed=-1: invalid value"),
        (vec!["train.batch=0"], "[train] batch is 0"),
        (vec!["model.slope=2.0"], "[model] slope"),
        (vec!["synth.shapes.labels=1"], "shapes.labels"),
        (
            vec!["train.epoch=5"],
            "--set train.epoch=5: unknown field `epoch`",
        ),
        (vec!["trian.epochs=5"], "did you mean `train`?"),
        (
            vec!["data.normalize.kind=minmax"],
            "did you mean `min-max`?",
        ),
        (vec!["data.slice=axial"], "PLANE:FRACTION"),
    ] {
        let overrides: Vec<String> = overrides.into_iter().map(String::from).collect();
        let error = settings("hybridmorph-fewshot", &overrides)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{overrides:?}: {error}");
    }
}
