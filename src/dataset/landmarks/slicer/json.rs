//! Control points of a `.mrk.json` document.

use nalgebra::Vector3;
use serde_json::Value;

use super::is_lps;

/// A control point of a document.
pub(super) struct Point<'a> {
    pub position: &'a mut Value,
    pub place: Vector3<f64>,
    pub lps: bool,
    pub name: String,
}

/// Every point that has been placed, list by list.
pub(super) fn points(document: &mut Value) -> Result<Vec<Point<'_>>, String> {
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
