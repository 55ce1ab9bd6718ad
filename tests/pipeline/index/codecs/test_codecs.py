import numpy as np
import pytest
import torch

from models.reranking import score_pairs
from models.scoring import attended
from models.token_sets import Pairs
from pipeline.index.codecs.clusters import cluster
from pipeline.index.codecs.codec import ClipTokens
from pipeline.index.codecs.form import RecordBlock
from pipeline.index.codecs.names import codec_of
from schemas.errors import IndexCorruptError
from schemas.scoring import Fusion, ScoringParams
from schemas.tables import TokenShape
from tests.tables_factory import unit

SHAPE = TokenShape(frames=4, patches=6, dim=40)
NAMES = ["fp32", "fp16", "int8", "1bit", "pooled-5", "pooled-999", "frames"]
CLIPS = 5


def made(seed=0, *, padding_has_tokens=False):
    """Clips of which the first has one frame, the last but one two, and the rest all."""
    rng = np.random.default_rng(seed)
    f, p, d = SHAPE.frames, SHAPE.patches, SHAPE.dim
    mask = np.ones((CLIPS, f), bool)
    mask[0, 1:] = mask[3, 2:] = False
    kept = np.ones_like(mask) if padding_has_tokens else mask
    return ClipTokens(
        *((unit(rng, CLIPS, f, d) * kept[..., None]).astype(np.float16) for _ in range(2)),
        (unit(rng, CLIPS, f * p, d) * kept.repeat(p, 1)[..., None]).astype(np.float16),
        mask,
    )


def encode(name, tokens, *, masked=True):
    codec = codec_of(name)
    records = np.zeros(len(tokens.mask_BF), codec.record_dtype(SHAPE))
    codec.encode(tokens, records, masked=masked)
    return records


def stored(name, records):
    block = RecordBlock(records.view(np.uint8).reshape(len(records), -1), records.dtype)
    return codec_of(name).stored(block, SHAPE.dim)


def text():
    return unit(np.random.default_rng(7), SHAPE.dim)


@pytest.mark.parametrize("name", NAMES)
def test_products_and_norms_of_a_form_are_those_of_the_tokens_it_stands_for(name):
    clips = stored(name, encode(name, made()))
    pairs = Pairs.of_one(text(), CLIPS)
    for tokens in (clips.frames, clips.temporal, clips.patches):
        wide_BND = tokens.inflated()
        np.testing.assert_allclose(tokens.dots(pairs), wide_BND @ text(), atol=1e-5)
        weight_BN = np.random.default_rng(1).uniform(size=wide_BND.shape[:2]).astype(np.float32)
        expected_B = np.linalg.norm((weight_BN[..., None] * wide_BND).sum(1), axis=-1)
        np.testing.assert_allclose(tokens.mixed_norms(weight_BN, pairs.clip_P), expected_B, rtol=1e-4)


@pytest.mark.parametrize(("name", "error"), [("fp32", 0), ("fp16", 0), ("int8", 0.004), ("1bit", 0.15)])
def test_a_form_is_as_near_to_the_tokens_as_its_bits_allow(name, error):
    tokens = made()
    clips = stored(name, encode(name, tokens))
    real = tokens.mask_BF.repeat(SHAPE.patches, 1)
    apart = np.abs(clips.patches.inflated() @ text() - tokens.patches_BND.astype(np.float32) @ text())[real]
    assert np.sqrt((apart**2).mean()) <= error


@pytest.mark.parametrize("name", NAMES)
def test_a_record_does_not_depend_on_the_clips_beside_it(name):
    tokens = made()
    together = encode(name, tokens)
    for clip in range(CLIPS):
        alone = ClipTokens(*(part[clip : clip + 1] for part in vars(tokens).values()))
        assert encode(name, alone)[0].tobytes() == together[clip].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_what_padding_holds_reaches_no_score_unless_the_profile_lets_it_vote(name):
    silent, loud = made(), made(padding_has_tokens=True)
    mix = tuple(map(tuple, np.eye(SHAPE.frames).tolist()))
    coarse = np.zeros(CLIPS, np.float32)
    for masked in (True, False):
        params = ScoringParams(fusion=Fusion(masked=masked), frame_mix=mix)
        scores = [
            score_pairs(Pairs.of_one(text(), CLIPS), stored(name, encode(name, t, masked=masked)), coarse, params)[0]
            for t in (silent, loud)
        ]
        moved = np.abs(scores[0] - scores[1]) > 1e-4
        assert moved.tolist() == [not masked and clip in (0, 3) for clip in range(CLIPS)]


def test_clusters_account_for_every_real_patch_and_for_no_other():
    tokens = made(padding_has_tokens=True)
    for masked in (True, False):
        merged_BN = stored("pooled-5", encode("pooled-5", tokens, masked=masked)).merged_BN
        expected = tokens.mask_BF.sum(1) * SHAPE.patches if masked else np.full(CLIPS, SHAPE.frames * SHAPE.patches)
        np.testing.assert_array_equal(merged_BN.sum(1), expected)


def test_patches_that_are_alike_lose_nothing_by_being_merged():
    rng = np.random.default_rng(3)
    scenes = unit(rng, 3, SHAPE.dim)
    frames = unit(rng, 1, SHAPE.frames, SHAPE.dim).astype(np.float16)
    patches = scenes[rng.integers(0, 3, SHAPE.frames * SHAPE.patches)][None].astype(np.float16)
    clips = stored("pooled-5", encode("pooled-5", ClipTokens(frames, frames, patches, np.ones((1, 4), bool))))
    pairs = Pairs.of_one(text(), 1)
    full = torch.from_numpy(patches.astype(np.float32) @ text())
    merged, count = torch.from_numpy(clips.patches.dots(pairs)), torch.from_numpy(clips.merged_BN.astype(np.float32))
    for tau in (0.01, 0.5):
        found = attended(merged, count > 0, tau, count.clamp_min(1).log())
        torch.testing.assert_close(found, attended(full, None, tau), atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_record_begins_with_its_frames_tier_byte_for_byte(name):
    tokens = made()
    whole, codec = encode(name, tokens), codec_of(name)
    front = codec.frames_tier().record_dtype(SHAPE)
    alone = np.zeros(CLIPS, front)
    codec.frames_tier().encode(tokens, alone, masked=True)
    assert [record.tobytes()[: front.itemsize] for record in whole] == [record.tobytes() for record in alone]
    assert front.itemsize % 64 == 0


def test_the_frames_tier_of_small_records_is_the_record_of_the_codec_frames():
    tokens = made()
    for name in ("int8", "1bit", "pooled-5"):
        assert codec_of(name).frames_tier().record_dtype(SHAPE) == codec_of("frames").record_dtype(SHAPE)
        size = codec_of("frames").record_dtype(SHAPE).itemsize
        assert encode(name, tokens)[2].tobytes()[:size] == encode("frames", tokens)[2].tobytes()


def test_few_tokens_are_their_own_clusters_and_none_have_none():
    tokens = unit(np.random.default_rng(0), 3, 8)
    centre, size = cluster(tokens, 5)
    np.testing.assert_array_equal(centre, tokens)
    assert size.tolist() == [1, 1, 1]
    assert cluster(tokens[:0], 5)[1].tolist() == []


def test_the_small_codec_of_a_public_model_stays_below_24_kib():
    shape = TokenShape(frames=12, patches=49, dim=512)
    assert codec_of("pooled-23").record_dtype(shape).itemsize <= 24 * 1024
    assert codec_of("fp16").record_dtype(shape).itemsize >= 612 * 1024


def test_a_codec_that_this_release_does_not_know_is_one_clear_line():
    with pytest.raises(IndexCorruptError, match=r"^the index stores its tokens with the codec 'pq-9', which [^\n]*$"):
        codec_of("pq-9")
