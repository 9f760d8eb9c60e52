//! The idx format of MNIST: a big-endian header, then the elements.

use crate::DataError;
use gradus_tensor::{DType, MAX_RANK, Tensor};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The header of an idx file.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    shape: Vec<usize>,
    /// Bytes of all elements.
    bytes: usize,
}

/// Element types of the format, by their code in the third byte.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    fn of_code(code: u8) -> Option<Kind> {
        Some(match code {
            0x08 => Kind::U8,
            0x09 => Kind::I8,
            0x0b => Kind::I16,
            0x0c => Kind::I32,
            0x0d => Kind::F32,
            0x0e => Kind::F64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Kind::U8 | Kind::I8 => 1,
            Kind::I16 => 2,
            Kind::I32 | Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }
}

/// Reads an idx file, gzipped or not (told by its first bytes, not by its name).
///
/// Bytes stay `u8`, `i8` and `i16` become `i32`, the other types are kept.
///
/// # Errors
/// If the file cannot be read or is not a whole idx file; the message names the field, what was
/// found and what is right.
///
/// Source: <https://web.archive.org/web/2024/http://yann.lecun.com/exdb/mnist/>, "File formats".
pub fn read_idx(path: impl AsRef<Path>) -> Result<Tensor, DataError> {
    let path = path.as_ref();
    let mut r = open(path)?;
    let header = read_header(&mut r, path)?;
    let body = read_body(&mut r, &header, path)?;
    Ok(to_tensor(&header, body))
}

/// The file's content, unpacked if it is gzipped.
fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = File::open(path).map_err(|e| DataError::io(path, e))?;
    let mut r = BufReader::with_capacity(1 << 16, file);
    let gzipped = r.fill_buf().map_err(|e| DataError::io(path, e))?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(flate2::bufread::MultiGzDecoder::new(r)) } else { Box::new(r) })
}

/// Reads up to `n` bytes, fewer only where the file ends; a damaged gzip stream is a malformed file.
fn read_up_to(r: &mut dyn Read, n: usize, path: &Path, field: &str) -> Result<Vec<u8>, DataError> {
    let mut out = Vec::new();
    match r.take(n as u64).read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            let found = format!("gzip data that breaks off or is damaged after {} bytes unpacked ({e})", out.len());
            Err(DataError::malformed(path, field, found, format!("{n} bytes")))
        }
        Err(e) => Err(DataError::io(path, e)),
    }
}

fn read_header(r: &mut dyn Read, path: &Path) -> Result<Header, DataError> {
    let expected = "the idx magic number 00 00 <type> <rank> (00 00 08 03 for images, 00 00 08 01 for labels)";
    let magic = read_up_to(r, 4, path, "magic number")?;
    let written = magic.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
    let kind = match magic[..] {
        [0, 0, code, rank] if rank as usize <= MAX_RANK => Kind::of_code(code),
        [] => return Err(DataError::malformed(path, "magic number", "an empty file", expected)),
        _ => None,
    };
    let Some(kind) = kind else {
        return Err(DataError::malformed(path, "magic number", written, expected));
    };
    let rank = magic[3] as usize;
    let sizes = read_up_to(r, 4 * rank, path, "sizes")?;
    if sizes.len() < 4 * rank {
        return Err(DataError::malformed(
            path,
            "sizes",
            format!("{} bytes", sizes.len()),
            format!("{} bytes for {rank} dimensions", 4 * rank),
        ));
    }
    let shape: Vec<usize> =
        sizes.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    // An extent of zero must not hide an overflow of the others.
    let whole = shape.iter().try_fold(kind.size(), |n, &d| n.checked_mul(d.max(1)));
    match whole {
        Some(n) if n <= isize::MAX as usize => {
            let bytes = if shape.contains(&0) { 0 } else { n };
            Ok(Header { kind, shape, bytes })
        }
        _ => Err(DataError::malformed(path, "sizes", format!("{shape:?}"), "a product that fits in memory")),
    }
}

fn read_body(r: &mut dyn Read, h: &Header, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut body = read_up_to(r, h.bytes, path, "elements")?;
    let expected = format!("{} bytes for the sizes {:?}", h.bytes, h.shape);
    if body.len() < h.bytes {
        return Err(DataError::malformed(path, "elements", format!("only {} bytes", body.len()), expected));
    }
    if !read_up_to(r, 1, path, "elements")?.is_empty() {
        return Err(DataError::malformed(path, "elements", "more bytes after them", expected));
    }
    // Big-endian to this machine's order.
    if cfg!(target_endian = "little") && h.kind.size() > 1 {
        body.chunks_exact_mut(h.kind.size()).for_each(<[u8]>::reverse);
    }
    Ok(body)
}

fn to_tensor(h: &Header, body: Vec<u8>) -> Tensor {
    match h.kind {
        Kind::U8 => Tensor::from_vec(body, &h.shape),
        Kind::I8 => Tensor::from_vec(body.iter().map(|&b| i32::from(b as i8)).collect(), &h.shape),
        Kind::I16 => {
            let wide = body.chunks_exact(2).map(|b| i32::from(i16::from_ne_bytes([b[0], b[1]])));
            Tensor::from_vec(wide.collect(), &h.shape)
        }
        Kind::I32 => Tensor::from_bytes(&body, DType::I32, &h.shape),
        Kind::F32 => Tensor::from_bytes(&body, DType::F32, &h.shape),
        Kind::F64 => Tensor::from_bytes(&body, DType::F64, &h.shape),
    }
}
