"""Reference values of metrics, made by scikit-learn.

    python scripts/goldens/metrics.py        (needs scikit-learn and numpy; made with scikit-learn 1.9)

writes crates/train/tests/goldens/metrics.json; the same script makes the same bytes again. crates/train/tests/metrics.rs
reads it. Values without a counterpart in scikit-learn (ECE, the choice of a threshold) are written here in numpy from
their definitions.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics as m
from sklearn.calibration import calibration_curve

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[2]


def plain(value):
    """JSON has no infinity and no NaN: they become text and null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    value = float(value)
    if np.isnan(value):
        return None
    return "inf" if np.isinf(value) else value


def classification(truth, scores):
    """Every metric of labels and class probabilities [n, classes]."""
    classes = scores.shape[1]
    labels = list(range(classes))
    predicted = scores.argmax(1)
    confusion = m.confusion_matrix(truth, predicted, labels=labels)
    out = {
        "truth": truth, "scores": scores.ravel(), "classes": classes, "predicted": predicted,
        "accuracy": m.accuracy_score(truth, predicted),
        "balanced_accuracy": m.recall_score(truth, predicted, labels=np.unique(truth), average="macro"),
        "confusion": confusion,
        "normalized": m.confusion_matrix(truth, predicted, labels=labels, normalize="true"),
        "brier": np.mean(((np.eye(classes)[truth] - scores) ** 2).sum(1)),
        "log_loss": m.log_loss(truth, scores, labels=labels),
        "top_k": [np.mean([t in np.argsort(-s, kind="stable")[:k] for t, s in zip(truth, scores)])
                  for k in range(1, classes + 1)],
        "specificity": [((truth != c) & (predicted != c)).sum() / max((truth != c).sum(), 1) for c in labels],
    }
    if len(np.unique(truth)) == classes and classes > 2:
        out["brier"] = m.brier_score_loss(truth, scores, scale_by_half=False, labels=labels)
        out["top_k"] = [m.top_k_accuracy_score(truth, scores, k=k, labels=labels) for k in range(1, classes + 1)]
    for name, average in [("per_class", None), ("macro", "macro"), ("micro", "micro"), ("weighted", "weighted")]:
        p, r, f, _ = m.precision_recall_fscore_support(truth, predicted, labels=labels, average=average, zero_division=0)
        out[name] = {"precision": p, "recall": r, "f1": f}
        if average is None:
            out[name] = {k: list(v) for k, v in out[name].items()}
    iou = m.jaccard_score(truth, predicted, labels=labels, average=None, zero_division=0)
    occurs = [((truth == c) | (predicted == c)).any() for c in labels]
    out["iou"] = [x if there else np.nan for x, there in zip(iou, occurs)]
    out["mean_iou"] = m.jaccard_score(truth, predicted, average="macro")
    aucs = [m.roc_auc_score(truth == c, scores[:, c]) if 0 < (truth == c).sum() < len(truth) else np.nan for c in labels]
    out["auc"] = aucs
    out["average_precision"] = [m.average_precision_score(truth == c, scores[:, c]) if (truth == c).any() else np.nan
                                for c in labels]
    confidence, right = scores.max(1), (predicted == truth).astype(float)
    out["ece"] = ece(right, confidence, 10)
    share, mean = calibration_curve(right, confidence, n_bins=10)
    out["calibration"] = {"share": share, "mean": mean}
    return plain(out)


def ece(right, confidence, bins):
    """Expected calibration error over bins of equal width, those of calibration_curve."""
    edges = np.linspace(0, 1, bins + 1)
    at = np.searchsorted(edges[1:-1], confidence)
    total = 0.0
    for b in range(bins):
        if (at == b).any():
            total += (at == b).sum() / len(right) * abs(right[at == b].mean() - confidence[at == b].mean())
    return total


def binary(truth, score):
    fpr, tpr, thresholds = m.roc_curve(truth, score, drop_intermediate=False)
    precision, recall, at = m.precision_recall_curve(truth, score)
    out = {
        "truth": truth, "score": score, "fpr": fpr, "tpr": tpr, "thresholds": thresholds,
        "auc": m.roc_auc_score(truth, score) if 0 < truth.sum() < len(truth) else np.nan,
        "precision": precision, "recall": recall, "pr_thresholds": at,
        "average_precision": m.average_precision_score(truth, score),
        "brier": np.mean((truth - score) ** 2) if truth.min() == truth.max() else m.brier_score_loss(truth, score),
        "cost": [], "sensitivity": [],
    }
    positives, negatives = truth.sum(), (1 - truth).sum()
    for fp_cost, fn_cost in [(1, 1), (1, 10), (5, 1)]:
        costs = [fp_cost * f * negatives + fn_cost * (1 - t) * positives for f, t in zip(fpr, tpr)] \
            if positives and negatives else [np.nan]
        out["cost"].append([fp_cost, fn_cost, np.min(costs)])
    for target in [0.5, 0.8, 0.95, 1.0]:
        if positives and negatives:
            first = np.flatnonzero(tpr >= target)[0]
            out["sensitivity"].append([target, thresholds[first], tpr[first], 1 - fpr[first]])
    return plain(out)


def regression(truth, predicted):
    return plain({
        "truth": truth, "predicted": predicted,
        "mse": m.mean_squared_error(truth, predicted), "mae": m.mean_absolute_error(truth, predicted),
        "r2": m.r2_score(truth, predicted),
    })


def main():
    rng = np.random.default_rng(5)

    def probabilities(n, classes, strength, decimals=None):
        truth = rng.integers(0, classes, n)
        logits = rng.normal(size=(n, classes)) + strength * np.eye(classes)[truth]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return truth, (p if decimals is None else np.round(p, decimals))

    cases = {"classification": [], "binary": [], "regression": []}
    for n, classes, strength in [(60, 3, 1.5), (90, 5, 1.0), (40, 2, 2.0)]:
        cases["classification"].append(classification(*probabilities(n, classes, strength)))
    truth, scores = probabilities(50, 4, 1.2)
    keep = truth != 2  # a class without examples
    cases["classification"].append(classification(truth[keep], scores[keep]))
    for n, decimals in [(50, None), (60, 1)]:  # the second has many ties
        truth, p = probabilities(n, 2, 1.0)
        score = p[:, 1] if decimals is None else np.round(p[:, 1], decimals)
        cases["binary"].append(binary(truth, score))
    cases["binary"].append(binary(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.9])))
    cases["binary"].append(binary(np.array([1, 1, 0, 0]), np.array([0.1, 0.2, 0.7, 0.9])))
    for n in [30, 7]:
        truth = rng.normal(size=n)
        cases["regression"].append(regression(truth, truth + 0.4 * rng.normal(size=n)))
    cases["regression"].append(regression(np.array([2.0, 2.0]), np.array([2.0, 2.5])))
    path = ROOT / "crates/train/tests/goldens/metrics.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cases) + "\n")
    print(path.relative_to(ROOT), path.stat().st_size)


main()
