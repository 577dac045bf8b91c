//! The presets inside the program, and the settings a run folder keeps.

use burn::tensor::Device;
use hmorph::config::{PRESETS, RunConfig, STUDIES, load, presets, summary};
use hmorph::dataset::{Alpha, Mode, Split};
use hmorph::error::Result;
use hmorph::loss::NccForm;
use hmorph::model::TransformKind;
use hmorph::nn::Encoder;
use hmorph::study::{Paradigm, StudyConfig, plan};
use hmorph::synth::{Range, Sharing};
use hmorph::train::Session;
use hmorph::volume::Dimension;

use crate::studies::small_study;

const HYBRIDMORPH: [&str; 3] = [
    "hybridmorph-fewshot",
    "hybridmorph-transfer",
    "hybridmorph-weighted",
];

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
    assert_eq!(PRESETS.len(), 9);
    for (name, _) in PRESETS {
        let config = preset(name);
        let again: RunConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again, "{name}");
    }
}

#[test]
fn every_line_of_a_preset_is_commented() {
    for (name, text) in presets() {
        assert!(
            summary(text).len() > 20,
            "{name} does not say what it is for"
        );
        for line in text.lines().filter(|line| line.contains('=')) {
            assert!(line.contains('#'), "{name}: `{line}` has no comment");
        }
    }
}

/// The network of a preset in one line: encoder, features, transform, squarings, coarsening.
fn network(config: &RunConfig) -> (Encoder, &[usize], &[usize], TransformKind) {
    let model = &config.model;
    (
        model.encoder,
        &model.encoder_features,
        &model.decoder_features,
        model.transform,
    )
}

/// Names and weights of the loss.
fn terms(config: &RunConfig) -> Vec<(&str, f64)> {
    let terms = config.loss.terms().into_iter();
    terms.map(|used| (used.name, used.weight)).collect()
}

#[test]
fn voxelmorph_has_the_published_numbers() {
    for (name, dimension) in [
        ("voxelmorph-2d", Dimension::Two),
        ("voxelmorph-3d", Dimension::Three),
    ] {
        let config = preset(name);
        assert_eq!(config.model.dimension, dimension);
        assert_eq!(
            network(&config),
            (
                Encoder::MaxPool,
                &[16, 32, 32, 32][..],
                &[32, 32, 32, 32, 32, 16, 16][..],
                TransformKind::Velocity
            )
        );
        assert_eq!((config.model.int_steps, config.model.int_downsize), (7, 2));
        assert_eq!(terms(&config), [("ncc", 1.0), ("diffusion", 1.0)]);
        let ncc = config.loss.ncc.as_ref().unwrap();
        assert_eq!((ncc.window, ncc.form), (9, NccForm::Clamped));
        assert_eq!(config.train.lr, 1e-4);
        assert_eq!(config.mixture.alpha, Alpha::Constant(1.0));
    }
}

#[test]
fn synthmorph_has_the_published_numbers() {
    let sizes = [
        ("synthmorph-shapes-2d", (256.0, 16)),
        ("synthmorph-shapes-3d", (170.0, 26)),
    ];
    for (name, size) in sizes {
        let config = preset(name);
        assert_eq!(
            network(&config),
            (
                Encoder::MaxPool,
                &[64; 4][..],
                &[64; 6][..],
                TransformKind::Velocity
            )
        );
        assert_eq!((config.model.int_steps, config.model.int_downsize), (5, 2));
        assert_eq!(terms(&config), [("dice", 1.0), ("diffusion", 1.0)]);
        assert_eq!(config.loss.dice.as_ref().unwrap().offset, 1.0);
        assert_eq!(config.mixture.alpha, Alpha::Constant(0.0));
        let synth = config.synth.unwrap();
        assert_eq!(synth.contrast.pair, Sharing::Independent);
        assert_eq!((synth.reference_size, synth.shapes.labels), size);
        let lists = [
            (&synth.shapes.scales, &[32.0, 64.0][..]),
            (&synth.shapes.warp_scales, &[16.0, 32.0, 64.0]),
            (&synth.deformation.velocity_scales, &[16.0, 32.0, 64.0]),
            (&synth.bias.scales, &[40.0]),
        ];
        for (found, expected) in lists {
            assert_eq!(found, expected, "{name}");
        }
        let ranges = [
            (synth.shapes.noise_sd, [0.0, 1.0]),
            (synth.shapes.warp_sd, [0.0, 16.0]),
            (synth.deformation.velocity_sd, [0.0, 6.0]),
            // Of 255: 25 to 225, and 5 to 25.
            (synth.contrast.mean, [0.1, 0.9]),
            (synth.contrast.sd, [0.02, 0.1]),
            (synth.blur.sd, [0.0, 1.0]),
            (synth.bias.sd, [0.0, 0.3]),
        ];
        for (found, [low, high]) in ranges {
            assert_eq!(found, Range::new(low, high), "{name}");
        }
        assert_eq!(synth.gamma.log_sd, 0.25);
        assert_eq!(synth.contrast.zero_background_prob, 0.2);
        assert_eq!(
            (synth.noise.prob, synth.crop.prob, synth.thickness.prob),
            (0.0, 0.0, 0.0)
        );
    }
}

#[test]
fn hybridmorph_has_the_published_numbers() {
    for name in HYBRIDMORPH {
        let config = preset(name);
        assert_eq!(
            network(&config),
            (
                Encoder::Strided,
                &[32; 4][..],
                &[32, 32, 32, 32, 32, 16][..],
                TransformKind::Displacement
            )
        );
        assert_eq!(terms(&config), [("mse", 1.0), ("diffusion", 0.01)]);
        let train = &config.train;
        assert_eq!(
            (train.batch, train.steps_per_epoch, train.epochs),
            (8, 100, 1000)
        );
        assert_eq!(train.lr, 1e-4);
        if let Some(synth) = &config.synth {
            assert_eq!(synth.contrast.pair, Sharing::Shared);
        }
    }
    // 900 epochs of 100 steps are synthetic.
    let alpha = |name, step| preset(name).mixture.alpha.at(step);
    for (name, afterwards) in [("hybridmorph-transfer", 1.0), ("hybridmorph-weighted", 0.9)] {
        assert_eq!(
            [0, 89_999, 90_000, 99_999].map(|step| alpha(name, step)),
            [0.0, 0.0, afterwards, afterwards]
        );
    }
    assert_eq!(alpha("hybridmorph-fewshot", 0), 1.0);
}

#[test]
fn the_best_preset_is_the_recipe_that_was_measured() {
    let config = preset("hybridmorph-best");
    let model = &config.model;
    assert_eq!(
        (model.encoder, model.transform),
        (Encoder::MaxPool, TransformKind::Velocity)
    );
    assert_eq!(terms(&config), [("ncc", 1.0), ("diffusion", 1.0)]);
    // Synthetic for half of the steps, then as many real as synthetic.
    let half = config.train.steps() / 2;
    let alpha = |step| config.mixture.alpha.at(step);
    assert_eq!([0, half - 1, half].map(alpha), [0.0, 0.0, 0.5]);
}

#[test]
fn presets_of_studies_span_their_grids() {
    let images = ["run.data.images='scans/{subject}.nii.gz'".to_string()];
    // Cells a seed and fold: real and synthetic, then few-shot, transfer and every alpha for each number of subjects.
    let expected = [
        ("hybridmorph-study", 2 + 6 * (2 + 5)),
        ("hybridmorph-study-small", 2 + 2 * (2 + 2)),
    ];
    for ((name, _), (expected_name, arms)) in STUDIES.iter().zip(expected) {
        assert_eq!(*name, expected_name);
        let study: StudyConfig = load(name, &images).unwrap();
        let (pretrainings, jobs) = plan(&study, std::path::Path::new("out")).unwrap();
        assert_eq!(jobs.len(), arms * study.seeds.len() * study.folds, "{name}");
        // Random shapes are the same whatever the subjects and the fold.
        assert_eq!(pretrainings.len(), study.seeds.len(), "{name}");
        let steps = |config: &RunConfig| config.train.steps();
        let all = steps(&study.base().unwrap());
        for job in &jobs {
            let before = job
                .pretraining
                .map_or(0, |n| steps(&pretrainings[n].settings));
            assert_eq!(before + steps(&job.settings), all, "{}", job.name);
            // Pair n of a seed is always the same: those of the pretraining would come again.
            let seed = job.pretraining.map(|n| pretrainings[n].settings.seed);
            assert_ne!(seed, Some(job.settings.seed), "{}", job.name);
            let real = job.arm.paradigm != Paradigm::Synthetic;
            assert_eq!(job.settings.mixture.alpha.at(0) > 0.0, real, "{}", job.name);
        }
    }
}

#[test]
fn a_study_may_change_alpha_along_weighted_transfer() {
    let settings = ["run.data.images='scans/{subject}.nii.gz'", "alpha_from=0.2"];
    let settings = settings.map(String::from);
    let study: StudyConfig = load("hybridmorph-study-small", &settings).unwrap();
    let (_, jobs) = plan(&study, std::path::Path::new("out")).unwrap();
    let of = |paradigm| jobs.iter().filter(move |job| job.arm.paradigm == paradigm);
    for job in of(Paradigm::Weighted) {
        let at = |step| job.settings.mixture.alpha.at(step);
        let last = job.settings.train.steps();
        let half = (0.2 + job.arm.alpha) / 2.0;
        for (step, expected) in [(0, 0.2), (last / 2, half), (last, job.arm.alpha)] {
            assert!((at(step) - expected).abs() < 1e-9, "{step}");
        }
    }
    for job in of(Paradigm::Transfer) {
        assert_eq!(job.settings.mixture.alpha.range(), (1.0, 1.0));
    }
    let outside = [settings[0].clone(), "alpha_from=1.5".into()];
    let study: StudyConfig = load("hybridmorph-study-small", &outside).unwrap();
    let problem = plan(&study, std::path::Path::new("out")).unwrap_err();
    assert!(problem.to_string().contains("alpha_from is 1.5"));
}

#[test]
fn cells_leave_out_terms_that_nothing_feeds() {
    let settings = [
        "run.data.images='scans/{subject}.nii.gz'",
        "run.loss.field_mse={ on = 'synthetic' }",
        "run.loss.dice={ on = 'real' }",
    ];
    let study: StudyConfig = load("hybridmorph-study-small", &settings.map(String::from)).unwrap();
    let (pretrainings, jobs) = plan(&study, std::path::Path::new("out")).unwrap();
    let names = |config: &RunConfig| -> Vec<&str> {
        let used = config.loss.terms();
        used.iter().map(|used| used.name).collect()
    };
    let synthetic = ["mse", "diffusion", "field_mse"];
    for pretraining in &pretrainings {
        assert_eq!(names(&pretraining.settings), synthetic);
    }
    for job in &jobs {
        let expected: &[&str] = match job.arm.paradigm {
            Paradigm::Synthetic => &synthetic,
            Paradigm::Weighted => &["mse", "dice", "diffusion", "field_mse"],
            Paradigm::Real | Paradigm::FewShot | Paradigm::Transfer => {
                &["mse", "dice", "diffusion"]
            }
        };
        assert_eq!(names(&job.settings), expected, "{}", job.name);
    }
}

#[test]
fn presets_without_data_are_ready_to_run() {
    for name in ["quickstart", "synthmorph-shapes-2d", "synthmorph-shapes-3d"] {
        let session = Session::prepare(preset(name), None, Device::flex());
        assert!(
            session.unwrap().validates(),
            "{name} has nothing to measure on"
        );
    }
}

#[test]
fn presets_with_data_need_nothing_but_the_images() {
    let folder = tempfile::tempdir().unwrap();
    // 60 % of 25 subjects are the 15 of `n_train`.
    small_study(folder.path(), 25);
    let images = format!(
        "data.images={}/{{subject}}/t1.nii.gz",
        folder.path().display()
    );
    for name in HYBRIDMORPH.into_iter().chain(["voxelmorph-2d"]) {
        let without = Session::prepare(preset(name), None, Device::flex());
        let problem = without.err().unwrap().to_string();
        assert!(
            problem.contains("no images: set manifest"),
            "{name}: {problem}"
        );
        let config = settings(name, std::slice::from_ref(&images)).unwrap();
        let session = Session::prepare(config, None, Device::flex()).unwrap();
        assert_eq!(
            session.dataset.unwrap().subjects(Split::Train),
            15,
            "{name}"
        );
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
        (
            // Synthetic pairs would come after the last step.
            vec![
                "mixture.alpha=[[0, 1.0], [100000, 0.5]]",
                "synth.shapes.labels=8",
                "loss.field_mse.weight=1.0",
            ],
            "leave the term out (mixture.alpha = 0.5 at step 100000 is never reached",
        ),
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
