//! MATLAB 4 files, the format of ITK's `.mat` transforms: named columns of numbers.
//!
//! Each variable: type, rows, columns, imaginary flag and name length as 32-bit integers, the name with its closing
//! zero, then the numbers. Type 0 is little-endian float64, 10 little-endian float32.

use super::super::dtype::{Endian, Storable};
use super::super::fields::Fields;

const HEADER_BYTES: usize = 20;

pub(super) struct Variable {
    pub name: String,
    pub values: Vec<f64>,
}

pub(super) fn write(variables: &[Variable]) -> Vec<u8> {
    let mut out = Vec::new();
    for Variable { name, values } in variables {
        for number in [0, values.len() as i32, 1, 0, name.len() as i32 + 1] {
            number.put(Endian::Little, &mut out);
        }
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        for &value in values {
            value.put(Endian::Little, &mut out);
        }
    }
    out
}

pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Variable>, String> {
    let mut variables = Vec::new();
    while !bytes.is_empty() {
        let (variable, rest) = next(bytes)?;
        variables.push(variable);
        bytes = rest;
    }
    Ok(variables)
}

fn next(bytes: &[u8]) -> Result<(Variable, &[u8]), String> {
    let damaged = || "not a MATLAB 4 file as ITK writes it, or cut off".to_string();
    let header = bytes.get(..HEADER_BYTES).ok_or_else(damaged)?;
    let [kind, rows, columns, imaginary, name] =
        [0, 4, 8, 12, 16].map(|at| Fields::new(header, Endian::Little).number::<i32>(at));
    let size = match kind {
        0 => 8,
        10 => 4,
        _ => return Err(damaged()),
    };
    let length = |n: i32| usize::try_from(n).map_err(|_| damaged());
    let (name, count) = (length(name)?, length(rows)?.checked_mul(length(columns)?));
    let count = count.filter(|_| imaginary == 0).ok_or_else(damaged)?;
    let values = HEADER_BYTES.checked_add(name).ok_or_else(damaged)?;
    let end = count
        .checked_mul(size)
        .and_then(|n| n.checked_add(values))
        .ok_or_else(damaged)?;
    if bytes.len() < end {
        return Err(damaged());
    }
    let fields = Fields::new(&bytes[..end], Endian::Little);
    let value = |n: usize| match size {
        8 => fields.number::<f64>(values + 8 * n),
        _ => f64::from(fields.number::<f32>(values + 4 * n)),
    };
    let variable = Variable {
        name: fields.text(HEADER_BYTES, name),
        values: (0..count).map(value).collect(),
    };
    Ok((variable, &bytes[end..]))
}
