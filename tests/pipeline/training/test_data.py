from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline.synthetic.render import render_frame
from pipeline.synthetic.scene import sample_scene
from pipeline.training.captioned import ChangeShares, caption_pair, twin_of
from pipeline.training.degrade import jitter, through_codec
from pipeline.training.synthetic_gallery import synthetic_gallery
from schemas.errors import ConfigError
from schemas.training import TrainConfig
from tests.pipeline.training.tiny import batches_of, tiny_model


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@pytest.mark.parametrize("composed", [True, False])
def test_a_batch_is_a_function_of_seed_step_and_rank(composed):
    model = tiny_model()
    first, again = (batches_of(model, 4, composed=composed)(7) for _ in range(2))
    assert same(first, again)
    assert not same(first, batches_of(model, 4, composed=composed)(8))
    assert not same(first, batches_of(model, 4, rank=1, composed=composed)(7))
    assert first.negatives_HL.shape == (2, 32)
    assert first.index_BF.max() < len(first.pictures_NHWC) == (4 if composed else 48)


def test_a_composed_clip_shows_its_own_scene_and_two_others():
    batch = batches_of(tiny_model(), 8)(0)
    for clip, shown in enumerate(batch.index_BF.tolist()):
        assert clip in shown
        assert len(set(shown)) == 3


def test_twins_are_filmed_and_told_and_differ_in_a_single_attribute():
    model = tiny_model()
    batch = batches_of(model, 8, twins=0.5)(0)
    changed = [(batch.captions_BL[i] != batch.captions_BL[i + 6]).sum() for i in range(2)]
    assert all(0 < count < batch.captions_BL.shape[1] / 2 for count in changed)
    pictures = batch.pictures_NHWC
    assert not any(torch.equal(pictures[i], pictures[i + 6]) for i in range(2))
    # A twin's false caption is its partner's true one, so only the four others bring hard negatives.
    assert len(batch.negatives_HL) == 2


def test_redrawing_shows_related_objects_more_often():
    rng = np.random.default_rng(4)
    makers = [batches_of(tiny_model(), 4, redraw=redraw) for redraw in (0.0, 0.9)]
    plain, redrawn = (sum(make._scene(rng).relation is not None for _ in range(300)) for make in makers)
    assert plain < 150 < redrawn


def test_twins_without_composed_clips_are_refused():
    with pytest.raises(ConfigError, match="twins need composed"):
        TrainConfig.of({"data": "synthetic:1", "out": "x", "model": "reelsift-tiny", "twins": 0.5})


def test_a_hard_negative_is_never_the_caption_itself():
    rng = np.random.default_rng(1)
    pairs = [caption_pair(sample_scene(rng), rng, omit=0.5) for _ in range(300)]
    assert [true for true, false in pairs if true == false] == []


def test_degraded_pictures_keep_their_size_and_stay_close():
    rng = np.random.default_rng(2)
    picture = render_frame(sample_scene(rng), 0.0, 64)
    coded = through_codec(picture, 32, rng)
    assert coded.shape == (32, 32, 3)
    jittered = jitter(picture[None], rng)
    assert jittered.dtype == np.uint8
    assert 0 < np.abs(jittered.astype(int) - picture).mean() < 40


def test_generated_validation_clips_have_a_gist_and_two_needles_each():
    gallery = synthetic_gallery(seed=9, clips=3, size_px=32, num_frames=12)
    assert gallery.pictures_BFHWC.shape == (3, 12, 32, 32, 3)
    assert gallery.groups == ["gist", "needle", "needle"] * 3
    assert gallery.clip_T.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_what_a_hard_negative_changes_follows_its_shares():
    rng = np.random.default_rng(4)
    scenes = [sample_scene(rng) for _ in range(200)]
    related = [scene for scene in scenes if scene.relation]
    turned = [twin_of(scene, rng, ChangeShares(relation=1.0)) for scene in related]
    assert all(other.relation != scene.relation for scene, other in zip(related, turned, strict=True))
    reshaped = [twin_of(scene, rng, ChangeShares(relation=0.0, shape=1.0)) for scene in scenes]
    shapes = [[thing.shape for thing in scene.things] for scene in scenes]
    assert all(was != [thing.shape for thing in other.things] for was, other in zip(shapes, reshaped, strict=True))


def test_pictures_behind_a_codec_are_as_many_as_asked_for():
    model = tiny_model()
    sharp, coded = (batches_of(model, 4, codec_share=share)(7).pictures_NHWC for share in (0.0, 1.0))
    assert sharp.shape == coded.shape
    assert not any(torch.equal(one, other) for one, other in zip(sharp, coded, strict=True))


def test_the_recipe_of_the_shipped_model_is_of_todays_settings():
    path = Path(__file__).parents[3] / "models" / "bundles" / "reelsift-tiny" / "recipe.yaml"
    assert TrainConfig.of({**yaml.safe_load(path.read_text(encoding="utf-8")), "out": "run"}).composed
