//! The direction of dependencies between the folders of `src/`, as `ARCHITECTURE.md` states it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use, from the bottom up: a module may name only those that stand above it in this
/// list, so the list itself shows that there is no cycle.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("kernels", &[]),
    ("volume", &["error"]),
    ("linear", &["error", "kernels", "volume"]),
    ("metric", &["error", "kernels", "volume"]),
    ("synth", &["error", "kernels", "volume"]),
    ("eval", &["error", "kernels", "metric", "volume"]),
    ("plot", &["error", "eval", "metric", "volume"]),
    ("dataset", &["error", "linear", "synth", "volume"]),
    ("device", &["error"]),
    ("ops", &["kernels"]),
    ("render", &["kernels", "ops", "synth"]),
    ("spatial", &["kernels", "ops"]),
    ("nn", &["ops", "volume"]),
    ("model", &["error", "nn", "ops", "spatial", "volume"]),
    (
        "interop",
        &["dataset", "error", "model", "nn", "ops", "volume"],
    ),
    ("loss", &["error", "model", "ops"]),
    (
        "register",
        &[
            "dataset", "error", "kernels", "linear", "metric", "model", "spatial", "volume",
        ],
    ),
    (
        "train",
        &[
            "dataset", "device", "error", "kernels", "loss", "metric", "model", "ops", "plot",
            "render", "synth", "volume",
        ],
    ),
    (
        "config",
        &["dataset", "error", "loss", "model", "synth", "train"],
    ),
    (
        "study",
        &["config", "dataset", "error", "metric", "plot", "volume"],
    ),
    (
        "cli",
        &[
            "config", "dataset", "device", "error", "eval", "interop", "linear", "metric", "model",
            "ops", "plot", "register", "study", "synth", "train", "volume",
        ],
    ),
    ("main", &["cli"]),
];

/// Uses against the direction, each with its reason: `(file or folder, what it uses)`.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Weights say how the images of their training met, so that `register` does the same; the choice is
    // a setting of `[data]` and stays with the others.
    ("model/weights.rs", "dataset::Align"),
    // The trainer follows, keeps and compares the settings of a whole run, which hold its own.
    ("train/", "config"),
];

/// Modules that compute on plain memory: they must not know burn.
const WITHOUT_BURN: &[&str] = &[
    "error", "kernels", "volume", "linear", "metric", "synth", "eval", "plot", "dataset", "config",
    "study",
];

/// The only module that sees what burn is made of: its backends, and the kernels' side of them.
const BACKENDS: &str = "ops";

struct Source {
    /// Path below `src/`.
    file: String,
    /// The folder or file directly below `src/`.
    module: String,
    /// Text without comments.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let source = |path: PathBuf| {
        let file = path.strip_prefix(&root).unwrap();
        let file = file.to_str().unwrap().replace('\\', "/");
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        Source {
            module: file.split(['/', '.']).next().unwrap().to_string(),
            code: lines.collect::<Vec<_>>().join("\n"),
            file,
        }
    };
    files.into_iter().map(source).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The paths that follow `prefix` as a whole word, as far as they are written on one line.
fn paths_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    code.match_indices(prefix)
        .filter(|(at, _)| {
            !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')
        })
        .map(|(at, _)| {
            let rest = &code[at + prefix.len()..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            &rest[..end.unwrap_or(rest.len())]
        })
        .collect()
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap()
}

fn excepted(source: &Source, path: &str) -> bool {
    EXCEPTIONS.iter().any(|(place, used)| {
        source.file.starts_with(place)
            && path
                .strip_prefix(used)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}

#[test]
fn dependencies_point_down() {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    let sources = sources();
    for source in sources.iter().filter(|s| s.module != "lib") {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == source.module) else {
            problems.push(format!(
                "{}: a new module; place it in ALLOWED",
                source.file
            ));
            continue;
        };
        seen.insert(source.module.as_str());
        let root = if source.module == "main" {
            "hmorph::"
        } else {
            "crate::"
        };
        for path in paths_after(&source.code, root) {
            let used = first(path);
            if used.is_empty() {
                problems.push(format!(
                    "{}: `{root}{{..}}`; write one `use` a module",
                    source.file
                ));
            } else if used != source.module && !allowed.contains(&used) && !excepted(source, path) {
                problems.push(format!(
                    "{}: {} must not use {used} ({path})",
                    source.file, source.module
                ));
            }
        }
    }
    for (module, allowed) in ALLOWED.iter().filter(|(name, _)| *name != "main") {
        let of_module = sources.iter().filter(|source| source.module == *module);
        let used: BTreeSet<&str> = of_module
            .flat_map(|source| paths_after(&source.code, "crate::"))
            .map(first)
            .collect();
        let idle = allowed.iter().filter(|name| !used.contains(*name));
        problems.extend(idle.map(|name| format!("{module} does not use {name}; strike it off")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(
        seen.len(),
        ALLOWED.len(),
        "a module of ALLOWED has no file: {seen:?}"
    );
}

#[test]
fn the_table_has_no_cycle() {
    for (n, (name, allowed)) in ALLOWED.iter().enumerate() {
        for used in *allowed {
            let above = ALLOWED[..n].iter().any(|(known, _)| known == used);
            assert!(above, "{name} uses {used}, which does not stand above it");
        }
    }
}

#[test]
fn exceptions_are_still_needed() {
    let sources = sources();
    for (place, used) in EXCEPTIONS {
        let needed = sources
            .iter()
            .filter(|source| source.file.starts_with(place))
            .flat_map(|source| paths_after(&source.code, "crate::"))
            .any(|path| path.starts_with(used));
        assert!(needed, "{place} does not use {used}; remove the exception");
    }
}

#[test]
fn burn_stays_where_networks_are() {
    for source in sources() {
        let knows = |name: &str| !paths_after(&source.code, &format!("{name}::")).is_empty();
        if WITHOUT_BURN.contains(&source.module.as_str()) {
            assert!(
                !knows("burn"),
                "{}: {} must not know burn",
                source.file,
                source.module
            );
        }
        if source.module != BACKENDS {
            let inside = paths_after(&source.code, "burn::");
            let inside = inside.iter().any(|path| first(path) == "backend");
            assert!(
                !inside,
                "{}: only {BACKENDS} may see burn::backend",
                source.file
            );
            for name in ["burn_cubecl", "cubecl"] {
                assert!(
                    !knows(name),
                    "{}: only {BACKENDS} may see {name}",
                    source.file
                );
            }
        }
    }
}
