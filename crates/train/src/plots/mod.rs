//! Charts of a run as SVG: loss and accuracy by epoch, the confusion matrix, lines, pictures in a grid,
//! planes.

mod grid;
mod lines;
mod plane;

pub(crate) use grid::escape;
pub use grid::{Tile, grid_svg};
pub use lines::Lines;
pub use plane::{Plane, color, ends_of};

use crate::metrics::{Confusion, EpochMetrics};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);
const MUTED: RGBColor = RGBColor(0x6b, 0x77, 0x85);
const GRID: RGBColor = RGBColor(0xe6, 0xe9, 0xed);
const TRAIN: RGBColor = RGBColor(0x2f, 0x6f, 0xde);
const VALIDATION: RGBColor = RGBColor(0xe0, 0x7a, 0x1f);
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Loss and accuracy of training and validation by epoch, side by side.
///
/// A ring marks `best`, the epoch whose checkpoint was kept.
pub fn curves_svg(title: &str, history: &[EpochMetrics], best: usize) -> String {
    draw((960, 420), |root| {
        caption(root, title, "training and validation by epoch; the ring marks the epoch that was kept")?;
        let (left, right) = root.margin(56, 8, 8, 8).split_horizontally(472);
        let series = |f: fn(&EpochMetrics) -> f64| -> Vec<f64> { history.iter().map(f).collect() };
        panel(&left, "loss", &series(|m| m.train_loss), &series(|m| m.val_loss), best, false)?;
        if history.iter().any(|m| m.val_errors.is_some()) {
            let r2 = series(|m| m.val_errors.map_or(f64::NAN, |e| e.r2));
            return panel(&right, "coefficient of determination", &[], &r2, best, false);
        }
        let share = |a: Option<f64>| a.unwrap_or(f64::NAN);
        let [train, val] = [|m: &EpochMetrics| m.train_accuracy, |m: &EpochMetrics| m.val_accuracy]
            .map(|of| history.iter().map(|m| share(of(m))).collect::<Vec<f64>>());
        panel(&right, "accuracy", &train, &val, best, true)
    })
}

/// The confusion matrix: rows are true classes, columns what they were taken for.
pub fn confusion_svg(title: &str, confusion: &Confusion, names: &[String]) -> String {
    const CELL: i32 = 44;
    let n = confusion.classes() as i32;
    let longest = names.iter().map(|s| s.chars().count()).max().unwrap_or(1) as i32;
    // Names that are wider than a column stand upright.
    let upright = 8 * longest > CELL;
    let (x0, y0) = (52 + 8 * longest, if upright { 84 + 8 * longest } else { 100 });
    let size = ((x0 + n * CELL + 92) as u32, (y0 + n * CELL + 24) as u32);
    draw((size.0.max(420), size.1), |root| {
        caption(
            root,
            title,
            &format!("rows: true class; columns: predicted; {:.2} % right", 100.0 * confusion.accuracy()),
        )?;
        text(root, "recall", (x0 + n * CELL + 12, y0 - 14), 13, MUTED, HPos::Left)?;
        for truth in 0..n {
            let y = y0 + truth * CELL;
            let name = names.get(truth as usize).map_or("?", String::as_str);
            text(root, name, (x0 - 10, y + CELL / 2), 14, INK, HPos::Right)?;
            let middle = x0 + truth * CELL + CELL / 2;
            match upright {
                true => {
                    let style = (FONT, 14).into_font().transform(FontTransform::Rotate270).color(&INK);
                    root.draw(&Text::new(
                        name.to_string(),
                        (middle, y0 - 8),
                        style.pos(Pos::new(HPos::Left, VPos::Center)),
                    ))?;
                }
                false => text(root, name, (middle, y0 - 14), 14, INK, HPos::Center)?,
            }
            let recall = format!("{:.1} %", 100.0 * confusion.recall(truth as usize));
            text(root, &recall, (x0 + n * CELL + 12, y + CELL / 2), 13, MUTED, HPos::Left)?;
            for predicted in 0..n {
                let count = confusion.count(truth as usize, predicted as usize);
                let share = count as f64 / confusion.support(truth as usize).max(1) as f64;
                let x = x0 + predicted * CELL;
                let (fill, ink) = shade(share, truth == predicted);
                root.draw(&Rectangle::new([(x + 1, y + 1), (x + CELL - 1, y + CELL - 1)], fill.filled()))?;
                if count > 0 {
                    text(root, &count.to_string(), (x + CELL / 2, y + CELL / 2), 14, ink, HPos::Center)?;
                }
            }
        }
        Ok(())
    })
}

/// Runs the drawing code over an SVG in memory.
fn draw(size: (u32, u32), body: impl FnOnce(&Area) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| body(&root))
            .and_then(|()| Ok(root.present()?))
            .expect("drawing into a string does not fail");
    }
    svg
}

fn caption(root: &Area, title: &str, subtitle: &str) -> Drawn {
    text(root, title, (16, 22), 19, INK, HPos::Left)?;
    text(root, subtitle, (16, 44), 13, MUTED, HPos::Left)
}

fn text(area: &Area, words: &str, at: (i32, i32), size: i32, color: RGBColor, align: HPos) -> Drawn {
    let style = (FONT, size).into_font().color(&color).pos(Pos::new(align, VPos::Center));
    Ok(area.draw(&Text::new(words.to_string(), at, style))?)
}

fn panel(area: &Area, name: &str, train: &[f64], validation: &[f64], best: usize, share: bool) -> Drawn {
    let finite: Vec<f64> = train.iter().chain(validation).copied().filter(|v| v.is_finite()).collect();
    let axis = Axis::of(&finite, share);
    let name = if axis.logarithmic { format!("{name} (logarithmic)") } else { name.to_string() };
    let epochs = validation.len().max(2) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(name, (FONT, 15).into_font().color(&INK))
        .margin_right(16)
        .x_label_area_size(36)
        .y_label_area_size(58)
        .build_cartesian_2d(1.0..epochs, axis.range.clone())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(MUTED)
        .label_style((FONT, 12).into_font().color(&MUTED))
        .x_labels(validation.len().clamp(2, 10))
        .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x}") } else { String::new() })
        .y_label_formatter(&|&height| axis.label(height))
        .y_labels(6)
        .x_desc("epoch")
        .axis_desc_style((FONT, 12).into_font().color(&MUTED))
        .draw()?;
    for (label, values, color) in [("training", train, TRAIN), ("validation", validation, VALIDATION)] {
        if values.is_empty() && !validation.is_empty() {
            continue; // not measured
        }
        let points = values.iter().enumerate().filter(|(_, v)| v.is_finite());
        let points = points.map(|(i, &v)| (i as f64 + 1.0, axis.height(v)));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(2))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    if let Some(&value) = best.checked_sub(1).and_then(|i| validation.get(i)) {
        chart.draw_series([Circle::new((best as f64, axis.height(value)), 5, VALIDATION.stroke_width(2))])?;
    }
    chart
        .configure_series_labels()
        .position(if share || train.is_empty() {
            SeriesLabelPosition::LowerRight
        } else {
            SeriesLabelPosition::UpperRight
        })
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font((FONT, 12).into_font().color(&INK))
        .draw()?;
    Ok(())
}

/// How values become heights: shares of 1 as they are, losses by their logarithm where they span much.
struct Axis {
    range: Range<f64>,
    share: bool,
    logarithmic: bool,
}

impl Axis {
    fn of(values: &[f64], share: bool) -> Axis {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !low.is_finite() || !high.is_finite() {
            return Axis { range: 0.0..1.0, share, logarithmic: false };
        }
        let logarithmic = !share && low > 0.0 && high / low > 30.0;
        let (low, high) = if logarithmic { (low.log10(), high.log10()) } else { (low, high) };
        let margin = 0.06 * (high - low).max(1e-3);
        let range = if share { (low - margin).max(0.0)..(high + margin).min(1.0) } else { low - margin..high + margin };
        Axis { range, share, logarithmic }
    }

    fn height(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    fn label(&self, height: f64) -> String {
        match (self.share, self.logarithmic) {
            (true, _) => format!("{:.1} %", 100.0 * height),
            (false, true) if height < -2.0 => format!("{:.1e}", 10f64.powf(height)),
            (false, true) => format!("{:.2}", 10f64.powf(height)),
            (false, false) => format!("{height:.3}"),
        }
    }
}

/// Fill and ink of a cell: right answers in blue, mistakes in orange, stronger with their share of the row.
fn shade(share: f64, right: bool) -> (RGBColor, RGBColor) {
    let target = if right { TRAIN } else { VALIDATION };
    let strength = if share == 0.0 { 0.0 } else { 0.15 + 0.85 * share.sqrt() };
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * strength).round() as u8;
    let fill = RGBColor(mix(0xf5, target.0), mix(0xf6, target.1), mix(0xf8, target.2));
    (fill, if strength > 0.6 { WHITE } else { INK })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Vec<EpochMetrics> {
        (1..=8)
            .map(|e| EpochMetrics {
                epoch: e,
                lr: 0.01,
                train_loss: 1.0 / e as f64,
                train_batch_loss: 1.0 / e as f64,
                train_accuracy: Some(1.0 - 0.3 / e as f64),
                val_loss: 1.2 / e as f64,
                val_accuracy: Some(1.0 - 0.4 / e as f64),
                val_miou: None,
                val_errors: None,
                seconds: 0.1,
            })
            .collect()
    }

    #[test]
    fn the_curves_hold_both_series_and_their_labels() {
        let svg = curves_svg("digits", &history(), 7);
        for word in ["<svg", "digits", "loss", "accuracy", "training", "validation", "epoch", "<polyline"] {
            assert!(svg.contains(word), "no {word} in the chart");
        }
    }

    #[test]
    fn a_loss_that_spans_much_is_drawn_by_its_logarithm() {
        let narrow = curves_svg("x", &history(), 7);
        let mut long = history();
        long[7].val_loss = 0.001;
        assert!(!narrow.contains("logarithmic") && curves_svg("x", &long, 7).contains("loss (logarithmic)"));
    }

    #[test]
    fn curves_of_one_epoch_or_none_are_drawn() {
        assert!(curves_svg("x", &history()[..1], 1).ends_with("</svg>\n"));
        assert!(curves_svg("x", &[], 0).contains("<svg"));
    }

    #[test]
    fn the_matrix_shows_every_count_and_the_recall() {
        let mut c = Confusion::new(3);
        for _ in 0..37 {
            c.add(0, 0);
        }
        c.add(2, 1);
        let names: Vec<String> = ["ant", "bee", "cat"].map(String::from).to_vec();
        let svg = confusion_svg("run", &c, &names);
        for word in ["37", "ant", "bee", "cat", "100.0 %", "97.37 % right"] {
            assert!(svg.contains(word), "no {word} in the matrix");
        }
        assert!(!svg.contains("rotate(270"));
        // Names that would run into each other stand upright.
        let names: Vec<String> = ["airplane", "automobile", "bird"].map(String::from).to_vec();
        assert_eq!(confusion_svg("run", &c, &names).matches("rotate(270").count(), 3);
    }
}
