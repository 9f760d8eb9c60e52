//! Class probabilities of single images.

use crate::error::{Result, TrainError};
use crate::recipe::Scaling;
use crate::run::Trained;
use gradus_data::{has_light_background, read_image, read_image_resized, to_unit};
use gradus_tensor::io::read_npy;
use gradus_tensor::{DType, Tensor, no_grad};
use std::path::{Path, PathBuf};

/// What a model makes of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The file, with the position in brackets for a file of several images.
    pub input: String,
    /// The probability of each class.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// The most probable class.
    pub fn best(&self) -> usize {
        let p = &self.probabilities;
        (0..p.len()).reduce(|best, i| if p[i] > p[best] { i } else { best }).unwrap_or(0)
    }
}

/// What is done to a picture before it is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Bring pictures of another size to the model's.
    pub resize: bool,
    /// Swap light and dark: dark ink on paper becomes light on dark, as in the training data.
    pub invert: bool,
}

/// The class probabilities of images in files: PNG, JPEG or `.npy`.
///
/// Pixels are scaled as they were in training. A `.npy` array is one image ([H, W] or [C, H, W]) or several
/// ([N, C, H, W], or [N, H, W] where there is one channel); bytes count as 0 to 255, floats as 0 to 1.
///
/// # Errors
/// A file that cannot be read or whose image has another size; nothing is predicted then.
pub fn predict_files(trained: &Trained, files: &[PathBuf], fit: Fit) -> Result<Vec<Prediction>> {
    let mut names = Vec::new();
    let mut images = Vec::new();
    for file in files {
        let pixels = read_pixels(file, trained.card.preprocess.shape, fit)?;
        let count = pixels.size(0);
        names.extend((0..count).map(|i| match count {
            1 => file.display().to_string(),
            _ => format!("{}[{i}]", file.display()),
        }));
        if !fit.invert && dark_on_light(trained, &pixels) {
            eprintln!(
                "warning: `{}` looks like dark strokes on a light ground, but the model learnt light on dark; \
                 --invert swaps them",
                file.display()
            );
        }
        images.push(if fit.invert { 1.0 - pixels } else { pixels });
    }
    let mut predictions = Vec::new();
    trained.model.eval();
    let scale = trained.card.preprocess.scale();
    for (pixels, names) in batches(&images, &names) {
        let outputs = no_grad(|| trained.model.forward(&scale.apply(&pixels)));
        // Log-probabilities are their own log-softmax, so this is right for them as for logits.
        let probabilities = outputs.softmax(1).to_vec::<f32>();
        let rows = probabilities.chunks_exact(outputs.size(1));
        predictions
            .extend(names.iter().zip(rows).map(|(n, p)| Prediction { input: n.clone(), probabilities: p.to_vec() }));
    }
    Ok(predictions)
}

/// Whether the first image has a light border while the training images are dark on average.
fn dark_on_light(trained: &Trained, pixels: &Tensor) -> bool {
    let mean = &trained.card.preprocess.mean;
    let measured = trained.card.recipe.data.normalize == Scaling::Train;
    measured && mean.iter().all(|m| *m < 0.4) && has_light_background(&pixels.select(0, 0))
}

/// At most this many images go through the model together.
const BATCH: usize = 256;

fn batches<'a>(images: &[Tensor], names: &'a [String]) -> Vec<(Tensor, &'a [String])> {
    let all = Tensor::cat(&images.iter().collect::<Vec<_>>(), 0);
    let parts = all.split(BATCH, 0);
    parts.into_iter().zip(names.chunks(BATCH)).collect()
}

/// The images of a file as [N, C, H, W] with pixels in [0, 1].
fn read_pixels(path: &Path, [channels, height, width]: [usize; 3], fit: Fit) -> Result<Tensor> {
    let is_array = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
    let pixels = match is_array {
        true => read_array(path, channels)?,
        false if fit.resize => read_image_resized(path, channels, height, width)?.unsqueeze(0),
        false => read_image(path, channels)?.unsqueeze(0),
    };
    if pixels.shape()[1..] == [channels, height, width] && pixels.size(0) > 0 {
        return Ok(pixels);
    }
    let hint = if is_array { "" } else { "; --resize brings it to that size" };
    Err(TrainError::Input(format!(
        "`{}` is {}, but the model takes {}{hint}",
        path.display(),
        size(&pixels.shape()),
        size(&[1, channels, height, width])
    )))
}

/// "28x28" for [1, 1, 28, 28], "3x32x32" for [1, 3, 32, 32].
fn size(shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().skip_while(|&&d| d == 1).map(usize::to_string).collect();
    dims.join("x")
}

fn read_array(path: &Path, channels: usize) -> Result<Tensor> {
    let array = read_npy(path).map_err(|e| TrainError::Input(e.to_string()))?;
    let wrong = |what: String| TrainError::Input(format!("`{}` {what}", path.display()));
    if array.dtype() != DType::U8 && !array.dtype().is_float() {
        return Err(wrong(format!(
            "holds {} elements, but pixels are u8 (0 to 255) or floats (0 to 1)",
            array.dtype()
        )));
    }
    match array.rank() {
        2 => Ok(to_unit(&array).unsqueeze(0).unsqueeze(0)),
        3 if channels == 1 => Ok(to_unit(&array).unsqueeze(1)), // [N, H, W]; one image if N is 1
        3 => Ok(to_unit(&array).unsqueeze(0)),
        4 => Ok(to_unit(&array)),
        rank => Err(wrong(format!("has {rank} dimensions, but an image has 2 or 3 and a list of images 4"))),
    }
}
