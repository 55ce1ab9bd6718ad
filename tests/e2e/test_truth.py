"""Stored vectors and ranked answers against a float64 EERCF that shares no code with the pipeline but the weights."""

import io

import av
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from models.registry import load_model
from schemas.config import DEFAULT_MODEL
from tests.e2e.cli import run
from tests.e2e.tables_view import TablesView
from tests.media import make_video
from tests.models.eercf_oracle import final_score, scores_of_pair, temporal, unit

NUM_FRAMES = 12
QUERIES = ["three small red stars on a striped teal background", "a dog", "two blue rings left of a heart"]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    root = tmp_path_factory.mktemp("truth")
    (root / "videos").mkdir()
    for number in range(14):
        # From a single frame to more than are sampled, in sizes that must be cropped.
        frames = (1, 5, 12, 13, 40)[number % 5]
        make_video(root / "videos" / f"{number}.mp4", num_frames=frames, seed=number, size=(96 + 2 * number, 64))
    for args in (
        ("extract", "--input", root / "videos", "--tables", root / "tables"),
        ("index", "build", "--tables", root / "tables", "--index", root / "index"),
        ("index", "publish", "--index", root / "index"),
    ):
        ran = run(*args)
        assert ran.code == 0, ran.err
    return root


def clip_in_float64(model, path):
    """Frames by their own decode and open_clip's own transform; towers and temporal transformer in float64."""
    with av.open(str(path)) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    count = min(NUM_FRAMES, len(pictures))
    chosen = [pictures[int((i + 0.5) * len(pictures) / count)] for i in range(count)]
    transform = open_clip.transform.image_transform(64, is_train=False, interpolation="bicubic")
    pixels = torch.stack([transform(Image.open(io.BytesIO(_png(p)))) for p in chosen]).double()
    visual = model.clip.visual
    hidden = visual.transformer(visual._embeds(pixels))
    centred = hidden - hidden.mean(-1, keepdim=True)
    normed = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
    tokens = ((normed * visual.ln_post.weight + visual.ln_post.bias) @ visual.proj).numpy()
    raw = np.zeros((NUM_FRAMES, tokens.shape[-1]))
    raw[:count] = tokens[:, 0]
    mask = np.arange(NUM_FRAMES) < count
    hidden_time = temporal(model, raw, mask.astype(float))
    values = np.array([unit(hidden_time[f]) if mask[f] else np.zeros(raw.shape[1]) for f in range(NUM_FRAMES)])
    patches = np.zeros((NUM_FRAMES, *tokens[0, 1:].shape))
    patches[:count] = tokens[:, 1:] / np.linalg.norm(tokens[:, 1:], axis=-1, keepdims=True)
    return {
        "raw": np.array([unit(x) if x.any() else x for x in raw]),
        "temporal": values,
        "patches": patches,
        "mask": mask,
        "coarse": unit(values[mask].mean(0)),
    }


def _png(picture):
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def truth(indexed):
    model = load_model(DEFAULT_MODEL).double()
    with torch.inference_mode():
        clips = {p.name: clip_in_float64(model, p) for p in sorted((indexed / "videos").iterdir())}
        texts = {q: unit(model.clip.encode_text(model.tokenizer([q]))[0].numpy()) for q in QUERIES}
    return model, clips, texts


def test_stored_coarse_vectors_equal_the_formula(indexed, truth):
    _, clips, _ = truth
    rows = {row["uri"].rsplit("/", 1)[-1]: row for row in TablesView(indexed / "tables").clips().values()}
    assert rows.keys() == clips.keys()
    for name, row in rows.items():
        np.testing.assert_allclose(row["coarse"], clips[name]["coarse"], atol=1e-3, err_msg=name)


@pytest.mark.parametrize("query", QUERIES)
def test_ranked_answers_equal_the_formula(indexed, truth, query):
    model, clips, texts = truth
    mixes = (model.coarse_mix_DD.numpy(), model.frame_mix_FF.numpy())
    expected = {}
    for name, clip in clips.items():
        scores = scores_of_pair(
            texts[query], clip["raw"], clip["temporal"], clip["patches"], clip["mask"], clip["coarse"], *mixes
        )
        expected[name] = (final_score(scores), scores["video"])
    answer = run("search", query, "--index", indexed / "index", "--json").json
    names = [hit["uri"].rsplit("/", 1)[-1] for hit in answer["hits"]]
    for name, hit in zip(names, answer["hits"], strict=True):
        assert hit["score"] == pytest.approx(expected[name][0], abs=1e-3)
        assert hit["coarse_score"] == pytest.approx(expected[name][1], abs=1e-3)
    assert names == sorted(expected, key=lambda name: -expected[name][0])[:10]
