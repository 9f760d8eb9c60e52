//! What Pillow and torchvision make of one small picture (`scripts/goldens/data.py`).

use super::affine::Affine;
use super::colour::Change;
use super::geometry::pad;
use super::*;
use crate::{Draw, InterpolationMode};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

fn mode(a: &Value) -> InterpolationMode {
    a["mode"].as_str().map_or(InterpolationMode::Bilinear, |m| serde_json::from_value(m.into()).unwrap())
}

fn pair(v: &Value) -> [f64; 2] {
    [v[0].as_f64().unwrap(), v[1].as_f64().unwrap()]
}

/// The picture, or the five, of a case.
fn ours(kind: &str, a: &Value, image: &Image) -> Vec<Image> {
    let number = |key: &str| a[key].as_f64().unwrap_or_else(|| panic!("{key} of {kind}"));
    let size = || match a["size"].as_u64() {
        Some(n) => Extent::from(n as usize),
        None => Extent::from(pair(&a["size"]).map(|v| v as usize)),
    };
    let step = |t: &dyn OnImage| t.on_image(image, &mut Draw::default().rng(0)).unwrap();
    vec![match kind {
        "jpeg" => Image::open(file("picture.jpg")).unwrap(),
        "resize" | "shorter" => step(&Resize::new(size()).interpolation(mode(a))),
        "center" => step(&CenterCrop::new(size())),
        "five" => return FiveCrop::new(size()).crops(image).unwrap(),
        "pad" => pad(image, [3, 5, 7, 2], serde_json::from_value(a["mode"].clone()).unwrap(), 9).unwrap(),
        "rotate" => {
            let turn = RandomRotation::new(0.0).interpolation(mode(a)).fill(7);
            turn.expand(a["expand"].as_bool().unwrap()).rotate(image, number("angle")).unwrap()
        }
        "affine" => {
            let (translate, shear) = (pair(&a["translate"]), pair(&a["shear"]));
            let affine = Affine { angle: number("angle"), translate, scale: number("scale"), shear };
            RandomAffine::new(0.0).interpolation(mode(a)).fill(7).map(image, affine).unwrap()
        }
        "grey" => step(&Grayscale::new().num_output_channels(3)),
        "brightness" => Change::Brightness(number("value")).apply(image),
        "contrast" => Change::Contrast(number("value")).apply(image),
        "saturation" => Change::Saturation(number("value")).apply(image),
        "hue" => Change::Hue(number("value")).apply(image),
        "blur" => GaussianBlur::new(number("kernel") as usize).blur(image, number("sigma")).unwrap(),
        other => panic!("no case is called {other}"),
    }]
}

/// How far a byte may be off at most, and on average. Choosing pixels is exact; arithmetic may round otherwise.
fn bounds(kind: &str, a: &Value) -> (u8, f64) {
    match kind {
        "jpeg" => (16, 1.0),
        "resize" | "shorter" if mode(a) != InterpolationMode::Nearest => (2, 0.25),
        "brightness" | "contrast" | "saturation" | "blur" => (1, 0.02),
        "rotate" | "affine" if mode(a) == InterpolationMode::Bilinear => (1, 0.02),
        _ => (0, 0.0),
    }
}

#[test]
fn every_transform_does_what_pillow_and_torchvision_do() {
    let image = Image::open(file("picture.png")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file("cases.json")).unwrap()).unwrap();
    let packed = gradus_tensor::io::read_npz(file("cases.npz")).unwrap().remove(0).1.to_vec::<u8>();
    let mut rest = &packed[..];
    let mut wrong = Vec::new();
    for case in &cases {
        let (kind, arguments) = (case["kind"].as_str().unwrap(), &case["arguments"]);
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let expected;
        (expected, rest) = rest.split_at(shape.iter().product());
        let made = ours(kind, arguments, &image);
        let (h, w) = (made[0].height(), made[0].width());
        assert_eq!(shape[shape.len() - 3..], [h, w, 3], "{kind} {arguments}");
        let bytes: Vec<u8> = made.iter().flat_map(|i| i.data()).copied().collect();
        let off: Vec<u8> = bytes.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).collect();
        let (most, mean) =
            (*off.iter().max().unwrap(), off.iter().map(|&v| f64::from(v)).sum::<f64>() / off.len() as f64);
        let (allowed, on_average) = bounds(kind, arguments);
        if bytes.len() != expected.len() || most > allowed || mean > on_average {
            wrong.push(format!("{kind} {arguments}: off by {most} at most, {mean:.4} on average"));
        }
    }
    assert!(rest.is_empty() && cases.len() > 50, "{} cases", cases.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
