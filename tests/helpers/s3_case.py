"""A server that speaks S3, on this machine, and a bucket in it, for the tests of cubes in object storage."""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

URL = "s3://cubes/some/x.zarr"


def post(url: str, data: bytes) -> None:
    """Tell the server something of its own."""
    request = urllib.request.Request(url, data=data, method="POST", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(request).close()


@contextmanager
def running_server() -> Iterator[str]:
    """Yield the address of a server; the test is skipped where obstore or moto is missing."""
    pytest.importorskip("obstore", reason="pip install 'aqreanalysis[s3]'")
    moto = pytest.importorskip("moto.server", reason="the server of these tests comes with the extra 'dev'")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def fresh_bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, bytes]]:
    """Return a look-up of the objects in a fresh bucket, which the environment leads to."""
    for name, value in {**variables(server), "SOURCE_DATE_EPOCH": "1700000000"}.items():
        monkeypatch.setenv(name, value)
    client = emptied(server)
    return lambda: objects_of(client)


def variables(server: str) -> dict[str, str]:
    """Return what leads a command to a server."""
    region = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "secret", **region}


def emptied(server: str) -> Any:
    """Return a client of a server that has one bucket, with nothing in it."""
    import boto3

    post(f"{server}/moto-api/reset", b"")
    keys = {"aws_access_key_id": "user", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=server, **keys)
    client.create_bucket(Bucket="cubes")
    return client


def objects_of(client: Any) -> dict[str, bytes]:
    """Return name -> bytes of what is in the bucket."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="cubes")
    names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {name: client.get_object(Bucket="cubes", Key=name)["Body"].read() for name in names}


class ServerProcess:
    """A server in a process of its own, out of reach of kills; it starts when first asked."""

    def __init__(self) -> None:
        self._address = ""
        self._client: Any = None

    @property
    def address(self) -> str:
        """Where it listens."""
        if not self._address:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            atexit.register(running.kill)
            ends = time.monotonic() + 120
            while time.monotonic() < ends and running.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    time.sleep(0.2)
                else:
                    self._address = f"http://127.0.0.1:{port}"
                    break
            assert self._address, "moto's server does not start: pip install 'moto[s3]' flask flask-cors"
        return self._address

    def environment(self) -> dict[str, str]:
        """Return what leads a command to it."""
        return variables(self.address)

    def empty(self) -> None:
        """Make its bucket anew."""
        self._client = emptied(self.address)

    def bring(self, place: Path) -> None:
        """Copy the bucket into a folder beside the work; ``bucket.left`` there names what is no part of the cube."""
        folder = place / "bucket"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        others = []
        for name, data in objects_of(self._client).items():
            if f"s3://cubes/{name}".startswith(f"{URL}/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            else:
                others.append(name)
        (place / "bucket.left").unlink(missing_ok=True)
        if others:
            (place / "bucket.left").write_text("\n".join(others), encoding="utf-8")
