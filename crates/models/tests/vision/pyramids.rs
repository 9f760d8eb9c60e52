//! Feature pyramids and backbones with one, against torchvision's.

use super::golden::{close, digest, largest, load, number, numbers, some};
use gradus_models::{BackboneWithFpn, ExtraBlocks, FeaturePyramidNetwork, ResNetFpnConfig, resnet_fpn_backbone};
use gradus_nn::Module;
use gradus_tensor::{DType, Tensor};
use serde_json::Value;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../goldens/fpn.json")).unwrap()
}

fn shape(v: &Value) -> Vec<usize> {
    numbers(v).iter().map(|n| *n as usize).collect()
}

/// Maps, and the gradients of the sum of their mean squares, which a frozen parameter has not.
fn agree<M: Module>(case: &Value, mut model: M, forward: impl Fn(&M, &[Tensor]) -> Vec<Tensor>) {
    model.to_dtype(DType::F64);
    load(case, &model);
    model.train();
    let input = |(i, v): (usize, &Value)| {
        let values = number((1 << 20) + i as u64, shape(v).iter().product());
        Tensor::from_vec(values, &shape(v)[..]).to_dtype(DType::F64)
    };
    let inputs: Vec<Tensor> = case["inputs"].as_array().unwrap().iter().enumerate().map(input).collect();
    let maps = forward(&model, &inputs);
    let wanted = case["outputs"].as_array().unwrap();
    assert_eq!(maps.len(), wanted.len());
    for (map, want) in maps.iter().zip(wanted) {
        assert_eq!(map.shape()[..], shape(&want["shape"]));
        let want = numbers(&want["some"]);
        close("map", &some(map), &want, largest(&want), 1e-8);
    }
    maps.iter().map(|map| map.square().mean()).reduce(|a, b| a + b).unwrap().backward();
    for (name, parameter) in model.named_parameters() {
        match &case["gradients"][&name] {
            Value::Null => assert!(parameter.grad().is_none(), "{name} is frozen in torchvision"),
            want => {
                let want = numbers(want);
                close(&name, &digest(&parameter.grad().unwrap()), &want, want[0], 1e-7);
            }
        }
    }
}

#[test]
fn feature_pyramids_agree_with_torchvision() {
    let case = &cases()[0];
    let channels: Vec<usize> = case["inputs"].as_array().unwrap().iter().map(|v| shape(v)[1]).collect();
    let out = case["out_channels"].as_u64().unwrap() as usize;
    let pyramid = FeaturePyramidNetwork::new(&channels, out).extra_blocks(ExtraBlocks::LastLevelMaxPool);
    agree(case, pyramid, |model, maps| model.forward(maps));
}

#[test]
fn backbones_with_a_pyramid_agree_with_torchvision() {
    let cases = cases();
    assert_eq!(cases.len(), 4);
    for case in &cases[1..] {
        let config: ResNetFpnConfig = serde_json::from_value(case["config"].clone()).unwrap();
        let backbone = config.init();
        assert_eq!(case["names"], serde_json::json!(backbone.names()));
        let frozen = case["gradients"].as_object().unwrap().values().filter(|g| g.is_null()).count();
        assert_eq!(frozen > 0, config.trainable_layers < 5);
        agree(case, backbone, |model: &BackboneWithFpn, x| model.forward(&x[0]));
    }
}

#[test]
fn a_backbone_is_torchvisions_by_default_and_says_what_makes_none() {
    let config = resnet_fpn_backbone("resnet18").unwrap();
    let backbone = config.init();
    // 11,176,512 of ResNet-18 without classifier, less 9,600 of frozen norms; 256 * 960 + 1,024 of the inner blocks and
    // 4 * (256 * 256 * 9 + 256) of the others.
    assert_eq!(backbone.num_parameters(), 11_176_512 - 9_600 + 246_784 + 2_360_320);
    let trained = |n: usize| {
        let made = ResNetFpnConfig { trainable_layers: n, ..config.clone() }.init();
        made.named_parameters().iter().filter(|(name, p)| name.starts_with("body") && p.requires_grad()).count()
    };
    assert_eq!([trained(0), trained(1), trained(3), trained(5)], [0, 5, 15, 20]);
    let wrong = |f: &dyn Fn(&mut ResNetFpnConfig)| {
        let mut wrong = config.clone();
        f(&mut wrong);
        wrong.check().unwrap_err()
    };
    assert_eq!(wrong(&|c| c.returned_layers = vec![2, 5]), "`returned_layers` must rise within 1 to 4, got [2, 5]");
    assert_eq!(wrong(&|c| c.trainable_layers = 6), "`trainable_layers` must be 0 to 5, got 6");
    assert!(wrong(&|c| c.body.groups = 0).starts_with("`body`: `groups` must be"));
    let error = resnet_fpn_backbone("resnet05").unwrap_err().to_string();
    assert!(error.contains("did you mean `resnet50`?"), "{error}");
    let error = resnet_fpn_backbone("vgg11").unwrap_err().to_string();
    assert_eq!(error, "model `vgg11`: only a ResNet can carry a feature pyramid");
}
