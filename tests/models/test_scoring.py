import numpy as np
import pytest
import torch

from models.reranking import score_pairs
from models.scoring import FineTokens, fine_scores, fuse, masked_softmax, video_score
from models.stored_clips import StoredClips
from models.token_sets import Pairs
from schemas.scoring import Fusion, ScoringParams
from tests.models.eercf_oracle import final_score, scores_of_pair

T, B, F, P, D = 5, 7, 6, 4, 16
SIZES = [
    (T, B, F, P, D),
    (3, 4, 1, 5, 8),  # clips of a single frame
    (1, 2, 12, 1, 64),  # one query, one patch a frame
    (9, 3, 12, 49, 512),  # the public model's
]


def made(seed, sizes, *, padding_has_tokens):
    """Random unit tokens and clips of 1 to F frames; padding has zeros, or tokens as in the reference profile."""
    texts, count, frames, patches, dim = sizes
    draw = torch.Generator().manual_seed(seed)

    def unit(*shape):
        return torch.nn.functional.normalize(torch.randn(*shape, generator=draw), dim=-1)

    lengths = torch.randint(1, frames + 1, (count,), generator=draw)
    lengths[0], lengths[-1] = frames, 1
    mask = (torch.arange(frames)[None] < lengths[:, None]).float()
    kept = torch.ones_like(mask) if padding_has_tokens else mask
    return {
        "text": unit(texts, dim),
        "raw": unit(count, frames, dim) * kept[..., None],
        "temporal": unit(count, frames, dim) * kept[..., None],
        "patches": unit(count, frames, patches, dim) * kept[..., None, None],
        "mask": mask,
        "coarse": unit(count, dim),
        "coarse_mix": torch.eye(dim) + 0.1 * torch.randn(dim, dim, generator=draw),
        "frame_mix": torch.eye(frames) + 0.1 * torch.randn(frames, frames, generator=draw),
    }


@pytest.fixture
def clips():
    return made(3, (T, B, F, P, D), padding_has_tokens=False)


def oracle(clips, masked):
    return [
        [
            scores_of_pair(
                clips["text"][i], clips["raw"][j], clips["temporal"][j], clips["patches"][j], clips["mask"][j],
                clips["coarse"][j], clips["coarse_mix"], clips["frame_mix"], masked,
            )
            for j in range(len(clips["raw"]))
        ]
        for i in range(len(clips["text"]))
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("padding_has_tokens", [False, True])
@pytest.mark.parametrize("profile", ["exact", "reference"])
def test_all_scores_equal_the_formula_in_float64(profile, padding_has_tokens, sizes):
    masked = profile == "exact"
    for seed in (3, 17):
        clips = made(seed, sizes, padding_has_tokens=padding_has_tokens)
        tokens = FineTokens(clips["raw"], clips["temporal"], clips["patches"].flatten(1, 2), clips["mask"])
        fusion = Fusion(strong_patch=0.1, masked=masked)
        fine = fine_scores(clips["text"], tokens, clips["frame_mix"], fusion)
        got = {
            "video": video_score(clips["text"], clips["coarse_mix"], clips["coarse"]),
            "weak_frame": fine.weak_frame_TB,
            "strong_frame": fine.strong_frame_TB,
            "weak_patch": fine.weak_patch_TB,
            "strong_patch": fine.strong_patch_TB,
        }
        want = oracle(clips, masked)
        for name, score_TB in got.items():
            expected = np.array([[cell[name] for cell in row] for row in want])
            np.testing.assert_allclose(score_TB.numpy(), expected, atol=1e-5, rtol=0, err_msg=name)
        fused = fuse(got["video"], fine, fusion)
        expected = [[final_score(cell) + 0.1 * cell["strong_patch"] for cell in row] for row in want]
        np.testing.assert_allclose(fused.numpy(), expected, atol=1e-5, rtol=0)


def test_padding_that_has_tokens_votes_in_the_reference_profile_only():
    clips = made(5, (T, B, F, P, D), padding_has_tokens=True)
    tokens = FineTokens(clips["raw"], clips["temporal"], clips["patches"].flatten(1, 2), clips["mask"])
    exact, reference = (
        fine_scores(clips["text"], tokens, clips["frame_mix"], Fusion(masked=masked)) for masked in (True, False)
    )
    padded = clips["mask"].min(1).values == 0
    for name in ("weak_frame_TB", "strong_frame_TB", "weak_patch_TB"):
        moved = (getattr(exact, name) - getattr(reference, name)).abs().amax(0) > 1e-4
        assert torch.equal(moved, padded), name


def test_padding_changes_nothing_when_masked(clips):
    tokens = FineTokens(clips["raw"], clips["temporal"], clips["patches"].flatten(1, 2), clips["mask"])
    video = video_score(clips["text"], clips["coarse_mix"], clips["coarse"])
    before = fuse(video, fine_scores(clips["text"], tokens, clips["frame_mix"], Fusion()), Fusion())
    junk = 1 - clips["mask"]
    noisy = FineTokens(
        clips["raw"] + junk[..., None] * 0.9,
        clips["temporal"],
        (clips["patches"] + junk[..., None, None] * 0.9).flatten(1, 2),
        clips["mask"],
    )
    after = fuse(video, fine_scores(clips["text"], noisy, clips["frame_mix"], Fusion()), Fusion())
    torch.testing.assert_close(before, after)


def test_candidates_get_the_public_codes_final_score(clips):
    fusion = Fusion()
    mix = tuple(tuple(row) for row in clips["frame_mix"].tolist())
    tokens = FineTokens(clips["raw"], clips["temporal"], clips["patches"].flatten(1, 2), clips["mask"])
    coarse = video_score(clips["text"], clips["coarse_mix"], clips["coarse"])[0]
    params = ScoringParams(fusion=fusion, frame_mix=mix)
    pairs = Pairs.of_one(clips["text"][0].numpy(), B)
    score, best = score_pairs(pairs, StoredClips.of(tokens), coarse.numpy(), params)
    expected = [final_score(cell) for cell in oracle(clips, True)[0]]
    np.testing.assert_allclose(score, expected, atol=1e-5)
    for j in range(B):
        similarity = (clips["raw"][j] @ clips["text"][0]).masked_fill(clips["mask"][j] == 0, -9)
        assert best[j] == similarity.argmax()


def test_softmax_of_nothing_is_zero_not_nan():
    assert masked_softmax(torch.randn(3), torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_frame_mix_must_be_square():
    with pytest.raises(ValueError, match="square"):
        ScoringParams(fusion=Fusion(), frame_mix=((1.0, 0.0),))
