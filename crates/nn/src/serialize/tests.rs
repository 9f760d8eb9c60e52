//! Files that PyTorch wrote, our own, and damaged ones. `scripts/goldens/state_files.py` made the former.

use super::*;
use gradus_tensor::{DType, Tensor};
use std::collections::BTreeMap;
use std::fs;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn f32s(state: &StateDict, name: &str) -> Vec<f32> {
    state.get(name).unwrap_or_else(|| panic!("{name} is missing from {state:?}")).to_vec::<f32>()
}

/// What `state()` in the script describes.
fn assert_is_the_state(s: &StateDict) {
    let counted: Vec<f32> = (0..12).map(|v| v as f32).collect();
    assert_eq!(s.len(), 16);
    assert_eq!(f32s(s, "weight"), counted);
    assert_eq!(s.get("weight").unwrap().shape(), [3, 4]);
    assert_eq!(f32s(s, "tied"), counted);
    assert_eq!(f32s(s, "transposed"), [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0]);
    assert_eq!(s.get("transposed").unwrap().shape(), [4, 3]);
    assert_eq!(f32s(s, "offset"), [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(f32s(s, "strided"), [1.0, 4.0, 7.0, 10.0]);
    assert_eq!(s.get("f64").unwrap().to_vec::<f64>(), [0.0, 0.25, 0.5]);
    assert_eq!(s.get("f16").unwrap().dtype(), DType::F16);
    assert_eq!(s.get("f16").unwrap().at(&[2]), 2.0);
    assert_eq!(s.get("bf16").unwrap().dtype(), DType::BF16);
    assert_eq!(s.get("bf16").unwrap().at(&[1]), 1.0);
    assert_eq!(s.get("i64").unwrap().to_vec::<i64>(), [-1, 1 << 40]);
    assert_eq!(s.get("i32").unwrap().to_vec::<i32>(), [-7]);
    assert_eq!(s.get("i16").unwrap().to_vec::<i32>(), [-300]);
    assert_eq!(s.get("i8").unwrap().to_vec::<i32>(), [-3, 3]);
    assert_eq!(s.get("u8").unwrap().to_vec::<u8>(), [255]);
    assert_eq!(s.get("bool").unwrap().to_vec::<bool>(), [true, false]);
    assert_eq!(s.get("num_batches_tracked").unwrap().item_i64(), 5);
    assert_eq!(s.get("num_batches_tracked").unwrap().rank(), 0);
    assert_eq!(s.get("empty").unwrap().shape(), [0, 3]);
}

#[test]
fn every_format_that_torch_writes() {
    for name in ["state.pth", "state_legacy.pth", "state_protocol4.pt", "state.safetensors"] {
        assert_is_the_state(&load_state_file(data(name)).unwrap());
    }
    let s = load_pth(data("state.pth")).unwrap();
    let names: Vec<&str> = s.names().collect();
    assert_eq!(names[..5], ["weight", "tied", "transposed", "offset", "strided"], "the dict's order is kept");
    assert!(s.get("weight").unwrap().shares_storage(s.get("tied").unwrap()), "tied tensors stay tied");
    let (_, notes) = load_safetensors(data("state.safetensors")).unwrap();
    assert_eq!(notes["made by"], "safetensors");
}

#[test]
fn the_model_is_found_within_a_checkpoint() {
    let s = load_pth(data("checkpoint.pt")).unwrap();
    let names: Vec<&str> = s.names().collect();
    assert_eq!(
        names,
        ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
    );
    assert_eq!(f32s(&s, "0.weight"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(f32s(&s, "1.bias"), [30.0, 31.0, 32.0]);
    assert_eq!(s.get("1.num_batches_tracked").unwrap().item_i64(), 1);
    let nested = load_pth(data("nested.pt")).unwrap();
    assert_eq!(nested.names().collect::<Vec<_>>(), ["encoder.w", "layers.0.b"]);
    assert_eq!(f32s(&load_pth(data("parameter.pt")).unwrap(), "w"), [1.0; 4]);
}

#[test]
fn a_pickled_module_is_refused_by_name() {
    let e = load_state_file(data("module.pt")).unwrap_err();
    assert!(matches!(&e, StateError::Refused { global, .. } if global == "__main__.Net"), "{e}");
    assert!(e.to_string().contains("module.pt: refuses") && e.to_string().contains("state_dict()"), "{e}");
}

fn sample() -> StateDict {
    let mut s = StateDict::new();
    s.insert("z.weight", Tensor::arange(6).reshape([2, 3]).t());
    s.insert("flag", Tensor::from_vec(vec![true, false, true], [3]));
    s.insert("wide", Tensor::from_vec(vec![1.5f64, -2.0], [2]));
    s.insert("half", Tensor::from_vec(vec![gradus_tensor::f16::from_f32(0.5)], [1]));
    s.insert("brain", Tensor::from_vec(vec![gradus_tensor::bf16::from_f32(2.0)], [1]));
    s.insert("count", Tensor::from_vec(vec![7i64], ()));
    s.insert("index", Tensor::from_vec(vec![-7i32], [1]));
    s.insert("byte", Tensor::from_vec(vec![9u8], [1, 1]));
    s.insert("none", Tensor::zeros([0, 4]));
    s
}

#[test]
fn safetensors_round_trip_of_every_type() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
    let notes: BTreeMap<String, String> =
        (0..20).map(|i| (format!("k{i}"), format!("\"quoted\" \u{e9} {i}"))).collect();
    let state = sample();
    save_safetensors(&a, &state, &notes).unwrap();
    let (back, back_notes) = load_safetensors(&a).unwrap();
    assert_eq!(back_notes, notes);
    assert_eq!(back.len(), state.len());
    for (name, t) in state.iter() {
        let u = back.get(name).unwrap();
        assert_eq!((u.dtype(), &*u.shape(), u.to_bytes()), (t.dtype(), &*t.shape(), t.to_bytes()), "{name}");
    }
    save_safetensors(&b, &state, &notes).unwrap();
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap(), "the same content gives the same bytes");
    let mut reserved = StateDict::new();
    reserved.insert("__metadata__", Tensor::zeros([1]));
    assert!(save_safetensors(&a, &reserved, &notes).unwrap_err().to_string().contains("reserves"));
    assert_eq!(load_safetensors(&a).unwrap().0.len(), state.len(), "a refused write leaves the old file");
}

/// Loads every truncation and many one-byte changes of a file; truncations must be errors.
fn damage(name: &str, strict_up_to: usize) {
    let good = fs::read(data(name)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    for n in (0..good.len()).step_by(5) {
        fs::write(&path, &good[..n]).unwrap();
        let e = load_state_file(&path).map(|s| s.len());
        assert!(matches!(&e, Err(StateError::Malformed { .. })) || n >= strict_up_to, "{name} cut to {n}: {e:?}");
    }
    for i in 0..good.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut f = good.clone();
            f[i] ^= change;
            fs::write(&path, &f).unwrap();
            let _ = load_state_file(&path);
        }
    }
}

#[test]
fn damaged_files_are_errors_and_never_panic() {
    damage("state.safetensors", usize::MAX);
    damage("state_legacy.pth", usize::MAX);
    damage("parameter.pt", usize::MAX);
}

#[test]
fn errors_name_the_file_and_the_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.pth");
    let says = |bytes: &[u8], part: &str| {
        fs::write(&path, bytes).unwrap();
        let e = load_state_file(&path).unwrap_err().to_string();
        assert!(e.contains("model.pth: ") && e.contains(part), "{e:?} should say {part:?}");
    };
    says(b"", "starts with []");
    says(b"<!DOCTYPE html>", "neither safetensors nor");
    says(b"\x80\x02}.", "not one that torch.save wrote");
    says(&[&u64::MAX.to_le_bytes()[..], b"{"].concat(), "safetensors");
    // A legacy file with one 4-element storage and the pickled object given.
    let legacy = |object: &[u8]| {
        let mut f = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
        f.extend(object);
        f.extend(b"\x80\x02]X\x01\x00\x00\x000a.\x04\x00\x00\x00\x00\x00\x00\x00");
        f.extend([0; 16]);
        f
    };
    let tensor = |numel: u8, offset: &[u8], shape: &[u8], strides: &[u8]| {
        let mut p = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
        p.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK");
        p.push(numel);
        p.extend(b"NtQ");
        p.extend([offset, shape, strides].concat());
        p.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
        p
    };
    fs::write(&path, legacy(&tensor(4, b"K\x00", b"K\x04\x85", b"K\x01\x85"))).unwrap();
    assert_eq!(load_pth(&path).unwrap().get("w").unwrap().shape(), [4]);
    says(&legacy(&tensor(4, b"K\x01", b"K\x04\x85", b"K\x01\x85")), "does not lie within its storage of 4 elements");
    says(
        &legacy(&tensor(4, b"K\x00", b"K\x02\x85", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85")),
        "does not lie within",
    );
    says(&legacy(&tensor(9, b"K\x00", b"K\x04\x85", b"K\x01\x85")), "must hold 9 elements in 36 bytes, found only 16");
    says(&legacy(&tensor(2, b"K\x00", b"K\x02\x85", b"K\x01\x85")), "found more than 8");
    // One element repeated 2^50 times, and a shape beyond memory.
    says(
        &legacy(&tensor(4, b"K\x00", b"\x8a\x07\0\0\0\0\0\0\x04\x85", b"K\x00\x85")),
        "more than the file's size allows",
    );
    says(&legacy(&tensor(4, b"K\x00", b"\x8a\x08\0\0\0\0\0\0\0\x40\x85", b"K\x00\x85")), "no memory can hold");
    says(&legacy(b"\x80\x02}X\x01\x00\x00\x00eK\x03s."), "lists the storage");
    says(&legacy(b"\x80\x02cposix\nsystem\n."), "`posix.system`");
    let absent = load_state_file(dir.path().join("absent.pth")).unwrap_err();
    assert!(matches!(absent, StateError::File { .. }));
}

/// Thirty dicts, each holding the next twice: a thousand million paths to one tensor.
#[test]
fn doubling_dicts_do_not_explode() {
    let mut p = b"\x80\x02".to_vec();
    p.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04NtQq\x00");
    p.extend(b"0ctorch._utils\n_rebuild_tensor_v2\n(h\x00K\x00K\x04\x85K\x01\x85\x89NtRq\x01");
    for i in 1..31u8 {
        p.extend(b"0}(X\x01\x00\x00\x00ah");
        p.push(i);
        p.extend(b"X\x01\x00\x00\x00bh");
        p.push(i);
        p.extend([b'u', b'q', i + 1]);
    }
    p.push(b'.');
    let mut f = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    f.extend(p);
    f.extend(b"\x80\x02]X\x01\x00\x00\x000a.\x04\x00\x00\x00\x00\x00\x00\x00");
    f.extend([0; 16]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.pth");
    fs::write(&path, f).unwrap();
    let e = load_pth(&path).unwrap_err().to_string();
    assert!(e.contains("nests or repeats"), "{e}");
}
