"""The training loop of one worker: the same in this process and under Ray Train."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.eercf import EercfModel
from models.losses import Gating, Losses
from models.weights import save_bundle
from pipeline.training.average import as_averaged, follow
from pipeline.training.batch import TrainBatch
from pipeline.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from pipeline.training.gather import average_gradients, rank, world_size
from pipeline.training.optimizer import Optimizers, build_optimizers, rate_factor
from pipeline.training.source import training_batches, validation_gallery
from pipeline.training.start import starting_model
from pipeline.training.step import GlobalStep
from pipeline.training.validation import Gallery, rank_gallery, report
from schemas.training import TrainConfig, TrainSummary

METRICS, BUNDLE, SUMMARY = "metrics.jsonl", "bundle", "summary.json"
Report = Callable[[dict[str, float]], None]


@dataclass
class Run:
    """One worker's state."""

    config: TrainConfig
    model: EercfModel
    optimizers: Optimizers
    progress: Progress
    gallery: Gallery | None
    step: GlobalStep
    started: float = field(default_factory=time.monotonic)

    @property
    def out(self) -> Path:
        """The run's folder."""
        return Path(self.config.out)


def train(config: TrainConfig, device: str = "cpu", tell: Report = lambda figures: None) -> TrainSummary:
    """Train, or go on with the run that `config.out` holds.

    Args:
        config: the same for all workers.
        device: of this worker.
        tell: called on every worker after each validation, with its figures (empty but on worker 0).

    Raises:
        ReelsiftError: data, model or an earlier checkpoint cannot be used.
    """
    run = _open_run(config, device)
    resumed_from = run.progress.step
    batches = training_batches(config, run.model, resumed_from, rank(), world_size())
    for batch in batches:
        losses, norm = _step(run, _to(batch, device))
        step = run.progress.step
        if rank() == 0 and (step % config.log_every == 0 or step == 1):
            _log(run, {"loss": losses.total, "weak": losses.weak, "strong": losses.strong, "grad_norm": norm})
        due = step % config.validate_every == 0 or step == config.steps
        figures = _validate(run) if due else {}
        if rank() == 0 and (step % config.checkpoint_every == 0 or step == config.steps):
            save_checkpoint(run.out, run.model, run.optimizers, run.progress)
        if due:
            # Under Ray Train this waits for all workers, so none runs ahead of a validation.
            tell(figures)
    summary = TrainSummary(
        out=config.out,
        bundle=str(run.out / BUNDLE),
        steps=run.progress.step,
        resumed_from=resumed_from,
        best_step=run.progress.best_step,
        best_recall_1=run.progress.best_recall_1,
        parameters=sum(parameter.numel() for parameter in run.model.parameters()),
        seconds=round(time.monotonic() - run.started, 1),
    )
    if rank() == 0:
        (run.out / SUMMARY).write_text(summary.model_dump_json() + "\n", encoding="utf-8")
    return summary


def _open_run(config: TrainConfig, device: str) -> Run:
    model = starting_model(config).to(device)
    model.clip.set_grad_checkpointing(config.activation_checkpointing)
    optimizers = build_optimizers(model, config)
    progress = load_checkpoint(Path(config.out), model, optimizers)
    gallery = validation_gallery(config, model) if rank() == 0 else None
    gating: Gating = config.gating or ("paired" if model.config.profile == "reference" else "pairwise")
    bf16 = config.precision == "bf16" or (config.precision == "auto" and device != "cpu")
    return Run(config, model, optimizers, progress, gallery, GlobalStep(model, gating, config.micro_batch, bf16))


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
        recall_1 = round(sum(fine) / len(fine), 3)
        if recall_1 > run.progress.best_recall_1:
            run.progress.best_recall_1, run.progress.best_step = recall_1, run.progress.step
            save_bundle(run.model, run.model.config, run.out / BUNDLE, half=True)
    _log(run, {**figures, "recall_1": recall_1})
    return {**figures, "recall_1": recall_1, "step": run.progress.step}


def _log(run: Run, figures: dict[str, Any]) -> None:
    values = {name: round(float(torch.as_tensor(value).detach()), 5) for name, value in figures.items()}
    line = {"step": run.progress.step, "seconds": round(time.monotonic() - run.started, 1), **values}
    run.out.mkdir(parents=True, exist_ok=True)
    with (run.out / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
