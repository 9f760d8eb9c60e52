//! Projections against scikit-learn's values (scripts/goldens/analysis.py).

use gradus_tensor::Tensor;
use gradus_train::analysis::*;
use serde_json::Value;

fn goldens() -> Value {
    serde_json::from_str(include_str!("goldens/analysis.json")).unwrap()
}

fn list(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn matrix(v: &Value, columns: usize) -> Tensor {
    let values = list(v);
    let rows = values.len() / columns;
    Tensor::from_vec(values, [rows, columns])
}

/// The bundled digits as rows of pixels.
fn digits(n: usize) -> Tensor {
    let (images, _) = gradus_data::digits();
    images.narrow(0, 0, n).flatten(1, -1) // (N, 1, 8, 8) -> (N, 64)
}

#[track_caller]
fn same(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-9, "{got:?} and {want:?}");
    }
}

fn check_pca(x: &Tensor, golden: &Value) {
    let count = golden["explained_variance"].as_array().unwrap().len();
    let pca = Pca::fit(x, count);
    same(&pca.mean.to_vec::<f64>(), &list(&golden["mean"]));
    same(&pca.explained_variance, &list(&golden["explained_variance"]));
    same(&pca.explained_variance_ratio, &list(&golden["explained_variance_ratio"]));
    let want = matrix(&golden["components"], x.size(1));
    let signs: Vec<f64> =
        (0..count).map(|i| (pca.components.select(0, i) * want.select(0, i)).sum().item_f64().signum()).collect();
    let signs = Tensor::from_vec(signs, [count]);
    same(&(&pca.components * signs.unsqueeze(1)).to_vec::<f64>(), &want.to_vec::<f64>());
    let transformed = (pca.transform(x) * &signs).contiguous().to_vec::<f64>();
    same(&transformed[..20], &list(&golden["transformed"]));
}

#[test]
fn principal_components_are_those_of_scikit_learn() {
    let g = goldens();
    check_pca(&matrix(&g["x"], 6), &g["pca"]);
    check_pca(&digits(1797), &g["digits_pca"]);
}

#[test]
fn trustworthiness_is_that_of_scikit_learn() {
    let g = goldens();
    let (x, y) = (matrix(&g["x"], 6), matrix(&g["y"], 2));
    for case in g["trustworthiness"].as_array().unwrap() {
        let got = trustworthiness(&x, &y, case[0].as_u64().unwrap() as usize);
        assert!((got - case[1].as_f64().unwrap()).abs() < 1e-12, "{case}: {got}");
    }
}

fn check_map(case: usize, tsne: Tsne) {
    let golden = &goldens()["digits_tsne"][case];
    let x = digits(golden["examples"].as_u64().unwrap() as usize);
    let map = tsne.fit_transform(&x);
    let (got, want) = (trustworthiness(&x, &map.embedding, 12), golden["trustworthiness"].as_f64().unwrap());
    println!(
        "case {case}: trustworthiness {got:.4}, scikit-learn {want:.4}; KL {:.4}, scikit-learn {}",
        map.kl_divergence, golden["kl_divergence"]
    );
    assert!((got - want).abs() <= 0.02, "trustworthiness {got}, scikit-learn's {want}");
    let kl = golden["kl_divergence"].as_f64().unwrap();
    assert!((map.kl_divergence / kl - 1.0).abs() < 0.05, "divergence {}, scikit-learn's {kl}", map.kl_divergence);
}

#[test]
fn exact_maps_of_digits_are_as_trustworthy_as_those_of_scikit_learn() {
    check_map(0, Tsne::new());
    check_map(1, Tsne::new().init(Init::Random).perplexity(10.0));
}

#[test]
fn the_map_of_all_digits_is_as_trustworthy_as_that_of_scikit_learn() {
    check_map(2, Tsne::new().max_iter(500));
}
