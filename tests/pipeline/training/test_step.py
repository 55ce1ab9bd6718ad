import os
from dataclasses import replace
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from models.losses import TrainingTokens, eercf_losses
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


def reference_model():
    model = tiny_model()
    model.config = model.config.with_profile("reference")
    return model


def padded(batch):
    mask = batch.mask_BF.clone()
    mask[0, 5:] = mask[2, 1:] = 0
    return replace(batch, mask_BF=mask)


def test_micro_batches_change_nothing_for_padding_that_votes():
    batch = padded(batches_of(tiny_model(), 4, composed=False)(1))
    full, split = reference_model(), reference_model()
    loss = GlobalStep(full, "paired").backward(batch).total.item()
    assert GlobalStep(split, "paired", micro_batch=3).backward(batch).total.item() == pytest.approx(loss, rel=1e-5)
    assert relative_error(gradient(split), gradient(full)) < 1e-5


def test_the_reference_profile_trains_on_the_tokens_that_it_stores():
    batch = padded(batches_of(tiny_model(), 4, composed=False)(1))
    model = reference_model()
    found = GlobalStep(model, "paired").backward(batch)
    with torch.no_grad():
        clips = model.encode_clips(batch.pictures_NHWC[batch.index_BF], batch.mask_BF)
        frames, patches = clips.frames_BFD.flatten(0, 1), clips.patches_BFPD.flatten(0, 1)
        texts = model.embed_text(torch.cat([batch.captions_BL, batch.negatives_HL]))
        index = torch.arange(len(frames)).view(batch.mask_BF.shape)
        tokens = TrainingTokens(texts, frames, patches, index, batch.mask_BF, clips.temporal_BFD, clips.coarse_BD)
        mixes = model.clip.logit_scale, model.coarse_mix_DD, model.frame_mix_FF
        expected = eercf_losses(tokens, *mixes, model.config.fusion, gating="paired")
    assert found.total.item() == pytest.approx(expected.total.item(), rel=1e-5)


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


def test_bf16_autocast_keeps_weights_and_gradients_in_fp32_and_the_direction_of_the_gradient():
    parts = [batches_of(tiny_model(), 6, composed=False)(2)]
    exact, loss = one_process(parts)
    for micro_batch in (None, 2):
        found, its_loss = one_process(parts, bf16=True, micro_batch=micro_batch)
        assert {grad.dtype for grad in found.values()} == {torch.float32}
        assert its_loss == pytest.approx(loss, rel=0.02)
        assert not all(torch.equal(found[name], grad) for name, grad in exact.items())
        flat = [torch.cat([grad.flatten() for grad in grads.values()]) for grads in (found, exact)]
        assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.99


def test_activation_checkpointing_goes_with_micro_batches_and_bf16():
    parts = [batches_of(tiny_model(), 4)(0)]
    plain, _ = one_process(parts, bf16=True, micro_batch=2)
    model = tiny_model()
    model.clip.set_grad_checkpointing(True)
    GlobalStep(model, bf16=True, micro_batch=2).backward(parts[0])
    assert relative_error(gradient(model), plain) < 1e-5
