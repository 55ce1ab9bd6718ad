"""reelsift index estimate: memory, disk, shards, replicas and hours of an index that is not built yet."""

from collections.abc import Iterator, Sequence

from jobs.cli import CommandParser, print_json
from schemas.codecs import CODECS
from schemas.sizing import CollectionEstimate, EstimateConfig, SizeEstimate


def estimate_parser() -> CommandParser:
    """The flags."""
    parser = CommandParser(
        "index estimate",
        "Tell what an index of so many clips would need, from measured constants.",
        "reelsift index estimate --clips 1000000 --codec pooled-23",
    )
    parser.add_argument("--clips", metavar="N", type=int, help="how many")
    parser.add_argument("--codec", metavar="NAME", help=f"{' | '.join(CODECS)} (default fp16)")
    parser.add_argument("--dim", metavar="D", type=int, help="numbers of a vector (default 512)")
    parser.add_argument("--frames", metavar="F", type=int, help="of a clip (default 12)")
    parser.add_argument("--patches", metavar="P", type=int, help="of a frame (default 49)")
    return parser


def run_estimate(parser: CommandParser, argv: Sequence[str]) -> None:
    """Run the command."""
    args = parser.parse_args(argv)
    config = EstimateConfig.of(parser.settings(args))
    # Not at the top: codecs bring torch, for which the other commands should not wait.
    from pipeline.index.sizing import estimate  # noqa: PLC0415

    found = estimate(config)
    for line in lines(found, config.index_cores):
        print(line, flush=True)
    if args.json:
        print_json(found)


def lines(found: SizeEstimate, cores: int) -> Iterator[str]:
    """An estimate for people."""
    yield (
        f"{found.clips:,} clips, codec {found.codec}: {found.record_bytes:,} bytes a record, {found.fine_gb:,.1f} GB "
        f"in {found.shards:,} fine shards"
    )
    yield from _collection("coarse vectors", found.coarse, cores)
    yield from _collection("frame vectors, if wanted", found.frames, cores)
    replicas = ", ".join(f"{count} with recall {mode}" for mode, count in found.replicas.items())
    yield f"rerank replicas of one core for {found.queries_a_second:g} queries/s: {replicas}"


def _collection(name: str, part: CollectionEstimate, cores: int) -> Iterator[str]:
    memory = ", ".join(f"{kind} {gigabytes:,.1f}" for kind, gigabytes in part.memory_gb.items())
    yield f"{name}: {part.rows:,} rows; Milvus memory in GB: {memory}; disk {part.disk_gb:,.1f} GB"
    hours = f"{part.load_hours:,.1f} h to load, {part.index_hours:,.1f} h to index on {cores} cores"
    yield f"  auto takes {part.chosen}: {hours}"
