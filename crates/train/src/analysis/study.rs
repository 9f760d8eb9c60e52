//! Every analysis of a trained model on its test examples: what `gradus analyze` does.

use super::*;
use crate::error::{Result, TrainError, did_you_mean};
use crate::plots::{Lines, Plane, Tile, ends_of, grid_svg};
use crate::recipe::Loss;
use crate::run::{EvaluateOptions, Trained};
use crate::run_dir::RunDir;
use gradus_data::{Dataset, Draw};
use gradus_nn::probe::layer_outputs;
use gradus_tensor::{manual_seed, no_grad};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Examples of one pass where the loss or its curvature is measured many times.
const BATCH: usize = 256;
/// Examples whose pictures are shown.
const SHOWN: usize = 8;
/// Neighbours of the trustworthiness of a map.
const NEIGHBOURS: usize = 12;
/// Weights of a problem that is small enough for the whole Hessian.
const SMALL: usize = 300;
/// Low frequencies end here, as a part of the highest.
const CUTOFF: f64 = 0.25;

/// What a model must do for an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Anything.
    Any,
    /// Tell inputs apart by classes.
    Classes,
    /// Look at pictures.
    Pictures,
    /// Both.
    ClassesOfPictures,
    /// Tell points of a plane apart by classes.
    ClassesOfPoints,
}

impl Needs {
    /// The models that an analysis is for.
    fn models(self) -> &'static str {
        match self {
            Needs::Any => "all models",
            Needs::Classes => "models that tell classes of inputs apart",
            Needs::Pictures => "models of pictures",
            Needs::ClassesOfPictures => "models that tell classes of pictures apart",
            Needs::ClassesOfPoints => "models that tell classes apart by two numbers",
        }
    }
}

/// One analysis.
pub struct AnalysisRow {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line on what it shows.
    pub description: &'static str,
    needs: Needs,
    run: fn(&Study) -> Result<Findings>,
}

/// Every analysis there is.
pub const ANALYSES: &[AnalysisRow] = &[
    AnalysisRow {
        name: "tsne",
        description: "maps of the test examples by t-SNE, of the inputs and of the model's outputs",
        needs: Needs::Classes,
        run: |s| s.tsne(),
    },
    AnalysisRow {
        name: "pca",
        description: "the first two principal components of the inputs",
        needs: Needs::Classes,
        run: |s| s.pca(),
    },
    AnalysisRow {
        name: "boundary",
        description: "which class is decided for where in the plane, and the codes of the last hidden layer",
        needs: Needs::ClassesOfPoints,
        run: |s| s.boundary(),
    },
    AnalysisRow {
        name: "saliency",
        description: "which pixels matter: by the gradient, and by covering them",
        needs: Needs::ClassesOfPictures,
        run: |s| s.saliency(),
    },
    AnalysisRow {
        name: "filters",
        description: "the filters of the convolutions",
        needs: Needs::Pictures,
        run: |s| s.filters(),
    },
    AnalysisRow {
        name: "feature-maps",
        description: "what the layers make of a picture",
        needs: Needs::Pictures,
        run: |s| s.feature_maps(),
    },
    AnalysisRow {
        name: "activations",
        description: "activations by depth: do they keep their spread, and which units are dead?",
        needs: Needs::Any,
        run: |s| s.activations(),
    },
    AnalysisRow {
        name: "gradients",
        description: "gradients by depth: do they vanish?",
        needs: Needs::Any,
        run: |s| s.gradients(),
    },
    AnalysisRow {
        name: "loss-surface",
        description: "the loss around the weights, and on the line from fresh weights",
        needs: Needs::Any,
        run: |s| s.loss_surface(),
    },
    AnalysisRow {
        name: "hessian",
        description: "the ends of the spectrum of the Hessian",
        needs: Needs::Any,
        run: |s| s.hessian(),
    },
    AnalysisRow {
        name: "invariance",
        description: "the answers for pictures that are turned, scaled and moved",
        needs: Needs::ClassesOfPictures,
        run: |s| s.invariance(),
    },
    AnalysisRow {
        name: "frequencies",
        description: "the answers for the low and for the high frequencies of pictures",
        needs: Needs::ClassesOfPictures,
        run: |s| s.frequencies(),
    },
];

/// The analyses of these names, all of them if none is named.
///
/// # Errors
/// A name that is not there.
pub fn find_analyses(names: &[String]) -> Result<Vec<&'static AnalysisRow>> {
    let find = |name: &String| {
        ANALYSES.iter().find(|a| a.name == *name).ok_or_else(|| {
            let all: Vec<&str> = ANALYSES.iter().map(|a| a.name).collect();
            let hint = did_you_mean(name, all.iter().copied());
            TrainError::Recipe(format!("there is no analysis `{name}`{hint}. Analyses: {}", all.join(", ")))
        })
    };
    if names.is_empty() { Ok(ANALYSES.iter().collect()) } else { names.iter().map(find).collect() }
}

/// What an analysis found.
struct Findings {
    numbers: Value,
    /// File names and SVGs.
    pictures: Vec<(String, String)>,
}

/// A trained model and the test examples it is looked at with.
pub struct Study<'a> {
    trained: &'a Trained,
    title: String,
    loss: Loss,
    seed: u64,
    /// What the model takes, such as [N, C, H, W].
    inputs: Tensor,
    /// The same as pixels in [0, 1], where they are pictures.
    pixels: Tensor,
    /// What the loss compares outputs with: classes, masks or numbers.
    labels: Tensor,
    classes: Vec<String>,
}

impl<'a> Study<'a> {
    /// A study with the first `most` of the test examples of a run, from the directory `data` if it is not the run's.
    ///
    /// # Errors
    /// Unreadable data, or fewer than 30 examples.
    pub fn new(trained: &'a Trained, data: Option<&Path>, most: usize, seed: u64) -> Result<Study<'a>> {
        let options = EvaluateOptions { data: data.map(Path::to_path_buf), ..EvaluateOptions::default() };
        let test = trained.test_examples(&options)?;
        let n = test.dataset().len().min(most);
        if n < 30 {
            return Err(TrainError::Input(format!("an analysis takes at least 30 examples, got {n}")));
        }
        let card = &trained.card;
        let (inputs, labels) = test.dataset().get(&(0..n).collect::<Vec<_>>(), Draw::default())?;
        let inputs = card.preprocess.first_crop(inputs);
        trained.model.eval();
        Ok(Study {
            trained,
            title: format!("{}: {}", card.recipe.name, card.recipe.model.name),
            loss: card.recipe.loss,
            seed,
            pixels: match card.preprocess.is_picture() {
                true => card.preprocess.to_pixels(&inputs).clamp(0.0, 1.0),
                false => inputs.clone(),
            },
            inputs,
            labels,
            classes: card.classes.clone(),
        })
    }

    /// Whether the model is one that the analysis is for.
    ///
    /// # Errors
    /// If it is not: which models it is for.
    pub fn fits(&self, analysis: &AnalysisRow) -> Result<()> {
        let card = &self.trained.card;
        let (pictures, classes) =
            (card.preprocess.is_picture(), card.target.is_none() && !card.recipe.data.has_masks());
        let fits = match analysis.needs {
            Needs::Any => true,
            Needs::Classes => classes,
            Needs::Pictures => pictures,
            Needs::ClassesOfPictures => pictures && classes,
            Needs::ClassesOfPoints => classes && card.preprocess.shape == [2],
        };
        let (name, models) = (analysis.name, analysis.needs.models());
        fits.then_some(()).ok_or_else(|| TrainError::Input(format!("the analysis `{name}` is for {models}")))
    }

    /// Runs one analysis, draws its pictures into `dir`, and returns its numbers and the files.
    ///
    /// # Errors
    /// If a picture cannot be written, or the model is not one that the analysis is for.
    pub fn run(&self, analysis: &AnalysisRow, dir: &Path) -> Result<(Value, Vec<PathBuf>)> {
        self.fits(analysis)?;
        std::fs::create_dir_all(dir).map_err(TrainError::io("create the directory", dir))?;
        let dir = RunDir::open(dir)?;
        let found = (analysis.run)(self)?;
        found.pictures.iter().try_for_each(|(name, svg)| dir.write(name, svg))?;
        Ok((found.numbers, found.pictures.iter().map(|(name, _)| dir.file(name)).collect()))
    }

    /// The model's outputs for pixels.
    fn outputs(&self, pixels: &Tensor) -> Tensor {
        self.trained.model.forward(&self.trained.card.preprocess.scale().apply(pixels))
    }

    /// The first examples, for what is measured many times.
    fn batch(&self) -> (Tensor, Tensor) {
        let n = self.labels.size(0).min(BATCH);
        (self.inputs.narrow(0, 0, n), self.labels.narrow(0, 0, n))
    }

    fn batch_loss(&self, (x, y): &(Tensor, Tensor)) -> Tensor {
        self.loss.of(&self.trained.model.forward(x), y)
    }

    /// Examples on a plane in the colours of their classes.
    fn plane(&self, title: &str, subtitle: &str, axes: [&str; 2], places: &Tensor) -> String {
        let flat = places.contiguous().to_vec::<f64>();
        let places: Vec<(f64, f64)> = flat.chunks_exact(2).map(|p| (p[0], p[1])).collect();
        let truth = self.labels.to_vec::<i64>();
        Plane {
            title: &format!("{}: {title}", self.title),
            subtitle,
            axes,
            ends: ends_of(places.iter().copied()),
            ground: None,
            points: places.into_iter().zip(truth).map(|((x, y), t)| (x, y, t as usize)).collect(),
            legend: self.classes.clone(),
        }
        .svg()
    }

    fn tsne(&self) -> Result<Findings> {
        let n = self.labels.numel();
        let outputs = no_grad(|| self.trained.model.forward(&self.inputs));
        let mut found = Findings { numbers: json!({}), pictures: vec![] };
        for (name, x) in [("inputs", self.pixels.flatten(1, -1)), ("outputs", outputs)] {
            let perplexity = 30f64.min((n as f64 - 1.0) / 3.0);
            let map = Tsne::new().perplexity(perplexity).seed(self.seed).fit_transform(&x);
            let trust = trustworthiness(&x, &map.embedding, NEIGHBOURS.min((n - 1) / 2));
            let subtitle =
                format!("{n} test examples; trustworthiness {trust:.3}, divergence {:.3}", map.kl_divergence);
            let svg = self.plane(&format!("t-SNE of the {name}"), &subtitle, ["", ""], &map.embedding);
            found.pictures.push((format!("tsne-{name}.svg"), svg));
            found.numbers[name] = json!({
                "trustworthiness": trust, "kl_divergence": map.kl_divergence, "n_iter": map.n_iter,
            });
        }
        Ok(found)
    }

    fn pca(&self) -> Result<Findings> {
        let x = self.pixels.flatten(1, -1);
        let pca = Pca::fit(&x, x.size(1).min(10));
        let ratio = &pca.explained_variance_ratio;
        let (axes, plane) = match ratio.len() {
            1 => return Err(TrainError::Input("one feature has no principal components to draw".into())),
            _ => (
                [0, 1].map(|i| format!("component {} ({:.1} % of the variance)", i + 1, 100.0 * ratio[i])),
                pca.transform(&x).narrow(1, 0, 2),
            ),
        };
        let svg = self.plane("principal components", "test examples by their inputs", [&axes[0], &axes[1]], &plane);
        Ok(Findings {
            numbers: json!({ "explained_variance_ratio": ratio, "explained_variance": pca.explained_variance }),
            pictures: vec![("pca.svg".into(), svg)],
        })
    }

    fn boundary(&self) -> Result<Findings> {
        let model = &*self.trained.model;
        let forward = |x: &Tensor| self.loss.logits(&model.forward(x));
        let svg = decision_boundary_svg(&self.title, &forward, &self.inputs, &self.labels, &self.classes);
        let codes = self.codes();
        let rows = codes.iter().map(|code| {
            let bits: String = code.code.iter().map(|on| if *on { '1' } else { '0' }).collect();
            let mut row = json!({ "code": bits, "answer": self.classes.get(code.answer) });
            let examples = self.classes.iter().zip(&code.examples);
            examples.for_each(|(class, n)| row[format!("examples of {class}")] = json!(n));
            row
        });
        Ok(Findings { numbers: Value::Array(rows.collect()), pictures: vec![("boundary.svg".into(), svg)] })
    }

    /// The codes of the last hidden layer: all if there are few, else those that examples have. None where the model
    /// does not end in a linear layer over a hidden one, or that has too many units to write codes down.
    fn codes(&self) -> Vec<HiddenCode> {
        const UNITS: usize = 12;
        const ALL: usize = 4;
        let parameters = self.trained.model.parameters();
        let [.., weight, bias] = &parameters[..] else { return vec![] };
        let outputs = Rc::new(RefCell::new(Vec::new()));
        let into = outputs.clone();
        layer_outputs(&*self.trained.model, &self.inputs, move |layer| {
            into.borrow_mut().push((layer.kind.to_lowercase(), layer.output.clone()));
        });
        let outputs = outputs.take();
        let Some(head) = outputs.iter().rposition(|(kind, _)| kind == "linear").filter(|&head| head > 0) else {
            return vec![];
        };
        let (kind, hidden) = &outputs[head - 1];
        let fits = weight.rank() == 2 && bias.rank() == 1 && hidden.rank() == 2 && hidden.size(1) == weight.size(1);
        if !fits || hidden.size(1) > UNITS {
            return vec![];
        }
        let (threshold, off) = match kind.as_str() {
            "tanh" => (0.0, -1.0),
            "sigmoid" => (0.5, 0.0),
            _ => (0.0, 0.0),
        };
        let head = |code: &Tensor| code.matmul(&weight.t()) + bias; // (codes, units) -> (codes, classes)
        let mut codes = hidden_codes(hidden, &self.labels, threshold, off, &head);
        codes.retain(|code| code.code.len() <= ALL || code.examples.iter().any(|n| *n > 0));
        codes
    }

    fn saliency(&self) -> Result<Findings> {
        let pixels = self.pixels.narrow(0, 0, SHOWN);
        let forward = |x: &Tensor| self.outputs(x);
        let said = no_grad(|| self.outputs(&pixels)).argmax(1, false);
        let gradient = saliency(&forward, &pixels, &said);
        let side = (pixels.size(2).min(pixels.size(3)) / 4).max(1);
        let occlusion = Occlusion::new(side);
        let probability = |x: &Tensor| self.outputs(x).softmax(1);
        let classes = said.to_vec::<i64>();
        let covered: Vec<Tensor> = classes
            .iter()
            .enumerate()
            .map(|(i, &class)| occlusion.map(&probability, &pixels.select(0, i), class as usize))
            .collect();
        let fall: Vec<f32> = covered.iter().map(|m| m.max().item()).collect();
        let covered = Tensor::stack(&covered.iter().collect::<Vec<_>>(), 0); // (N, 1, H, W)
        let words: Vec<String> = classes.iter().map(|&c| format!("taken for {}", self.classes[c as usize])).collect();
        let svg = maps_svg(
            &format!("{}: what matters", self.title),
            &format!("the gradient of the score; the fall of the probability under a grey square of {side} x {side}"),
            &pixels,
            &[("gradient", gradient), ("covered", covered)],
            &words,
        );
        Ok(Findings { numbers: json!({ "largest_fall": fall }), pictures: vec![("saliency.svg".into(), svg)] })
    }

    fn filters(&self) -> Result<Findings> {
        let parameters = self.trained.model.named_parameters();
        let kernels: Vec<_> = parameters.iter().filter(|(_, p)| p.rank() == 4 && p.size(2) * p.size(3) > 1).collect();
        let picture = |(path, weight): &(String, Tensor)| {
            let tiles = filter_tiles(weight);
            let subtitle = format!("{} of shape {}, each by its own range", tiles.len(), weight.shape());
            (
                format!("filters-{path}.svg"),
                grid_svg(&format!("{}: filters of {path}", self.title), &subtitle, &tiles, 8),
            )
        };
        let numbers = kernels.iter().map(|(path, w)| json!({ "parameter": path, "shape": w.shape().to_vec() }));
        Ok(Findings {
            numbers: Value::Array(numbers.collect()),
            pictures: kernels.iter().map(|k| picture(k)).collect(),
        })
    }

    fn feature_maps(&self) -> Result<Findings> {
        let maps = feature_maps(&*self.trained.model, &self.inputs.narrow(0, 0, 1));
        let mut pictures =
            vec![("feature-maps.svg".into(), overview_svg(&format!("{}: feature maps", self.title), &maps))];
        // All maps of the convolutions, each in a picture of its own.
        pictures.extend(maps.iter().filter(|(name, _)| name.contains("Conv")).map(|(name, output)| {
            let tiles = feature_map_tiles(output);
            let subtitle = format!("{} of {} maps, each by its own range", tiles.len(), output.size(1));
            let svg = grid_svg(&format!("{}: feature maps of {name}", self.title), &subtitle, &tiles, 8);
            (format!("feature-maps-{}.svg", name.replace([' ', '(', ')', '/'], "-").trim_matches('-')), svg)
        }));
        let numbers = maps.iter().map(|(name, y)| json!({ "layer": name, "shape": y.shape()[1..].to_vec() }));
        Ok(Findings { numbers: Value::Array(numbers.collect()), pictures })
    }

    fn activations(&self) -> Result<Findings> {
        let (model, (inputs, _)) = (&*self.trained.model, self.batch());
        let rows = activation_statistics(model, &inputs, self.trained.card.step);
        let line = |name: &str, of: fn(&LayerStatistics) -> f64| {
            (name.to_string(), rows.iter().enumerate().map(|(i, r)| (i as f64, of(r))).collect())
        };
        let svg = Lines {
            title: &format!("{}: activations by depth", self.title),
            subtitle: &format!("of {} test examples, from the input on", inputs.size(0)),
            axes: ["layer", "standard deviation; shares"],
            series: vec![line("deviation", |r| r.std), line("zeros", |r| r.zeros), line("dead units", |r| r.dead)],
            ends: None,
            log_x: false,
            diagonal: false,
        };
        let numbers = rows.iter().map(|r| {
            json!({ "layer": r.layer, "mean": r.mean, "std": r.std, "rms": r.rms, "zeros": r.zeros, "dead": r.dead })
        });
        Ok(Findings { numbers: Value::Array(numbers.collect()), pictures: vec![("activations.svg".into(), svg.svg())] })
    }

    fn loss_surface(&self) -> Result<Findings> {
        let (model, batch) = (&*self.trained.model, self.batch());
        let loss = || self.batch_loss(&batch).item_f64();
        let surface = loss_surface(model, &loss, 1.0, 21, self.seed);
        manual_seed(self.seed);
        let fresh = gradus_models::build(&self.trained.card.recipe.model)
            .map_err(|e| TrainError::Checkpoint { path: self.trained.checkpoint.clone(), reason: e.to_string() })?;
        let line = interpolate_loss(model, &loss, &fresh.state_dict(), &model.state_dict(), 0.25, 31);
        Ok(Findings {
            numbers: json!({ "surface": surface, "interpolation": line }),
            pictures: vec![
                ("loss-surface.svg".into(), surface.svg(&format!("{}: loss surface", self.title))),
                ("interpolation.svg".into(), line.svg(&format!("{}: from fresh weights", self.title))),
            ],
        })
    }

    fn hessian(&self) -> Result<Findings> {
        let parameters: Vec<Tensor> =
            self.trained.model.parameters().into_iter().filter(Tensor::requires_grad).collect();
        let hessian = Hessian::new(&self.batch_loss(&self.batch()), &parameters);
        let ends = hessian.extremes(self.seed);
        let mut numbers = json!({ "highest": ends.highest, "lowest": ends.lowest, "weights": hessian.size() });
        // Of a small problem the whole matrix is written down.
        if hessian.size() <= SMALL {
            numbers["condition_number"] = json!(hessian.condition_number());
        }
        Ok(Findings { numbers, pictures: vec![] })
    }

    fn gradients(&self) -> Result<Findings> {
        let model = &*self.trained.model;
        model.zero_grad();
        self.batch_loss(&self.batch()).backward();
        let rows = gradient_statistics(model, self.trained.card.step);
        let sizes: Vec<GradientSize> = gradient_sizes(&rows).into_iter().map(|s| s.1).collect();
        model.zero_grad();
        let points = rows.iter().enumerate().map(|(i, r)| (i as f64, r.rms.log10()));
        let svg = Lines {
            title: &format!("{}: gradients by depth", self.title),
            subtitle: "of the loss of test examples, from the first parameter to the last",
            axes: ["parameter", "log10 of the root mean square"],
            series: vec![("gradient".into(), points.collect())],
            ends: None,
            log_x: false,
            diagonal: false,
        };
        let numbers = rows.iter().zip(sizes).map(|(r, size)| {
            json!({
                "parameter": r.layer, "mean": r.mean, "std": r.std, "rms": r.rms, "norm": r.norm, "zeros": r.zeros,
                "dead": r.dead, "size": size,
            })
        });
        Ok(Findings { numbers: Value::Array(numbers.collect()), pictures: vec![("gradients.svg".into(), svg.svg())] })
    }

    fn invariance(&self) -> Result<Findings> {
        let rows = invariance(&|x| self.outputs(x), &self.pixels, &self.labels);
        let pictures = invariance_svgs(&self.title, &rows);
        Ok(Findings {
            numbers: json!(rows),
            pictures: pictures.into_iter().map(|(name, svg)| (format!("invariance-{name}.svg"), svg)).collect(),
        })
    }

    fn frequencies(&self) -> Result<Findings> {
        let (low, high) = split_frequencies(&self.pixels, CUTOFF);
        // Edges alone have the mean 0: shown, and given to the model, about that of the pixels.
        let high = high + self.pixels.mean_dim([1, 2, 3], true);
        let truth = self.labels.to_vec::<i64>();
        let accuracy = |x: &Tensor| {
            let said = no_grad(|| self.outputs(x)).argmax(1, false).to_vec::<i64>();
            said.iter().zip(&truth).filter(|(s, t)| s == t).count() as f64 / truth.len() as f64
        };
        let shares = [accuracy(&self.pixels), accuracy(&low), accuracy(&high)];
        let parts = [("picture", &self.pixels), ("low", &low), ("high", &high)];
        let tiles = (0..SHOWN).flat_map(|i| {
            parts.map(|(name, x)| Tile { pixels: x.select(0, i).clamp(0.0, 1.0), words: vec![name.to_string()] })
        });
        let subtitle = format!(
            "right answers: {:.1} % of the pictures, {:.1} % by low frequencies alone, {:.1} % by high ones",
            100.0 * shares[0],
            100.0 * shares[1],
            100.0 * shares[2]
        );
        let svg = grid_svg(&format!("{}: frequencies", self.title), &subtitle, &tiles.collect::<Vec<_>>(), 6);
        Ok(Findings {
            numbers: json!({ "cutoff": CUTOFF, "accuracy": shares[0], "low": shares[1], "high": shares[2] }),
            pictures: vec![("frequencies.svg".into(), svg)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analyses_are_found_by_their_names() {
        assert_eq!(find_analyses(&[]).unwrap().len(), ANALYSES.len());
        assert_eq!(find_analyses(&["pca".into()]).unwrap()[0].name, "pca");
        let error = find_analyses(&["tnse".into()]).map(|_| ()).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("(did you mean `tsne`?)"), "{error}");
        let mut names: Vec<&str> = ANALYSES.iter().map(|a| a.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ANALYSES.len());
    }
}
