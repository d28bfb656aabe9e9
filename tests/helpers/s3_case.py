"""A server that speaks S3, on this machine, and a bucket in it, for the tests of cubes in object storage."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "user",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SOURCE_DATE_EPOCH": "1700000000",
    }.items():
        monkeypatch.setenv(name, value)
    post(f"{server}/moto-api/reset", b"")
    client = boto3.client("s3", endpoint_url=server)
    client.create_bucket(Bucket="cubes")

    def objects() -> dict[str, bytes]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="cubes")
        names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {name: client.get_object(Bucket="cubes", Key=name)["Body"].read() for name in names}

    return objects
