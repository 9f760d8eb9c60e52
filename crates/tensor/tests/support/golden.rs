//! Reading golden files: `NAME.json` lists cases, `NAME.npz` holds their numbers end to end as `f` and `i`
//! (written by `scripts/goldens/common.py`), and comparing tensors with them.

#![allow(dead_code, reason = "each test that includes this file uses a part of it")]

use gradus_tensor::{DType, Tensor, io::read_npz};
use serde_json::Value;
use std::path::Path;

/// A golden file being walked through, case by case, array by array.
pub struct Golden {
    pub cases: Vec<Value>,
    floats: Vec<f64>,
    ints: Vec<i64>,
    next_float: usize,
    next_int: usize,
}

impl Golden {
    /// Opens `stem.json` and `stem.npz`.
    pub fn open(stem: &Path) -> Golden {
        let text = std::fs::read_to_string(stem.with_extension("json")).unwrap();
        let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
        let mut floats = None;
        let mut ints = None;
        for (name, t) in read_npz(stem.with_extension("npz")).unwrap() {
            match name.as_str() {
                "f" => floats = Some(t.to_vec::<f64>()),
                "i" => ints = Some(t.to_vec::<i64>()),
                other => panic!("unexpected array {other}"),
            }
        }
        Golden { cases, floats: floats.unwrap(), ints: ints.unwrap(), next_float: 0, next_int: 0 }
    }

    /// The next tensor, of the kind ("f", "i" or "b") and shape in `entry`.
    pub fn take(&mut self, entry: &Value) -> Tensor {
        let [kind, shape] = &entry.as_array().unwrap()[..] else { panic!("bad entry {entry}") };
        let shape = usizes(shape);
        let n = shape.iter().product::<usize>();
        if kind == "f" {
            self.next_float += n;
            return Tensor::from_slice(&self.floats[self.next_float - n..self.next_float], shape);
        }
        self.next_int += n;
        let t = Tensor::from_slice(&self.ints[self.next_int - n..self.next_int], shape);
        if kind == "b" { t.to_dtype(DType::Bool) } else { t }
    }

    /// The tensors of a list of entries.
    pub fn take_all(&mut self, entries: &Value) -> Vec<Tensor> {
        entries.as_array().unwrap().iter().map(|e| self.take(e)).collect()
    }

    /// One tensor shaped as each floating one of `like`: the recorded gradients.
    pub fn take_gradients<'a>(&mut self, like: impl IntoIterator<Item = &'a Tensor>) -> Vec<Tensor> {
        let mut out = vec![];
        for t in like.into_iter().filter(|t| t.dtype().is_float()) {
            let n = t.numel();
            self.next_float += n;
            out.push(Tensor::from_slice(&self.floats[self.next_float - n..self.next_float], t.shape()));
        }
        out
    }

    /// Panics unless every number was taken.
    pub fn finish(&self) {
        assert_eq!((self.next_float, self.next_int), (self.floats.len(), self.ints.len()), "numbers left over");
    }
}

/// The weighting of output number `k` in the loss: sin(0.3 + 1.7 i + k).
pub fn weight_like(t: &Tensor, k: usize) -> Tensor {
    let w = (0..t.numel()).map(|i| (0.3 + 1.7 * i as f64 + k as f64).sin()).collect::<Vec<f64>>();
    Tensor::from_vec(w, t.shape()).to_dtype(t.dtype())
}

/// The first difference between `got` and `want` beyond `tolerance`, relative to the larger of 1 and the value.
/// NaN equals NaN, an infinity only itself; shapes must agree, element types need not.
pub fn difference(got: &Tensor, want: &Tensor, tolerance: f64) -> Option<String> {
    if got.shape() != want.shape() {
        return Some(format!("shape {} instead of {}", got.shape(), want.shape()));
    }
    let (g, w) = (numbers(got), numbers(want));
    let bad = (0..g.len()).find(|&i| {
        let (g, w) = (g[i], w[i]);
        !(g == w || g.is_nan() && w.is_nan() || (g - w).abs() <= tolerance * w.abs().max(1.0))
    })?;
    Some(format!("element {bad} is {:e} instead of {:e}", g[bad], w[bad]))
}

/// The elements as f64.
pub fn numbers(t: &Tensor) -> Vec<f64> {
    t.detach().to_dtype(DType::F64).to_vec::<f64>()
}

/// Arguments of a case, read by name.
pub struct Args<'a>(pub &'a Value);

impl Args<'_> {
    pub fn has(&self, name: &str) -> bool {
        !self.0[name].is_null()
    }
    pub fn float(&self, name: &str) -> f64 {
        match &self.0[name] {
            Value::String(s) if s == "inf" => f64::INFINITY,
            v => v.as_f64().unwrap_or_else(|| panic!("{name} in {}", self.0)),
        }
    }
    pub fn int(&self, name: &str) -> isize {
        self.0[name].as_i64().unwrap_or_else(|| panic!("{name} in {}", self.0)) as isize
    }
    pub fn size(&self, name: &str) -> usize {
        self.int(name) as usize
    }
    pub fn flag(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }
    pub fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }
    pub fn ints(&self, name: &str) -> Vec<isize> {
        let list = self.0[name].as_array().unwrap_or_else(|| panic!("{name} in {}", self.0));
        list.iter().map(|v| v.as_i64().unwrap() as isize).collect()
    }
    pub fn floats(&self, name: &str) -> Vec<f64> {
        let list = self.0[name].as_array().unwrap_or_else(|| panic!("{name} in {}", self.0));
        list.iter().map(|v| v.as_f64().unwrap()).collect()
    }
    /// `N` sizes, or `default` in each place where the argument is not given.
    pub fn sizes<const N: usize>(&self, name: &str, default: usize) -> [usize; N] {
        if self.has(name) { usizes(&self.0[name]).try_into().unwrap() } else { [default; N] }
    }
}

fn usizes(v: &Value) -> Vec<usize> {
    v.as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect()
}
