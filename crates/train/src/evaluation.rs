//! What is said of a trained model on the test examples: numbers, tables and pictures.

use crate::checkpoint::Preprocess;
use crate::error::{Result, TrainError, did_you_mean};
use crate::metrics::{Average, Classification, Threshold, precision_recall_curve};
use crate::plots::{Lines, Tile, confusion_svg, grid_svg};
use crate::run_dir::RunDir;
use gradus_data::{Dataset, Draw};
use gradus_tensor::Tensor;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many mistakes are shown.
const MISTAKES: usize = 24;
/// Curves of more classes than this are drawn for the worst ones alone.
const CURVES: usize = 10;

/// The measurements of a model on test examples.
pub struct Measured {
    /// Mean loss of an example.
    pub loss: f64,
    /// True classes and probabilities.
    pub classification: Classification,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The examples, as the model saw them.
    pub examples: Arc<dyn Dataset>,
    /// How they were made from pixels.
    pub preprocess: Preprocess,
}

/// How the threshold of one class is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// The least cost, that of a false positive and that of a false negative.
    Cost(f64, f64),
    /// The strictest threshold with this sensitivity.
    Sensitivity(f64),
}

impl Measured {
    /// Part of the examples classified rightly.
    pub fn accuracy(&self) -> f64 {
        self.classification.top_k(1)
    }

    /// How many examples there were.
    pub fn examples(&self) -> usize {
        self.classification.truth().len()
    }

    /// Whether the examples are pictures.
    pub fn has_pictures(&self) -> bool {
        self.preprocess.is_picture()
    }

    /// Some examples as the model saw them, `[N, C, H, W]` of pictures: the first of the crops of each.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn inputs(&self, indices: &[usize]) -> Result<Tensor> {
        let (x, _) = self.examples.get(indices, Draw::default())?;
        Ok(self.preprocess.first_crop(x))
    }

    /// Everything as one JSON object.
    pub fn to_json(&self) -> Value {
        let (c, confusion) = (&self.classification, self.classification.confusion());
        let recall: Vec<f64> = (0..c.classes()).map(|class| confusion.recall(class)).collect();
        json!({
            "test_accuracy": self.accuracy(),
            "test_loss": self.loss,
            "examples": self.examples(),
            "classes": self.classes,
            "recall": recall,
            "top_k": (1..=c.classes().min(5)).map(|k| c.top_k(k)).collect::<Vec<f64>>(),
            "macro": c.average(Average::Macro),
            "micro": c.average(Average::Micro),
            "weighted": c.average(Average::Weighted),
            "auc": c.auc(),
            "ece": c.ece(),
            "brier": c.brier(),
            "per_class": c.table(&self.classes),
            "confusion": confusion.rows(),
            "confusion_normalized": confusion.normalized(),
            "calibration": c.calibration(),
        })
    }

    /// The threshold for the class of this name against all others.
    ///
    /// # Errors
    /// If there is no such class, or all examples are of it, or none.
    pub fn threshold(&self, class: &str, choice: Choice) -> Result<Threshold> {
        let Some(number) = self.classes.iter().position(|c| c == class) else {
            let hint = did_you_mean(class, self.classes.iter().map(String::as_str));
            let all = self.classes.join(", ");
            return Err(TrainError::Recipe(format!("there is no class `{class}`{hint}. Classes: {all}")));
        };
        let curve = self.classification.roc(number).ok_or_else(|| {
            TrainError::Input(format!("no threshold can be chosen: all examples are of class `{class}`, or none"))
        })?;
        Ok(match choice {
            Choice::Cost(fp, fn_) => curve.by_cost(fp, fn_),
            Choice::Sensitivity(target) => curve.by_sensitivity(target),
        })
    }

    /// Draws the confusion matrix, the curves and the worst mistakes into `dir`, and says which files there are.
    ///
    /// # Errors
    /// If the directory or a file cannot be written.
    pub fn pictures(&self, title: &str, dir: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(TrainError::io("create the directory", dir))?;
        let dir = RunDir::open(dir)?;
        let confusion =
            confusion_svg(&format!("{title}, test examples"), &self.classification.confusion(), &self.classes);
        let mut files = vec![
            ("confusion.svg", confusion),
            ("roc.svg", self.roc_svg(title)),
            ("specificity.svg", self.specificity_svg(title)),
            ("precision-recall.svg", self.precision_recall_svg(title)),
            ("calibration.svg", self.calibration_svg(title)),
        ];
        if self.has_pictures() {
            files.push(("mistakes.svg", self.mistakes_svg(title)?));
        }
        files.iter().try_for_each(|(name, svg)| dir.write(name, svg))?;
        Ok(files.iter().map(|(name, _)| dir.file(name)).collect())
    }

    /// The classes whose curves are drawn: all, or those with the smallest area.
    fn drawn(&self) -> Vec<(usize, f64)> {
        let area = |c| Some((c, self.classification.roc(c)?.auc()));
        let mut all: Vec<(usize, f64)> = (0..self.classes.len()).filter_map(area).collect();
        if all.len() > CURVES {
            all.sort_by(|a, b| a.1.total_cmp(&b.1));
            all.truncate(CURVES);
        }
        all
    }

    fn roc_svg(&self, title: &str) -> String {
        let line = |(c, area): (usize, f64)| {
            let curve = self.classification.roc(c).expect("it has an area");
            let points = curve.fpr.into_iter().zip(curve.tpr).collect();
            (format!("{} (AUC {area:.4})", self.classes[c]), points)
        };
        Lines {
            title: &format!("{title}: ROC"),
            subtitle: "each class against all others; the diagonal is chance",
            axes: ["false positive rate (1 - specificity)", "true positive rate (sensitivity)"],
            series: self.drawn().into_iter().map(line).collect(),
            ends: Some([0.0..1.0, 0.0..1.01]),
            log_x: false,
            diagonal: true,
        }
        .svg()
    }

    /// The ROC curves flipped from side to side.
    fn specificity_svg(&self, title: &str) -> String {
        let line = |(c, _): (usize, f64)| {
            let curve = self.classification.roc(c).expect("it has an area");
            (self.classes[c].clone(), curve.specificity().into_iter().zip(curve.tpr).collect())
        };
        Lines {
            title: &format!("{title}: specificity and sensitivity"),
            subtitle: "each class against all others, by its threshold",
            axes: ["specificity", "sensitivity"],
            series: self.drawn().into_iter().map(line).collect(),
            ends: Some([0.0..1.0, 0.0..1.01]),
            log_x: false,
            diagonal: false,
        }
        .svg()
    }

    fn precision_recall_svg(&self, title: &str) -> String {
        let line = |(c, _): (usize, f64)| {
            let (truth, scores) = self.classification.against_rest(c);
            let curve = precision_recall_curve(&truth, &scores).expect("it has examples");
            let name = format!("{} (AP {:.4})", self.classes[c], curve.average_precision());
            (name, curve.recall.into_iter().zip(curve.precision).collect())
        };
        Lines {
            title: &format!("{title}: precision and recall"),
            subtitle: "each class against all others",
            axes: ["recall", "precision"],
            series: self.drawn().into_iter().map(line).collect(),
            ends: Some([0.0..1.0, 0.0..1.01]),
            log_x: false,
            diagonal: false,
        }
        .svg()
    }

    fn calibration_svg(&self, title: &str) -> String {
        let c = &self.classification;
        let points = c.calibration().iter().map(|b| (b.mean, b.share)).collect();
        Lines {
            title: &format!("{title}: calibration"),
            subtitle: &format!("expected calibration error {:.4}, Brier score {:.4}", c.ece(), c.brier()),
            axes: ["probability of the class that was chosen", "part that was right"],
            series: vec![("model".into(), points)],
            ends: Some([0.0..1.0, 0.0..1.0]),
            log_x: false,
            diagonal: true,
        }
        .svg()
    }

    /// The worst mistakes in a grid.
    ///
    /// # Errors
    /// If a picture cannot be read.
    pub(crate) fn mistakes_svg(&self, title: &str) -> Result<String> {
        let (c, predicted) = (&self.classification, self.classification.predicted());
        let worst = c.worst(MISTAKES);
        let pixels = match worst.is_empty() {
            true => Tensor::zeros([0]),
            false => self.preprocess.to_pixels(&self.inputs(&worst)?),
        };
        let tile = |(place, &i): (usize, &usize)| {
            let (truth, said) = (c.truth()[i], predicted[i]);
            let share = |class: usize| 100.0 * c.row(i)[class];
            Tile {
                pixels: pixels.select(0, place),
                words: vec![
                    format!("{} {:.1} %", self.classes[said], share(said)),
                    format!("is {} {:.1} %", self.classes[truth], share(truth)),
                    format!("example {i}"),
                ],
            }
        };
        let wrong = self.examples() - (0..self.examples()).filter(|&i| predicted[i] == c.truth()[i]).count();
        let subtitle =
            format!("{} of {wrong} mistakes, those with the least probability of the truth first", worst.len());
        let tiles: Vec<Tile> = worst.iter().enumerate().map(tile).collect();
        Ok(grid_svg(&format!("{title}: worst mistakes"), &subtitle, &tiles, 6))
    }
}
