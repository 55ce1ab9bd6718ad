"""Kills build, publish, update and delete with SIGKILL at random moments, runs them again, and looks at what is left.

A moment is drawn uniformly from the length of an undisturbed run, measured again from time to time. The commands run
in processes that are forked from one that has imported all, and say when their work begins and when it has ended: the
moment counts from its beginning, and a kill that comes after its end is none, for which another moment is drawn. After
each kill the index is searched as it was left; after the second run it is searched and verified.
"""

import argparse
import contextlib
import multiprocessing
import random
import shutil
import signal
import statistics
import tempfile
import time
import traceback
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.report import tell
from pipeline.both_stages import Stages
from pipeline.index.build import build_index
from pipeline.index.delete import delete_videos
from pipeline.index.intent import read_intent
from pipeline.index.switch import publish
from pipeline.index.update import update_index
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import live_manifest, open_fine
from pipeline.ranking import EncodedQuery, ranked
from pipeline.storage import Store
from pipeline.tables import iter_clips, require_info
from pipeline.verify.run import verify
from schemas.config import VerifyConfig
from schemas.index_config import DeleteConfig, IndexConfig, UpdateConfig
from tests.tables_factory import make_tables

_MODEL: Final = "random-tiny"
_END_S: Final = 120.0
_VIDEOS, _NEW_VIDEOS = 48, 24
_SHARD_BYTES = 1 << 20
# Of the moments drawn for a kill: a run may end before.
_MOST_MOMENTS = 10
_MEASURED_EVERY = 10
_PRELOADED: Final = (
    "pipeline.index.build",
    "pipeline.index.delete",
    "pipeline.index.update",
    "pipeline.both_stages",
    "pipeline.verify.run",
    "tests.tables_factory",
    "models.registry",
    "milvus_lite.adapter.grpc.server",
)
_COMMANDS: Final = ("build", "publish", "update", "delete")


@dataclass
class Outcome:
    """What happened to one command."""

    length_s: float
    lengths_s: list[float] = field(default_factory=list)
    drawn: int = 0
    moments_s: list[float] = field(default_factory=list)
    killed: int = 0
    unfinished: int = 0
    problems: list[str] = field(default_factory=list)


def run_command(name: str, root: str) -> None:
    """One command on the copy of the state in `root`; runs in a process of its own, or in this one."""
    tables, index = f"{root}/tables", f"{root}/index"
    if name == "build":
        build_index(IndexConfig(tables=tables, index=index, shard_bytes=_SHARD_BYTES))
    elif name == "publish":
        publish(Store(index))
    elif name == "update":
        update_index(UpdateConfig(tables=tables, index=index, shard_bytes=_SHARD_BYTES, batch_rows=8))
    else:
        delete_videos(DeleteConfig(tables=tables, index=index, uri=("/videos/s0-000?.mp4",)))


def prepare(name: str, root: Path) -> None:
    """The state before a command: tables, and an index with a live version of them."""
    run_command("build", str(root))
    run_command("publish", str(root))
    if name == "publish":
        run_command("build", str(root))
    if name in ("build", "update"):
        add_tables(root, _NEW_VIDEOS, seed=1)


def add_tables(root: Path, videos: int, seed: int) -> None:
    """Tables of generated clips, or more of them."""
    from models.registry import load_model  # noqa: PLC0415  (workers need no model here)

    model = load_model(_MODEL)
    make_tables(
        Store(f"{root}/tables"), videos, shape=model.token_shape, model_id=model.model_id, model=_MODEL, seed=seed
    )


def searched(index: Store) -> list[str]:
    """Clip ids that a search for everything answers with."""
    manifest, fine = open_fine(index, live_manifest(index))
    text_D = np.full(manifest.token_shape.dim, manifest.token_shape.dim**-0.5, np.float32)
    with closing(fine), closing(VectorStore.open(manifest.milvus, index.root)) as vectors:
        recalled, scored = Stages(vectors, fine, manifest, "both", 1000, 1000).find(EncodedQuery(text_D, text_D))
    return [hit.clip_id for hit in ranked(recalled.hits, scored, 1000)]


def stored(tables: Store) -> set[str]:
    """Clip ids of the tables."""
    return {
        clip for table in iter_clips(tables, require_info(tables).model_id) for clip in table["clip_id"].to_pylist()
    }


def report_work(name: str, root: str, pipe: Connection) -> None:
    """One command, as the process does it that is killed; says through the pipe that it begins, and that it ended."""
    pipe.send("begins")
    run_command(name, root)
    pipe.send("ended")


def run_killed(context: ForkServerContext, name: str, root: str, after_s: float | None) -> tuple[float, bool]:
    """Start a command and kill it some time after its work began; seconds of work, and whether it was cut short."""
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=report_work, args=(name, root, sending))
    process.start()
    sending.close()
    with closing(receiving):
        receiving.recv()
        start = time.monotonic()
        receiving.poll(_END_S if after_s is None else after_s)
        spent_s = time.monotonic() - start
        if after_s is not None:
            process.kill()
        process.join(_END_S)
        cut_short = not _ended(receiving)
    if process.exitcode != (-signal.SIGKILL if cut_short else 0) and (cut_short or after_s is None):
        raise RuntimeError(f"{name} ended by itself, with {process.exitcode}")
    return spent_s, cut_short


def _ended(pipe: Connection) -> bool:
    with contextlib.suppress(EOFError):
        return pipe.poll() and pipe.recv() == "ended"
    return False


def one_kill(context: ForkServerContext, name: str, state: Path, after_s: float, outcome: Outcome) -> None:
    """Copy the state, kill the command, look, run it again, look again."""
    with tempfile.TemporaryDirectory(prefix="reelsift-chaos-") as scratch:
        root = Path(scratch) / "state"
        shutil.copytree(state, root)
        known = stored(Store(f"{root}/tables"))
        spent_s, killed = run_killed(context, name, str(root), after_s)
        outcome.drawn += 1
        if not killed:
            # It is as quick as this at the moment: other work comes and goes.
            outcome.length_s = spent_s
            return
        outcome.moments_s.append(after_s)
        outcome.killed += 1
        index, tables = Store(f"{root}/index"), Store(f"{root}/tables")
        outcome.unfinished += read_intent(index) is not None
        left = searched(index)
        say = partial(_note, outcome, name, after_s)
        if len(left) != len(set(left)) or not set(left) <= known:
            say(f"after the kill a search answered {len(left)} clips, {len(set(left))} different")
        run_command(name, str(root))
        if name == "build":
            run_command("publish", str(root))
        ids, wanted = searched(index), stored(tables)
        if len(ids) != len(set(ids)) or set(ids) != wanted:
            say(f"at the end a search answered {len(ids)} clips, {len(set(ids))} different; in tables: {len(wanted)}")
        for problem in verify(VerifyConfig(tables=tables.root, index=index.root)).problems:
            say(problem)


def _note(outcome: Outcome, name: str, after_s: float, text: str) -> None:
    outcome.problems.append(f"{name}, killed after {after_s:.3f} s: {text}")
    print(f"problem: {outcome.problems[-1]}", flush=True)


def undisturbed_s(context: ForkServerContext, name: str, state: Path) -> float:
    """Seconds of a command that nobody kills."""
    with tempfile.TemporaryDirectory(prefix="reelsift-chaos-") as scratch:
        shutil.copytree(state, f"{scratch}/state")
        return run_killed(context, name, f"{scratch}/state", None)[0]


def measure(context: ForkServerContext, name: str, kills: int, rng: random.Random) -> Outcome:
    """All kills of one command."""
    with tempfile.TemporaryDirectory(prefix="reelsift-chaos-") as scratch:
        state = Path(scratch) / "state"
        add_tables(state, _VIDEOS, seed=0)
        prepare(name, state)
        outcome = Outcome(0.0)
        while outcome.killed < kills and outcome.drawn < _MOST_MOMENTS * kills:
            if outcome.drawn % _MEASURED_EVERY == 0:
                outcome.lengths_s.append(undisturbed_s(context, name, state))
                outcome.length_s = outcome.lengths_s[-1]
            after_s = rng.uniform(0, outcome.length_s)
            try:
                one_kill(context, name, state, after_s, outcome)
            except Exception:  # noqa: BLE001  (whatever it is, it is a finding, and the next kill is tried)
                _note(outcome, name, after_s, traceback.format_exc(limit=-4))
            print(f"{name}: {outcome.killed}/{kills}, {len(outcome.problems)} problems", flush=True)
    return outcome


def rows_of(outcomes: dict[str, Outcome]) -> list[list[str]]:
    """The table."""
    head = [
        "command",
        "moments drawn",
        "killed at work",
        "length, s",
        "kills at, s",
        "change left unfinished",
        "reruns",
        "problems",
    ]
    rows = [head]
    for name, outcome in outcomes.items():
        moments = outcome.moments_s or [0.0]
        rows.append(
            [
                name,
                str(outcome.drawn),
                str(outcome.killed),
                f"{statistics.median(outcome.lengths_s):.2f}",
                f"{min(moments):.2f} to {max(moments):.2f}",
                str(outcome.unfinished),
                str(outcome.killed),
                str(len(outcome.problems)),
            ]
        )
    return rows


def main() -> None:
    """Kill, look, tell, and keep with --keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each command")
    parser.add_argument("--only", choices=_COMMANDS, action="append", help="this command alone; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    rng = random.Random(args.seed)
    outcomes = {name: measure(context, name, args.kills, rng) for name in args.only or _COMMANDS}
    tell(
        f"kill -9 at {args.kills} random moments of build, publish, update and delete, Milvus Lite",
        f"python -m benchmarks.chaos_index --kills {args.kills} --seed {args.seed}",
        rows_of(outcomes),
        [
            f"{_VIDEOS} videos of 3 clips in an index with a live version; update adds {_NEW_VIDEOS} videos, delete "
            "takes ten of them",
            "moments are uniform over the length of the work in an undisturbed run, measured again every ten moments, "
            "counted from where it begins; when it had ended before its moment, another was drawn; `change left "
            "unfinished`: the kill fell between the first and the last step of an update or delete, and the second run "
            "ended it from its journal",
            "a problem is: a search right after the kill fails, or gives a clip twice or one that is in no table; a "
            "second run that fails; a search after it that gives anything but the clips of the tables, each once; "
            "whatever `reelsift verify` names",
        ],
        keep=args.keep,
    )


if __name__ == "__main__":
    main()
