//! Markups of 3D Slicer: JSON (`.mrk.json`) and its older table (`.fcsv`).
//!
//! Both say in which world their numbers are, LPS or RAS (`1` and `0` in old files); a file that does not is refused,
//! since a wrong guess mirrors every point. What else is in them is kept when points are written back.

mod json;
mod table;

use std::path::Path;

use nalgebra::Vector3;
use serde_json::Value;

use self::table::Line;
use super::Landmark;
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
        for point in json::points(&mut document)? {
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
        let is_lps = is_lps(table::coordinate_system(text))?;
        let lines = table::lines(text)?;
        let landmarks: Vec<Landmark> = lines
            .iter()
            .filter_map(Line::point)
            .map(|(place, name)| Landmark {
                at: world(place, is_lps),
                name,
            })
            .collect();
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
                let points =
                    json::points(&mut document).expect("the same document was read before");
                for (point, at) in points.into_iter().zip(&numbers) {
                    *point.position = serde_json::json!([at.x, at.y, at.z]);
                }
                format!("{document:#}\n")
            }
            Content::Table(lines) => table::text(lines, &numbers),
        }
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
        WorldPoint::from_lps(numbers)
    } else {
        WorldPoint(numbers)
    }
}

fn stored(place: WorldPoint, lps: bool) -> Vector3<f64> {
    let numbers = if lps { place.lps() } else { place.0 };
    numbers.map(|v| (v * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
