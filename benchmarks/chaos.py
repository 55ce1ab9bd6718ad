"""Kills drivers, actors, decoders and nodes of extractions with SIGKILL at random moments, and compares what is left.

    python -m benchmarks.chaos --kills 100
    python -m benchmarks.chaos --kills 3 --nodes 3 --victims node
    python -m benchmarks.chaos --s3 --outage-s 60

Small clips, the smallest model, one source a task, one Ray cluster for all drivers. A driver that was killed is started
again with the same command; after any other kill the run itself goes on, or if it gives up is started again. When it
has ended, the tables must equal those of an undisturbed run: the same sources, clips and vectors, each once, and
`verify` finds nothing. Then another extraction begins, until there were enough kills.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow.parquet as pq
from ray.cluster_utils import Cluster

from benchmarks.report import tell
from pipeline.storage import Store
from pipeline.tables import committed_tasks
from pipeline.verify.run import verify
from schemas.config import ExtractConfig, VerifyConfig
from schemas.errors import ReelsiftError
from tests.e2e.tables_view import TablesView, assert_same_clips
from tests.media import make_audio, make_video
from tests.servers import fault_proxy, s3

_MODEL: Final = "random-tiny"
_PRELOADED: Final = ("pipeline.extraction", "models.registry", "pipeline.stages.encode")
_MARKS: Final = {
    "decode actor": "ray::MapWorker(MapBatches(DecodeStage",
    "encode actor": "ray::MapWorker(MapBatches(EncodeStage",
    "commit actor": "ray::MapWorker(MapBatches(CommitStage",
    "decoder child": "pipeline.decode.worker",
}
_VICTIMS: Final = ("driver", *_MARKS, "node")
_RUN_LIMIT_S: Final = 900.0
_LOOK_S: Final = 0.05
_NODE_CPUS: Final = 4
_MOST_DELAY_S: Final = 1.0
_NO_FAULTS: Final = fault_proxy.Faults(busy=0, broken=0, cut=0, slow=0)


@dataclass
class Outcome:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    extractions: int = 0
    reruns: int = 0
    problems: list[str] = field(default_factory=list)


def make_folder(folder: Path, clips: int) -> None:
    """Good videos of several containers, and three that are none."""
    folder.mkdir(parents=True)
    suffixes = (".mp4", ".mkv", ".webm", ".avi", ".mov")
    for number in range(clips - 3):
        make_video(folder / f"{number:03d}{suffixes[number % 5]}", num_frames=60, size=(320, 180), seed=number)
    make_audio(folder / "sound.mp4")
    (folder / "zero.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video\n" * 100)


def run_driver(config: ExtractConfig) -> None:
    """One extraction, in a process of its own; a fault that a user would be told of ends it with code 1."""
    from pipeline.extraction import extract  # noqa: PLC0415  (the killer itself needs no torch)

    out = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        extract(config)
    except ReelsiftError as error:
        os.write(out, f"  a run ended with: {error}\n".encode())
        raise SystemExit(1) from None


class Nodes:
    """A Ray cluster of this machine, with addresses of its own on loopback."""

    def __init__(self, count: int) -> None:
        # Else each process of this cluster would ask for a token that nobody made.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        self._number = 1
        self._cluster = Cluster()
        self.spare: list[Any] = []
        self._add(head=True)
        for _ in range(count - 1):
            self.spare.append(self._add())
        os.environ["RAY_ADDRESS"] = self._cluster.address

    def _add(self, head: bool = False) -> Any:
        self._number += 1
        arguments: dict[str, Any] = {"include_dashboard": False} if head else {}
        return self._cluster.add_node(
            num_cpus=_NODE_CPUS,
            node_ip_address=f"127.0.0.{self._number}",
            object_store_memory=100 << 20,
            **arguments,
        )

    def kill(self, rng: random.Random) -> None:
        """End all processes of a node that is not the head, and put a fresh one in its place."""
        node = self.spare.pop(rng.randrange(len(self.spare)))
        self._cluster.remove_node(node, allow_graceful=False)
        self.spare.append(self._add())

    def close(self) -> None:
        """End all of it."""
        self._cluster.shutdown()


def alive(kind: str, driver: BaseProcess, nodes: Nodes) -> list[int]:
    """Process ids of what is of this kind at this moment; of a node its number in the cluster."""
    if kind == "driver":
        return [driver.pid or 0] if driver.is_alive() else []
    if kind == "node":
        return list(range(len(nodes.spare)))
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if _MARKS[kind] in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def kill_one(kind: str, driver: BaseProcess, nodes: Nodes, rng: random.Random) -> bool:
    """Kill one of this kind; whether there was any."""
    found = alive(kind, driver, nodes)
    if not found:
        return False
    if kind == "node":
        nodes.kill(rng)
        return True
    try:
        os.kill(rng.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


class _Committed(TablesView):
    """Objects as readers see them: what a killed write left has another suffix, and `verify` lists it as an orphan."""

    def rows(self, folder: str) -> list[dict[str, Any]]:
        """All rows of a folder."""
        names = [name for name in sorted(self.fs.find(f"{self.root}/{folder}")) if name.endswith(".parquet")]
        return [row for name in names for row in pq.read_table(io.BytesIO(self.fs.cat_file(name))).to_pylist()]


class Chaos:
    """Extractions that are killed."""

    def __init__(self, videos: str, kinds: tuple[str, ...], nodes: Nodes, seed: int, num_sources: int) -> None:
        self.num_sources = num_sources
        self._videos, self._kinds, self._nodes = videos, kinds, nodes
        self._rng = random.Random(seed)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_PRELOADED))
        self.outcome = Outcome()

    def start(self, tables: str) -> BaseProcess:
        """A driver."""
        config = ExtractConfig(
            input=[self._videos], tables=tables, model=_MODEL, videos_per_task=1, decode_timeout_s=120
        )
        driver = self._context.Process(target=run_driver, args=(config,))
        driver.start()
        return driver

    def undisturbed(self, tables: str) -> float:
        """Extract without a kill; seconds it took."""
        start = time.monotonic()
        driver = self.start(tables)
        driver.join(_RUN_LIMIT_S)
        if driver.exitcode != 0:
            raise SystemExit(f"the undisturbed run ended with code {driver.exitcode}")
        return time.monotonic() - start

    def disturbed(self, tables: str, length_s: float, kills: int) -> None:
        """Extract, killing until it is done or there were `kills`."""
        self.outcome.extractions += 1
        store, end = Store(tables), time.monotonic() + _RUN_LIMIT_S
        driver = self.start(tables)
        while driver.exitcode != 0:
            if time.monotonic() > end:
                driver.kill()
                self.outcome.problems.append(f"an extraction did not end within {_RUN_LIMIT_S:.0f} s")
                return
            if driver.exitcode is not None:
                self.outcome.reruns += 1
                driver = self.start(tables)
            left = kills - self.outcome.kills.total()
            kind = self._rng.choice(self._kinds)
            if left > 0 and self._wait(kind, driver, store, length_s):
                if kill_one(kind, driver, self._nodes, self._rng):
                    self.outcome.kills[kind] += 1
                if kind == "driver":
                    driver.join(30)
            else:
                driver.join(1)

    def _wait(self, kind: str, driver: BaseProcess, store: Store, length_s: float) -> bool:
        """Wait for a moment to kill at; whether the run still goes on then."""
        end = time.monotonic() + length_s
        if kind in ("driver", "node"):
            # Anywhere in a run, its start included, or soon after a commit.
            before = len(committed_tasks(store))
            anywhere = time.monotonic() + self._rng.uniform(0, length_s)
            while driver.is_alive() and time.monotonic() < anywhere and len(committed_tasks(store)) == before:
                time.sleep(_LOOK_S)
        else:
            # Actors come late, and decoders go before the last commit.
            while driver.is_alive() and time.monotonic() < end and not alive(kind, driver, self._nodes):
                time.sleep(_LOOK_S)
        time.sleep(self._rng.uniform(0, _MOST_DELAY_S))
        return driver.is_alive()

    def compare(self, calm: str, tables: str) -> None:
        """Note how tables differ from the undisturbed ones."""
        a, b = _Committed(calm), _Committed(tables)
        try:
            assert_same_clips(a.clips(), b.clips())
            if a.statuses() != b.statuses():
                raise AssertionError("videos/ differs")
        except AssertionError as error:
            self.outcome.problems.append(f"{tables}: {' '.join(str(error).split())[:300]}")
        found = verify(VerifyConfig(tables=tables)).problems
        self.outcome.problems += [f"{tables}: verify: {problem}" for problem in found]


@dataclass
class Places:
    """Where videos and tables are, and the proxy between, if they are in S3."""

    videos: str
    root: str
    proxy: fault_proxy.FaultProxy | None = None

    def faults(self, faults: fault_proxy.Faults) -> None:
        """What the proxy does from now on."""
        if self.proxy:
            self.proxy.faults = faults


@contextmanager
def places(root: Path, on_s3: bool, seed: int) -> Iterator[Places]:
    """A folder, or a bucket of a real S3 server behind a proxy that does nothing yet."""
    if not on_s3:
        yield Places(str(root / "videos"), str(root))
        return
    (root / "s3").mkdir()
    with s3.running(root / "s3") as server:
        client = server.client()
        for path in sorted((root / "videos").iterdir()):
            client.upload_file(str(path), server.bucket, f"videos/{path.name}")
        with fault_proxy.running(int(server.endpoint.rpartition(":")[2]), _NO_FAULTS, seed) as proxy:
            # Before Ray starts: its workers get this environment.
            os.environ.update(server.env() | {"AWS_ENDPOINT_URL": proxy.endpoint})
            yield Places(f"s3://{server.bucket}/videos/", f"s3://{server.bucket}", proxy)


def outage_midway(chaos: Chaos, place: Places, tables: str, seconds: float) -> None:
    """When a third of the sources is committed, let the store be away for a while; in a thread of its own."""
    proxy, folder = place.proxy, Store(tables)
    if proxy is None or not seconds:
        return
    end = time.monotonic() + _RUN_LIMIT_S
    while time.monotonic() < end:
        with contextlib.suppress(ReelsiftError):
            if len(committed_tasks(folder)) >= chaos.num_sources // 3:
                proxy.outage(seconds)
                return
        time.sleep(0.5)


def rows_of(outcome: Outcome, length_s: float, seconds: float, place: Places) -> list[list[str]]:
    """The table."""
    rows = [["what", "number"]]
    rows += [[f"kills: {kind}", str(count)] for kind, count in sorted(outcome.kills.items())]
    if place.proxy:
        names = {"": "passed"}
        rows += [[f"requests: {names.get(k, k)}", str(count)] for k, count in sorted(place.proxy.counts.items())]
    rows += [
        ["kills in all", str(outcome.kills.total())],
        ["extractions", str(outcome.extractions)],
        ["started again", str(outcome.reruns)],
        ["undisturbed, s", f"{length_s:.0f}"],
        ["all of it, s", f"{seconds:.0f}"],
        ["**problems**", f"**{len(outcome.problems)}**"],
    ]
    return rows


def measure(args: argparse.Namespace, root: Path) -> tuple[list[list[str]], list[str]]:
    """Make the videos, extract them once in peace and then under kills or faults; the table, and problems."""
    make_folder(root / "videos", args.clips)
    with places(root, args.s3, args.seed) as place, closing(Nodes(args.nodes)) as nodes:
        kinds = tuple(args.victims or (kind for kind in _VICTIMS if kind != "node" or args.nodes > 1))
        chaos = Chaos(place.videos, kinds, nodes, args.seed, args.clips)
        calm = f"{place.root}/calm"
        chaos.undisturbed(calm)  # the first one also starts the process that drivers are forked from
        length_s = chaos.undisturbed(f"{place.root}/calm-again")
        start = time.monotonic()
        while chaos.outcome.kills.total() < args.kills or chaos.outcome.extractions < args.extractions:
            tables = f"{place.root}/rough-{chaos.outcome.extractions}"
            place.faults(fault_proxy.Faults(silent=0.002))
            watcher = threading.Thread(target=outage_midway, args=(chaos, place, tables, args.outage_s), daemon=True)
            watcher.start()
            chaos.disturbed(tables, length_s, args.kills)
            place.faults(_NO_FAULTS)
            chaos.compare(calm, tables)
            found = chaos.outcome
            print(
                f"{found.kills.total()} kills, {found.extractions} extractions, {len(found.problems)} problems "
                f"after {time.monotonic() - start:.0f} s: {dict(found.kills)}",
                flush=True,
            )
        return rows_of(chaos.outcome, length_s, time.monotonic() - start, place), chaos.outcome.problems


def main() -> None:
    """Kill, compare, tell, and keep with --keep; exit code 1 if anything was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--extractions", type=int, default=1, help="at least")
    parser.add_argument("--clips", type=int, default=40, help="sources of an extraction")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--victims", choices=_VICTIMS, action="append", help="this kind alone; repeatable")
    parser.add_argument("--s3", action="store_true", help="videos and tables in S3, behind a proxy with faults")
    parser.add_argument(
        "--outage-s", type=float, default=0.0, help="with --s3: once in each extraction the store is away"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="enter the result into BENCHMARKS.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reelsift-chaos-") as scratch:
        rows, problems = measure(args, Path(scratch))
    for problem in problems:
        print(f"problem: {problem}", flush=True)
    given = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in vars(args).items()
        if name not in ("keep", "s3", "victims") and value != parser.get_default(name)
    ]
    given += ["--s3"] * args.s3 + [f"--victims '{victim}'" for victim in args.victims or ()]
    what = "an S3 server with faults" if args.s3 else f"{args.nodes} node(s)"
    tell(
        f"Chaos: {args.kills} kills of extractions, {what}",
        " ".join(["python -m benchmarks.chaos", *sorted(given)]),
        rows,
        [
            f"{args.clips} sources of {_MODEL}, one a task; each extraction was compared with an undisturbed one: same "
            "sources, statuses, reasons, clips and vectors, each once; verify named nothing more",
            "the kind of each kill is drawn first; a driver or node dies anywhere in a run or within a second of a "
            "commit, an actor or a decoder's child within a second of being there",
        ],
        keep=args.keep,
    )
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
