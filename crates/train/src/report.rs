//! The report of a run: one HTML file that needs nothing beside it.

use crate::metrics::EpochMetrics;
use crate::numbers::compact;
use crate::plots::escape;
use crate::run::Summary;
use std::fmt::Write;

const STYLE: &str = "body{font-family:system-ui,sans-serif;color:#1f2933;max-width:62rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;font-size:.85rem}\
td,th{padding:.2rem .7rem;border-bottom:1px solid #e6e9ed;text-align:right}td:first-child,th:first-child{text-align:left}\
pre{background:#f5f6f8;padding:1rem;overflow:auto;font-size:.8rem}svg{max-width:100%;height:auto}\
.best{background:#eaf1fd}.key td{text-align:left}";

/// What a report is made of.
pub(crate) struct Report<'a> {
    /// The final numbers.
    pub summary: &'a Summary,
    /// The resolved recipe.
    pub config: &'a str,
    /// Version, machine and command.
    pub environment: &'a [(String, String)],
    /// The finished epochs.
    pub history: &'a [EpochMetrics],
    /// Captions and SVG.
    pub pictures: &'a [(&'a str, String)],
    /// What was noticed while training.
    pub hints: &'a [String],
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let s = self.summary;
        let name = s.run_dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><title>{0}</title><style>{STYLE}</style></head><body>\n\
             <h1>{0}: {1} on the recipe {2}</h1>\n",
            escape(&name),
            escape(&s.model),
            escape(&s.recipe)
        );
        let share = |x: Option<f64>| x.map_or_else(|| "-".to_string(), |x| format!("{:.2} %", 100.0 * x));
        let [train, validation, test] = s.examples;
        self.pairs(
            &mut page,
            &[
                match s.test_errors {
                    None if s.test_miou.is_some() => (
                        "test mean IoU",
                        format!("{:.4}, pixel accuracy {}", s.test_miou.unwrap_or(f64::NAN), share(s.test_accuracy)),
                    ),
                    None => ("test accuracy", share(s.test_accuracy)),
                    Some(e) => {
                        ("test errors", format!("MSE {}, MAE {}, R2 {:.4}", compact(e.mse), compact(e.mae), e.r2))
                    }
                },
                ("test loss", s.test_loss.map_or_else(|| "-".into(), |x| format!("{x:.4}"))),
                match s.test_errors {
                    None if s.val_miou.is_some() => {
                        ("validation mean IoU", format!("{:.4}", s.val_miou.unwrap_or(f64::NAN)))
                    }
                    None => ("validation accuracy", share(s.val_accuracy)),
                    Some(_) => ("validation loss", s.val_loss.map_or_else(|| "-".into(), |x| format!("{x:.4}"))),
                },
                ("epochs", s.epochs.to_string()),
                ("best epoch", s.best_epoch.map_or_else(|| "-".into(), |x| x.to_string())),
                ("parameters", s.parameters.to_string()),
                ("examples", format!("{train} training, {validation} validation, {test} test")),
                ("time", format!("{:.1} s, {:.2} s of them waiting for data", s.seconds, s.waited)),
                ("state", if s.interrupted { "interrupted" } else { "finished" }.to_string()),
            ],
        );
        if !self.hints.is_empty() {
            page += "<h2>Noticed</h2>\n<ul>\n";
            let items: String = self.hints.iter().map(|hint| format!("<li>{}</li>\n", escape(hint))).collect();
            page += &(items + "</ul>\n");
        }
        for (caption, svg) in self.pictures {
            let _ = writeln!(page, "<h2>{}</h2>\n{svg}", escape(caption));
        }
        self.epochs(&mut page);
        let _ = writeln!(page, "<h2>Recipe</h2>\n<pre>{}</pre>\n<h2>Environment</h2>", escape(self.config));
        let rows: Vec<(&str, String)> = self.environment.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        self.pairs(&mut page, &rows);
        page + "</body></html>\n"
    }

    fn pairs(&self, page: &mut String, rows: &[(&str, String)]) {
        *page += "<table class=\"key\">\n";
        for (key, value) in rows {
            let _ = writeln!(page, "<tr><td>{}</td><td>{}</td></tr>", escape(key), escape(value));
        }
        *page += "</table>\n";
    }

    fn epochs(&self, page: &mut String) {
        let miou = self.history.iter().any(|m| m.val_miou.is_some());
        let numbers = self.history.iter().any(|m| m.val_errors.is_some());
        let measures = match numbers {
            true => "<th>validation loss</th><th>validation MAE</th><th>validation R2</th>",
            false if miou => "<th>pixel accuracy</th><th>validation loss</th><th>validation mean IoU</th>",
            false => "<th>accuracy</th><th>validation loss</th><th>validation accuracy</th>",
        };
        let _ = writeln!(
            page,
            "<h2>Epochs</h2>\n<table>\n<tr><th>epoch</th><th>rate</th><th>loss</th>{measures}<th>seconds</th></tr>"
        );
        let share = |x: Option<f64>| format!("{:.2} %", 100.0 * x.unwrap_or(f64::NAN));
        for m in self.history {
            let class = if Some(m.epoch) == self.summary.best_epoch { " class=\"best\"" } else { "" };
            let measured = match m.val_errors {
                Some(e) => [format!("{:.4}", m.val_loss), compact(e.mae), format!("{:.4}", e.r2)],
                None if miou => {
                    let iou = format!("{:.4}", m.val_miou.unwrap_or(f64::NAN));
                    [share(m.train_accuracy), format!("{:.4}", m.val_loss), iou]
                }
                None => [share(m.train_accuracy), format!("{:.4}", m.val_loss), share(m.val_accuracy)],
            };
            let _ = writeln!(
                page,
                "<tr{class}><td>{}</td><td>{:.3e}</td><td>{:.4}</td><td>{}</td><td>{:.2}</td></tr>",
                m.epoch,
                m.lr,
                m.train_loss,
                measured.join("</td><td>"),
                m.seconds
            );
        }
        *page += "</table>\n";
    }
}

/// Version, machine and settings of this process, as far as they may matter to a result.
pub(crate) fn environment(seed: u64) -> Vec<(String, String)> {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    [
        ("gradus", env!("CARGO_PKG_VERSION").to_string()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("processors", processors.to_string()),
        ("threads", gradus_tensor::threads().to_string()),
        ("seed", seed.to_string()),
    ]
    .map(|(k, v)| (k.to_string(), v))
    .into()
}
