//! Printing like NumPy's.

use crate::{DType, Tensor};
use std::fmt;

/// More elements than this are abbreviated.
const THRESHOLD: usize = 1000;
/// Elements shown at each end of an abbreviated dimension.
const EDGE: usize = 3;

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brief = self.numel() > THRESHOLD;
        let style = Style::of(self, brief);
        let mut index = Vec::with_capacity(self.rank());
        level(self, f, &style, brief, &mut index)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {} {}", self.shape(), self.dtype())?;
        if self.requires_grad() { f.write_str(" requires_grad") } else { Ok(()) }
    }
}

/// Positions of a dimension that are shown; `None` stands for the gap.
fn shown(extent: usize, brief: bool) -> Vec<Option<usize>> {
    if brief && extent > 2 * EDGE {
        return (0..EDGE).map(Some).chain([None]).chain((extent - EDGE..extent).map(Some)).collect();
    }
    (0..extent).map(Some).collect()
}

/// How every element is written, so that columns line up.
struct Style {
    scientific: bool,
    digits: usize,
    width: usize,
}

impl Style {
    fn of(t: &Tensor, brief: bool) -> Style {
        let mut values = vec![];
        collect(t, brief, &mut vec![], &mut values);
        let mut style = Style { scientific: false, digits: 0, width: 0 };
        if t.dtype().is_float() {
            let sizes = || values.iter().filter(|v| v.is_finite() && **v != 0.0).map(|v| v.abs());
            let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
            style.scientific = high > 0.0 && (high >= 1e8 || low < 1e-4 || high / low > 1e3 && low < 1e-3);
            style.digits =
                values.iter().filter(|v| v.is_finite()).map(|v| decimals(*v, style.scientific)).max().unwrap_or(0);
        }
        style.width = values.iter().map(|&v| style.write(v, t.dtype()).len()).max().unwrap_or(0);
        style
    }

    fn write(&self, v: f64, dtype: DType) -> String {
        match dtype {
            DType::Bool => if v != 0.0 { "true" } else { "false" }.to_string(),
            d if !d.is_float() => format!("{v}"),
            _ if v.is_nan() => "nan".into(),
            _ if v.is_infinite() => if v > 0.0 { "inf" } else { "-inf" }.into(),
            _ if self.scientific => format!("{v:.*e}", self.digits),
            // As NumPy: a point even where no decimals are needed.
            _ if self.digits == 0 => format!("{v:.0}."),
            _ => format!("{v:.*}", self.digits),
        }
    }
}

/// How many decimals show `v` to four places, without trailing zeros.
fn decimals(v: f64, scientific: bool) -> usize {
    let text = if scientific { format!("{v:.4e}") } else { format!("{v:.4}") };
    let mantissa = text.split('e').next().unwrap_or_default();
    mantissa.split('.').nth(1).map_or(0, |d| d.trim_end_matches('0').len())
}

fn collect(t: &Tensor, brief: bool, index: &mut Vec<usize>, out: &mut Vec<f64>) {
    if index.len() == t.rank() {
        return out.push(t.at(index));
    }
    for i in shown(t.shape()[index.len()], brief).into_iter().flatten() {
        index.push(i);
        collect(t, brief, index, out);
        index.pop();
    }
}

fn level(t: &Tensor, f: &mut fmt::Formatter<'_>, style: &Style, brief: bool, index: &mut Vec<usize>) -> fmt::Result {
    let depth = index.len();
    if depth == t.rank() {
        let v = style.write(t.at(index), t.dtype());
        return write!(f, "{v:>width$}", width = if depth == 0 { 0 } else { style.width });
    }
    f.write_str("[")?;
    let last = depth + 1 == t.rank();
    for (n, i) in shown(t.shape()[depth], brief).into_iter().enumerate() {
        if n > 0 {
            // Rows on lines of their own, with a blank line between matrices.
            let gap = if last { " ".to_string() } else { "\n".repeat(t.rank() - depth - 1) + &" ".repeat(depth + 1) };
            f.write_str(&gap)?;
        }
        match i {
            None => f.write_str("...")?,
            Some(i) => {
                index.push(i);
                level(t, f, style, brief, index)?;
                index.pop();
            }
        }
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use crate::{DType, Tensor};

    #[test]
    fn columns_line_up() {
        let x = Tensor::from_slice(&[1.0f32, -2.5, 10.0, 0.0], [2, 2]);
        assert_eq!(x.to_string(), "[[ 1.0 -2.5]\n [10.0  0.0]]");
        assert_eq!(Tensor::arange(3).to_string(), "[0. 1. 2.]");
        assert_eq!(Tensor::scalar(2.5).to_string(), "2.5");
        assert_eq!(Tensor::from_slice(&[true, false], [2]).to_string(), "[ true false]");
        assert_eq!(Tensor::zeros([0]).to_string(), "[]");
        assert_eq!(Tensor::from_slice(&[f32::NAN, 1.0], [2]).to_string(), "[nan  1.]");
        assert_eq!(Tensor::from_slice(&[1e-9f32, 1.0], [2]).to_string(), "[1e-9  1e0]");
    }

    #[test]
    fn large_tensors_are_abbreviated() {
        let x = Tensor::arange(2000).to_dtype(DType::I64);
        assert_eq!(x.to_string(), "[   0    1    2 ... 1997 1998 1999]");
        assert_eq!(Tensor::zeros([2, 2, 1]).to_string(), "[[[0.]\n  [0.]]\n\n [[0.]\n  [0.]]]");
    }
}
