//! Markups of 3D Slicer: JSON (`.mrk.json`) and its older table (`.fcsv`).
//!
//! Both say in which world their numbers are, LPS or RAS (`1` and `0` in old files); a file that does not is refused,
//! since a wrong guess mirrors every point. What else is in them is kept when points are written back.

use std::path::Path;

use nalgebra::Vector3;
use serde_json::{Value, json};

use super::{Landmark, ras};
use crate::error::{Error, Result};
use crate::volume::WorldPoint;

/// The markups of a file.
#[derive(Debug, Clone)]
pub struct Markups {
    content: Content,
    landmarks: Vec<Landmark>,
    /// Whether each landmark's numbers are LPS (else RAS).
    lps: Vec<bool>,
}

#[derive(Debug, Clone)]
enum Content {
    Json(Value),
    Table(Vec<Line>),
}

#[derive(Debug, Clone)]
enum Line {
    Comment(String),
    Point(csv::StringRecord),
}

/// Columns of a table: identifier, three coordinates, nine more, and among those the label.
const COORDINATES: usize = 1;
const LABEL: usize = 11;

impl Markups {
    /// Whether a file is one of Slicer's by its name.
    pub fn is_named(path: &Path) -> bool {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        name.ends_with(".json") || name.ends_with(".fcsv")
    }

    /// # Errors
    /// Another content, numbers of no stated world or not in millimetres.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let is_json = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let markups = if is_json {
            Self::of_json(&text)
        } else {
            Self::of_table(&text)
        };
        markups.map_err(|problem| Error::file(path, problem))
    }

    pub fn landmarks(&self) -> &[Landmark] {
        &self.landmarks
    }

    fn of_json(text: &str) -> Result<Self, String> {
        let mut document: Value =
            serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
        let (mut landmarks, mut lps) = (Vec::new(), Vec::new());
        for point in points(&mut document)? {
            landmarks.push(Landmark {
                at: world(point.place, point.lps),
                name: point.name,
            });
            lps.push(point.lps);
        }
        Ok(Self {
            content: Content::Json(document),
            landmarks,
            lps,
        })
    }

    fn of_table(text: &str) -> Result<Self, String> {
        let comments = text
            .lines()
            .filter_map(|line| line.strip_prefix('#')?.split_once('='));
        let system = comments
            .into_iter()
            .find(|(key, _)| key.trim() == "CoordinateSystem");
        let is_lps = is_lps(system.map(|(_, value)| value.trim()))?;
        let (mut lines, mut landmarks) = (Vec::new(), Vec::new());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if line.starts_with('#') {
                lines.push(Line::Comment(line.to_string()));
                continue;
            }
            let record = record(line)?;
            let number = |n: usize| {
                record
                    .get(COORDINATES + n)
                    .and_then(|v| v.trim().parse().ok())
            };
            let (Some(x), Some(y), Some(z)) = (number(0), number(1), number(2)) else {
                return Err(format!(
                    "row '{line}' has no three numbers after its identifier"
                ));
            };
            let at = world(Vector3::new(x, y, z), is_lps);
            let name = record.get(LABEL).unwrap_or_default().to_string();
            landmarks.push(Landmark { at, name });
            lines.push(Line::Point(record));
        }
        Ok(Self {
            content: Content::Table(lines),
            lps: vec![is_lps; landmarks.len()],
            landmarks,
        })
    }

    /// The file with its points moved to other places, as many as there are [`Markups::landmarks`].
    pub fn moved_to(&self, places: &[WorldPoint]) -> String {
        let numbers: Vec<Vector3<f64>> = places
            .iter()
            .zip(&self.lps)
            .map(|(&place, &lps)| stored(place, lps))
            .collect();
        match &self.content {
            Content::Json(document) => {
                let mut document = document.clone();
                let points = points(&mut document).expect("the same document was read before");
                for (point, at) in points.into_iter().zip(&numbers) {
                    *point.position = json!([at.x, at.y, at.z]);
                }
                format!("{document:#}\n")
            }
            Content::Table(lines) => table(lines, &numbers),
        }
    }
}

/// A control point of a document.
struct Point<'a> {
    position: &'a mut Value,
    place: Vector3<f64>,
    lps: bool,
    name: String,
}

/// Every point that has been placed, list by list.
fn points(document: &mut Value) -> Result<Vec<Point<'_>>, String> {
    let missing = |what: &str| format!("no '{what}' in it: not a markups file of Slicer");
    let lists = document.get_mut("markups").and_then(Value::as_array_mut);
    let mut found = Vec::new();
    for list in lists.ok_or_else(|| missing("markups"))? {
        let system = list
            .get("coordinateSystem")
            .map(|v| v.to_string().replace('"', ""));
        let lps = is_lps(system.as_deref())?;
        check_units(list.get("coordinateUnits"))?;
        let points = list.get_mut("controlPoints").and_then(Value::as_array_mut);
        for point in points.ok_or_else(|| missing("controlPoints"))? {
            let name = point
                .get("label")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_string();
            if point
                .get("positionStatus")
                .is_some_and(|status| status == "undefined")
            {
                continue;
            }
            let position = point
                .get_mut("position")
                .ok_or_else(|| missing("position"))?;
            let numbers: Option<Vec<f64>> = position
                .as_array()
                .and_then(|list| list.iter().map(Value::as_f64).collect());
            let place = match numbers.as_deref() {
                Some(&[x, y, z]) => Vector3::new(x, y, z),
                _ => return Err(format!("point '{name}' has no position of three numbers")),
            };
            found.push(Point {
                position,
                place,
                lps,
                name,
            });
        }
    }
    Ok(found)
}

fn check_units(units: Option<&Value>) -> Result<(), String> {
    let all = match units {
        None => return Ok(()),
        Some(Value::Array(units)) => units.iter().all(|unit| unit == "mm"),
        Some(unit) => unit == "mm",
    };
    match all {
        true => Ok(()),
        false => Err("coordinateUnits is not mm; save the points in millimetres".into()),
    }
}

fn is_lps(system: Option<&str>) -> Result<bool, String> {
    match system {
        Some("LPS" | "1") => Ok(true),
        Some("RAS" | "0") => Ok(false),
        Some(other) => Err(format!(
            "coordinate system '{}'; expected LPS or RAS",
            other.escape_debug()
        )),
        None => Err(
            "no coordinate system in it, so that left and right are unknown; add LPS or RAS".into(),
        ),
    }
}

fn world(numbers: Vector3<f64>, lps: bool) -> WorldPoint {
    if lps {
        ras(numbers)
    } else {
        WorldPoint(numbers)
    }
}

fn stored(place: WorldPoint, lps: bool) -> Vector3<f64> {
    // Turning RAS to LPS is turning it back.
    let numbers = if lps { ras(place.0).0 } else { place.0 };
    numbers.map(|v| (v * 1e6).round() / 1e6)
}

fn record(line: &str) -> Result<csv::StringRecord, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => Ok(record),
        _ => Err(format!("row '{line}' is not CSV")),
    }
}

fn table(lines: &[Line], numbers: &[Vector3<f64>]) -> String {
    let mut text = String::new();
    let mut numbers = numbers.iter();
    for line in lines {
        match line {
            Line::Comment(comment) => text += comment,
            Line::Point(record) => {
                let mut fields: Vec<String> = record.iter().map(String::from).collect();
                if let Some(at) = numbers.next() {
                    for axis in 0..3 {
                        fields[COORDINATES + axis] = at[axis].to_string();
                    }
                }
                let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
                // Writing to memory cannot fail.
                let _ = writer.write_record(&fields);
                let row = writer.into_inner().unwrap_or_default();
                text += String::from_utf8_lossy(&row).trim_end();
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 3D Slicer 5 saves a list of two points, one of them not placed yet.
    const JSON: &str = r#"{
        "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/markups-schema-v1.0.3.json#",
        "markups": [{
            "type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm",
            "controlPoints": [
                {"id": "1", "label": "ac", "description": "kept", "position": [1.0, -2.0, 3.5], "positionStatus": "defined"},
                {"id": "2", "label": "later", "position": [0, 0, 0], "positionStatus": "undefined"}
            ]
        }]
    }"#;
    const TABLE: &str = "# Markups fiducial file version = 4.11\n# CoordinateSystem = RAS\n\
        # columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n\
        vtk_1,1,-2,3.5,0,0,0,1,1,1,0,\"a, c\",kept,\n";

    fn read(name: &str, text: &str) -> Result<Markups> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Markups::read(&path)
    }

    #[test]
    fn points_lie_where_the_file_says() {
        let json = read("p.mrk.json", JSON).unwrap();
        assert_eq!(json.landmarks().len(), 1);
        assert_eq!(json.landmarks()[0].at.0, Vector3::new(-1.0, 2.0, 3.5));
        assert_eq!(json.landmarks()[0].name, "ac");
        for (old, new) in [
            ("\"LPS\"", "\"RAS\""),
            ("\"LPS\"", "\"0\""),
            ("\"LPS\"", "0"),
        ] {
            let ras = read("p.mrk.json", &JSON.replace(old, new)).unwrap();
            assert_eq!(
                ras.landmarks()[0].at.0,
                Vector3::new(1.0, -2.0, 3.5),
                "{new}"
            );
        }
        let table = read("p.fcsv", TABLE).unwrap();
        assert_eq!(table.landmarks()[0].at.0, Vector3::new(1.0, -2.0, 3.5));
        assert_eq!(table.landmarks()[0].name, "a, c");
        let old = read("p.fcsv", &TABLE.replace("RAS", "1")).unwrap();
        assert_eq!(old.landmarks()[0].at.0, Vector3::new(-1.0, 2.0, 3.5));
    }

    #[test]
    fn moved_points_are_all_that_changes() {
        let to = WorldPoint(Vector3::new(10.0, 20.0, 30.25));
        let json = read("p.mrk.json", JSON).unwrap().moved_to(&[to]);
        let back: Value = serde_json::from_str(&json).unwrap();
        let mut expected: Value = serde_json::from_str(JSON).unwrap();
        expected["markups"][0]["controlPoints"][0]["position"] = json!([-10.0, -20.0, 30.25]);
        assert_eq!(back, expected);
        let table = read("p.fcsv", TABLE).unwrap().moved_to(&[to]);
        assert_eq!(table, TABLE.replace("1,-2,3.5", "10,20,30.25"));
    }

    #[test]
    fn what_does_not_say_its_world_is_refused() {
        for (name, text, part) in [
            (
                "p.mrk.json",
                JSON.replace("\"coordinateSystem\": \"LPS\", ", ""),
                "no coordinate system",
            ),
            ("p.mrk.json", JSON.replace("LPS", "IJK"), "'IJK'"),
            (
                "p.mrk.json",
                JSON.replace("\"mm\"", "\"um\""),
                "millimetres",
            ),
            ("p.mrk.json", JSON.replace("-2.0,", ""), "three numbers"),
            ("p.mrk.json", "{}".into(), "markups"),
            ("p.mrk.json", "x,y,z".into(), "not JSON"),
            (
                "p.fcsv",
                TABLE.replace("# CoordinateSystem = RAS\n", ""),
                "no coordinate system",
            ),
            ("p.fcsv", TABLE.replace("-2,", "left,"), "three numbers"),
        ] {
            let error = read(name, &text).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }
}
