"""The losses of EERCF in float64, written from the formulas with loops over pairs, frames and patches."""

import numpy as np

from tests.models.eercf_oracle import softmax, unit


def cross_entropy(row, target):
    row = row - row.max()
    return -(row[target] - np.log(np.exp(row).sum()))


def nce(logits, ignored):
    """Texts x clips; the first texts belong to the clips."""
    logits = np.where(ignored, -np.inf, logits)
    clips = logits.shape[1]
    by_text = np.mean([cross_entropy(logits[i], i) for i in range(clips)])
    by_clip = np.mean([cross_entropy(logits[:, j], j) for j in range(clips)])
    return (by_text + by_clip) / 2


def pearson(text, feature):
    total = 0.0
    for d in range(text.shape[1]):
        z_text = (text[:, d] - text[:, d].mean()) / text[:, d].std(ddof=1)
        z_feature = (feature[:, d] - feature[:, d].mean()) / feature[:, d].std(ddof=1)
        total += (float(z_text @ z_feature) / len(text) - 1) ** 2
    return 0.14 * total


def own_gate(text, frames, keep):
    gate = np.zeros(len(frames))
    gate[keep] = softmax(np.array([text @ frames[f] for f in keep]) / 0.1)
    return gate


def losses_in_float64(tokens, log_scale, coarse_mix, frame_mix, *, masked, paired, ignored):
    """The tokens in order: text T x D, pictures N x D, patches N x P x D, index B x F, mask B x F, temporal B x F x D,
    coarse B x D.
    """
    text, pictures, patches, index, mask, temporal, coarse = tokens
    scale = np.exp(min(log_scale, np.log(100.0)))
    texts, clips, count = len(text), len(index), index.shape[1]
    weak, strong = np.zeros((texts, clips)), np.zeros((texts, clips))
    fused = []
    for j in range(clips):
        frames, local = pictures[index[j]], patches[index[j]]
        keep = [f for f in range(count) if mask[j, f] or not masked]
        own = own_gate(text[j], frames, keep)
        fused.append(unit(sum(own[f] * temporal[j, f] for f in range(count))))
        for i in range(texts):
            a = np.array([text[i] @ frames[f] for f in keep])
            sharp = np.zeros(count)
            sharp[keep] = softmax(a / 0.01)
            mixed = sharp @ frame_mix
            frame = sum(text[i] @ frames[f] * mixed[f] for f in keep)
            b = np.array([text[i] @ p for f in keep for p in local[f]])
            patch = b @ softmax(b / 0.01)
            weak[i, j] = 0.5 * (text[i] @ coarse_mix @ coarse[j]) + 0.5 * frame + 0.05 * patch
            gate = own if paired else own_gate(text[i], frames, keep)
            strong[i, j] = text[i] @ unit(sum(gate[f] * temporal[j, f] for f in range(count)))
    constraint = pearson(text[:clips], coarse) + pearson(text[:clips], np.array(fused))
    weak, strong = nce(scale * weak, ignored), nce(scale * strong, ignored)
    return {
        "weak": weak,
        "strong": strong,
        "pearson": constraint,
        "total": 0.8 * weak + 0.2 * strong + 0.001 * constraint,
    }
