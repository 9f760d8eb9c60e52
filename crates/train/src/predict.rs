//! What a model says of single inputs: pictures, rows of a table, texts, the end of a series.

use crate::error::{Result, TrainError};
use crate::pixels::Segmented;
use crate::recipe::Scaling;
use crate::run::Trained;
use crate::sources::{Encoding, series};
use gradus_data::text::read_text;
use gradus_data::transforms::Compose;
use gradus_data::{
    Draw, Image, InterpolationMode, Table, has_light_background, read_image, read_image_resized, to_unit,
};
use gradus_tensor::io::read_npy;
use gradus_tensor::{DType, Tensor, no_grad};
use std::path::{Path, PathBuf};

/// What a model makes of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The file, with the position in brackets for a file of several inputs.
    pub input: String,
    /// The probability of each class; none where numbers are foretold.
    pub probabilities: Vec<f32>,
    /// The numbers that are foretold, in the unit of the target.
    pub numbers: Vec<f64>,
    /// The class of every pixel, where there are masks.
    pub mask: Option<Segmented>,
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

/// What a model says of the inputs in files.
///
/// Of pictures (PNG, JPEG or `.npy`): they are encoded as the checkpoint says. A `.npy` array is one image ([H, W] or
/// [C, H, W]) or several ([N, C, H, W], or [N, H, W] where there is one channel); bytes count as 0 to 255, floats as 0
/// to 1. Of a table: every row of a CSV or TSV file. Of texts: every line of a text file, or every row of a table. Of a
/// series: what follows the last window of a CSV file.
///
/// # Errors
/// A file that cannot be read or does not fit; nothing is predicted then.
pub fn predict_files(trained: &Trained, files: &[PathBuf], fit: Fit) -> Result<Vec<Prediction>> {
    let mut names = Vec::new();
    let mut inputs = Vec::new();
    for file in files {
        let encoded = encode(trained, file, fit)?;
        let count = encoded.size(0);
        names.extend((0..count).map(|i| match count {
            1 => file.display().to_string(),
            _ => format!("{}[{i}]", file.display()),
        }));
        inputs.push(encoded);
    }
    let mut predictions = Vec::new();
    trained.model.eval();
    for (inputs, names) in batches(&inputs, &names) {
        let outputs = no_grad(|| trained.model.forward(&inputs));
        if trained.card.recipe.data.has_masks() {
            let pixels = trained.card.preprocess.to_pixels(&inputs);
            let one = |(i, name): (usize, &String)| {
                let mask = Some(Segmented::new(&outputs.select(0, i), &pixels.select(0, i)));
                Prediction { input: name.clone(), probabilities: vec![], numbers: vec![], mask }
            };
            predictions.extend(names.iter().enumerate().map(one));
            continue;
        }
        let width = outputs.size(1);
        let one = |name: &String, probabilities: &[f32], numbers: Vec<f64>| Prediction {
            input: name.clone(),
            probabilities: probabilities.to_vec(),
            numbers,
            mask: None,
        };
        match &trained.card.target {
            Some(target) => {
                let all = outputs.to_dtype(DType::F64).to_vec::<f64>();
                let rows =
                    all.chunks_exact(width).map(|row| row.iter().map(|v| v * target.std + target.mean).collect());
                predictions.extend(names.iter().zip(rows).map(|(name, numbers)| one(name, &[], numbers)));
            }
            None => {
                // Log-probabilities are their own log-softmax, so this is right for them as for logits.
                let all = trained.card.recipe.loss.logits(&outputs).softmax(1).to_vec::<f32>();
                predictions.extend(names.iter().zip(all.chunks_exact(width)).map(|(name, p)| one(name, p, vec![])));
            }
        }
    }
    Ok(predictions)
}

/// The inputs of a file as the model takes them.
fn encode(trained: &Trained, file: &Path, fit: Fit) -> Result<Tensor> {
    let (card, data) = (&trained.card, &trained.card.recipe.data);
    let pictures_alone = match &card.encoding {
        Encoding::Pixels | Encoding::Pictures { .. } => false,
        _ => fit.resize || fit.invert,
    };
    if pictures_alone {
        return Err(TrainError::Input("--resize and --invert are for pictures".into()));
    }
    match &card.encoding {
        Encoding::Pixels => {
            let [c, h, w] = card.preprocess.shape[..] else { unreachable!("pictures have three dimensions") };
            let pixels = read_pixels(file, [c, h, w], fit)?;
            if !fit.invert && dark_on_light(trained, &pixels) {
                eprintln!(
                    "warning: `{}` looks like dark strokes on a light ground, but the model learnt light on dark; \
                     --invert swaps them",
                    file.display()
                );
            }
            let pixels = if fit.invert { 1.0 - pixels } else { pixels };
            Ok(card.preprocess.scale().apply(&pixels))
        }
        Encoding::Pictures { channels, transform } => {
            read_pictures(file, *channels, transform, &card.preprocess.shape, fit)
        }
        Encoding::Table { encoder } => Ok(encoder.encode(&Table::open(file)?)?),
        Encoding::Text { vocabulary, weights } => {
            let columns = data.text.as_ref().map_or(&[][..], |t| &t.text);
            let ends = |end| file.extension().is_some_and(|e| e.eq_ignore_ascii_case(end));
            if ["csv", "tsv", "parquet"].into_iter().any(ends) {
                let table = Table::open(file)?;
                let column = columns.iter().find(|c| table.columns().contains(c)).or(columns.first());
                return Ok(weights.of(vocabulary, &table.texts(column.map_or("", String::as_str))?));
            }
            let text = read_text(file)?;
            Ok(weights.of(vocabulary, &text.lines().collect::<Vec<_>>()))
        }
        Encoding::Series { columns, fill, mean, std } => {
            let (table, window) = (Table::open(file)?, card.preprocess.shape[0]);
            let values = series::filled(&table, columns, fill)?;
            let Some(from) = table.len().checked_sub(window) else {
                let (path, steps) = (file.display(), table.len());
                return Err(TrainError::Input(format!("`{path}` has {steps} steps, but the model looks at {window}")));
            };
            let step = |t: usize| (0..values.len()).map(move |c| (c, t));
            let scaled = (from..table.len()).flat_map(step).map(|(c, t)| ((values[c][t] - mean[c]) / std[c]) as f32);
            Ok(Tensor::from_vec(scaled.collect(), [1, window, values.len()]))
        }
    }
}

/// The pictures of a file through the transforms of the checkpoint.
fn read_pictures(path: &Path, channels: usize, transform: &Compose, shape: &[usize], fit: Fit) -> Result<Tensor> {
    let images = match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
        false => vec![Image::open(path)?],
        true => {
            let all = read_array(path, channels)?;
            (0..all.size(0)).map(|i| Image::from_tensor(&all.select(0, i))).collect()
        }
    };
    let one = |image: Image| {
        let mut image = image.with_channels(channels);
        if fit.resize {
            image = image.resize(shape[1], shape[2], InterpolationMode::Bilinear);
        }
        if fit.invert {
            let swapped = image.data().iter().map(|v| 255 - v).collect();
            image = Image::new(swapped, image.height(), image.width(), channels);
        }
        // The transforms of an evaluation hold nothing random, so this generator is not drawn from.
        let input = transform.apply(&image, &mut Draw::default().rng(0))?;
        match input.shape()[..] == *shape {
            true => Ok(input),
            false => Err(TrainError::Input(format!(
                "`{}` is {} after the transforms of the model, which takes {}; --resize brings it to that size",
                path.display(),
                size(&input.shape()),
                size(shape)
            ))),
        }
    };
    let all = images.into_iter().map(one).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::stack(&all.iter().collect::<Vec<_>>(), 0))
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
