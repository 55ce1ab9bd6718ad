"""A job on Ray whose worker and then whose driver is killed, against one that nobody disturbs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from pipeline.training.checkpoint_list import checkpoint_name, steps_done
from pipeline.training.loop import train
from tests.pipeline.training.clips import FOLDER, settings_of

ROOT = Path(__file__).parents[3]
STEPS = 60
LIMIT_S = 600


@pytest.fixture
def job(clips, tmp_path):
    """Starts the same command again and again; what is left of it in the end is killed."""
    changes = {"steps": STEPS, "validate_every": STEPS, "workers": 2, "cpus_per_worker": 0.5, "loaders": 1}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({**FOLDER, **changes}))
    command = ["-m", "jobs.reelsift", "train", "--config", str(recipe), "--data", str(clips)]
    started = []

    def start():
        env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        argv = [sys.executable, *command, "--out", str(tmp_path / "run"), "--json"]
        started.append(psutil.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        for child in [*family(process), process]:
            if child.is_running():
                child.kill()


def family(process):
    return process.children(recursive=True) if process.is_running() else []


def wait_for(step, out, process):
    end = time.monotonic() + LIMIT_S
    while steps_done(str(out)) < step:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, f"{step} steps never come"
        time.sleep(0.02)


def a_worker_of(process):
    return next(child for child in family(process) if " ".join(child.cmdline()).startswith("ray::RayTrainWorker"))


@pytest.mark.cluster
def test_a_job_whose_worker_and_then_whose_driver_is_killed_ends_as_one_undisturbed(job, clips, tmp_path):
    out = tmp_path / "run"
    first = job()
    wait_for(4, out, first)
    a_worker_of(first).kill()
    reached = steps_done(str(out))
    wait_for(reached + 4, out, first)
    servants = family(first)
    first.kill()
    gone, left = psutil.wait_procs(servants, timeout=LIMIT_S)
    assert gone
    assert left == []
    reached = steps_done(str(out))
    assert 8 <= reached < STEPS

    again = job()
    output, errors = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, errors
    summary = json.loads(output.splitlines()[-1])
    assert (summary["steps"], summary["resumed_from"]) == (STEPS, reached)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert sum("loss" in line for line in lines) == len(losses) == STEPS

    # One process, without Ray: what is left of the difference is the rounding of sums over workers.
    train(settings_of(clips, tmp_path / "whole", steps=STEPS, validate_every=STEPS))
    whole = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    expected = {line["step"]: line["loss"] for line in whole if "loss" in line}
    assert losses == pytest.approx(expected, rel=0.02)
    weights = [
        torch.load(folder / checkpoint_name(STEPS), weights_only=True)["model"] for folder in (out, tmp_path / "whole")
    ]
    for name, tensor in weights[1].items():
        torch.testing.assert_close(weights[0][name], tensor, rtol=0.02, atol=2e-3, msg=name)
