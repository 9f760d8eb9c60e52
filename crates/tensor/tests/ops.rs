//! The op test: every row of `ops/table.rs` x shapes x layouts x element types.
//!
//! For each row and each of its shapes: results and gradients do not depend on how the inputs lie in memory
//! (transposed, offset, stepped, expanded); f32 agrees with f64; the gradient agrees with finite differences; the
//! second derivative as well. Rows without a gradient panic with their name when asked for one.
//! `tests/goldens.rs` compares the values themselves with PyTorch's.

#[path = "ops/table.rs"]
mod table;

use gradus_tensor::autograd::{GradOptions, grad, gradcheck, gradgradcheck};
use gradus_tensor::{DType, Tensor};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use table::{Row, rows};

/// Values of input `which`, spread evenly and irregularly over the domain, no two equal.
fn values(n: usize, which: usize, (low, high): (f64, f64)) -> Vec<f64> {
    let golden = 0.618_033_988_749_894_9;
    (0..n).map(|i| low + (high - low) * ((i as f64 + 0.37 + 101.3 * which as f64) * golden).fract()).collect()
}

fn inputs(row: &Row, shapes: &[&[usize]]) -> Vec<Tensor> {
    let one = |(k, s): (usize, &&[usize])| Tensor::from_vec(values(s.iter().product(), k, row.domain), *s);
    shapes.iter().enumerate().map(one).collect()
}

/// What lies between the elements of a strided view: reading it would be seen.
const GAP: f64 = f64::NAN;

/// The same values as `t` (contiguous), as views of differently ordered storage.
fn layouts(t: &Tensor) -> Vec<(&'static str, Tensor)> {
    let mut out = vec![("contiguous", t.clone())];
    if t.rank() == 0 {
        return out;
    }
    let last = t.size(-1);
    let gap = |n: usize| {
        let mut shape = t.shape().to_vec();
        *shape.last_mut().unwrap() = n;
        Tensor::full_of(shape, GAP, t.dtype())
    };
    if t.rank() > 1 {
        out.push(("transposed", t.transpose(0, -1).contiguous().transpose(0, -1)));
        let order: Vec<isize> = (1..t.rank() as isize).chain([0]).collect();
        let back: Vec<isize> = [t.rank() as isize - 1].into_iter().chain(0..t.rank() as isize - 1).collect();
        out.push(("permuted", t.permute(&order).contiguous().permute(&back)));
    }
    let stepped = Tensor::stack(&[&gap(last), t], -1).reshape(gap(2 * last).shape());
    out.push(("stepped", stepped.slice(-1, last.min(1), 2 * last, 2)));
    out.push(("offset", Tensor::cat(&[&gap(3), t, &gap(1)], -1).narrow(-1, 3, last)));
    out
}

/// The views of `layouts`, each for all inputs together, and a mixture of them.
fn arrangements(inputs: &[Tensor]) -> Vec<(String, Vec<Tensor>)> {
    let each: Vec<Vec<(&str, Tensor)>> = inputs.iter().map(layouts).collect();
    let most = each.iter().map(Vec::len).max().unwrap();
    let mut out = vec![];
    for pick in 1..most {
        let same: Vec<_> = each.iter().map(|l| l[pick.min(l.len() - 1)].clone()).collect();
        out.push((same[0].0.to_string(), same.into_iter().map(|(_, t)| t).collect()));
    }
    let mixed = each.iter().enumerate().map(|(k, l)| l[(2 * k + 1) % l.len()].1.clone()).collect();
    out.push(("mixed".to_string(), mixed));
    out
}

/// The result and the gradients of a fixed weighting of it.
fn evaluate(row: &Row, inputs: &[Tensor]) -> Vec<Vec<f64>> {
    let leaves: Vec<Tensor> = inputs.iter().map(|t| t.detach().requires_grad_(row.order > 0)).collect();
    let out = (row.f)(&leaves);
    let mut all = vec![out.shape().iter().map(|&n| n as f64).collect(), numbers(&out)];
    if row.order > 0 && out.requires_grad() {
        let w = Tensor::from_vec(values(out.numel(), 9, (0.5, 1.5)), out.shape()).to_dtype(out.dtype());
        let options = GradOptions { allow_unused: true, ..Default::default() };
        let leaves: Vec<&Tensor> = leaves.iter().collect();
        all.extend(grad(&[&(out * w).sum()], &leaves, options).iter().map(numbers));
    }
    all
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.detach().to_dtype(DType::F64).to_vec::<f64>()
}

/// The first place where two evaluations differ by more than `tolerance` of the value.
fn differ(a: &[Vec<f64>], b: &[Vec<f64>], tolerance: f64) -> Option<String> {
    let part = |k: usize| match k {
        0 => "shape".to_string(),
        1 => "result".to_string(),
        k => format!("gradient {}", k - 2),
    };
    if a.len() != b.len() {
        return Some("different numbers of gradients".into());
    }
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        if a.len() != b.len() {
            return Some(format!("{}: {} and {} elements", part(k), a.len(), b.len()));
        }
        let bad = (0..a.len())
            .find(|&i| a[i].is_nan() || b[i].is_nan() || (a[i] - b[i]).abs() > tolerance * b[i].abs().max(1.0));
        if let Some(i) = bad {
            return Some(format!("{}, element {i}: {:e} and {:e}", part(k), a[i], b[i]));
        }
    }
    None
}

/// Runs `check` on every row and shape; it returns what is wrong. All failures are reported together.
fn for_all(check: impl Fn(&Row, &[&[usize]]) -> Option<String>) {
    let mut failures = vec![];
    let mut count = 0;
    for row in rows() {
        for shapes in row.shapes {
            count += 1;
            let wrong = catch_unwind(AssertUnwindSafe(|| check(&row, shapes)));
            if let Some(w) = wrong.unwrap_or_else(|e| Some(format!("panicked: {}", message(&*e)))) {
                failures.push(format!("{} {shapes:?}: {w}", row.name));
            }
        }
    }
    assert!(count > 300, "only {count} rows x shapes");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
}

fn message(e: &(dyn std::any::Any + Send)) -> String {
    let text = e.downcast_ref::<String>().cloned();
    text.or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
}

fn is_empty(shapes: &[&[usize]]) -> bool {
    shapes.iter().any(|s| s.contains(&0))
}

#[test]
fn results_do_not_depend_on_the_memory_layout() {
    for_all(|row, shapes| {
        let plain = inputs(row, shapes);
        let want = evaluate(row, &plain);
        let one = |(name, views): (String, Vec<Tensor>)| {
            differ(&evaluate(row, &views), &want, 1e-12).map(|d| format!("{name}: {d}"))
        };
        arrangements(&plain).into_iter().find_map(one)
    });
}

#[test]
fn expanded_inputs_count_as_their_copies() {
    for_all(|row, shapes| {
        if is_empty(shapes) || row.needs_distinct {
            return None;
        }
        let expand = |t: &Tensor| if t.rank() == 0 { t.clone() } else { t.narrow(0, 0, 1).expand(t.shape()) };
        let views: Vec<Tensor> = inputs(row, shapes).iter().map(expand).collect();
        let copies: Vec<Tensor> = views.iter().map(|t| t.contiguous()).collect();
        differ(&evaluate(row, &views), &evaluate(row, &copies), 1e-12)
    });
}

#[test]
fn single_precision_agrees_with_double() {
    for_all(|row, shapes| {
        let single: Vec<Tensor> = inputs(row, shapes).iter().map(|t| t.to_dtype(DType::F32)).collect();
        let double: Vec<Tensor> = single.iter().map(|t| t.to_dtype(DType::F64)).collect();
        let out = (row.f)(&single);
        if out.dtype() == DType::F64 || out.dtype().is_float() && out.dtype() != DType::F32 {
            return Some(format!("the result of f32 inputs is {}", out.dtype()));
        }
        differ(&evaluate(row, &single), &evaluate(row, &double), 1e-4)
    });
}

#[test]
fn gradients_agree_with_finite_differences() {
    for_all(|row, shapes| {
        if row.order == 0 || is_empty(shapes) {
            return None;
        }
        gradcheck(row.f, &inputs(row, shapes)).err().map(|e| e.to_string())
    });
}

#[test]
fn second_derivatives_agree_with_finite_differences() {
    for_all(|row, shapes| {
        let small = shapes.iter().map(|s| s.iter().product::<usize>()).sum::<usize>() <= 120;
        if row.order < 2 || is_empty(shapes) || !small {
            return None;
        }
        gradgradcheck(row.f, &inputs(row, shapes)).err().map(|e| e.to_string())
    });
}

#[test]
fn operations_without_a_gradient_say_so_by_name() {
    let mut count = 0;
    for row in rows().into_iter().filter(|r| r.order == 0) {
        let x: Vec<Tensor> = inputs(&row, row.shapes[0]).into_iter().map(|t| t.requires_grad_(true)).collect();
        let out = (row.f)(&x);
        if !out.dtype().is_float() {
            assert!(!out.requires_grad(), "{}: a result of {} takes no gradient", row.name, out.dtype());
            continue;
        }
        count += 1;
        let e = catch_unwind(AssertUnwindSafe(|| out.sum().backward())).expect_err(row.name);
        assert!(message(&*e).contains(row.name), "{}: {}", row.name, message(&*e));
    }
    assert!(count >= 5, "only {count} operations without a gradient");
}

/// Names that operations in `src/ops` put into the graph, or refuse a gradient under.
fn recorded_in_the_source() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for call in ["record(\"", "record_with_output(\"", "no_gradient(\""] {
            names.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_string()));
        }
        // The table of unary functions: `name(v) = ...`.
        let table = text.lines().filter_map(|l| l.strip_prefix("    ")?.split_once("(v) = "));
        names.extend(table.map(|(name, _)| name.to_string()));
    }
    assert!(names.len() > 55, "found only {names:?}");
    names
}

/// Names in the graphs of all rows and of their derivatives, and of the rows without a gradient.
fn recorded_by_the_rows() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut note = |t: &Tensor| {
        names.extend(t.graph_text().lines().filter_map(|l| l.split_whitespace().next()).map(str::to_string))
    };
    for row in rows() {
        let x: Vec<Tensor> =
            inputs(&row, row.shapes[0]).iter().map(|t| t.to_dtype(DType::F32).requires_grad_(true)).collect();
        let mut result = (row.f)(&x);
        note(&result);
        for _ in 0..row.order {
            if !result.requires_grad() {
                break;
            }
            let options = GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
            let gradients = grad(&[&result.square().sum()], &x.iter().collect::<Vec<_>>(), options);
            gradients.iter().for_each(&mut note);
            result = gradients.iter().map(Tensor::sum).reduce(|a, b| a + b).unwrap();
        }
    }
    names.extend(rows().iter().map(|r| r.name.to_string()));
    names
}

#[test]
fn rows_are_unique_and_complete() {
    let mut names: Vec<_> = rows().iter().map(|r| r.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|w| w[0] != w[1]), "a row is there twice");
    let missing: Vec<_> = recorded_in_the_source().difference(&recorded_by_the_rows()).cloned().collect();
    assert!(missing.is_empty(), "operations without a row: {missing:?}");
}
