//! Python values in the pickle format (protocol 2), as far as a PyTorch checkpoint needs them.

/// A Python value.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    None,
    Bool(bool),
    Int(i32),
    List(Vec<Object>),
    Dict(Vec<(&'static str, Object)>),
    /// A dictionary of tensors by name: shape of each; its values are the storage of the same number.
    Tensors(Vec<(String, Vec<usize>)>),
}

/// The bytes of `data.pkl`.
pub fn pickle(object: &Object) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    object.write(&mut out);
    out.push(b'.');
    out
}

impl Object {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(b'N'),
            Self::Bool(value) => out.push(if *value { 0x88 } else { 0x89 }),
            Self::Int(value) => int(*value, out),
            Self::List(values) => {
                out.extend(b"](");
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.extend(b"}(");
                for (key, value) in entries {
                    text(key, out);
                    value.write(out);
                }
                out.push(b'u');
            }
            Self::Tensors(tensors) => {
                out.extend(b"}(");
                for (storage, (name, shape)) in tensors.iter().enumerate() {
                    text(name, out);
                    tensor(storage, shape, out);
                }
                out.push(b'u');
            }
        }
    }
}

fn int(value: i32, out: &mut Vec<u8>) {
    out.push(b'J');
    out.extend(value.to_le_bytes());
}

fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b'X');
    out.extend((value.len() as u32).to_le_bytes());
    out.extend(value.as_bytes());
}

/// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)` of a contiguous tensor.
fn tensor(storage: usize, shape: &[usize], out: &mut Vec<u8>) {
    let count: usize = shape.iter().product();
    let strides: Vec<usize> = (0..shape.len())
        .map(|axis| shape[axis + 1..].iter().product())
        .collect();
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
    // The storage by its persistent id: ("storage", type, key, device, number of values).
    out.push(b'(');
    text("storage", out);
    out.extend(b"ctorch\nFloatStorage\n");
    text(&storage.to_string(), out);
    text("cpu", out);
    int(count as i32, out);
    out.extend(b"tQ");
    int(0, out);
    for numbers in [shape, &strides] {
        out.push(b'(');
        numbers.iter().for_each(|&n| int(n as i32, out));
        out.push(b't');
    }
    out.push(0x89);
    // An empty OrderedDict of hooks.
    out.extend(b"ccollections\nOrderedDict\n)RtR");
}
