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
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
            ) =>
        {
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::fast());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Tensor, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some-file");
        std::fs::write(&path, bytes).unwrap();
        read_idx(&path).map_err(|e| e.to_string())
    }

    const SMALL: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    #[test]
    fn every_type_is_read_gzipped_or_not() {
        for file in [SMALL.to_vec(), gz(SMALL)] {
            let t = read(&file).unwrap();
            assert_eq!((&*t.shape(), t.to_vec::<u8>()), (&[2, 3][..], vec![1, 2, 3, 4, 5, 6]));
        }
        let one = |code: u8, body: &[u8]| read(&[&[0, 0, code, 1, 0, 0, 0, 1], body].concat()).unwrap();
        assert_eq!(one(0x09, &[0x80]).to_vec::<i32>(), [-128]);
        assert_eq!(one(0x0b, &[0xff, 0xfe]).to_vec::<i32>(), [-2]);
        assert_eq!(one(0x0c, &[0, 1, 0, 0]).to_vec::<i32>(), [65536]);
        assert_eq!(one(0x0d, &[0x3f, 0x80, 0, 0]).to_vec::<f32>(), [1.0]);
        assert_eq!(one(0x0e, &[0x40, 0, 0, 0, 0, 0, 0, 0]).to_vec::<f64>(), [2.0]);
        assert_eq!(read(&[0, 0, 8, 0, 7]).unwrap().to_vec::<u8>(), [7]);
        assert_eq!(read(&[0, 0, 8, 1, 0, 0, 0, 0]).unwrap().shape(), [0]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let huge = [&[0, 0, 8, 8][..], &[0xff; 32]].concat();
        let hidden = [&[0, 0, 8, 8][..], &[0xff; 28], &[0; 4]].concat();
        for (bytes, says) in [
            (vec![], "magic number: found an empty file, expected the idx magic number"),
            (vec![0, 0], "magic number: found 00 00,"),
            (b"PK\x03\x04rest".to_vec(), "magic number: found 50 4b 03 04"),
            (vec![0, 0, 7, 1, 0, 0, 0, 0], "found 00 00 07 01"),
            (vec![0, 0, 8, 9], "found 00 00 08 09"),
            (vec![0, 0, 8, 3, 0, 0, 0, 1, 0], "sizes: found 5 bytes, expected 12 bytes for 3 dimensions"),
            (huge, "a product that fits in memory"),
            (hidden, "a product that fits in memory"),
            (SMALL[..15].to_vec(), "elements: found only 3 bytes, expected 6 bytes for the sizes [2, 3]"),
            ([SMALL, &[0]].concat(), "elements: found more bytes after them, expected 6 bytes"),
            (gz(&SMALL[..15]), "found only 3 bytes, expected 6 bytes"),
            (gz(SMALL)[..20].to_vec(), "gzip data that breaks off"),
            // Sizes of four thousand million each must not be believed.
            ([&[0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff][..], &[1]].concat(), "only 1 bytes, expected 4294967295"),
        ] {
            let e = read(&bytes).map(|t| t.shape()).unwrap_err();
            assert!(e.contains("some-file: ") && e.contains(says), "{e:?} should say {says:?}");
        }
        let e = read_idx("/nowhere/at-all").map(|_| ()).unwrap_err();
        assert!(matches!(&e, DataError::Io { .. }) && e.to_string().starts_with("/nowhere/at-all: "), "{e}");
    }

    #[test]
    fn no_truncation_and_no_changed_byte_panics() {
        let zipped = gz(SMALL);
        for good in [SMALL, &zipped] {
            for n in 0..good.len() {
                assert!(read(&good[..n]).is_err(), "{n} bytes");
            }
            for i in 0..good.len() {
                for b in [0x00, 0x01, 0x0d, 0x0e, 0x7f, 0xff] {
                    let mut f = good.to_vec();
                    f[i] ^= b;
                    let _ = read(&f);
                }
            }
        }
    }
}
