"""What the public EERCF code computes at evaluation, in float64 from its own state dict, one picture at a time.

Written from the formulas, not from that code. A padded frame is a picture of zeros behind normalisation, which runs
through the tower like any other; masks act on temporal attention and on mean pooling only.
"""

import numpy as np

from tests.models.eercf_oracle import softmax, unit

HEAD = 64


def arrays(state):
    return {name: tensor.double().numpy() for name, tensor in state.items()}


def layer_norm(x, state, name, eps):
    normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return normed * state[f"{name}.weight"] + state[f"{name}.bias"]


def quick_gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def blocks(x, state, prefix, bias, eps):
    """Pre-LN blocks over L x W; bias L x L is added to the attention logits."""
    width = x.shape[-1]
    count = len(
        {name.split(".resblocks.")[1].split(".")[0] for name in state if name.startswith(prefix + ".resblocks")}
    )
    for number in range(count):
        name = f"{prefix}.resblocks.{number}"
        h = layer_norm(x, state, f"{name}.ln_1", eps)
        q, k, v = np.split(h @ state[f"{name}.attn.in_proj_weight"].T + state[f"{name}.attn.in_proj_bias"], 3, -1)
        mixed = np.zeros_like(x)
        for start in range(0, width, HEAD):
            part = slice(start, start + HEAD)
            logits = q[:, part] @ k[:, part].T / np.sqrt(HEAD) + bias
            mixed[:, part] = np.array([softmax(row) for row in logits]) @ v[:, part]
        x = x + mixed @ state[f"{name}.attn.out_proj.weight"].T + state[f"{name}.attn.out_proj.bias"]
        h = layer_norm(x, state, f"{name}.ln_2", eps)
        h = quick_gelu(h @ state[f"{name}.mlp.c_fc.weight"].T + state[f"{name}.mlp.c_fc.bias"])
        x = x + h @ state[f"{name}.mlp.c_proj.weight"].T + state[f"{name}.mlp.c_proj.bias"]
    return x


def picture(state, pixels):
    """Frame token and patch tokens, (1 + P) x D, of a normalised picture 3 x S x S."""
    kernel = state["clip.visual.conv1.weight"]
    side = kernel.shape[-1]
    grid = pixels.shape[-1] // side
    cells = [
        pixels[:, y * side : (y + 1) * side, x * side : (x + 1) * side].reshape(-1)
        for y in range(grid)
        for x in range(grid)
    ]
    patches = np.array(cells) @ kernel.reshape(len(kernel), -1).T
    x = np.concatenate([state["clip.visual.class_embedding"][None], patches])
    x = layer_norm(x + state["clip.visual.positional_embedding"], state, "clip.visual.ln_pre", 1e-5)
    x = blocks(x, state, "clip.visual.transformer", 0.0, 1e-5)
    return layer_norm(x, state, "clip.visual.ln_post", 1e-5) @ state["clip.visual.proj"]


def text(state, ids):
    """Unit vector of token ids, padded with 0 to any length."""
    x = state["clip.token_embedding.weight"][ids] + state["clip.positional_embedding"][: len(ids)]
    causal = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
    x = layer_norm(blocks(x, state, "clip.transformer", causal, 1e-5), state, "clip.ln_final", 1e-5)
    return unit((x @ state["clip.text_projection"])[np.argmax(ids)])


def clip(state, pixels, mask):
    """Tokens of a clip of normalised pictures F x 3 x S x S, zeros where the mask is 0."""
    shown = pixels * mask[:, None, None, None]
    tokens = np.array([picture(state, frame) for frame in shown])
    raw, patches = tokens[:, 0], tokens[:, 1:]
    h = raw + state["frame_position_embeddings.weight"][: len(raw)]
    h = blocks(h, state, "transformerClip", (1 - mask)[None, :] * -1e6, 1e-12) + raw
    temporal = np.array([unit(row) for row in h])
    return {
        "raw": np.array([unit(row) for row in raw]),
        "temporal": temporal,
        "patches": np.array([[unit(p) for p in frame] for frame in patches]),
        "coarse": unit((temporal * mask[:, None]).sum(0) / mask.sum()),
    }
