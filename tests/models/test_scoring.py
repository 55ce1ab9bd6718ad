import numpy as np
import pytest
import torch

from models.scoring import FineTokens, fine_scores, fuse, masked_softmax, score_candidates, video_score
from schemas.scoring import Fusion, ScoringParams
from tests.models.eercf_oracle import final_score, scores_of_pair

T, B, F, P, D = 5, 7, 6, 4, 16


@pytest.fixture
def clips():
    draw = torch.Generator().manual_seed(3)

    def unit(*shape):
        return torch.nn.functional.normalize(torch.randn(*shape, generator=draw), dim=-1)

    mask = torch.ones(B, F)
    for row in range(1, B):
        mask[row, F - row % F :] = 0 if row % F else 1
    mask[3, 1:] = 0  # a clip of a single frame
    return {
        "text": unit(T, D),
        "raw": unit(B, F, D) * mask[..., None],
        "temporal": unit(B, F, D) * mask[..., None],
        "patches": unit(B, F, P, D) * mask[..., None, None],
        "mask": mask,
        "coarse": unit(B, D),
        "coarse_mix": torch.eye(D) + 0.1 * torch.randn(D, D, generator=draw),
        "frame_mix": torch.eye(F) + 0.1 * torch.randn(F, F, generator=draw),
    }


def oracle(clips, masked):
    return [
        [
            scores_of_pair(
                clips["text"][i], clips["raw"][j], clips["temporal"][j], clips["patches"][j], clips["mask"][j],
                clips["coarse"][j], clips["coarse_mix"], clips["frame_mix"], masked,
            )
            for j in range(B)
        ]
        for i in range(T)
    ]  # fmt: skip


@pytest.mark.parametrize("masked", [True, False])
def test_all_scores_equal_the_formula_in_float64(clips, masked):
    fusion = Fusion(strong_patch=0.1, masked=masked)
    tokens = FineTokens(clips["raw"], clips["temporal"], clips["patches"].flatten(1, 2), clips["mask"])
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
        np.testing.assert_allclose(score_TB.numpy(), expected, atol=1e-5, err_msg=name)


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
    score, best = score_candidates(clips["text"][0], tokens, coarse, ScoringParams(fusion=fusion, frame_mix=mix))
    expected = [final_score(cell) for cell in oracle(clips, True)[0]]
    np.testing.assert_allclose(score.numpy(), expected, atol=1e-5)
    for j in range(B):
        similarity = (clips["raw"][j] @ clips["text"][0]).masked_fill(clips["mask"][j] == 0, -9)
        assert best[j] == similarity.argmax()


def test_softmax_of_nothing_is_zero_not_nan():
    assert masked_softmax(torch.randn(3), torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_frame_mix_must_be_square():
    with pytest.raises(ValueError, match="square"):
        ScoringParams(fusion=Fusion(), frame_mix=((1.0, 0.0),))
