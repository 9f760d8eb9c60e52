//! What is saved is what is loaded.

use super::small::all;
use gradus_models::build;
use gradus_nn::Module;
use gradus_nn::serialize::{load_safetensors, save_safetensors};
use gradus_tensor::{Tensor, manual_seed, no_grad};

#[test]
fn every_model_comes_back_from_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for small in all() {
        manual_seed(3);
        let path = dir.path().join("model.safetensors");
        let x = Tensor::randn(small.input);
        let first = small.build();
        // Running statistics other than the first ones.
        no_grad(|| first.forward(&x));
        let stored = serde_json::to_string(&small.architecture()).unwrap();
        save_safetensors(&path, &first.state_dict(), &[("architecture".to_string(), stored)].into()).unwrap();
        let (state, metadata) = load_safetensors(&path).unwrap();
        let second = build(&serde_json::from_str(&metadata["architecture"]).unwrap()).unwrap();
        second.load_state_dict(&state).unwrap();
        first.eval();
        second.eval();
        let (a, b) = no_grad(|| (first.forward(&x), second.forward(&x)));
        assert_eq!(a.to_vec::<f32>(), b.to_vec::<f32>(), "{}", small.name);
        let names = |m: &dyn gradus_nn::Forward| m.state_dict().names().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(names(&*first), names(&*second));
    }
}

#[test]
fn a_checkpoint_of_another_width_is_refused_with_all_mismatches() {
    let narrow = gradus_models::find("resnet18").unwrap();
    let config = |inplanes: usize| match serde_json::json!({"inplanes": inplanes, "num_classes": 10}) {
        serde_json::Value::Object(map) => map,
        _ => unreachable!(),
    };
    let (eight, sixteen) = (narrow.build(&config(8)).unwrap(), narrow.build(&config(16)).unwrap());
    let error = sixteen.load_state_dict(&eight.state_dict()).unwrap_err();
    // All but the 20 counts of batches and the bias of 10 classes.
    assert_eq!(error.misshapen.len(), eight.state_dict().len() - 20 - 1);
    let text = error.to_string();
    assert!(text.contains("nothing was loaded"), "{text}");
    assert!(text.contains("shape of conv1.weight: expected [16, 3, 7, 7], found [8, 3, 7, 7]"), "{text}");
    assert!(text.contains("shape of fc.weight: expected [10, 128], found [10, 64]"), "{text}");
}
