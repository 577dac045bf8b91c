//! The report of a registration in a real browser: Chromium, headless. Skips with a message where there is none.

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use nalgebra::Vector3;

use crate::support::{Bench, grid, hmorph, lps, painted, quarters};

/// Works every control once the pictures are decoded, and leaves in attributes of `body` what it saw.
const CONTROLS: &str = "
const seen = document.body.dataset;
const wait = setInterval(() => {
  if (!seen.pictures) return;
  clearInterval(wait);
  const canvas = document.querySelector('.picture canvas');
  const shown = () => canvas.toDataURL();
  const changes = act => { const before = shown(); act(); return before !== shown(); };
  const input = (element, value) => {
    if (value !== undefined) element.value = value;
    element.dispatchEvent(new Event('input'));
  };
  const views = [...document.querySelectorAll('[name=mode]')].map(mode => { mode.click(); return shown(); });
  seen.views = new Set(views).size;
  document.querySelector('[value=fade]').click();
  seen.amount = changes(() => input(document.getElementById('amount'), 90));
  seen.key = changes(() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'b', bubbles: true })));
  document.querySelector('[value=blink]').click();
  seen.click = changes(() => canvas.click());
  seen.space = changes(() => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: ' ', bubbles: true })));
  seen.outlines = changes(() => document.getElementById('outlines').click());
  const slider = document.querySelector('figcaption input');
  seen.slider = slider.hidden ? 'one slice' : changes(() => input(slider, 0));
  seen.overview = document.querySelectorAll('.overview canvas').length;
}, 20);
";

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let found = folders
        .iter()
        .flat_map(|folder| names.map(|name| folder.join(name)));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no Chromium in PATH");
    }
    found
}

/// The page once its scripts have set `data-LAST`; on a busy machine the browser may stop before the pictures are decoded,
/// and is started again.
fn dom(browser: &Path, page: &Path, last: &str) -> String {
    let mut starts = (0..5).map(|_| dumped(browser, page));
    let whole = starts.find(|dom| dom.contains(&format!("data-{last}=")));
    whole.expect("the page runs its scripts to the end")
}

fn dumped(browser: &Path, page: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .timeout(Duration::from_secs(120))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The value of `data-NAME` in the first tag `body`.
fn attribute<'a>(dom: &'a str, name: &str) -> &'a str {
    let body = &dom[dom.find("<body").expect("a page with a body")..];
    let body = &body[..body.find('>').unwrap()];
    let (_, rest) = body
        .split_once(&format!("data-{name}=\""))
        .unwrap_or_else(|| panic!("{name}: {body}"));
    rest.split('"').next().unwrap()
}

fn check(
    browser: &Path,
    bench: &Bench,
    [fixed, moving]: [&Path; 2],
    labels: [&Path; 2],
    expected: [&str; 3],
) {
    let out = bench.path("out");
    hmorph()
        .arg("register")
        .args([fixed, moving])
        .arg("--fixed-labels")
        .arg(labels[0])
        .arg("--moving-labels")
        .arg(labels[1])
        .args(["--force", "-o"])
        .arg(&out)
        .assert()
        .success();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    // Nothing comes from elsewhere.
    for outside in ["http://", "https://", "<link", "@import", " src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    let tested = bench.path("tested.html");
    std::fs::write(
        &tested,
        page.replace("</body>", &format!("<script>{CONTROLS}</script></body>")),
    )
    .unwrap();
    let dom = dom(browser, &tested, "pictures");
    let [pictures, slider, overview] = expected;
    assert_eq!(attribute(&dom, "pictures"), pictures);
    assert_eq!(attribute(&dom, "views"), "7");
    for control in ["amount", "key", "click", "space", "outlines"] {
        assert_eq!(attribute(&dom, control), "true", "{control}");
    }
    assert_eq!(attribute(&dom, "slider"), slider);
    assert_eq!(attribute(&dom, "overview"), overview);
    assert_eq!(dom.contains("axial  k = "), slider == "true");
}

#[test]
fn every_control_of_a_report_changes_what_is_shown() {
    let Some(browser) = chromium() else { return };
    let bench = Bench::new();
    let geometry = grid([26, 30, 24], [2.0; 3], lps(), [0.0; 3]);
    let blob = |centre: f64| {
        painted(&geometry, move |p| {
            100.0 * (-(p - Vector3::new(centre, 0.0, -centre)).norm_squared() / 150.0).exp()
        })
    };
    let (f, m) = (
        bench.image("f.nii.gz", &blob(0.0)),
        bench.image("m.nii.gz", &blob(5.0)),
    );
    let labels = bench.labels("labels.nii.gz", &quarters(&geometry));
    // Three planes of seven slices of three pictures.
    check(
        &browser,
        &bench,
        [&f, &m],
        [&labels, &labels],
        ["63", "true", "21"],
    );

    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/example");
    let file = |name: &str| example.join(format!("{name}.nii.gz"));
    let (f, m, fl, ml) = (
        file("fixed"),
        file("moving"),
        file("fixed_labels"),
        file("moving_labels"),
    );
    check(
        &browser,
        &bench,
        [&f, &m],
        [&fl, &ml],
        ["3", "one slice", "7"],
    );
}

#[test]
fn a_table_of_pairs_is_sorted_by_a_click() {
    let Some(browser) = chromium() else { return };
    let bench = Bench::new();
    let row = |id: &str, time: &str| hmorph::plot::report::IndexRow {
        id: id.into(),
        report: None,
        picture: None,
        status: "done".into(),
        error: String::new(),
        numbers: vec![time.into()],
    };
    let index = hmorph::plot::report::Index {
        title: "<pairs> & more".into(),
        columns: vec!["Time (s)".into()],
        rows: vec![row("b", "10.5"), row("c", ""), row("a", "9.0")],
    };
    let page = index.page().unwrap();
    assert!(page.contains("&lt;pairs&gt; &amp; more"), "{page}");
    let order =
        "[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent).join('')";
    let script = format!(
        "const time = document.querySelectorAll('th button')[2]; const seen = document.body.dataset;
         time.click(); seen.up = {order}; time.click(); seen.down = {order};
         document.querySelector('th button').click(); seen.names = {order};"
    );
    let path = bench.path("index.html");
    std::fs::write(
        &path,
        page.replace("</body>", &format!("<script>{script}</script></body>")),
    )
    .unwrap();
    let dom = dom(&browser, &path, "names");
    let found = ["up", "down", "names"].map(|name| attribute(&dom, name));
    assert_eq!(found, ["abc", "bac", "abc"]);
}
