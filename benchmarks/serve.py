"""The service under load: its own overhead, saturation, faults, overload, an outage of Milvus.

    latency     one query at a time; the whole, the stages each alone, and a bare chain of Ray Serve of the same hops
    saturation  open-loop rates, upwards, until answers no longer keep up; all phases below start with it
    hold        a share of saturation for minutes: replicas killed, one version switch
    overload    five times saturation for a minute
    outage      the Milvus server stopped and started again under load

All on one machine, with the load beside the service. Answers are compared with those of `reelsift search`.
"""

import argparse
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from benchmarks.echo_chain import running_chain
from benchmarks.report import tell
from benchmarks.serve_faults import wait_ready
from benchmarks.serve_latency import latency
from benchmarks.serve_phases import find_saturation, hold, outage, overload
from benchmarks.serve_world import World, expected_of, make_index, queries_of
from pipeline.index.switch import publish
from pipeline.index.versions import read_manifest
from pipeline.storage import Store
from tests.e2e.serving import running_service
from tests.servers import milvus

_QUERIES: Final = 200
_PHASES: Final = ("latency", "saturation", "hold", "overload", "outage")


def main() -> None:
    """Run the phases that are asked for, and tell."""
    args = _arguments()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-serve-")))
        server = _milvus(root, stack) if args.milvus == "server" else None
        queries = queries_of(_QUERIES)
        make_index(root, args.clips, server.uri if server else None)
        expected = expected_of(root, queries)
        service = stack.enter_context(running_service(root, *args.flags))
        service.wait_for_line()
        world = World(root, service, expected, queries)
        world.add("service", "ready", f"{wait_ready(service.url, 120):.1f} s after its line")
        _run_phases(world, args, server)
    tell(
        f"Serving {args.clips} clips from Milvus {args.milvus}",
        f"make bench ONLY=benchmarks/serve.py ARGS='{args.line}'",
        world.rows,
        [
            "open loop: latency counts from the moment that a request was due; the load runs on the same cores",
            f"{_QUERIES} texts, k 10, 50 candidates, in every way of recall that the index has; "
            f"flags of the service: {' '.join(args.flags) or 'none'}",
        ],
        keep=args.keep,
    )


def _milvus(root: Path, stack: ExitStack) -> milvus.RestartableMilvus:
    server = milvus.RestartableMilvus(root)
    stack.callback(server.stop)
    server.start()
    return server


def _run_phases(world: World, args: argparse.Namespace, server: milvus.RestartableMilvus | None) -> None:
    if "latency" in args.phases:
        with running_chain(world.root) as url:
            latency(world, args.calls, lambda: url)
    if args.saturation:
        world.saturation = args.saturation
    elif set(args.phases) - {"latency"}:
        find_saturation(world)
    if "overload" in args.phases:
        overload(world, args.overload_s)
    if "outage" in args.phases and server is not None:
        outage(world, server.stop, server.start_again, lambda: _searches(world.root, server.uri), args.away_s)
    if "hold" in args.phases:
        hold(world, args.minutes, args.fault_period_s, lambda: _switch(world.root))


def _searches(root: Path, uri: str) -> bool:
    name = read_manifest(Store(str(root / "index")), 1).collection
    try:
        client = MilvusClient(uri, timeout=2)
    except (MilvusException, grpc.RpcError):
        return False
    try:
        dim = next(
            field["params"]["dim"] for field in client.describe_collection(name)["fields"] if "dim" in field["params"]
        )
        client.search(name, [[1.0] * int(dim)], limit=1, timeout=2)
    except (MilvusException, grpc.RpcError):
        return False
    finally:
        client.close()
    return True


def _switch(root: Path) -> str:
    publish(Store(str(root / "index")), 2)
    return "published version 2"


def _phase_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := sorted(set(names) - set(_PHASES)):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(_PHASES)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=_phase_names, default=_PHASES, help="comma separated (default all)")
    parser.add_argument("--milvus", choices=("lite", "server"), default="server", help="default server")
    parser.add_argument("--clips", type=int, default=1000, help="clips of each version (default 1000)")
    parser.add_argument("--calls", type=int, default=300, help="requests one at a time (default 300)")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the phase hold (default 30)")
    parser.add_argument("--fault-period-s", type=float, default=60.0, help="time between two kills (default 60)")
    parser.add_argument("--overload-s", type=float, default=60.0, help="of the phase overload (default 60)")
    parser.add_argument("--away-s", type=float, default=15.0, help="how long Milvus is away (default 15)")
    parser.add_argument("--saturation", type=float, help="requests a second, to leave out the search for it")
    parser.add_argument("--flags", default="", help="more flags of 'reelsift serve' (default none)")
    parser.add_argument("--keep", action="store_true", help="enter the figures into BENCHMARKS.md")
    args = parser.parse_args()
    args.flags = shlex.split(args.flags)
    args.line = shlex.join(sys.argv[1:])
    return args


if __name__ == "__main__":
    main()
