"""What the tables hold of padded clips, in both profiles, and how the second stage scores it."""

import numpy as np
import open_clip
import pyarrow as pa
import pytest
import torch

from models.public_checkpoint import infer_config, translate
from models.registry import load_model
from models.scoring import FineTokens, fine_scores, fuse, video_score
from models.towers import normalize_pixels
from models.weights import new_bundle
from pipeline.stages.encode import EncodeSettings, EncodeStage
from pipeline.stages.payload import DECODED_SCHEMA, TaskPayload, from_ipc, to_ipc
from schemas.tables import VIDEOS_SCHEMA
from tests.models import public_oracle
from tests.models.eercf_oracle import final_score, scores_of_pair
from tests.models.public_state import random_state

FRAMES, SIZE = 5, 32
LENGTHS = (5, 2, 1, 4)
QUERY = "two blue rings turn"


@pytest.fixture(scope="module")
def state():
    return random_state("small", 9, FRAMES)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (length, SIZE, SIZE, 3), np.uint8) for length in LENGTHS]


@pytest.fixture(scope="module")
def folders(state, tmp_path_factory):
    root = tmp_path_factory.mktemp("profiles")
    for profile in ("exact", "reference"):
        config = infer_config(state, "file", profile)
        new_bundle(translate(state, config, "file"), config, root / profile)
    return root


def stored_clips(folder, pictures):
    """A model, and the rows of TABLES/clips that it makes of the pictures."""
    model = load_model(str(folder))
    rows = [
        {
            "clip_id": f"c{number}",
            "video_id": f"v{number}",
            "uri": f"/{number}.mp4",
            "start_s": 0.0,
            "end_s": 1.0,
            "fps": 10.0,
            "width": SIZE,
            "height": SIZE,
            "frame_times_s": [0.1 * i for i in range(len(frames))],
            "frames_NHWC": frames.tobytes(),
            "metadata": "{}",
        }
        for number, frames in enumerate(pictures)
    ]
    payload = TaskPayload("t1", to_ipc(VIDEOS_SCHEMA.empty_table()), to_ipc(pa.Table.from_pylist(rows, DECODED_SCHEMA)))
    stage = EncodeStage(EncodeSettings(str(folder), model.model_id, 96, "fp32"))
    return model, from_ipc(stage.run(payload).clips)


def tokens_of(table, model):
    shape = model.token_shape

    def read(name, *dims):
        values = np.frombuffer(b"".join(table[name].to_pylist()), "<f2")
        return torch.from_numpy(values.reshape(len(table), *dims).astype(np.float32))

    return FineTokens(
        read("frames", shape.frames, shape.dim),
        read("temporal_frames", shape.frames, shape.dim),
        read("patches", shape.frames * shape.patches, shape.dim),
        torch.tensor(table["mask"].to_pylist(), dtype=torch.float32),
    )


@pytest.mark.parametrize("profile", ["exact", "reference"])
def test_stored_padding_is_zeros_or_the_public_codes_padding(folders, pictures, profile):
    model, table = stored_clips(folders / profile, pictures)
    tokens = tokens_of(table, model)
    padded = tokens.mask_BF == 0
    assert padded.sum(1).tolist() == [FRAMES - length for length in LENGTHS]
    for tokens_BFD in (tokens.frames_BFD, tokens.temporal_BFD):
        norms = tokens_BFD[padded].float().norm(dim=-1)
        torch.testing.assert_close(norms, torch.full_like(norms, float(profile == "reference")), atol=2e-3, rtol=0)


def test_scores_of_stored_clips_are_the_public_codes(folders, pictures, state):
    model, table = stored_clips(folders / "reference", pictures)
    text_TD = model.encode_text([QUERY])
    coarse_BD = torch.tensor(table["coarse"].to_pylist())
    fusion = model.config.fusion
    fine = fine_scores(text_TD, tokens_of(table, model), model.frame_mix_FF, fusion)
    score_B = fuse(video_score(text_TD, model.coarse_mix_DD, coarse_BD), fine, fusion)[0]
    public = public_oracle.arrays(state)
    text = public_oracle.text(public, open_clip.SimpleTokenizer(context_length=32)([QUERY])[0].numpy())
    moved = []
    for frames, score in zip(pictures, score_B.tolist(), strict=True):
        mask = (np.arange(FRAMES) < len(frames)).astype(float)
        pixels = np.zeros((FRAMES, 3, SIZE, SIZE))
        pixels[: len(frames)] = normalize_pixels(torch.from_numpy(frames), model.config.preprocess).double().numpy()
        clip = public_oracle.clip(public, pixels, mask)
        parts = (text, clip["raw"], clip["temporal"], clip["patches"], mask, clip["coarse"])
        mixes = (public["global_mat_weight"], public["frame_logit_weight"])
        # The tables hold half precision.
        assert score == pytest.approx(final_score(scores_of_pair(*parts, *mixes, masked=False)), abs=2e-3)
        moved.append(abs(score - final_score(scores_of_pair(*parts, *mixes, masked=True))))
    assert max(moved) > 1e-2  # the padding does vote
