"""Reference values of losses and distances, made by PyTorch and torchvision in float64.

    python scripts/goldens/criteria.py         (needs torch, torchvision and numpy; made with torch 2.15, torchvision 0.29)

writes criteria.json and .npz in crates/nn/tests/goldens/ (see recorder.py), read by crates/nn/tests/criteria.rs. A case
is differentiated by all floating inputs that are not `fixed`; an argument `weight` stands behind the inputs. What
neither library has (InfoNCE, NT-Xent, focal loss of classes, Dice, Jaccard, Jensen-Shannon, mixed norm) is written out
here in their tensor operations.
"""

import torch
import torch.nn.functional as F
import torchvision.ops as V

from recorder import Recorder

R = Recorder(31)
D = R.draw
REDUCTIONS = ("mean", "sum", "none")


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def signs(*shape):
    return D.mask(shape).double() * 2 - 1


def each(kind, inputs, f=None, fixed=(), weight=None, reductions=REDUCTIONS, tolerance=1e-10, tolerance32=5e-5, **args):
    """Records one case a reduction."""
    f = f or getattr(F, kind)
    if weight is not None:
        fixed, n = (*fixed, len(inputs)), len(inputs)
        g, f = f, lambda *x, **a: g(*x[:n], weight=x[n], **a)
        inputs = [*inputs, weight]
    for reduction in reductions:
        R.function(kind, f, inputs, fixed, tolerance, tolerance32, reduction=reduction, **args)


def reduced(losses, reduction):
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda t: t}[reduction](losses)


def regression():
    # Multiples of 1/64 with an odd offset keep differences away from the kinks at 0, 1/2 and 1.
    x, y = D.uniform((3, 2)) + 1 / 128, D.uniform((3, 2))
    a, b = D.uniform((1, 5), -6, 6) + 1 / 128, D.uniform((1, 5))
    for u, v in ((x, y), (a, b)):
        each("mse_loss", [u, v])
        each("l1_loss", [u, v])
        each("smooth_l1_loss", [u, v])
        each("huber_loss", [u, v])
    each("smooth_l1_loss", [a, b], beta=2.5)
    each("smooth_l1_loss", [x, y], beta=0.0)
    each("huber_loss", [a, b], delta=0.4)
    each("poisson_nll_loss", [x, D.uniform((3, 2), 0, 5)])
    each("poisson_nll_loss", [D.uniform((2, 3), 0.2, 4), tensor(0, 1, 2, 0.5, 3, 7).reshape(2, 3)], fixed=(1,), log_input=False, full=True, eps=1e-3)
    each("poisson_nll_loss", [D.uniform((2, 3)), D.uniform((2, 3), 1.5, 5)], full=True)
    each("gaussian_nll_loss", [x, y, D.uniform((3, 2), 0.2, 3)])
    each("gaussian_nll_loss", [x, y, D.uniform((3, 1), 0.2, 3)], full=True)
    each("gaussian_nll_loss", [x, y, tensor(0.05, 0.5, 2)], eps=0.25)
    each("gaussian_nll_loss", [D.uniform((2, 3, 2)), D.uniform((2, 3, 2)), D.uniform((2, 1, 2), 0.2, 3)])


def js_divergence(p, q, reduction):
    m = (p + q) / 2
    return reduced(((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2, reduction)


def divergences():
    log_q = D.uniform((3, 4), -3, 3).log_softmax(1)
    p = D.uniform((3, 4), -2, 2).softmax(1)
    kinds = (*REDUCTIONS, "batchmean")
    each("kl_div", [log_q, p], reductions=kinds)
    each("kl_div", [log_q, p.log()], reductions=kinds, log_target=True)
    each("kl_div", [log_q[:1], tensor(0, 0.25, 0.75, 0).reshape(1, 4)], fixed=(1,), reductions=kinds)
    each("js_divergence", [p, D.uniform((3, 4)).softmax(1)], js_divergence)
    each("js_divergence", [D.uniform((2, 1, 5)).softmax(-1), D.uniform((2, 1, 5)).softmax(-1)], js_divergence)


def margins():
    scores, labels = D.distinct((4, 5), 0.37), D.index((4,), 5)
    each("multi_margin_loss", [scores, labels])
    each("multi_margin_loss", [scores, labels], p=2, margin=0.5)
    each("multi_margin_loss", [scores, labels], weight=D.uniform((5,), 0.25, 2), margin=2.0)
    each("multi_margin_loss", [scores, labels], weight=D.uniform((5,), 0.25, 2), p=2)
    each("multi_margin_loss", [scores[0], labels[0]], reductions=("mean",))
    lists = torch.tensor([[3, 0, -1, 1, 2], [-1, 0, 1, 2, 3], [4, 3, 2, 1, 0], [2, -1, 2, -1, 0]])
    each("multilabel_margin_loss", [scores, lists])
    each("multilabel_margin_loss", [scores[1:2], torch.tensor([[1, 1, -1, 0, 0]])])
    each("multilabel_margin_loss", [scores[2], lists[0]], reductions=("mean",))
    each("multilabel_soft_margin_loss", [scores, D.mask((4, 5)).double()])
    each("multilabel_soft_margin_loss", [D.uniform((1, 3)), D.uniform((1, 3), 0, 1)], weight=D.uniform((3,), 0.25, 2))
    each("soft_margin_loss", [D.uniform((3, 4), -5, 5), signs(3, 4)], fixed=(1,))
    each("soft_margin_loss", [tensor(-300, 40, 20), tensor(1, -1, 1)], fixed=(1,))
    a, b = D.uniform((6,)) + 1 / 128, D.uniform((6,))
    each("margin_ranking_loss", [a, b, signs(6)], fixed=(2,))
    each("margin_ranking_loss", [a.reshape(2, 3), b.reshape(2, 3), signs(2, 3)], fixed=(2,), margin=0.7)
    each("hinge_embedding_loss", [D.uniform((3, 2), 0, 3) + 1 / 128, signs(3, 2)], fixed=(1,))
    each("hinge_embedding_loss", [D.uniform((1, 4), 0, 3) + 1 / 128, signs(1, 4)], fixed=(1,), margin=2.0)


def cosine_distance(a, b):
    return 1 - F.cosine_similarity(a, b, 1)


def embeddings():
    a, p, n = (D.uniform((5, 3)) for _ in range(3))
    each("triplet_margin_loss", [a, p, n])
    each("triplet_margin_loss", [a, p, n], margin=0.5, p=1.0, swap=True)
    each("triplet_margin_loss", [a, p, n], margin=2.0, p=3.0, eps=1e-3)
    each("triplet_margin_loss", [a[0], p[0], n[0]], reductions=("mean",), margin=3.0)
    f = F.triplet_margin_with_distance_loss
    each("triplet_margin_with_distance_loss", [a, p, n], lambda *x, **k: f(*x, distance_function=cosine_distance, **k))
    each("triplet_margin_with_distance_loss", [a, p, n], lambda *x, **k: f(*x, distance_function=cosine_distance, **k), margin=0.25, swap=True)
    each("cosine_embedding_loss", [a, p, signs(5)], fixed=(2,))
    each("cosine_embedding_loss", [a, n, signs(5)], fixed=(2,), margin=-0.3)
    each("cosine_embedding_loss", [a[0], n[0], tensor(-1)[0]], fixed=(2,), margin=-0.9, reductions=("mean",))
    R.function("cosine_similarity", F.cosine_similarity, [a, p], dim=1, eps=1e-8)
    R.function("cosine_similarity", F.cosine_similarity, [D.uniform((2, 3, 1)), D.uniform((3, 4))], dim=-2, eps=0.5)
    R.function("cosine_similarity", F.cosine_similarity, [torch.zeros(2, 3, dtype=torch.float64), D.uniform((2, 3))], dim=1, eps=1e-8, fixed=(0,))
    R.function("pairwise_distance", F.pairwise_distance, [a, p], p=2.0, eps=1e-6, keepdim=False)
    R.function("pairwise_distance", F.pairwise_distance, [D.uniform((2, 3, 4)), D.uniform((3, 4))], p=1.0, eps=1e-3, keepdim=True)
    R.function("pairwise_distance", F.pairwise_distance, [D.uniform((1, 4)), D.uniform((2, 4))], p=3.5, eps=1e-6, keepdim=False)
    R.function("frobenius_norm", torch.linalg.matrix_norm, [D.uniform((3, 4))])
    R.function("frobenius_norm", torch.linalg.matrix_norm, [D.uniform((2, 1, 3))])
    mixed = lambda v, inner, outer: (v.abs().pow(inner).sum(-1).pow(1 / inner)).pow(outer).sum(-1).pow(1 / outer)
    for inner, outer in ((1.0, 2.0), (2.0, 1.0), (3.0, 1.5)):
        R.function("mixed_norm", mixed, [D.uniform((2, 3, 4))], inner=inner, outer=outer)


def info_nce(q, k, temperature, reduction, negatives=None):
    q, k = F.normalize(q), F.normalize(k)
    if negatives is None:
        return F.cross_entropy(q @ k.T / temperature, torch.arange(len(q)), reduction=reduction)
    logits = torch.stack([torch.cat([q[i : i + 1] @ k[i], F.normalize(negatives) @ q[i]]) for i in range(len(q))])
    return reduced(-(logits / temperature).log_softmax(1)[:, 0], reduction)


def nt_xent(x, y, temperature, reduction):
    z = torch.cat([x, y])
    losses = []
    for i in range(len(z)):
        e = torch.stack([(F.cosine_similarity(z[i], z[j], 0) / temperature).exp() for j in range(len(z))])
        others = sum(e[j] for j in range(len(z)) if j != i)
        losses.append(-(e[(i + len(x)) % len(z)] / others).log())
    return reduced(torch.stack(losses), reduction)


def contrastive():
    q, k = D.uniform((4, 3)), D.uniform((4, 3))
    for temperature in (0.1, 0.75):
        each("info_nce_loss", [q, k], info_nce, temperature=temperature)
        each("nt_xent_loss", [q[:3], k[:3]], nt_xent, temperature=temperature)
    each("info_nce_loss", [q, k, D.uniform((5, 3))], lambda q, k, n, **a: info_nce(q, k, negatives=n, **a), temperature=0.5)


def dice(p, y, smooth, squared, reduction):
    over = tuple(range(2, p.ndim))
    a, b = (p**2, y**2) if squared else (p, y)
    return reduced(1 - (2 * (p * y).sum(over) + smooth) / (a.sum(over) + b.sum(over) + smooth), reduction)


def jaccard(p, y, smooth, squared, reduction):
    over = tuple(range(2, p.ndim))
    a, b = (p**2, y**2) if squared else (p, y)
    both = (p * y).sum(over)
    return reduced(1 - (both + smooth) / (a.sum(over) + b.sum(over) - both + smooth), reduction)


def focal(x, y, gamma, reduction, ignore_index=-100, weight=None):
    x = x.movedim(1, -1).reshape(-1, x.shape[1]) if x.ndim > 2 else x
    shape, y = y.shape, y.reshape(-1)
    kept = y != ignore_index
    p = x.softmax(1).gather(1, y.clamp(min=0)[:, None])[:, 0]
    losses = -((1 - p) ** gamma) * p.log() * kept
    if weight is not None:
        losses = losses * weight[y.clamp(min=0)]
    return losses.sum() / kept.sum() if reduction == "mean" else reduced(losses.reshape(shape), reduction)


def masks_and_boxes():
    p, y = D.uniform((2, 3, 2, 2), 0, 1), D.mask((2, 3, 2, 2)).double()
    for kind, f in (("dice_loss", dice), ("jaccard_loss", jaccard)):
        each(kind, [p, y], f, smooth=1e-5, squared=False)
        each(kind, [p[:1, :1].flatten(2), y[:1, :1].flatten(2)], f, smooth=1.0, squared=True)
    x, t = D.uniform((3, 4), -5, 5), D.mask((3, 4)).double()
    each("sigmoid_focal_loss", [x, t], V.sigmoid_focal_loss, fixed=(1,))
    each("sigmoid_focal_loss", [x, D.uniform((3, 4), 0, 1)], V.sigmoid_focal_loss, fixed=(1,), alpha=0.6, gamma=1.5)
    each("sigmoid_focal_loss", [x[:1], t[:1]], V.sigmoid_focal_loss, fixed=(1,), alpha=-1.0, gamma=0.0)
    labels = torch.tensor([3, 0, -100, 1, 2])
    logits = D.uniform((5, 4), -4, 4)
    each("focal_loss", [logits, labels], focal, gamma=2.0)
    each("focal_loss", [logits, labels], focal, weight=D.uniform((4,), 0.25, 2), gamma=0.5)
    each("focal_loss", [D.uniform((1, 3, 2, 2)), D.index((1, 2, 2), 3)], focal, gamma=3.0, ignore_index=1)
    a = tensor([0, 0, 2, 3], [1, 1, 4, 2], [5, 5, 6, 7], [0.5, 0, 1.5, 4], [0, 0, 1, 1])
    b = tensor([1, 1, 3, 5], [0.25, 0.5, 4.5, 3], [0, 1, 2, 2], [0.25, 1, 1, 2], [3, 0, 4, 1.5])
    for kind in ("generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"):
        each(kind, [a, b], getattr(V, kind))
        each(kind, [a[1:2], b[1:2]], getattr(V, kind), eps=0.125)
    for kind in ("generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"):
        each(kind, [a[:0], b[:0]], getattr(V, kind))


def ctc(logits, targets, input_lengths, target_lengths, **args):
    return F.ctc_loss(logits.log_softmax(-1), targets, torch.tensor(input_lengths), torch.tensor(target_lengths), **args)


def alignments():
    """The input is what log_softmax is taken of: PyTorch's gradient is meant for that."""
    x = D.uniform((7, 4, 5), -3, 3)
    padded = torch.tensor([[1, 2, 3], [4, 4, 0], [2, 0, 0], [3, 1, 3]])
    lengths = {"input_lengths": [7, 5, 6, 7], "target_lengths": [3, 2, 1, 3]}
    each("ctc_loss", [x, padded], ctc, **lengths)
    each("ctc_loss", [x, torch.tensor([1, 2, 3, 4, 4, 2, 3, 1, 3])], ctc, **lengths)
    each("ctc_loss", [x, torch.tensor([[0, 1], [1, 1], [2, 0], [3, 0]])], ctc, blank=4, input_lengths=[7, 3, 1, 2], target_lengths=[2, 2, 1, 2])
    # The second does not fit: two equal labels need a blank between them; the third is longer than its input.
    misfit = [x[:, :3], torch.tensor([[1, 2, 3], [2, 2, 0], [1, 2, 3]])]
    each("ctc_loss", misfit, ctc, input_lengths=[7, 2, 2], target_lengths=[3, 2, 3])
    each("ctc_loss", misfit, ctc, zero_infinity=True, input_lengths=[7, 2, 2], target_lengths=[3, 2, 3])
    # Empty targets, and an empty input.
    each("ctc_loss", [x[:, :3], torch.tensor([[0, 0], [2, 1], [0, 0]])], ctc, input_lengths=[7, 4, 0], target_lengths=[0, 2, 0])
    each("ctc_loss", [D.uniform((60, 1, 4), -8, 8), D.index((1, 20), 3) + 1], ctc, input_lengths=[60], target_lengths=[20])
    each("ctc_loss", [x[:, 0], torch.tensor([1, 1, 2])], ctc, input_lengths=[7], target_lengths=[3], reductions=("mean", "sum"))


if __name__ == "__main__":
    regression(), divergences(), margins(), embeddings(), contrastive(), masks_and_boxes(), alignments()
    R.save("criteria")
