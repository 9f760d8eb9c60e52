//! One step of a model on what torchvision wrote; `scripts/compare/vision.py` runs it and compares the results.
//!
//! `compare DIR NAME DTYPE` reads `NAME.json` (architecture and weight of the auxiliary losses), `NAME.pth`,
//! `NAME.safetensors` (the same state twice) and `NAME.input.safetensors` (`x`, `labels`) in DIR. It writes
//! `NAME.ours.safetensors` (output in use; loss, gradients of the first and last weight and buffers of one step in
//! training) and `NAME.back.safetensors` (the state as our checkpoint).

use gradus_models::{Architecture, GoogLeNetConfig, InceptionV3Config, ModelConfig, build};
use gradus_nn::losses::cross_entropy;
use gradus_nn::serialize::{load_safetensors, load_state_file, save_safetensors};
use gradus_nn::{Forward, StateDict};
use gradus_tensor::{DType, Tensor, no_grad};
use serde_json::Value;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The main output in training and the auxiliary ones.
type Outputs<M> = fn(&M, &Tensor) -> (Tensor, Vec<Tensor>);

struct Case {
    dir: PathBuf,
    name: String,
    dtype: DType,
    aux_weight: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, name, dtype] = &arguments[..] else { return Err("usage: compare DIR NAME f32|f64".into()) };
    let description: Value = serde_json::from_slice(&std::fs::read(Path::new(dir).join(format!("{name}.json")))?)?;
    let case = Case {
        dir: dir.into(),
        name: name.clone(),
        dtype: if dtype == "f64" { DType::F64 } else { DType::F32 },
        aux_weight: description["aux_weight"].as_f64().unwrap_or(0.0),
    };
    let mut architecture = description["architecture"].clone();
    let family = architecture["name"].as_str().unwrap_or_default().to_string();
    if case.aux_weight > 0.0 {
        architecture.as_object_mut().map(|fields| fields.remove("name"));
    }
    match family.as_str() {
        "googlenet" if case.aux_weight > 0.0 => {
            let config: GoogLeNetConfig = serde_json::from_value(architecture)?;
            case.run(config.init(), |model, x| model.forward_with_aux(x))
        }
        "inception_v3" if case.aux_weight > 0.0 => {
            let config: InceptionV3Config = serde_json::from_value(architecture)?;
            case.run(config.init(), |model, x| model.forward_with_aux(x))
        }
        _ => {
            let architecture: Architecture = serde_json::from_value(architecture)?;
            case.run(build(&architecture)?, |model, x| (model.forward(x), Vec::new()))
        }
    }
}

impl Case {
    fn file(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", self.name))
    }

    fn run<M: Forward>(&self, mut model: M, outputs: Outputs<M>) -> Result<(), Box<dyn Error>> {
        model.to_dtype(self.dtype);
        let (pickled, state) = (load_state_file(self.file("pth"))?, load_state_file(self.file("safetensors"))?);
        for (name, tensor) in pickled.iter() {
            let other = state.get(name).ok_or_else(|| format!("`{name}` is in the .pth file alone"))?;
            let same = |a: &Tensor, b: &Tensor| doubles(a) == doubles(b);
            if !same(tensor, other) {
                return Err(format!("`{name}` differs between .pth and .safetensors").into());
            }
        }
        drop(state);
        model.load_state_dict(&pickled)?;
        drop(pickled);
        save_safetensors(self.file("back.safetensors"), &model.state_dict(), &Default::default())?;

        let (input, _) = load_safetensors(self.file("input.safetensors"))?;
        let field = |name: &str| input.get(name).ok_or_else(|| format!("no `{name}` in the input"));
        let (x, labels) = (field("x")?.to_dtype(self.dtype), field("labels")?);
        let mut result = StateDict::new();
        model.eval();
        result.insert("output", no_grad(|| model.forward(&x)));

        model.train();
        let (main, auxiliary) = outputs(&model, &x);
        let loss = auxiliary
            .iter()
            .fold(cross_entropy(&main, labels), |sum, y| sum + cross_entropy(y, labels) * self.aux_weight);
        result.insert("loss", loss.detach());
        loss.backward();
        let weights: Vec<_> = model.named_parameters().into_iter().filter(|(_, p)| p.rank() > 1).collect();
        for (key, (_, weight)) in [("first", &weights[0]), ("last", &weights[weights.len() - 1])] {
            result.insert(key, weight.grad().ok_or("no gradient")?);
        }
        for (name, buffer) in model.named_buffers() {
            result.insert(format!("buffer.{name}"), buffer);
        }
        save_safetensors(self.file("ours.safetensors"), &result, &Default::default())?;
        Ok(())
    }
}

fn doubles(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).to_vec::<f64>()
}
