//! Beginning from weights of another model.

use crate::checkpoint::Preprocess;
use crate::datasets::Splits;
use crate::error::{Result, TrainError};
use crate::objective::Teacher;
use crate::recipe::Recipe;
use crate::run::Trained;
use crate::snapshot::PREFIX;
use gradus_nn::Forward;
use gradus_nn::serialize::{StateDict, load_state_file};
use gradus_tensor::Tensor;
use std::path::Path;

/// Puts the weights of a file (ours, safetensors or PyTorch's) into `model`, all but those of the layers `anew`,
/// which keep what they have.
///
/// # Errors
/// An unreadable file, a layer that the model lacks, weights of other names or shapes; the model is then as it was.
pub fn init_from(model: &dyn Forward, path: &Path, anew: &[String]) -> Result<()> {
    let given = load_state_file(path)?;
    let within = |name: &str, layer: &String| {
        name == layer || name.strip_prefix(layer.as_str()).is_some_and(|r| r.starts_with('.'))
    };
    let own = model.state_dict();
    if let Some(layer) = anew.iter().find(|layer| !own.names().any(|name| within(name, layer))) {
        return Err(TrainError::Recipe(format!("setting `training.new_layers`: the model has no layer `{layer}`")));
    }
    let is_new = |name: &str| anew.iter().any(|layer| within(name, layer));
    let kept = given.iter().filter(|(name, _)| !is_new(name) && !name.starts_with(PREFIX));
    let fresh = own.iter().filter(|(name, _)| is_new(name));
    let state: StateDict = kept.chain(fresh).map(|(name, t)| (name.to_string(), t.clone())).collect();
    model.load_state_dict(&state).map_err(|e| TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason: format!(
            "{}; a layer that is to begin anew is named in `training.new_layers`, as in [\"fc2\"]",
            one_line(&e.to_string())
        ),
    })
}

/// A list of what is wrong on one line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Factor and shift from inputs that were scaled one way to those scaled another: x s / s' + (m - m') / s'.
fn rescale(from: &Preprocess, to: &Preprocess) -> (Tensor, Tensor) {
    let channels = |of: &dyn Fn(usize) -> f64| {
        let values: Vec<f32> = (0..to.std.len()).map(|c| of(c) as f32).collect();
        Tensor::from_vec(values, [to.std.len(), 1, 1])
    };
    (channels(&|c| from.std[c] / to.std[c]), channels(&|c| (from.mean[c] - to.mean[c]) / to.std[c]))
}

/// The trained model that a recipe imitates.
///
/// # Errors
/// A path that is no run and no checkpoint, or a model with other inputs or classes.
pub(crate) fn teacher(recipe: &Recipe, splits: &Splits) -> Result<Option<Teacher>> {
    let t = &recipe.training;
    if t.teacher.is_empty() {
        return Ok(None);
    }
    let trained = Trained::open(Path::new(&t.teacher))?;
    let (theirs, ours) = (&trained.card.preprocess.shape, &splits.preprocess.shape);
    match theirs == ours && trained.card.classes == splits.classes {
        true => Ok(Some(Teacher {
            rescale: (trained.card.preprocess != splits.preprocess)
                .then(|| rescale(&splits.preprocess, &trained.card.preprocess)),
            model: trained.model,
            temperature: t.temperature,
            weight: t.teacher_weight,
        })),
        false => Err(TrainError::Recipe(format!(
            "setting `training.teacher`: `{}` takes {theirs:?} and tells {} apart, which is not what is learnt here",
            t.teacher,
            trained.card.classes.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaled_inputs_are_those_of_the_teacher() {
        let scaled =
            |mean: [f64; 2], std: [f64; 2]| Preprocess { shape: vec![2, 3, 3], mean: mean.into(), std: std.into() };
        let (ours, theirs) = (scaled([0.1, 0.5], [0.2, 0.3]), scaled([0.4, 0.2], [0.5, 0.1]));
        let pixels = Tensor::rand([4, 2, 3, 3]);
        let (factor, shift) = rescale(&ours, &theirs);
        let got = ours.scale().apply(&pixels) * factor + shift;
        assert!((got - theirs.scale().apply(&pixels)).abs().max().item() < 1e-5);
    }
}
