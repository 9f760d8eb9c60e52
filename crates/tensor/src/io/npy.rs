//! NumPy's `.npy` (one array) and `.npz` (a zip archive of them).
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::header::{self, Fault, Header, Kind, MAGIC};
use super::{IoError, atomic_write, checked_bytes};
use crate::{DType, Tensor};
use memmap2::Mmap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads a `.npy` file.
///
/// Versions 1 to 3, either byte order, C and Fortran order (the latter becomes a transposed view).
/// `i8`, `i16` and `u16` elements become `i32`, `u32` and `u64` become `i64`; the types that a tensor
/// has are kept.
///
/// # Errors
/// If the file cannot be read, is damaged, or holds something that is no tensor (records, objects,
/// text, complex numbers, `u64` beyond `i64`). No content of a file makes this panic.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Tensor, IoError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| IoError::file(path, e))?;
    read_from(&mut BufReader::new(file), path)
}

/// Writes a `.npy` file (version 1, little endian, C order), replacing an old one only when the new one is whole.
///
/// # Errors
/// If the file cannot be written, or the elements are `bf16`, which NumPy does not have.
pub fn write_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<(), IoError> {
    let path = path.as_ref();
    let head = header_of(tensor, path)?;
    atomic_write(path, |w| write_to(w, &head, tensor)).map_err(|e| IoError::file(path, e))
}

/// Opens a `.npy` file as a tensor whose elements stay in the file: nothing is copied, pages are read
/// when they are first used. Writing to the tensor changes memory only.
///
/// The file must not be shortened or rewritten in place while the tensor lives.
///
/// # Errors
/// As [`read_npy`]; moreover if the elements would have to be converted (another byte order, or a type
/// that a tensor does not have) or do not lie aligned: use [`read_npy`] then.
pub fn map_npy(path: impl AsRef<Path>) -> Result<Tensor, IoError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| IoError::file(path, e))?;
    // SAFETY: the mapping is read only. The documentation asks that no one shortens or rewrites the
    // file meanwhile; our own writers replace files by renaming and leave a mapped one alone.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| IoError::file(path, e))?;
    let (h, start) = header::read(&mut &map[..]).map_err(|f| name_fault(f, path))?;
    let bytes = body_bytes(&h, path)?;
    check_length(map.len() - start, bytes, &h, path)?;
    let foreign = h.big_endian != cfg!(target_endian = "big") && h.kind.size() > 1;
    let dtype = match h.kind {
        Kind::Ours(d) if !foreign && d != DType::Bool => d,
        _ => {
            return Err(IoError::unsupported(
                path,
                "its elements must be converted and cannot be mapped: use read_npy",
            ));
        }
    };
    if !(map.as_ptr() as usize + start).is_multiple_of(dtype.size()) {
        return Err(IoError::unsupported(
            path,
            format!("its elements begin at byte {start}, which is not aligned: use read_npy"),
        ));
    }
    let map = Arc::new(map);
    Ok(ordered(&h, |shape| Tensor::from_mmap(map, start, dtype, shape)))
}

/// Reads a `.npz` archive (stored or deflated): names without their `.npy`, in the archive's order.
///
/// # Errors
/// As [`read_npy`], for the archive and each entry in it.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>, IoError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| IoError::file(path, e))?;
    let not_a_zip = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) if e.kind() != io::ErrorKind::UnexpectedEof => IoError::file(path, e),
        e => IoError::malformed(path, format!("is not a whole .npz archive (a zip file): {e}")),
    };
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(not_a_zip)?;
    let mut out = Vec::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(not_a_zip)?;
        let full = entry.name().map_err(not_a_zip)?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else {
            return Err(IoError::malformed(
                path,
                format!("has the entry {full:?}; all entries of a .npz archive end in .npy"),
            ));
        };
        let within = PathBuf::from(format!("{}:{name}", path.display()));
        out.push((name.to_owned(), read_from(&mut entry, &within)?));
    }
    Ok(out)
}

/// Writes a `.npz` archive of named tensors, uncompressed as `numpy.savez` does.
///
/// # Errors
/// If the file cannot be written, a name occurs twice, or a tensor is `bf16`.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("gradus-doc-{}.npz", std::process::id()));
/// use gradus_tensor::{Tensor, io};
/// io::write_npz(&path, [("a", &Tensor::ones([2, 3])), ("b", &Tensor::eye(2))]).unwrap();
/// let back = io::read_npz(&path).unwrap();
/// assert_eq!(back[1].0, "b");
/// assert_eq!(back[0].1.shape(), [2, 3]);
/// # std::fs::remove_file(&path).unwrap();
/// ```
pub fn write_npz<'a, N: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, &'a Tensor)>,
) -> Result<(), IoError> {
    let path = path.as_ref();
    let mut entries: Vec<(String, Vec<u8>, &Tensor)> = Vec::new();
    for (name, tensor) in tensors {
        let name = name.as_ref().to_owned();
        if entries.iter().any(|(n, ..)| *n == name) {
            return Err(IoError::malformed(path, format!("cannot hold two tensors named {name:?}")));
        }
        entries.push((name, header_of(tensor, path)?, tensor));
    }
    atomic_write(path, |w| write_archive(w, &entries).map_err(io::Error::other)).map_err(|e| IoError::file(path, e))
}

fn write_archive<W: Write + Seek>(w: W, entries: &[(String, Vec<u8>, &Tensor)]) -> zip::result::ZipResult<()> {
    let mut zip = zip::ZipWriter::new(w);
    for (name, head, tensor) in entries {
        let large = tensor.numel() * tensor.dtype().size() + head.len() > u32::MAX as usize / 2;
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(large);
        zip.start_file(format!("{name}.npy"), options)?;
        write_to(&mut zip, head, tensor)?;
    }
    zip.finish()?.flush()?;
    Ok(())
}

/// Magic number, version, length and the dictionary, padded so that the elements begin at a multiple of 64.
fn header_of(t: &Tensor, path: &Path) -> Result<Vec<u8>, IoError> {
    let descr = match t.dtype() {
        DType::Bool => "|b1",
        DType::U8 => "|u1",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::BF16 => return Err(IoError::unsupported(path, "NumPy has no bf16: convert the tensor to f32 first")),
    };
    let mut shape: String = t.shape().iter().map(|d| format!("{d}, ")).collect();
    if t.rank() > 1 {
        shape.truncate(shape.len() - 2);
    } else {
        shape.truncate(shape.trim_end().len());
    }
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let unpadded = MAGIC.len() + 4 + dict.len() + 1;
    dict.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    dict.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((dict.len() as u16).to_le_bytes());
    out.extend(dict.as_bytes());
    Ok(out)
}

fn write_to(w: &mut dyn Write, head: &[u8], t: &Tensor) -> io::Result<()> {
    w.write_all(head)?;
    let mut bytes = t.to_bytes();
    swap(&mut bytes, t.dtype().size(), cfg!(target_endian = "big"));
    w.write_all(&bytes)
}

/// Reverses each element's bytes if `doit`.
fn swap(bytes: &mut [u8], size: usize, doit: bool) {
    if doit && size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}

/// Reads one array to the end of `r`.
fn read_from(r: &mut dyn Read, path: &Path) -> Result<Tensor, IoError> {
    let (h, _) = header::read(r).map_err(|f| name_fault(f, path))?;
    let bytes = body_bytes(&h, path)?;
    // Reserves nothing on the header's word: the buffer grows with what is really there.
    let mut body = Vec::new();
    r.take(bytes as u64 + 1).read_to_end(&mut body).map_err(|e| name_fault(Fault::File(e), path))?;
    check_length(body.len(), bytes, &h, path)?;
    swap(&mut body, h.kind.size(), h.big_endian != cfg!(target_endian = "big"));
    let wide: Vec<i64> = match h.kind {
        Kind::Ours(d) => return Ok(ordered(&h, |shape| Tensor::from_bytes(&body, d, shape))),
        Kind::I8 => body.iter().map(|&b| i64::from(b as i8)).collect(),
        Kind::I16 => body.chunks_exact(2).map(|b| i64::from(i16::from_ne_bytes([b[0], b[1]]))).collect(),
        Kind::U16 => body.chunks_exact(2).map(|b| i64::from(u16::from_ne_bytes([b[0], b[1]]))).collect(),
        Kind::U32 => body.chunks_exact(4).map(|b| i64::from(u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        Kind::U64 => body.as_chunks::<8>().0.iter().map(|&b| u64::from_ne_bytes(b) as i64).collect(),
    };
    if h.kind == Kind::U64 && wide.iter().any(|&v| v < 0) {
        return Err(IoError::unsupported(path, "holds a u64 above 2^63 - 1, the largest an i64 tensor holds"));
    }
    Ok(match h.kind {
        Kind::U32 | Kind::U64 => ordered(&h, |shape| Tensor::from_vec(wide, shape)),
        _ => {
            let narrow: Vec<i32> = wide.iter().map(|&v| v as i32).collect();
            ordered(&h, |shape| Tensor::from_vec(narrow, shape))
        }
    })
}

/// A tensor whose elements lie in the file's order, shown in the header's shape.
fn ordered(h: &Header, make: impl FnOnce(&[usize]) -> Tensor) -> Tensor {
    if !h.fortran_order || h.shape.len() < 2 {
        return make(&h.shape);
    }
    let reversed: Vec<usize> = h.shape.iter().rev().copied().collect();
    let dims: Vec<isize> = (0..h.shape.len() as isize).rev().collect();
    make(&reversed).permute(&dims)
}

fn body_bytes(h: &Header, path: &Path) -> Result<usize, IoError> {
    checked_bytes(&h.shape, h.kind.size())
        .ok_or_else(|| IoError::malformed(path, format!("has the shape {:?}, which no memory can hold", h.shape)))
}

fn check_length(found: usize, expected: usize, h: &Header, path: &Path) -> Result<(), IoError> {
    let shape = &h.shape;
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(IoError::malformed(
            path,
            format!("is truncated: the shape {shape:?} needs {expected} bytes of elements, found {found}"),
        )),
        std::cmp::Ordering::Greater => {
            Err(IoError::malformed(path, format!("goes on after its {expected} bytes of elements (shape {shape:?})")))
        }
    }
}

fn name_fault(f: Fault, path: &Path) -> IoError {
    match f {
        // What zip and deflate report of a damaged archive is about the content, not the system.
        Fault::File(e)
            if matches!(
                e.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
            ) =>
        {
            IoError::malformed(path, format!("is damaged: {e}"))
        }
        Fault::File(e) => IoError::file(path, e),
        Fault::Malformed(what) => IoError::malformed(path, what),
        Fault::Unsupported(what) => IoError::unsupported(path, what),
    }
}

/// Reads a `.npy` file from memory, for the fuzz-style tests.
#[cfg(test)]
pub(super) fn read_bytes(bytes: &[u8]) -> Result<Tensor, IoError> {
    read_from(&mut io::Cursor::new(bytes), Path::new("memory.npy"))
}
