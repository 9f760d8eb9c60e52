//! PyTorch's `.pth` and `.pt` files: a zip archive with a pickle and one file a storage, or the older
//! single stream of pickles followed by the storages.

use super::pickle::{self, Fault, Kind, Pickle, StorageRef, TensorRef, Value};
use super::{StateDict, StateError};
use gradus_tensor::io::checked_bytes;
use gradus_tensor::{DType, Tensor};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use zip::ZipArchive;
use zip::result::ZipError;

/// Keys under which training scripts keep the model's tensors in a larger checkpoint.
const MODEL_KEYS: [&str; 7] = ["state_dict", "model_state_dict", "model", "net", "network", "weights", "params"];
/// Nesting deeper than this is not a state dict.
const MAX_DEPTH: usize = 32;
/// Bytes that all names may take together: a hostile file can name one tensor without end.
const MAX_NAMES: usize = 64 << 20;

/// Reads the tensors of a file that `torch.save` wrote, without running any of the code a pickle can hold.
///
/// The file must hold a dict of tensors, or a checkpoint with such a dict under one of the usual keys
/// (`state_dict`, `model_state_dict`, `model`, `net` ...); other nested dicts become dotted names.
/// Entries that are not tensors are passed over. Tensors that shared their storage still do.
/// `int8` and `int16` elements become `i32`.
///
/// # Errors
/// If the file cannot be read, is damaged, names a Python object other than those a state dict needs
/// ([`StateError::Refused`]), or holds no tensors. No content of a file makes this panic.
pub fn load_pth(path: impl AsRef<Path>) -> Result<StateDict, StateError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| StateError::file(path, e))?;
    let file_len = file.metadata().map_err(|e| StateError::file(path, e))?.len();
    let mut r = BufReader::new(file);
    let mut start = Vec::new();
    r.by_ref().take(4).read_to_end(&mut start).map_err(|e| StateError::file(path, e))?;
    r.rewind().map_err(|e| StateError::file(path, e))?;
    let (pickle, mut source) = if start.starts_with(b"PK\x03\x04") {
        open_archive(r, path)?
    } else if start.first() == Some(&0x80) {
        open_stream(r, path)?
    } else {
        let found: Vec<String> = start.iter().map(|b| format!("{b:02x}")).collect();
        let what =
            format!("is not a PyTorch file: it starts with [{}], not as a zip archive or a pickle", found.join(" "));
        return Err(StateError::malformed(path, what));
    };
    let mut builder =
        Builder { path, pickle: &pickle, flat: HashMap::new(), spread: (file_len as usize) * 4 + (64 << 20) };
    let mut state = StateDict::new();
    for (name, tensor) in entries(&pickle, path)? {
        let t = builder.tensor(&name, tensor, &mut source)?;
        state.insert(name, t);
    }
    Ok(state)
}

/// Where the storages' bytes come from.
enum Source {
    Archive { zip: ZipArchive<BufReader<File>>, prefix: String, big_endian: bool },
    Stream(HashMap<String, Vec<u8>>),
}

fn fault(f: Fault, path: &Path) -> StateError {
    match f {
        Fault::Refused(global) => StateError::Refused { path: path.to_owned(), global },
        Fault::Bad(at, what) => StateError::malformed(path, format!("has a damaged pickle, at byte {at}: {what}")),
    }
}

// ---- the zip format ----

fn zip_error(e: ZipError, path: &Path) -> StateError {
    match e {
        ZipError::Io(e) if e.kind() != io::ErrorKind::UnexpectedEof => read_error(e, path),
        e => StateError::malformed(path, format!("is not a whole PyTorch archive (a zip file): {e}")),
    }
}

/// A damaged entry shows as invalid data, anything else is the system's.
fn read_error(e: io::Error, path: &Path) -> StateError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match e.kind() {
        InvalidData | InvalidInput | UnexpectedEof => StateError::malformed(path, format!("is damaged: {e}")),
        _ => StateError::file(path, e),
    }
}

fn open_archive(r: BufReader<File>, path: &Path) -> Result<(Pickle, Source), StateError> {
    let mut zip = ZipArchive::new(r).map_err(|e| zip_error(e, path))?;
    let found =
        zip.file_names().flatten().find(|n| n == "data.pkl" || n.ends_with("/data.pkl")).map(|n| n.into_owned());
    let Some(name) = found else {
        return Err(StateError::malformed(path, "is a zip archive without data.pkl, so torch.save did not write it"));
    };
    let prefix = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    let bytes = entry(&mut zip, &name, usize::MAX, path)?;
    let (pickle, _) = pickle::read(&bytes).map_err(|f| fault(f, path))?;
    let order = format!("{prefix}byteorder");
    let big_endian = zip.index_for_name(&order).is_some() && entry(&mut zip, &order, 16, path)?.starts_with(b"big");
    Ok((pickle, Source::Archive { zip, prefix, big_endian }))
}

/// An entry's bytes, at most `limit` of them.
fn entry(zip: &mut ZipArchive<BufReader<File>>, name: &str, limit: usize, path: &Path) -> Result<Vec<u8>, StateError> {
    let e = zip.by_name(name).map_err(|e| match e {
        ZipError::FileNotFound => StateError::malformed(path, format!("lacks the entry {name:?}")),
        e => zip_error(e, path),
    })?;
    // Grows with what is there, not with what the archive says of itself.
    let mut out = Vec::new();
    e.take(limit as u64).read_to_end(&mut out).map_err(|e| read_error(e, path))?;
    Ok(out)
}

// ---- the older format ----

/// What the first of the five pickles holds: the number 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Magic number, version, system facts, the object, the list of storage keys; then for each key the
/// number of elements (8 bytes) and the elements.
fn open_stream(mut r: BufReader<File>, path: &Path) -> Result<(Pickle, Source), StateError> {
    let mut bytes = Vec::new();
    r.read_to_end(&mut bytes).map_err(|e| StateError::file(path, e))?;
    let mut at = 0;
    let mut next = || {
        let (p, n) = pickle::read(&bytes[at..]).map_err(|f| fault(f, path))?;
        at += n;
        Ok(p)
    };
    let magic: Pickle = next()?;
    match magic.root() {
        Value::Long(i) if magic.long(i) == MAGIC => {}
        _ => return Err(StateError::malformed(path, "is a pickle, but not one that torch.save wrote")),
    }
    let (_version, _system, object, keys) = (next()?, next()?, next()?, next()?);
    let Value::List(keys_at) = keys.root() else {
        return Err(StateError::malformed(path, "has no list of storages after its object"));
    };
    let kinds: HashMap<&str, Kind> = object.storages().map(|s| (object.text(s.key), s.kind)).collect();
    let mut storages = HashMap::new();
    for key in keys.list(keys_at) {
        let (key, kind) = match key {
            Value::Text(t) => match kinds.get(keys.text(*t)) {
                Some(kind) => (keys.text(*t), kind),
                None => {
                    return Err(StateError::malformed(
                        path,
                        format!("lists the storage {:?}, which no tensor uses", keys.text(*t)),
                    ));
                }
            },
            _ => return Err(StateError::malformed(path, "has a storage key that is not text")),
        };
        let rest = &bytes[at..];
        let body = rest.first_chunk::<8>().and_then(|n| {
            let len = usize::try_from(u64::from_le_bytes(*n)).ok()?.checked_mul(kind.size())?;
            rest[8..].get(..len)
        });
        let Some(body) = body else {
            return Err(StateError::malformed(
                path,
                format!("is truncated within the storage {key:?} ({} bytes left)", rest.len()),
            ));
        };
        at += 8 + body.len();
        storages.insert(key.to_owned(), body.to_vec());
    }
    Ok((object, Source::Stream(storages)))
}

// ---- which tensors ----

/// The names and tensors of the model's state dict within the object.
fn entries(p: &Pickle, path: &Path) -> Result<Vec<(String, usize)>, StateError> {
    let mut at = p.root();
    for _ in 0..MAX_DEPTH {
        let Value::Dict(d) = at else { break };
        let pairs = p.dict(d);
        if pairs.iter().any(|(_, v)| matches!(v, Value::Tensor(_))) {
            break;
        }
        let inner = MODEL_KEYS.iter().find_map(|key| {
            pairs.iter().rev().find(|(k, v)| matches!((k, v), (Value::Text(t), Value::Dict(_)) if p.text(*t) == *key))
        });
        match inner {
            Some(&(_, dict)) => at = dict,
            None => break,
        }
    }
    let mut out = Vec::new();
    if let Value::Dict(d) = at {
        collect(p, d, "", 0, &mut out, &mut 0, path)?;
    }
    if out.is_empty() {
        return Err(StateError::unsupported(
            path,
            "holds no tensors by name: save a state dict, torch.save(model.state_dict(), ...)",
        ));
    }
    Ok(out)
}

fn collect(
    p: &Pickle,
    dict: usize,
    prefix: &str,
    depth: usize,
    out: &mut Vec<(String, usize)>,
    named: &mut usize,
    path: &Path,
) -> Result<(), StateError> {
    for &(key, value) in p.dict(dict) {
        if !matches!(value, Value::Tensor(_) | Value::Dict(_)) {
            continue;
        }
        let name = match key {
            Value::Text(t) => format!("{prefix}{}", p.text(t)),
            Value::Int(i) => format!("{prefix}{i}"),
            _ => continue,
        };
        *named += name.len() + 16;
        if *named > MAX_NAMES || depth > MAX_DEPTH {
            return Err(StateError::unsupported(path, "nests or repeats its dicts beyond what a state dict does"));
        }
        match value {
            Value::Tensor(t) => out.push((name, t)),
            Value::Dict(d) => collect(p, d, &format!("{name}."), depth + 1, out, named, path)?,
            _ => {}
        }
    }
    Ok(())
}

// ---- tensors from storages ----

struct Builder<'a> {
    path: &'a Path,
    pickle: &'a Pickle,
    /// Each storage read so far, as a tensor of one dimension.
    flat: HashMap<&'a str, (Kind, Tensor)>,
    /// Bytes that strided views may still be copied into.
    spread: usize,
}

impl<'a> Builder<'a> {
    fn tensor(&mut self, name: &str, index: usize, source: &mut Source) -> Result<Tensor, StateError> {
        let t = self.pickle.tensor(index);
        let storage = self.pickle.storage(t.storage);
        let (shape, strides) = (&t.shape[..t.rank], &t.strides[..t.rank]);
        let bad = |what: String| StateError::malformed(self.path, format!("tensor {name:?}: {what}"));
        let Some(bytes) = checked_bytes(shape, storage.kind.size()) else {
            return Err(bad(format!("has the shape {shape:?}, which no memory can hold")));
        };
        let numel = bytes / storage.kind.size();
        if numel > 0 && last_element(&t).is_none_or(|last| last >= storage.numel) {
            return Err(bad(format!(
                "shape {shape:?} with strides {strides:?} from element {} does not lie within its storage of {} elements",
                t.offset, storage.numel
            )));
        }
        let flat = self.storage(storage, source)?;
        if numel == 0 {
            return Ok(flat.narrow(0, 0, 0).reshape(shape));
        }
        if is_contiguous(shape, strides) {
            return Ok(flat.narrow(0, t.offset, numel).reshape(shape));
        }
        match self.spread.checked_sub(numel * flat.dtype().size()) {
            Some(left) => self.spread = left,
            None => {
                return Err(StateError::unsupported(
                    self.path,
                    format!("tensor {name:?}: repeats its elements to more than the file's size allows"),
                ));
            }
        }
        let places = strided_places(&t, numel);
        let size = flat.dtype().size();
        let all = flat.to_bytes();
        let mut out = Vec::with_capacity(numel * size);
        for at in places {
            out.extend_from_slice(&all[at * size..][..size]);
        }
        Ok(Tensor::from_bytes(&out, flat.dtype(), shape))
    }

    fn storage(&mut self, s: StorageRef, source: &mut Source) -> Result<Tensor, StateError> {
        let key = self.pickle.text(s.key);
        if let Some((kind, flat)) = self.flat.get(key) {
            if *kind != s.kind || flat.numel() != s.numel {
                return Err(StateError::malformed(self.path, format!("describes the storage {key:?} in two ways")));
            }
            return Ok(flat.clone());
        }
        let expected = s.numel.saturating_mul(s.kind.size());
        let mut bytes = match source {
            Source::Archive { zip, prefix, .. } => {
                entry(zip, &format!("{prefix}data/{key}"), expected.saturating_add(1), self.path)?
            }
            Source::Stream(all) => all.remove(key).unwrap_or_default(),
        };
        if bytes.len() != expected {
            let how = if bytes.len() < expected { "only" } else { "more than" };
            let found = bytes.len().min(expected);
            let what =
                format!("the storage {key:?} must hold {} elements in {expected} bytes, found {how} {found}", s.numel);
            return Err(StateError::malformed(self.path, what));
        }
        let big_endian = matches!(source, Source::Archive { big_endian: true, .. });
        if big_endian != cfg!(target_endian = "big") && s.kind.size() > 1 {
            bytes.chunks_exact_mut(s.kind.size()).for_each(<[u8]>::reverse);
        }
        let flat = flat_tensor(s.kind, &bytes, s.numel);
        self.flat.insert(key, (s.kind, flat.clone()));
        Ok(flat)
    }
}

fn flat_tensor(kind: Kind, bytes: &[u8], n: usize) -> Tensor {
    let dtype = match kind {
        Kind::F64 => DType::F64,
        Kind::F32 => DType::F32,
        Kind::F16 => DType::F16,
        Kind::BF16 => DType::BF16,
        Kind::I64 => DType::I64,
        Kind::I32 => DType::I32,
        Kind::U8 => DType::U8,
        Kind::Bool => DType::Bool,
        Kind::I8 => return Tensor::from_vec(bytes.iter().map(|&b| i32::from(b as i8)).collect(), [n]),
        Kind::I16 => {
            let wide = bytes.chunks_exact(2).map(|b| i32::from(i16::from_ne_bytes([b[0], b[1]])));
            return Tensor::from_vec(wide.collect(), [n]);
        }
    };
    Tensor::from_bytes(bytes, dtype, [n])
}

/// The storage index of a non-empty tensor's last element, or `None` beyond memory.
fn last_element(t: &TensorRef) -> Option<usize> {
    (0..t.rank).try_fold(t.offset, |at, i| at.checked_add((t.shape[i] - 1).checked_mul(t.strides[i])?))
}

fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    for (&n, &s) in shape.iter().zip(strides).rev() {
        if n != 1 && s != step {
            return false;
        }
        step *= n;
    }
    true
}

/// Storage indices of a tensor's elements in row-major order.
fn strided_places(t: &TensorRef, numel: usize) -> Vec<usize> {
    let mut places = Vec::with_capacity(numel);
    places.push(t.offset);
    for i in 0..t.rank {
        places = places.iter().flat_map(|&p| (0..t.shape[i]).map(move |k| p + k * t.strides[i])).collect();
    }
    places
}
