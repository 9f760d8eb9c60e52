//! Sums of products by Einstein's convention.

use crate::{Tensor, fail};

/// A dimension's name: a letter's code, or beyond them a dimension of the ellipsis counted from its end.
type Label = usize;
const ELLIPSIS: Label = 256;

/// An equation read against its operands: the labels of each operand's dimensions and of the result's.
struct Equation {
    inputs: Vec<Vec<Label>>,
    output: Vec<Label>,
}

fn show(label: Label) -> String {
    if label >= ELLIPSIS { "...".to_string() } else { (label as u8 as char).to_string() }
}

/// The labels of one term; `hidden` is the number of dimensions its ellipsis stands for.
fn labels(term: &str, hidden: usize) -> Result<Vec<Label>, String> {
    let mut out = vec![];
    let (front, back) = match term.split_once("...") {
        Some((a, b)) => (a, Some(b)),
        None => (term, None),
    };
    let letters = |part: &str, out: &mut Vec<Label>| match part.chars().find(|c| !c.is_ascii_alphabetic()) {
        Some(bad) => Err(format!("{bad:?} in {term:?} is neither a letter nor an ellipsis")),
        None => {
            out.extend(part.bytes().map(Label::from));
            Ok(())
        }
    };
    letters(front, &mut out)?;
    if let Some(back) = back {
        out.extend((0..hidden).rev().map(|i| ELLIPSIS + i));
        letters(back, &mut out)?;
    }
    Ok(out)
}

fn parse(equation: &str, operands: &[&Tensor]) -> Result<Equation, String> {
    let compact: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match compact.split_once("->") {
        Some((l, r)) => (l, Some(r)),
        None => (compact.as_str(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != operands.len() {
        return Err(format!("{} terms for {} operands", terms.len(), operands.len()));
    }
    let (mut inputs, mut widest) = (vec![], 0);
    for (i, (term, t)) in terms.iter().zip(operands).enumerate() {
        let named = labels(term, 0)?.len();
        let fits = if term.contains("...") { named <= t.rank() } else { named == t.rank() };
        if !fits {
            return Err(format!("term {term:?} names {named} dimensions, operand {i} has shape {}", t.shape()));
        }
        widest = widest.max(t.rank() - named);
        inputs.push(labels(term, t.rank() - named)?);
    }
    let output = match right {
        Some(r) => labels(r, widest)?,
        None => {
            // What occurs once, in alphabetical order, behind the ellipsis.
            let all: Vec<Label> = inputs.concat();
            let mut once: Vec<Label> =
                all.iter().copied().filter(|l| *l < ELLIPSIS && all.iter().filter(|m| *m == l).count() == 1).collect();
            once.sort_unstable();
            (0..widest).rev().map(|i| ELLIPSIS + i).chain(once).collect()
        }
    };
    for (i, l) in output.iter().enumerate() {
        if output[..i].contains(l) {
            return Err(format!("{:?} occurs twice in the result", show(*l)));
        }
        if !inputs.iter().any(|t| t.contains(l)) {
            return Err(format!("{:?} in the result is in no operand", show(*l)));
        }
    }
    Ok(Equation { inputs, output })
}

/// An operand with a name for each dimension, none twice.
struct Named {
    t: Tensor,
    labels: Vec<Label>,
}

impl Named {
    /// Takes the diagonal of dimensions with one name.
    #[track_caller]
    fn new(t: &Tensor, mut labels: Vec<Label>) -> Result<Named, String> {
        let mut t = t.clone();
        while let Some((i, j)) =
            (0..labels.len()).find_map(|j| labels[..j].iter().position(|l| *l == labels[j]).map(|i| (i, j)))
        {
            if t.shape()[i] != t.shape()[j] {
                return Err(format!("{:?} names extents {} and {}", show(labels[i]), t.shape()[i], t.shape()[j]));
            }
            t = t.diagonal(0, i as isize, j as isize);
            let label = labels[i];
            labels.remove(j);
            labels.remove(i);
            labels.push(label);
        }
        Ok(Named { t, labels })
    }

    /// Sums over the dimensions that `keep` refuses.
    fn sum_out(self, keep: impl Fn(&Label) -> bool) -> Named {
        let dims: Vec<isize> = (0..self.labels.len()).filter(|&i| !keep(&self.labels[i])).map(|i| i as isize).collect();
        if dims.is_empty() {
            return self;
        }
        Named { t: self.t.sum_dim(dims, false), labels: self.labels.into_iter().filter(|l| keep(l)).collect() }
    }

    /// The dimensions in the order of `labels`, all of which it has.
    fn ordered(&self, labels: &[Label]) -> Tensor {
        let at = |l: &Label| self.labels.iter().position(|m| m == l).map_or(0, |i| i as isize);
        self.t.permute(&labels.iter().map(at).collect::<Vec<_>>())
    }

    fn extents(&self, labels: &[Label]) -> Vec<usize> {
        labels.iter().filter_map(|l| self.labels.iter().position(|m| m == l)).map(|i| self.t.shape()[i]).collect()
    }
}

/// The product of two operands, summed over the shared labels that `needed` refuses.
fn contract(a: Named, b: Named, needed: impl Fn(&Label) -> bool) -> Named {
    let (a, b) = (a.sum_out(|l| needed(l) || b.labels.contains(l)), b);
    let b = b.sum_out(|l| needed(l) || a.labels.contains(l));
    let shared = |l: &&Label| b.labels.contains(l);
    let batch: Vec<Label> = a.labels.iter().filter(|l| shared(l) && needed(l)).copied().collect();
    let summed: Vec<Label> = a.labels.iter().filter(|l| shared(l) && !needed(l)).copied().collect();
    let left: Vec<Label> = a.labels.iter().filter(|l| !shared(l)).copied().collect();
    let right: Vec<Label> = b.labels.iter().filter(|l| !a.labels.contains(l)).copied().collect();
    let (eb, es, el, er) = (a.extents(&batch), a.extents(&summed), a.extents(&left), b.extents(&right));
    let size = |e: &[usize]| e.iter().product::<usize>();
    // a: [batch, left, summed], b: [batch, summed, right] -> [batch, left, right]
    let ta = a.ordered(&[&batch[..], &left, &summed].concat());
    let tb = b.ordered(&[&batch[..], &summed, &right].concat());
    let t = if summed.is_empty() {
        ta.reshape([size(&eb), size(&el), 1]).mul(&tb.reshape([size(&eb), 1, size(&er)]))
    } else {
        let (ta, tb) = (ta.reshape([size(&eb), size(&el), size(&es)]), tb.reshape([size(&eb), size(&es), size(&er)]));
        if batch.is_empty() { ta.squeeze(0).mm(&tb.squeeze(0)) } else { ta.bmm(&tb) }
    };
    Named { t: t.reshape([eb, el, er].concat()), labels: [batch, left, right].concat() }
}

/// Gives every label one extent, repeating dimensions of extent 1.
fn unify(operands: &mut [Named]) -> Result<(), String> {
    for i in 0..operands.len() {
        for d in 0..operands[i].labels.len() {
            let label = operands[i].labels[d];
            let widest = operands.iter().flat_map(|o| o.extents(&[label])).find(|&n| n != 1).unwrap_or(1);
            let n = operands[i].t.shape()[d];
            if n != widest && n != 1 {
                return Err(format!("{:?} names extents {widest} and {n} (operand {i})", show(label)));
            }
            if n != widest {
                let mut shape = operands[i].t.shape().to_vec();
                shape[d] = widest;
                operands[i].t = operands[i].t.expand(shape);
            }
        }
    }
    Ok(())
}

impl Tensor {
    /// Sums of products by Einstein's convention: one letter for each dimension of each operand;
    /// letters missing from the result are summed over.
    ///
    /// `"ij,jk->ik"` is a matrix product, `"ii->i"` a diagonal, `"...ij->...ji"` a transpose. Without
    /// `->` the result has the letters that occur once, in alphabetical order. Operands are multiplied
    /// from left to right.
    ///
    /// # Panics
    /// If the equation cannot be read, or does not fit the operands' shapes.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (a, b) = (Tensor::ones([2, 3, 4]), Tensor::ones([2, 4, 5]));
    /// assert_eq!(Tensor::einsum("bij,bjk->bik", &[&a, &b]).shape(), [2, 3, 5]);
    /// ```
    #[track_caller]
    pub fn einsum(equation: &str, operands: &[&Tensor]) -> Tensor {
        let refuse = |why: String| -> ! { fail("einsum", format_args!("{equation:?}: {why}")) };
        let Equation { inputs, output } = match parse(equation, operands) {
            Ok(e) => e,
            Err(why) => refuse(why),
        };
        let named: Result<Vec<Named>, String> =
            operands.iter().zip(inputs).map(|(t, labels)| Named::new(t, labels)).collect();
        let mut named = match named {
            Ok(n) => n,
            Err(why) => refuse(why),
        };
        if let Err(why) = unify(&mut named) {
            refuse(why);
        }
        let mut rest = named.into_iter();
        let Some(mut total) = rest.next() else { refuse("there are no operands".to_string()) };
        while let Some(next) = rest.next() {
            let later = rest.as_slice();
            total = contract(total, next, |l| output.contains(l) || later.iter().any(|o| o.labels.contains(l)));
        }
        total.sum_out(|l| output.contains(l)).ordered(&output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{gradcheck, gradgradcheck};

    fn wave(shape: &[usize]) -> Tensor {
        let n = shape.iter().product::<usize>();
        Tensor::from_vec::<f64>((0..n).map(|i| (1.3 * i as f64 + n as f64).sin()).collect(), shape)
    }

    fn check(equation: &str, shapes: &[&[usize]], want: impl Fn(&[Tensor]) -> Tensor) {
        let x: Vec<Tensor> = shapes.iter().map(|s| wave(s)).collect();
        let f = |x: &[Tensor]| Tensor::einsum(equation, &x.iter().collect::<Vec<_>>());
        let (got, want) = (f(&x), want(&x));
        assert_eq!(got.shape(), want.shape(), "{equation}");
        assert!((got - want).abs().sum().item_f64() < 1e-10, "{equation}");
        gradcheck(f, &x).unwrap();
        gradgradcheck(|x| f(x).square(), &x).unwrap();
    }

    #[test]
    fn equations_mean_what_they_should() {
        check("ij,jk->ik", &[&[2, 3], &[3, 4]], |x| x[0].mm(&x[1]));
        check("ij , jk", &[&[2, 3], &[3, 2]], |x| x[0].mm(&x[1]));
        check("ba", &[&[2, 3]], |x| x[0].t());
        check("bij,bjk->bki", &[&[2, 2, 3], &[2, 3, 2]], |x| x[0].bmm(&x[1]).transpose(1, 2));
        check("ii->i", &[&[3, 3]], |x| x[0].diag(0));
        check("ii", &[&[3, 3]], |x| x[0].trace());
        check("iji->j", &[&[2, 3, 2]], |x| x[0].diagonal(0, 0, 2).sum_dim(1, false));
        check("i,j->ij", &[&[3], &[2]], |x| x[0].unsqueeze(1) * &x[1]);
        check("ij,ij->i", &[&[2, 3], &[2, 3]], |x| (&x[0] * &x[1]).sum_dim(1, false));
        check("ij,ij->ij", &[&[2, 3], &[2, 3]], |x| &x[0] * &x[1]);
        check("ij,jk,kl->il", &[&[2, 3], &[3, 2], &[2, 2]], |x| x[0].mm(&x[1]).mm(&x[2]));
        check("ij,kl->", &[&[2, 3], &[2, 2]], |x| x[0].sum() * x[1].sum());
        check("...ij,...jk->...ik", &[&[2, 1, 2, 3], &[2, 3, 2]], |x| x[0].matmul(&x[1]));
        check("i...->...i", &[&[2, 3, 2]], |x| x[0].movedim(0, -1));
        check("...", &[&[2, 3]], |x| x[0].clone());
        check("ij,jk->ik", &[&[2, 1], &[3, 2]], |x| x[0].expand([2, 3]).mm(&x[1]));
        check("bhqd,bhkd->bhqk", &[&[1, 2, 3, 2], &[1, 2, 2, 2]], |x| x[0].matmul(&x[1].transpose(-1, -2)));
        check("ij,j->i", &[&[2, 0], &[0]], |x| x[0].matmul(&x[1]));
    }

    #[test]
    fn mistakes_are_named() {
        let (a, b) = (Tensor::zeros([2, 3]), Tensor::zeros([4, 5]));
        for (equation, why) in [
            ("ij,jk->ik", "\"j\" names extents 3 and 4 (operand 1)"),
            ("ij->ij", "1 terms for 2 operands"),
            ("ijk,jk->ik", "term \"ijk\" names 3 dimensions, operand 0 has shape [2, 3]"),
            ("i1,jk->ik", "'1' in \"i1\" is neither a letter nor an ellipsis"),
            ("ij,kl->im", "\"m\" in the result is in no operand"),
            ("ij,kl->ii", "\"i\" occurs twice in the result"),
            ("ij,kl->i->j", "'-' in \"i->j\" is neither a letter nor an ellipsis"),
            ("ii,kl->k", "\"i\" names extents 2 and 3"),
        ] {
            let call = std::panic::AssertUnwindSafe(|| Tensor::einsum(equation, &[&a, &b]));
            let e = std::panic::catch_unwind(call).expect_err(equation);
            let text = e.downcast_ref::<String>().expect("a message");
            assert!(text.contains(why), "{equation}: {text}");
        }
    }
}
