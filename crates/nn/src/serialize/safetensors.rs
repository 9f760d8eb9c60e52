//! The safetensors format, as Hugging Face and PyTorch tools read and write it.
//!
//! Format: <https://huggingface.co/docs/safetensors/index#format>.

use super::{StateDict, StateError};
use ::safetensors::tensor::{Dtype, SafeTensors, TensorView};
use gradus_tensor::io::{atomic_write, checked_bytes};
use gradus_tensor::{DType, MAX_RANK, Tensor};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Writes a state dict with a map of notes about it (the architecture, the epoch ...).
///
/// The same content gives the same bytes. An old file is replaced only when the new one is whole.
///
/// # Errors
/// If the file cannot be written, or a tensor is named `__metadata__`, which the format reserves.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("gradus-doc-{}.safetensors", std::process::id()));
/// use gradus_nn::serialize::{load_safetensors, save_safetensors};
/// use gradus_nn::{Forward, Linear, Module};
/// use gradus_tensor::Tensor;
/// let model = Linear::new(3, 2);
/// save_safetensors(&path, &model.state_dict(), &[("arch".to_string(), "tiny".to_string())].into()).unwrap();
/// let (state, notes) = load_safetensors(&path).unwrap();
/// let again = Linear::new(3, 2);
/// again.load_state_dict(&state).unwrap();
/// let x = Tensor::randn([4, 3]);
/// assert_eq!(again.forward(&x).to_vec::<f32>(), model.forward(&x).to_vec::<f32>());
/// assert_eq!(notes["arch"], "tiny");
/// # std::fs::remove_file(&path).unwrap();
/// ```
pub fn save_safetensors(
    path: impl AsRef<Path>,
    state: &StateDict,
    metadata: &BTreeMap<String, String>,
) -> Result<(), StateError> {
    let path = path.as_ref();
    if state.contains(METADATA) {
        return Err(StateError::unsupported(
            path,
            format!("cannot hold a tensor named {METADATA}: the format reserves the name"),
        ));
    }
    // Wide elements first, so that all of them lie aligned.
    let mut entries: Vec<(&str, &Tensor)> = state.iter().collect();
    entries.sort_by_key(|(_, t)| std::cmp::Reverse(t.dtype().size()));
    let head = header(&entries, metadata);
    let write = |w: &mut dyn Write| -> io::Result<()> {
        w.write_all(&(head.len() as u64).to_le_bytes())?;
        w.write_all(head.as_bytes())?;
        for (_, t) in &entries {
            w.write_all(&little_endian(t.to_bytes(), t.dtype().size()))?;
        }
        Ok(())
    };
    atomic_write(path, |w| write(w)).map_err(|e| StateError::file(path, e))
}

const METADATA: &str = "__metadata__";

/// The JSON header, padded with spaces to a multiple of eight bytes. Written here and not by the
/// crate, which keeps the metadata in a hash map and would order it differently each time.
fn header(entries: &[(&str, &Tensor)], metadata: &BTreeMap<String, String>) -> String {
    let mut map = serde_json::Map::new();
    if !metadata.is_empty() {
        map.insert(METADATA.into(), serde_json::json!(metadata));
    }
    let mut at = 0;
    for (name, t) in entries {
        let end = at + t.numel() * t.dtype().size();
        let info =
            serde_json::json!({"dtype": name_of(t.dtype()), "shape": t.shape().to_vec(), "data_offsets": [at, end]});
        map.insert((*name).to_owned(), info);
        at = end;
    }
    let mut text = serde_json::Value::Object(map).to_string();
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    text
}

fn name_of(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::I32 => "I32",
        DType::U8 => "U8",
        DType::Bool => "BOOL",
    }
}

/// From or to the machine's byte order.
fn little_endian(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    if cfg!(target_endian = "big") && size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    bytes
}

/// Reads a state dict and the notes stored with it, in the order the tensors lie in the file.
///
/// `i8`, `i16` and `u16` elements become `i32`, `u32` become `i64`; our own types are kept. The page of
/// [`save_safetensors`] shows the way from a model to a file and into a new model.
///
/// # Errors
/// If the file cannot be read, is damaged or truncated, or holds a type or rank a tensor cannot have.
/// No content of a file makes this panic.
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<(StateDict, BTreeMap<String, String>), StateError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| StateError::file(path, e))?;
    let damaged = |e: &dyn std::fmt::Display| {
        StateError::malformed(path, format!("is not a whole safetensors file of {} bytes: {e}", bytes.len()))
    };
    let (_, head) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
    let mut state = StateDict::new();
    for name in head.offset_keys() {
        let view = file.tensor(&name).map_err(|e| damaged(&e))?;
        state.insert(name.as_str(), tensor(&name, &view, path)?);
    }
    let notes = head.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok((state, notes))
}

fn tensor(name: &str, view: &TensorView<'_>, path: &Path) -> Result<Tensor, StateError> {
    let shape = view.shape();
    let dtype = view.dtype();
    let (size, ours) = match dtype {
        Dtype::F32 => (4, Some(DType::F32)),
        Dtype::F64 => (8, Some(DType::F64)),
        Dtype::F16 => (2, Some(DType::F16)),
        Dtype::BF16 => (2, Some(DType::BF16)),
        Dtype::I64 => (8, Some(DType::I64)),
        Dtype::I32 => (4, Some(DType::I32)),
        Dtype::U8 => (1, Some(DType::U8)),
        Dtype::BOOL => (1, Some(DType::Bool)),
        Dtype::I8 => (1, None),
        Dtype::I16 | Dtype::U16 => (2, None),
        Dtype::U32 => (4, None),
        other => {
            let what = format!("tensor {name:?} has elements of type {other}, which a tensor here cannot hold");
            return Err(StateError::unsupported(path, what));
        }
    };
    if checked_bytes(shape, size) != Some(view.data().len()) {
        let what = format!(
            "tensor {name:?} has the shape {shape:?} of {dtype} in {} bytes; at most {MAX_RANK} dimensions are possible",
            view.data().len()
        );
        return Err(StateError::unsupported(path, what));
    }
    let bytes = little_endian(view.data().to_vec(), size);
    let two = |b: &[u8]| [b[0], b[1]];
    Ok(match (ours, dtype) {
        (Some(d), _) => Tensor::from_bytes(&bytes, d, shape),
        (None, Dtype::I8) => Tensor::from_vec(bytes.iter().map(|&b| i32::from(b as i8)).collect(), shape),
        (None, Dtype::I16) => {
            Tensor::from_vec(bytes.chunks_exact(2).map(|b| i32::from(i16::from_ne_bytes(two(b)))).collect(), shape)
        }
        (None, Dtype::U16) => {
            Tensor::from_vec(bytes.chunks_exact(2).map(|b| i32::from(u16::from_ne_bytes(two(b)))).collect(), shape)
        }
        (None, _) => {
            let wide = bytes.chunks_exact(4).map(|b| i64::from(u32::from_ne_bytes([b[0], b[1], b[2], b[3]])));
            Tensor::from_vec(wide.collect(), shape)
        }
    })
}
