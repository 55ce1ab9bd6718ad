"""State dicts with the names and shapes of the public EERCF code, random or without memory."""

import torch

SIZES = {
    "ViT-B-32": {"width": 768, "layers": 12, "patch": 32, "grid": 7, "text": 512, "text_layers": 12, "dim": 512},
    "ViT-B-16": {"width": 768, "layers": 12, "patch": 16, "grid": 14, "text": 512, "text_layers": 12, "dim": 512},
    "ViT-L-14": {"width": 1024, "layers": 24, "patch": 14, "grid": 16, "text": 768, "text_layers": 12, "dim": 768},
    "small": {"width": 128, "layers": 2, "patch": 8, "grid": 4, "text": 64, "text_layers": 2, "dim": 64},
}


def block_shapes(prefix, layers, width):
    shapes = {}
    for number in range(layers):
        name = f"{prefix}.resblocks.{number}"
        shapes |= {
            f"{name}.attn.in_proj_weight": (3 * width, width),
            f"{name}.attn.in_proj_bias": (3 * width,),
            f"{name}.attn.out_proj.weight": (width, width),
            f"{name}.attn.out_proj.bias": (width,),
            f"{name}.ln_1.weight": (width,),
            f"{name}.ln_1.bias": (width,),
            f"{name}.mlp.c_fc.weight": (4 * width, width),
            f"{name}.mlp.c_fc.bias": (4 * width,),
            f"{name}.mlp.c_proj.weight": (width, 4 * width),
            f"{name}.mlp.c_proj.bias": (width,),
            f"{name}.ln_2.weight": (width,),
            f"{name}.ln_2.bias": (width,),
        }
    return shapes


def shapes_of(name, frames=12, temporal_layers=4):
    s = SIZES[name]
    width, text, dim = s["width"], s["text"], s["dim"]
    return {
        "global_mat_weight": (dim, dim),
        "frame_logit_weight": (frames, frames),
        "clip.positional_embedding": (77, text),
        "clip.text_projection": (text, dim),
        "clip.logit_scale": (),
        "clip.visual.class_embedding": (width,),
        "clip.visual.positional_embedding": (s["grid"] ** 2 + 1, width),
        "clip.visual.proj": (width, dim),
        "clip.visual.conv1.weight": (width, 3, s["patch"], s["patch"]),
        "clip.visual.ln_pre.weight": (width,),
        "clip.visual.ln_pre.bias": (width,),
        **block_shapes("clip.visual.transformer", s["layers"], width),
        "clip.visual.ln_post.weight": (width,),
        "clip.visual.ln_post.bias": (width,),
        **block_shapes("clip.transformer", s["text_layers"], text),
        "clip.token_embedding.weight": (49408, text),
        "clip.ln_final.weight": (text,),
        "clip.ln_final.bias": (text,),
        "frame_position_embeddings.weight": (77, dim),
        **block_shapes("transformerClip", temporal_layers, dim),
    }


def meta_state(name):
    return {key: torch.empty(shape, device="meta") for key, shape in shapes_of(name).items()}


def random_state(name, seed, frames):
    """Weights large enough that every part shows in the scores; those that the public code holds in half are half."""
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes_of(name, frames, temporal_layers=2).items():
        value = torch.randn(shape, generator=draw)
        if len(shape) >= 2:
            value *= shape[-1] ** -0.5
        elif key.endswith("weight"):
            value = 1 + 0.2 * value
        else:
            value *= 0.2
        halved = key.startswith("clip.") and not any(part in key for part in ("ln_", "embedding", "logit_scale"))
        state[key] = value.half() if halved else value
    state["global_mat_weight"] = torch.eye(len(state["global_mat_weight"])) + 0.3 * state["global_mat_weight"]
    state["frame_logit_weight"] = torch.eye(frames) + 0.3 * state["frame_logit_weight"]
    return state
