"""A slow EERCF in float64, written from the formulas with loops; the truth that fast code is compared with."""

import numpy as np


def unit(x):
    return x / np.linalg.norm(x)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def scores_of_pair(text, raw, temporal, patches, mask, coarse, coarse_mix, frame_mix, masked=True):  # noqa: PLR0913, PLR0917
    """All five scores of one text and one clip, without exp(logit_scale).

    text D; raw, temporal F x D unit; patches F x P x D unit; mask F; coarse D unit.
    """
    text, raw, temporal, patches, coarse = (np.asarray(x, np.float64) for x in (text, raw, temporal, patches, coarse))
    keep = [f for f in range(len(raw)) if mask[f] or not masked]
    a = np.array([text @ raw[f] for f in keep])
    sharp = np.zeros(len(raw))
    sharp[keep] = softmax(a / 0.01)
    mixed = sharp @ np.asarray(frame_mix, np.float64)
    weak_frame = sum(text @ raw[f] * mixed[f] for f in keep)
    gate = softmax(a / 0.1)
    strong_frame = text @ unit(sum(w * temporal[f] for w, f in zip(gate, keep, strict=True)))
    flat = np.concatenate([patches[f] for f in keep])
    b = np.array([text @ p for p in flat])
    weak_patch = float(b @ softmax(b / 0.01))
    strong_patch = text @ unit(sum(w * p for w, p in zip(softmax(b / 0.01), flat, strict=True)))
    return {
        "video": text @ np.asarray(coarse_mix, np.float64) @ coarse,
        "weak_frame": weak_frame,
        "strong_frame": strong_frame,
        "weak_patch": weak_patch,
        "strong_patch": strong_patch,
    }


def final_score(s):
    return 0.8 * s["weak_frame"] + 0.2 * s["strong_frame"] + 0.2 * s["weak_patch"] + 0.5 * s["video"]


def temporal(model, raw, mask):
    """H = TemporalTransformer(f + e) + f of one clip: pre-LN blocks in float64, head by head. raw F x D, mask F."""
    state = {k: v.double().numpy() for k, v in model.temporal.state_dict().items()}
    x = raw + model.frame_positions_FD.double().numpy()
    dim = x.shape[-1]
    heads = max(1, dim // 64)

    def layer_norm(y, name):
        normed = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-12)
        return normed * state[f"{name}.weight"] + state[f"{name}.bias"]

    for i in range(len(model.temporal.resblocks)):
        name = f"resblocks.{i}"
        h = layer_norm(x, f"{name}.ln_1")
        q, k, v = np.split(h @ state[f"{name}.attn.in_proj_weight"].T + state[f"{name}.attn.in_proj_bias"], 3, -1)
        mixed = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * dim // heads, (head + 1) * dim // heads)
            logits = q[:, part] @ k[:, part].T / np.sqrt(dim // heads) + (1 - mask)[None, :] * -1e6
            mixed[:, part] = np.array([softmax(row) for row in logits]) @ v[:, part]
        x = x + mixed @ state[f"{name}.attn.out_proj.weight"].T + state[f"{name}.attn.out_proj.bias"]
        h = layer_norm(x, f"{name}.ln_2") @ state[f"{name}.mlp.c_fc.weight"].T + state[f"{name}.mlp.c_fc.bias"]
        h = h / (1 + np.exp(-1.702 * h))
        x = x + h @ state[f"{name}.mlp.c_proj.weight"].T + state[f"{name}.mlp.c_proj.bias"]
    return x + raw
