"""The training loop of one worker: the same in this process and under Ray Train."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from models.eercf import EercfModel
from models.losses import Losses
from models.weights import CONFIG_FILE, WEIGHTS_FILE, save_bundle
from pipeline.training.average import as_averaged, follow
from pipeline.training.bad_videos import BAD_VIDEOS, BadVideo, as_lines
from pipeline.training.batch import TrainBatch
from pipeline.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from pipeline.training.gather import average_gradients, of_all_workers, rank, world_size
from pipeline.training.optimizer import Optimizers, build_optimizers, rate_factor
from pipeline.training.run_log import RunLog
from pipeline.training.run_store import RunStore
from pipeline.training.source import BatchStream, training_batches, validation_gallery, without_files
from pipeline.training.start import gating_of, starting_model
from pipeline.training.step import GlobalStep
from pipeline.training.validation import Gallery, rank_gallery, report
from schemas.training import TrainConfig, TrainSummary

BUNDLE, SUMMARY = "bundle", "summary.json"
Report = Callable[[dict[str, float]], None]


@dataclass
class Run:
    """One worker's state; only the first worker has clips to validate on and a log."""

    config: TrainConfig
    store: RunStore
    model: EercfModel
    optimizers: Optimizers
    progress: Progress
    step: GlobalStep
    gallery: Gallery | None = None
    log: RunLog | None = None
    found_bad: list[BadVideo] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the run began or went on."""
        return time.monotonic() - self.started


def train(
    config: TrainConfig,
    device: str = "cpu",
    tell: Report = lambda figures: None,
    stream: BatchStream | None = None,
) -> TrainSummary:
    """Train, or go on with the run that `config.out` holds.

    Args:
        config: the same for all workers.
        device: of this worker.
        tell: called on every worker after each validation, with its figures (empty but on worker 0).
        stream: gives batches of videos that others decode; None to decode them here.

    Raises:
        ReelsiftError: data, model or an earlier checkpoint cannot be used, or `config.out` refuses.
    """
    run = _open_run(config, device)
    resumed_from = run.progress.step
    for loaded in training_batches(config, run.model, resumed_from, rank(), world_size(), stream):
        run.found_bad += loaded.bad
        losses, norm = _step(run, _to(loaded.batch, device))
        step = run.progress.step
        if step % config.log_every == 0 or step == 1:
            _log(run, {"loss": losses.total, "weak": losses.weak, "strong": losses.strong, "grad_norm": norm})
        due = step % config.validate_every == 0 or step == config.steps
        figures = _validate(run) if due else {}
        if step % config.checkpoint_every == 0 or step == config.steps:
            _checkpoint(run)
        if due:
            # Under Ray Train this waits for all workers, so none runs ahead of a validation.
            tell(figures)
    return _finish(run, resumed_from)


def _open_run(config: TrainConfig, device: str) -> Run:
    store = RunStore(config.out)
    model = starting_model(config).to(device)
    model.clip.set_grad_checkpointing(config.activation_checkpointing)
    optimizers = build_optimizers(model, config)
    progress = load_checkpoint(store, model, optimizers)
    bf16 = config.precision == "bf16" or (config.precision == "auto" and device != "cpu")
    step = GlobalStep(model, gating_of(config, model.config.profile), config.micro_batch, bf16)
    run = Run(config, store, model, optimizers, progress, step)
    if rank() == 0:
        run.log = RunLog(store, progress.step)
        run.gallery, bad = validation_gallery(config, model)
        run.found_bad = [*without_files(config), *bad]
    return run


def _to(batch: TrainBatch, device: str) -> TrainBatch:
    if device == "cpu":
        return batch
    return TrainBatch(**{name: part.to(device, non_blocking=True) for name, part in vars(batch).items()})


def _step(run: Run, batch: TrainBatch) -> tuple[Losses, Tensor]:
    config, progress = run.config, run.progress
    losses = run.step.backward(batch)
    parameters = [parameter for parameter in run.model.parameters() if parameter.requires_grad]
    average_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, config.grad_clip)
    run.optimizers.step(rate_factor(progress.step, config.steps, config.warmup))
    progress.step += 1
    if config.ema:
        follow(progress.averaged, run.model, config.ema, progress.step)
    return losses, norm


def _validate(run: Run) -> dict[str, float]:
    """Figures of the held-out clips; worker 0 stores the weights where they are the best so far."""
    if run.gallery is None:
        return {}
    with as_averaged(run.model, run.progress.averaged):
        figures = report(rank_gallery(run.model, run.gallery), run.gallery.groups)
        # Exhaustive fine scores of all groups: the coarse list's own limit is a matter of k, not of training.
        fine = [value for name, value in figures.items() if name.endswith("_fine_r1")]
        figures["recall_1"] = round(sum(fine) / len(fine), 3)
        if figures["recall_1"] > run.progress.best_recall_1:
            run.progress.best_recall_1, run.progress.best_step = figures["recall_1"], run.progress.step
            _store_bundle(run)
    _log(run, figures, "validation")
    return {**figures, "step": run.progress.step}


def _store_bundle(run: Run) -> None:
    """The weights of now, fp16. Of a run only they change, in one object: the bundle is never of two steps."""
    with tempfile.TemporaryDirectory(prefix="reelsift-") as folder:
        save_bundle(run.model, run.model.config, Path(folder), half=True)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            run.store.upload(Path(folder) / name, f"{BUNDLE}/{name}")


def _checkpoint(run: Run) -> None:
    """What the run needs to go on, and what it has to tell so far; every worker must call it."""
    for video in of_all_workers(run.found_bad):
        run.progress.bad.setdefault(video.key, (video.reason, video.detail))
    run.found_bad.clear()
    if run.log is None:
        return
    run.log.save()
    bad = run.progress.bad
    if bad:
        run.store.write(BAD_VIDEOS, as_lines(BadVideo(key, *why) for key, why in bad.items()))
    save_checkpoint(run.store, run.model, run.optimizers, run.progress)


def _log(run: Run, figures: dict[str, Tensor] | dict[str, float], group: str = "train") -> None:
    if run.log is not None:
        values = {name: round(float(torch.as_tensor(value).detach()), 5) for name, value in figures.items()}
        run.log.add(group, run.progress.step, run.seconds, values)


def _finish(run: Run, resumed_from: int) -> TrainSummary:
    summary = TrainSummary(
        out=run.config.out,
        bundle=run.store.path(BUNDLE),
        steps=run.progress.step,
        resumed_from=resumed_from,
        best_step=run.progress.best_step,
        best_recall_1=run.progress.best_recall_1,
        bad_videos=len(run.progress.bad),
        parameters=sum(parameter.numel() for parameter in run.model.parameters()),
        seconds=round(run.seconds, 1),
    )
    if run.log is not None:
        run.log.close()
        run.store.write(SUMMARY, summary.model_dump_json().encode() + b"\n")
    return summary
