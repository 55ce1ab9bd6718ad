import json

import pytest
import torch

from pipeline.storage import Store
from pipeline.training.bad_videos import BAD_VIDEOS
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint
from pipeline.training.checkpoint_list import FOLDER, POINTER, kept_steps, steps_done
from pipeline.training.loop import train
from pipeline.training.optimizer import build_optimizers
from pipeline.training.run_store import RunStore
from schemas.errors import StorageError
from tests.pipeline.training.clips import settings_of
from tests.pipeline.training.test_loop import KilledError, kill, settings
from tests.pipeline.training.tiny import tiny_model


def saved(store, *steps, model=None):
    """Checkpoints of these steps, one after the other; the last model and its optimisers."""
    model = model or tiny_model()
    optimizers = build_optimizers(model, settings_of("x"))
    for step in steps:
        progress = load_checkpoint(store, model, optimizers)
        progress.step = step
        with torch.no_grad():
            model.coarse_mix_DD.fill_(step)
        save_checkpoint(store, model, optimizers, progress)
    return model, optimizers


def test_the_last_two_checkpoints_stay_and_the_newest_is_gone_on_from(tmp_path):
    store = RunStore(str(tmp_path))
    model, optimizers = saved(store, 2, 4, 6)
    assert kept_steps(store) == [6, 4]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2
    with torch.no_grad():
        model.coarse_mix_DD.zero_()
    assert load_checkpoint(store, model, optimizers).step == 6
    assert model.coarse_mix_DD.eq(6).all()


def test_a_death_before_the_pointer_leaves_the_last_checkpoint_in_force(tmp_path, monkeypatch):
    store = RunStore(str(tmp_path))
    saved(store, 2)
    monkeypatch.setattr(RunStore, "write", kill_at_write)
    with pytest.raises(KilledError):
        saved(store, 4)
    monkeypatch.undo()
    assert steps_done(str(tmp_path)) == 2
    saved(store, 4, 6)
    assert kept_steps(store) == [6, 4]


def kill_at_write(store, name, data):
    raise KilledError


def test_a_death_while_it_is_written_leaves_no_part_of_a_checkpoint(tmp_path):
    with pytest.raises(KilledError):
        write_half(RunStore(str(tmp_path)))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def write_half(store):
    with store.new_file("checkpoints/a.pt") as path:
        path.write_bytes(b"half")
        raise KilledError


def test_a_damaged_checkpoint_is_one_line_and_once_deleted_the_one_before_is_in_force(tmp_path):
    store = RunStore(str(tmp_path))
    model, optimizers = saved(store, 2, 4)
    newest = tmp_path / FOLDER / "step-00000004.pt"
    newest.write_bytes(newest.read_bytes()[:500])
    with pytest.raises(StorageError, match="delete it to go on from step 2"):
        load_checkpoint(store, model, optimizers)
    newest.unlink()
    assert load_checkpoint(store, model, optimizers).step == 2
    (tmp_path / POINTER).write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        kept_steps(store)


@pytest.fixture
def bucket(s3_env, request):
    return f"s3://{s3_env.bucket}/{request.node.name}"


def test_a_run_in_a_bucket_that_is_killed_goes_on_and_ends_as_one_on_a_disk(bucket, tmp_path):
    whole = train(settings(tmp_path / "whole"))
    with pytest.raises(KilledError):
        train(settings(bucket), tell=kill)
    summary = train(settings(bucket))
    assert summary.resumed_from == 2
    assert (summary.best_step, summary.best_recall_1) == (whole.best_step, whole.best_recall_1)
    store = Store(bucket)
    store.download("checkpoints/step-00000004.pt", tmp_path / "remote.pt")
    paths = (tmp_path / "remote.pt", tmp_path / "whole" / FOLDER / "step-00000004.pt")
    remote, local = (torch.load(path, weights_only=True)["model"] for path in paths)
    assert all(torch.equal(remote[name], tensor) for name, tensor in local.items())
    steps = [json.loads(line)["step"] for line in store.read("metrics.jsonl").splitlines()]
    assert steps == [1, 2, 2, 3, 4, 4]
    assert len(store.names("tensorboard")) == 2
    assert store.names("bundle") == ["config.json", "model.safetensors"]
    assert store.read("bundle/model.safetensors") == (tmp_path / "whole" / "bundle" / "model.safetensors").read_bytes()
    assert not store.exists(BAD_VIDEOS)


def test_a_bucket_that_is_not_there_is_told_before_training(s3_env):
    from pipeline.training.ray_job import train_job

    with pytest.raises(StorageError, match="bucket does not exist"):
        train_job(settings("s3://no-such-bucket-here/run"))


def test_a_disk_that_refuses_is_one_line_with_the_room_left_and_the_last_checkpoint_stays(tmp_path, monkeypatch):
    store = RunStore(str(tmp_path))
    saved(store, 2)
    # What torch raises of a full disk: nothing of it says so.
    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(StorageError, match=r"bytes left on the disk"):
        saved(store, 4)
    assert steps_done(str(tmp_path)) == 2


def refuse(stored, path):
    raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
