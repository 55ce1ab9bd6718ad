"""Runs under the Python of `.venv-milvus`: writes the configuration, then becomes the Milvus server itself.

Usage: milvus_launcher.py BASE_DIR METRICS_PORT ETCD_PEER_PORT SESSION_TTL_S KEY=PORT ...

The package's own `default_server.start()` would put a parent process in between, which leaves the server
behind when it is killed, and would search for ports itself, in a race with everybody else.
"""

import os
import sys
from pathlib import Path

# The address each part registers under. They bind to all interfaces whatever stands here: this release cannot be told.
_PARTS = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")
# The line of the configuration's template that has it.
_SESSION_TTL = "\n    ttl: 30 #"


def _configure(base, client_port, peer_port, session_ttl_s):
    # The embedded etcd ignores `etcd_port` and takes 2379 and 2380, unless milvus.yaml names a file of its own.
    # No fsync: on a busy disk one takes ten seconds and more; Milvus then loses its session in etcd and ends itself.
    own = base / "configs" / "etcd.yaml"
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    own.write_text(
        f"name: default\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\n"
        f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
        f"log-outputs: [{base / 'logs' / 'etcd.log'}]\nunsafe-no-fsync: true\n"
    )
    config = base / "configs" / "milvus.yaml"
    text = config.read_text().replace("\netcd:\n", f"\netcd:\n  config:\n    path: {own}\n", 1)
    config.write_text(text.replace(_SESSION_TTL, f"\n    ttl: {session_ttl_s} #", 1))


def main():
    import milvus  # not at the top: pytest looks for doctests in this file under another interpreter

    base, metrics, etcd_peer, session_ttl_s, *pairs = sys.argv[1:]
    server = milvus.MilvusServer()
    for part in _PARTS:
        server.config.set(f"{part}.ip", "127.0.0.1")
    server.config.update(**dict(pair.split("=") for pair in pairs))
    server.set_base_dir(base)
    server.config.resolve()
    _configure(Path(base), server.config.get("etcd_port"), etcd_peer, session_ttl_s)
    milvus._initialize_data_files(base)
    program = Path(server.get_milvus_executable_path())
    library_path = os.pathsep.join(filter(None, [str(program.parent), os.environ.get("LD_LIBRARY_PATH")]))
    run_dir = Path(base) / "run"
    run_dir.mkdir(exist_ok=True)
    os.chdir(base)
    env = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": metrics,
        "MILVUS_RUN_DIR": str(run_dir),
        "LD_LIBRARY_PATH": library_path,
    }
    os.execve(program, [str(program), "run", "standalone"], env)


if __name__ == "__main__":
    main()
