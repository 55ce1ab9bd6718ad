"""`reelsift serve`: a published index over HTTP and, where asked for, gRPC."""

import argparse
import contextlib
import http.client
import json
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from jobs.cli import EXIT_DONE, CommandParser, run_command
from pipeline.serving.application import build, connected, deploy
from pipeline.serving.front import Front
from schemas.config import ServeConfig
from schemas.errors import TerminatedError
from schemas.http import Health

# A model of some hundred megabytes is read within this; without an answer the reason is printed instead.
_READY_WAIT_S = 120.0
_LOOK_S = 0.3
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STARTING = "starting"


def parsers() -> dict[str, CommandParser]:
    """The commands of this module, for the frozen list."""
    parser = CommandParser(
        "serve",
        "Answer searches over HTTP with Ray Serve; a version published meanwhile is taken up without a break.",
        "reelsift serve --index demo/index --port 8000",
    )
    parser.add_argument("--index", metavar="URI", help="the index")
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", metavar="N", type=int, help="port to listen on (default 8000)")
    parser.add_argument("--grpc-port", metavar="N", type=int, help="port to answer gRPC on as well (default: none)")
    parser.add_argument(
        "--rerank-shards", metavar="N", type=int, help="divide the fine tokens among N processes (default 1)"
    )
    _add_front(parser)
    return {"serve": parser}


def _add_front(parser: CommandParser) -> None:
    keys = "a key a line in a file, or env:NAME"
    parser.add_argument("--api-keys", metavar="WHERE", help=f"keys that may search: {keys}")
    parser.add_argument("--admin-keys", metavar="WHERE", help=f"keys that may also switch versions: {keys}")
    parser.add_argument("--no-auth", action="store_true", default=None, help="let anyone who reaches the port search")
    parser.add_argument("--cors-origin", metavar="ORIGIN", action="append", help="whose pages may ask (default none's)")
    media = argparse.BooleanOptionalAction
    parser.add_argument(
        "--media", action=media, default=None, help="serve clips' videos and pictures (default: yes, unless --no-auth)"
    )
    parser.add_argument("--request-log", metavar="FILE", help="a line of JSON for each request")
    parser.add_argument("--log-queries", action="store_true", default=None, help="with the texts in it")
    parser.add_argument("--traces", metavar="URL", help="OpenTelemetry collector, by OTLP over HTTP")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command until SIGTERM or SIGINT."""
    parser = parsers()["serve"]
    args = parser.parse_args(argv)
    config = ServeConfig.of(parser.settings(args))
    # Keys that are none are told before anything starts.
    front = Front.of(config)
    # While Ray starts, SIGTERM meets handlers that raise.
    with contextlib.suppress(SystemExit, TerminatedError), _stop_signals() as stop, connected(config):
        # Ray has put handlers of its own in the place of ours.
        _listen(stop)
        if stop.is_set():
            return EXIT_DONE
        deploy(config, build(config, front))
        reason = _wait_until_settled(config, stop)
        if not stop.is_set():
            _announce(config, reason)
            if args.json:
                grpc = {} if config.grpc_port is None else {"grpc": _address(config, config.grpc_port)}
                print(json.dumps({"url": _url(config), "index": config.index, **grpc}), flush=True)
        stop.wait()
    return EXIT_DONE


def _listen(stop: threading.Event) -> None:
    # It only sets a flag: an exception out of a handler would go through Ray's C++ code, which aborts.
    for each in _SIGNALS:
        signal.signal(each, lambda signum, frame: stop.set())


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    stop = threading.Event()
    _listen(stop)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _url(config: ServeConfig) -> str:
    return f"http://{_address(config, config.port)}"


def _address(config: ServeConfig, port: int) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{host}:{port}"


def _wait_until_settled(config: ServeConfig, stop: threading.Event) -> str | None:
    """None when searches can be answered, else why not."""
    reason: str | None = "no answer yet"
    deadline = time.monotonic() + _READY_WAIT_S
    while time.monotonic() < deadline and not stop.wait(_LOOK_S):
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            reason = _readiness(config)
            if reason is None or not reason.startswith(_STARTING):
                return reason
    return reason


def _readiness(config: ServeConfig) -> str | None:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    connection = http.client.HTTPConnection(anywhere.get(config.host, config.host), config.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        health = Health.model_validate_json(answer.read())
        return None if answer.status == http.HTTPStatus.OK else health.reason or health.status
    finally:
        connection.close()


def _announce(config: ServeConfig, reason: str | None) -> None:
    body = shlex.quote(json.dumps({"query": "a red star", "k": 5}))
    key = " -H 'Authorization: Bearer KEY'" if config.api_keys else ""
    example = f"curl -s {_url(config)}/v1/search{key} -H 'Content-Type: application/json' -d {body}"
    grpc = f" and gRPC on {_address(config, config.grpc_port)}" if config.grpc_port else ""
    print(f"reelsift: serving {config.index} on {_url(config)}{grpc}; try: {example}", flush=True)
    if reason is not None:
        print(f"reelsift: not ready: {reason}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
