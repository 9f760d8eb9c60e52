//! Metrics against scikit-learn's values (scripts/goldens/metrics.py).

use gradus_train::metrics::*;
use serde_json::Value;

fn goldens(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("goldens/metrics.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn number(v: &Value) -> f64 {
    match v {
        Value::Null => f64::NAN,
        Value::String(s) => s.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

fn list(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(number).collect()
}

fn whole(v: &Value) -> Vec<usize> {
    list(v).into_iter().map(|x| x as usize).collect()
}

fn bools(v: &Value) -> Vec<bool> {
    list(v).into_iter().map(|x| x == 1.0).collect()
}

#[track_caller]
fn same(got: &[f64], want: &Value) {
    let want = list(want);
    assert_eq!(got.len(), want.len(), "{got:?} and {want:?}");
    for (g, w) in got.iter().zip(&want) {
        assert!((g - w).abs() < 1e-12 || g == w || (g.is_nan() && w.is_nan()), "{got:?} and {want:?}");
    }
}

#[track_caller]
fn close(got: f64, want: &Value) {
    same(&[got], &Value::Array(vec![want.clone()]));
}

#[test]
fn classification_is_as_in_scikit_learn() {
    let cases = goldens("classification");
    assert_eq!(cases.len(), 4);
    for g in cases {
        let k = number(&g["classes"]) as usize;
        let c = Classification::new(whole(&g["truth"]), list(&g["scores"]), k);
        let confusion = c.confusion();
        assert_eq!(c.predicted(), whole(&g["predicted"]));
        let (rows, normalized) = (confusion.rows(), confusion.normalized());
        for t in 0..k {
            assert_eq!(rows[t], whole(&g["confusion"][t]));
            same(&normalized[t], &g["normalized"][t]);
        }
        close(confusion.accuracy(), &g["accuracy"]);
        same(&(0..k).map(|c| confusion.iou(c).unwrap_or(f64::NAN)).collect::<Vec<_>>(), &g["iou"]);
        close(confusion.mean_iou(), &g["mean_iou"]);
        close(c.brier(), &g["brier"]);
        close(c.ece(), &g["ece"]);
        same(&(1..=k).map(|n| c.top_k(n)).collect::<Vec<_>>(), &g["top_k"]);
        let curve = c.calibration();
        same(&curve.iter().map(|b| b.share).collect::<Vec<_>>(), &g["calibration"]["share"]);
        same(&curve.iter().map(|b| b.mean).collect::<Vec<_>>(), &g["calibration"]["mean"]);

        let names: Vec<String> = (0..k).map(|i| i.to_string()).collect();
        let table = c.table(&names);
        let column = |f: &dyn Fn(&ClassRow) -> f64| table.iter().map(f).collect::<Vec<f64>>();
        same(&column(&|r| r.precision), &g["per_class"]["precision"]);
        same(&column(&|r| r.recall), &g["per_class"]["recall"]);
        same(&column(&|r| r.f1), &g["per_class"]["f1"]);
        same(&column(&|r| r.specificity), &g["specificity"]);
        same(&column(&|r| r.auc.unwrap_or(f64::NAN)), &g["auc"]);
        same(&column(&|r| r.average_precision.unwrap_or(f64::NAN)), &g["average_precision"]);
        for (name, average) in [("macro", Average::Macro), ("micro", Average::Micro), ("weighted", Average::Weighted)] {
            let scores = c.average(average);
            close(scores.precision, &g[name]["precision"]);
            close(scores.recall, &g[name]["recall"]);
            close(scores.f1, &g[name]["f1"]);
        }
        for (t, row) in table.iter().enumerate() {
            let others: usize = (0..k).filter(|&p| p != t).map(|p| rows[t][p]).sum();
            let taken: usize = (0..k).filter(|&o| o != t).map(|o| rows[o][t]).sum();
            assert_eq!((row.type_1_errors, row.type_2_errors), (taken, others));
        }
        assert_eq!(c.auc().is_none(), list(&g["auc"]).iter().any(|a| a.is_nan()));
    }
}

#[test]
fn curves_and_thresholds_are_as_in_scikit_learn() {
    for g in goldens("binary") {
        let (truth, score) = (bools(&g["truth"]), list(&g["score"]));
        let roc = roc_curve(&truth, &score).unwrap();
        same(&roc.fpr, &g["fpr"]);
        same(&roc.tpr, &g["tpr"]);
        same(&roc.thresholds, &g["thresholds"]);
        close(roc.auc(), &g["auc"]);
        let pr = precision_recall_curve(&truth, &score).unwrap();
        same(&pr.precision, &g["precision"]);
        same(&pr.recall, &g["recall"]);
        same(&pr.thresholds, &g["pr_thresholds"]);
        close(pr.average_precision(), &g["average_precision"]);
        close(brier_score_loss(&truth, &score), &g["brier"]);
        for row in g["cost"].as_array().unwrap() {
            let row = list(row);
            let at = roc.by_cost(row[0], row[1]);
            let cost = row[0] * at.false_positives as f64 + row[1] * at.false_negatives as f64;
            assert!((cost - row[2]).abs() < 1e-9, "{at:?} costs {cost}, not {}", row[2]);
            // What is said of the threshold is what it gives.
            let taken = |t: bool| truth.iter().zip(&score).filter(|(y, s)| **y == t && **s >= at.threshold).count();
            assert_eq!(taken(false), at.false_positives);
            assert_eq!(truth.iter().filter(|y| **y).count() - taken(true), at.false_negatives);
        }
        for row in g["sensitivity"].as_array().unwrap() {
            let at = roc.by_sensitivity(number(&row[0]));
            same(&[at.threshold, at.sensitivity, at.specificity], &Value::Array(row.as_array().unwrap()[1..].to_vec()));
        }
    }
}

#[test]
fn regression_is_as_in_scikit_learn() {
    for g in goldens("regression") {
        let (truth, predicted) = (list(&g["truth"]), list(&g["predicted"]));
        close(mean_squared_error(&truth, &predicted), &g["mse"]);
        close(mean_absolute_error(&truth, &predicted), &g["mae"]);
        close(r2_score(&truth, &predicted), &g["r2"]);
    }
}

#[test]
fn the_area_of_one_class_alone_is_nothing() {
    assert_eq!(roc_auc_score(&[true, true], &[0.2, 0.9]), None);
    assert_eq!(roc_auc_score(&[false, false], &[0.2, 0.9]), None);
    assert_eq!(precision_recall_curve(&[false, false], &[0.2, 0.9]), None);
    assert_eq!(roc_auc_score(&[], &[]), None);
    assert_eq!(roc_auc_score(&[true, false], &[0.2, 0.9]), Some(0.0), "a reversed order");
    assert_eq!(roc_auc_score(&[true, false], &[0.5, 0.5]), Some(0.5), "no order");
    assert_eq!(Classification::new(vec![1, 1], vec![0.5, 0.5, 0.1, 0.9], 2).auc(), None);
}

#[test]
fn the_worst_mistakes_come_first() {
    let c = Classification::new(vec![0, 0, 1, 1], vec![0.9, 0.1, 0.3, 0.7, 0.8, 0.2, 0.4, 0.6], 2);
    assert_eq!(c.worst(9), [2, 1]);
    assert_eq!(c.worst(1), [2]);
}
