"""Reference values of projections, made by scikit-learn.

    python scripts/goldens/analysis.py        (needs scikit-learn and numpy; made with scikit-learn 1.9)

writes crates/train/tests/goldens/analysis.json, read by crates/train/tests/analysis.rs.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

ROOT = Path(__file__).resolve().parents[2]


def pca(x, n_components):
    p = PCA(n_components=n_components, svd_solver="full").fit(x)
    return {
        "components": p.components_.ravel().tolist(), "explained_variance": p.explained_variance_.tolist(),
        "explained_variance_ratio": p.explained_variance_ratio_.tolist(), "mean": p.mean_.tolist(),
        "transformed": p.transform(x).ravel()[:20].tolist(),
    }


def map_of(x, **arguments):
    t = TSNE(random_state=0, **arguments)
    y = t.fit_transform(x)
    return {"arguments": arguments, "examples": len(x), "kl_divergence": float(t.kl_divergence_),
            "trustworthiness": trustworthiness(x, y, n_neighbors=12)}


def main():
    rng = np.random.default_rng(11)
    digits = load_digits().data / 16
    x = np.round(rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6), 6)
    y = np.round(x[:, :2] + 0.5 * rng.normal(size=(40, 2)), 6)
    cases = {
        "x": x.ravel().tolist(), "y": y.ravel().tolist(),
        "trustworthiness": [[k, trustworthiness(x, y, n_neighbors=k)] for k in (1, 5, 12, 19)],
        "pca": pca(x, 4),
        "digits_pca": pca(digits, 3),
        "digits_tsne": [
            map_of(digits[:400], method="exact", init="pca"),
            map_of(digits[:400], method="exact", init="random", perplexity=10),
            map_of(digits, method="barnes_hut", init="pca", max_iter=500),
        ],
    }
    path = ROOT / "crates/train/tests/goldens/analysis.json"
    path.write_text(json.dumps(cases) + "\n")
    print(path.relative_to(ROOT), path.stat().st_size)


main()
