import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pipeline.training.batch import TrainBatch
from pipeline.training.gather import average_gradients
from pipeline.training.step import GlobalStep
from tests.pipeline.training.tiny import batches_of, gradient, joined, relative_error, tiny_model


def one_process(parts, **settings):
    model = tiny_model()
    losses = GlobalStep(model, **settings).backward(joined(parts))
    return gradient(model), losses.total.item()


def worker(rank, world, folder, composed, settings):
    torch.set_num_threads(1)
    store = dist.FileStore(os.path.join(folder, "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=120))
    model = tiny_model()
    batch = batches_of(model, 8 // world, rank, composed)(0)
    losses = GlobalStep(model, **settings).backward(batch)
    average_gradients(list(model.parameters()))
    torch.save((gradient(model), losses.total.item()), os.path.join(folder, f"rank{rank}.pt"))
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("world", "composed", "settings"),
    [(2, True, {}), (4, False, {}), (2, False, {"micro_batch": 2, "gating": "paired"})],
)
def test_workers_gradient_is_that_of_one_process_with_the_global_batch(world, composed, settings, tmp_path):
    mp.spawn(worker, (world, str(tmp_path), composed, settings), nprocs=world)
    model = tiny_model()
    parts = [batches_of(model, 8 // world, rank, composed)(0) for rank in range(world)]
    expected, loss = one_process(parts, **settings)
    for rank in range(world):
        found, its_loss = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert its_loss == pytest.approx(loss, rel=1e-5)
        assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("micro_batch", [1, 3, 6])
@pytest.mark.parametrize("gating", ["pairwise", "paired"])
def test_micro_batches_give_the_gradient_of_the_full_batch(micro_batch, gating):
    parts = [batches_of(tiny_model(), 6, composed=False)(1)]
    full, loss = one_process(parts, gating=gating)
    split, its_loss = one_process(parts, gating=gating, micro_batch=micro_batch)
    assert its_loss == pytest.approx(loss, rel=1e-5)
    assert relative_error(split, full) < 1e-5


def test_activation_checkpointing_changes_no_gradient():
    batch = batches_of(tiny_model(), 4)(0)
    plain, _ = one_process([batch])
    model = tiny_model()
    model.clip.set_grad_checkpointing(True)
    GlobalStep(model).backward(batch)
    assert relative_error(gradient(model), plain) < 1e-5


def test_every_parameter_gets_a_gradient():
    expected, _ = one_process([batches_of(tiny_model(), 4)(0)])
    assert [name for name, grad in expected.items() if not grad.abs().sum() > 0] == []


def test_a_clip_that_shows_another_captions_picture_is_no_negative_of_it():
    model = tiny_model()
    batch = batches_of(model, 4, hard_negatives=0.0)(0)
    unknown = TrainBatch(**{**vars(batch), "owned_B": torch.full((4,), -1)})
    losses = [GlobalStep(tiny_model()).backward(b).total.item() for b in (batch, unknown)]
    assert losses[0] < losses[1]
