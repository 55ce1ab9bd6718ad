import json
import shutil

import pytest
import torch

from pipeline.datasets.catalog import open_dataset
from pipeline.training.clip_loader import ClipLoader, ClipShape
from pipeline.training.loop import train
from pipeline.training.source import check_data, training_batches, validation_gallery, without_files
from pipeline.training.streaming import DecodeClips, Stream, decoder_share
from pipeline.training.video_batches import VideoBatches, clip_order, streamed_batches
from schemas.errors import ConfigError, InputError, ReelsiftError
from tests.pipeline.training.clips import settings_of, spoil, training_videos
from tests.pipeline.training.tiny import tiny_model


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def batches(config, first=0, rank=0, world=1):
    return list(training_batches(config, tiny_model(), first, rank, world))


@pytest.fixture(scope="module")
def spoilt(clips, tmp_path_factory):
    """The videos, of which two for training and one for validation are none, and one has no file."""
    folder = tmp_path_factory.mktemp("spoilt") / "clips"
    shutil.copytree(clips, folder)
    first, second, third = training_videos(folder)[:3]
    spoil(first)
    spoil(second)
    third.unlink()
    spoil(folder / open_dataset(str(folder), "val").videos[0][0])
    return folder


def test_a_run_that_goes_on_sees_the_batches_it_would_have_seen(clips):
    whole = batches(settings_of(clips))
    rest = batches(settings_of(clips), first=4)
    assert len(whole) == 6
    assert all(same(a.batch, b.batch) for a, b in zip(whole[4:], rest, strict=True))


def test_workers_share_the_batch_of_one_process(clips):
    one = batches(settings_of(clips))
    parts = [batches(settings_of(clips), rank=rank, world=2) for rank in range(2)]
    for whole, *halves in zip(one, *parts, strict=True):
        for name in ("pictures_NHWC", "mask_BF", "captions_BL"):
            joined = torch.cat([getattr(half.batch, name) for half in halves])
            assert torch.equal(joined, getattr(whole.batch, name))


def test_what_ray_data_decodes_is_what_the_process_itself_decodes(spoilt):
    config, model = settings_of(spoilt, batch=2), tiny_model()
    dataset = open_dataset(config.data, "train")
    mine = VideoBatches.of(config, dataset, model.tokenizer, 1, 2)
    loader = ClipLoader.of(dataset, ClipShape.of(model.config, 60.0))
    stream = Stream(loader, clip_order(config, dataset), config.out, config.steps, mine.first_slot, 1, 1, 1.0)
    decode = DecodeClips(stream)
    shard = Rows([decode({"row": [step]}) for step in range(2, 6)])
    streamed = list(streamed_batches(shard, mine, 2, config.steps))
    here = batches(config, first=2, rank=1, world=2)
    assert len(streamed) == len(here) == 4
    for a, b in zip(streamed, here, strict=True):
        assert same(a.batch, b.batch)
        assert a.bad == b.bad


class Rows:
    def __init__(self, parts):
        self.parts = parts

    def iter_batches(self, **options):
        return iter(self.parts)


def test_rows_out_of_order_end_the_run(clips):
    config, model = settings_of(clips), tiny_model()
    mine = VideoBatches.of(config, open_dataset(config.data, "train"), model.tokenizer, 0, 1)
    from numpy import array

    with pytest.raises(ReelsiftError, match="step 3"):
        next(streamed_batches(Rows([{"row": array([0, 1, 2, 3])}]), mine, 3, 6))


def test_bad_videos_are_named_with_a_reason_and_others_stand_in(spoilt):
    loaded = batches(settings_of(spoilt, batch=2))
    bad = {video for batch in loaded for video in batch.bad}
    names = {path.name for path in training_videos(spoilt)[:2]}
    assert {video.key.split("/")[-1] for video in bad} == names
    assert all(video.reason and video.detail for video in bad)
    for batch in loaded:
        clips = batch.batch.pictures_NHWC.view(2, -1)
        assert len({tuple(clip.tolist()) for clip in clips}) == 2
        assert batch.batch.mask_BF.any(1).all()


def test_a_video_without_a_file_is_told_and_a_bad_one_is_not_validated_on(spoilt):
    config = settings_of(spoilt)
    assert [(video.reason, video.key in str(spoilt)) for video in without_files(config)] == [("missing", False)]
    gallery, bad = validation_gallery(config, tiny_model())
    assert [video.key for video in bad] == [open_dataset(config.data, "val").videos[0][0]]
    assert len(gallery.captions) == 3 * len(gallery.pictures_BFHWC)
    assert gallery.mask_BF.all()


def test_a_run_counts_and_names_every_video_it_could_not_use(spoilt, tmp_path):
    summary = train(settings_of(spoilt, tmp_path, batch=2))
    named = [json.loads(line) for line in (tmp_path / "bad_videos.jsonl").read_text().splitlines()]
    assert summary.bad_videos == len(named) == len({video["key"] for video in named}) == 4
    assert sorted(video["reason"] for video in named) == ["missing", *["not_a_video"] * 3]
    again = train(settings_of(spoilt, tmp_path, batch=2))
    assert (again.resumed_from, again.bad_videos) == (6, 4)


def test_where_nothing_can_stand_in_the_line_names_the_video(spoilt):
    count = len(open_dataset(str(spoilt), "train").videos)
    with pytest.raises(InputError, match=f"lower batch={count}"):
        batches(settings_of(spoilt, batch=count))


def test_hard_negatives_come_with_the_captions_that_have_one(clips, tmp_path):
    folder = tmp_path / "clips"
    shutil.copytree(clips, folder)
    path = folder / "captions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["hard_negative"] = f"no {line['caption']}"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = tiny_model()
    config = settings_of(folder, hard_negatives=0.5)
    batch = next(training_batches(config, model, 0, 0, 1)).batch
    assert len(batch.negatives_HL) == 2
    wrong = {tuple(row) for row in model.tokenizer([line["hard_negative"] for line in lines]).tolist()}
    assert {tuple(row) for row in batch.negatives_HL.tolist()} <= wrong


@pytest.mark.parametrize(("text", "says"), [("", "split"), ("{", "JSON"), ('{"uri": "a"}', "line 1")])
def test_a_folder_of_something_else_is_one_line(text, says, tmp_path):
    (tmp_path / "captions.jsonl").write_text(text)
    with pytest.raises(InputError, match=says):
        check_data(settings_of(tmp_path))


def test_too_few_videos_for_a_batch_is_said_before_anything_starts(clips):
    with pytest.raises(InputError, match="less than batch=64"):
        check_data(settings_of(clips, batch=64))


def test_decoders_and_workers_fit_on_the_cluster_together():
    for cpus, training, workers, decoders in [(2, 1, 1, 1), (2, 1, 2, 4), (64, 8, 8, 32), (16, 15.5, 2, 1)]:
        stream = (decoders + 0.25) * decoder_share(cpus, training, workers, decoders)
        assert training + workers * stream < cpus
    with pytest.raises(ConfigError, match="cpus_per_worker"):
        decoder_share(2, 2, 1, 1)
