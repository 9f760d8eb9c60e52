//! Files in and out, and files that are wrong.

use super::npy::read_bytes;
use super::*;
use crate::{DType, Tensor};
use half::f16;
use std::io::Write;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A version 1 file with this header text and these elements.
fn file(header: &str, body: &[u8]) -> Vec<u8> {
    let mut f = b"\x93NUMPY\x01\x00".to_vec();
    f.extend((header.len() as u16).to_le_bytes());
    f.extend(header.as_bytes());
    f.extend(body);
    f
}

fn head(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

fn every_type() -> Vec<Tensor> {
    vec![
        Tensor::from_vec(vec![1.5f32, -2.0, f32::INFINITY, 0.0, -0.0, 3.25], [2, 3]),
        Tensor::from_vec(vec![1.0f64, 1e300], [2, 1]),
        Tensor::from_vec(vec![f16::from_f32(0.5), f16::from_f32(-7.0)], [2]),
        Tensor::from_vec(vec![i64::MIN, i64::MAX], [1, 2]),
        Tensor::from_vec(vec![i32::MIN, 7], [2]),
        Tensor::from_vec(vec![0u8, 255], [2, 1, 1]),
        Tensor::from_vec(vec![true, false, true], [3]),
        Tensor::from_vec(vec![4.0f32], ()),
        Tensor::from_vec(Vec::<f32>::new(), [0, 3]),
    ]
}

fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!((a.dtype(), &*a.shape()), (b.dtype(), &*b.shape()));
    assert_eq!(a.to_bytes(), b.to_bytes());
}

#[test]
fn npy_round_trip_of_every_type() {
    let dir = dir();
    let path = dir.path().join("t.npy");
    for t in every_type() {
        write_npy(&path, &t).unwrap();
        assert_same(&read_npy(&path).unwrap(), &t);
        let raw = std::fs::read(&path).unwrap();
        assert_eq!((raw.len() - t.numel() * t.dtype().size()) % 64, 0, "elements must begin at a multiple of 64");
        if t.dtype() != DType::Bool {
            assert_same(&map_npy(&path).unwrap(), &t);
        }
    }
    let view = Tensor::arange(6).reshape([2, 3]).t();
    write_npy(&path, &view).unwrap();
    assert_eq!(read_npy(&path).unwrap().to_vec::<f32>(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["t.npy"], "no temporary file may stay behind");
}

#[test]
fn bf16_has_no_numpy_type() {
    let t = Tensor::from_vec(vec![half::bf16::ONE], [1]);
    let e = write_npy(dir().path().join("t.npy"), &t).unwrap_err();
    assert!(e.to_string().contains("convert the tensor to f32"), "{e}");
}

#[test]
fn npz_round_trip_keeps_names_and_order() {
    let dir = dir();
    let path = dir.path().join("t.npz");
    let tensors = every_type();
    let names: Vec<String> = (0..tensors.len()).map(|i| format!("z{}", tensors.len() - i)).collect();
    write_npz(&path, names.iter().zip(&tensors)).unwrap();
    let back = read_npz(&path).unwrap();
    assert_eq!(back.len(), tensors.len());
    for ((name, t), (n, expected)) in back.iter().zip(names.iter().zip(&tensors)) {
        assert_eq!(name, n);
        assert_same(t, expected);
    }
    let twice = write_npz(&path, [("a", &tensors[0]), ("a", &tensors[1])]).unwrap_err();
    assert!(twice.to_string().contains("two tensors named \"a\""), "{twice}");
    assert_eq!(read_npz(&path).unwrap().len(), tensors.len(), "a refused write leaves the old file");
}

#[test]
fn files_that_numpy_wrote() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let entries = read_npz(data.join("compressed.npz")).unwrap();
    let names: Vec<&str> = entries.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["grid", "mask", "small"]);
    assert_eq!(entries[0].1.to_vec::<f32>(), (0..12).map(|v| v as f32 / 4.0).collect::<Vec<_>>());
    assert_eq!(entries[0].1.shape(), [3, 4]);
    assert_eq!(entries[1].1.to_vec::<bool>(), [true, false, true]);
    assert_eq!(entries[2].1.to_vec::<i32>(), [-3, 0, 300]);
    // np.asfortranarray(np.arange(6, dtype='>i4').reshape(2, 3))
    let f = read_npy(data.join("fortran_big_endian.npy")).unwrap();
    assert_eq!((f.dtype(), &*f.shape()), (DType::I32, &[2, 3][..]));
    assert_eq!(f.to_vec::<i32>(), [0, 1, 2, 3, 4, 5]);
    assert!(map_npy(data.join("fortran_big_endian.npy")).unwrap_err().to_string().contains("use read_npy"));
}

#[test]
fn byte_orders_fortran_order_and_foreign_integers() {
    let read = |descr, order, shape, body: &[u8]| read_bytes(&file(&head(descr, order, shape), body)).unwrap();
    assert_eq!(read(">f4", "False", "(1,)", &[0x3f, 0x80, 0, 0]).to_vec::<f32>(), [1.0]);
    assert_eq!(read("<i2", "False", "(2,)", &[0xff, 0xff, 2, 0]).to_vec::<i32>(), [-1, 2]);
    assert_eq!(read(">u2", "False", "(1,)", &[0xff, 0xfe]).to_vec::<i32>(), [65534]);
    assert_eq!(read("|i1", "False", "(2,)", &[0x80, 1]).to_vec::<i32>(), [-128, 1]);
    assert_eq!(read("<u4", "False", "(1,)", &[0xff; 4]).to_vec::<i64>(), [u32::MAX as i64]);
    assert_eq!(read("<u8", "False", "()", &[9, 0, 0, 0, 0, 0, 0, 0]).to_vec::<i64>(), [9]);
    assert_eq!(read("|b1", "False", "(2,)", &[0, 7]).to_vec::<bool>(), [false, true]);
    let f = read("|u1", "True", "(2, 3)", &[0, 3, 1, 4, 2, 5]);
    assert_eq!(f.to_vec::<u8>(), [0, 1, 2, 3, 4, 5]);
    let e = read_bytes(&file(&head("<u8", "False", "(1,)"), &[0xff; 8])).unwrap_err();
    assert!(e.to_string().contains("2^63"), "{e}");
}

#[test]
fn spellings_of_the_header() {
    for text in [
        "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"|u1\"}",
        "  { 'descr' : '|u1' , 'fortran_order' : False , 'shape' : ( 2L , ) , }   \n",
    ] {
        assert_eq!(read_bytes(&file(text, &[1, 2])).unwrap().to_vec::<u8>(), [1, 2], "{text}");
    }
    // Versions 2 and 3 have a header length of four bytes.
    for version in [2u8, 3] {
        let text = head("|u1", "False", "(1,)");
        let mut f = b"\x93NUMPY".to_vec();
        f.extend([version, 0]);
        f.extend((text.len() as u32).to_le_bytes());
        f.extend(text.as_bytes());
        f.push(5);
        assert_eq!(read_bytes(&f).unwrap().to_vec::<u8>(), [5]);
    }
}

#[test]
fn wrong_headers_say_what_is_wrong() {
    let huge = usize::MAX;
    for (f, says) in [
        (b"".to_vec(), "starts with the bytes []"),
        (b"PK\x03\x04aaaaaa".to_vec(), "50 4b 03 04"),
        (b"\x93NUMPY\x09\x00".to_vec(), "version 9"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "plausible"),
        (b"\x93NUMPY\x01\x00\x40\x00{".to_vec(), "64 bytes announced, 1 left"),
        (file("", b""), "expected `{`"),
        (file("{'descr': '<f4'}", b""), "without shape"),
        (file("{'descr': '<f4', 'shape': ()}", b""), "without fortran_order"),
        (file("{'shape': ()}", b""), "without descr"),
        (file("{'colour': 1}", b""), "not \"colour\""),
        (file("{'descr': '<f4", b""), "closing quote"),
        (file(&head("<f4", "Maybe", "()"), b""), "True or False"),
        (file(&head("<f4", "False", "(1]"), b""), "`,` or `)`"),
        (file(&head("<f4", "False", "(-1,)"), b""), "an extent"),
        (file(&head("<f4", "False", &format!("({huge}0,)")), b""), "an extent"),
        (file(&head("<f4", "False", &format!("({huge},)")), b""), "no memory can hold"),
        (file(&head("<f4", "False", &format!("({huge}, {huge}, 0)")), b""), "no memory can hold"),
        (file(&head("|u1", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), b"a"), "9 dimensions"),
        (file(&head("<c8", "False", "(1,)"), &[0; 8]), "\"<c8\""),
        (file(&head("|O", "False", "(1,)"), b"x"), "pickled Python objects"),
        (file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", b""), "records"),
        (file(&head("<f4", "False", "(3,)"), &[0; 8]), "needs 12 bytes of elements, found 8"),
        (file(&head("<f4", "False", "(3,)"), &[0; 13]), "goes on after its 12 bytes"),
        (file(&head("|u1", "False", "(4000000000000,)"), &[0; 3]), "truncated"),
    ] {
        let e = read_bytes(&f).map(|t| t.shape()).unwrap_err().to_string();
        assert!(e.starts_with("memory.npy: ") && e.contains(says), "{e:?} should say {says:?}");
    }
}

#[test]
fn no_changed_byte_and_no_truncation_panics() {
    let good = file(&head("<i2", "True", "(2, 3)"), &[0; 12]);
    assert!(read_bytes(&good).is_ok());
    for n in 0..good.len() {
        assert!(read_bytes(&good[..n]).is_err(), "{n} bytes");
    }
    for i in 0..good.len() {
        for b in 0..=255 {
            let mut f = good.clone();
            f[i] = b;
            let _ = read_bytes(&f);
        }
    }
}

#[test]
fn damaged_archives_are_errors() {
    let dir = dir();
    let path = dir.path().join("t.npz");
    write_npz(&path, [("a", &Tensor::arange(4)), ("b", &Tensor::eye(2))]).unwrap();
    let good = std::fs::read(&path).unwrap();
    for n in (0..good.len()).step_by(7) {
        std::fs::write(&path, &good[..n]).unwrap();
        assert!(
            matches!(read_npz(&path), Err(IoError::Malformed { .. })),
            "{n} bytes: {:?}",
            read_npz(&path).map(|_| ())
        );
    }
    for i in 0..good.len() {
        let mut f = good.clone();
        f[i] ^= 0x55;
        std::fs::write(&path, &f).unwrap();
        let _ = read_npz(&path);
    }
    // The element bytes are guarded by the archive's checksum.
    let mut f = good.clone();
    let at = f.windows(8).position(|w| w == [0, 0, 0, 0, 0, 0, 0x80, 0x3f]).unwrap();
    f[at] = 1;
    std::fs::write(&path, &f).unwrap();
    assert!(read_npz(&path).unwrap_err().to_string().contains("damaged"));
    let e = read_npz(dir.path().join("absent.npz")).unwrap_err();
    assert!(matches!(&e, IoError::File { .. }) && e.to_string().contains("absent.npz"), "{e}");
}

#[test]
fn a_mapped_tensor_is_the_file_until_it_is_written_to() {
    let dir = dir();
    let path = dir.path().join("t.npy");
    write_npy(&path, &Tensor::arange(1000)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let t = map_npy(&path).unwrap();
    assert_eq!(t.narrow(0, 990, 2).to_vec::<f32>(), [990.0, 991.0]);
    t.fill_(7.0);
    assert_eq!(t.at(&[3]), 7.0);
    drop(t);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let dir = dir();
    let path = dir.path().join("notes.txt");
    atomic_write(&path, |w| w.write_all(b"old")).unwrap();
    let e = atomic_write(&path, |w| {
        w.write_all(b"half of the n")?;
        Err(std::io::Error::other("the disk is full"))
    });
    assert_eq!(e.unwrap_err().to_string(), "the disk is full");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    atomic_write(&path, |w| w.write_all(b"new")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert!(atomic_write(dir.path().join("no/such/dir"), |_| Ok(())).is_err());
    assert!(atomic_write("/", |_| Ok(())).is_err());
}

#[test]
fn sizes_beyond_memory_are_none() {
    assert_eq!(checked_bytes(&[2, 3], 4), Some(24));
    assert_eq!(checked_bytes(&[], 8), Some(8));
    assert_eq!(checked_bytes(&[0, 1 << 40], 1), Some(0));
    assert_eq!(checked_bytes(&[1 << 40, 1 << 40, 0], 1), None);
    assert_eq!(checked_bytes(&[isize::MAX as usize], 2), None);
    assert_eq!(checked_bytes(&[1; 9], 1), None);
}
