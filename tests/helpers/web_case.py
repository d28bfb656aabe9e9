"""Cubes where commands read them over a network: a web server and a bucket, both on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_NOTHING = b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Yield the address under which a plain web server gives the files of a folder, whole ones only."""
    with _running(partial(_Quiet, directory=str(folder))) as address:
        yield address


@contextmanager
def answering(status: int, lists: bool = False) -> Iterator[str]:
    """Yield the address of a web server that has one answer to everything, `lists` but to what lies in a bucket."""

    class Answers(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            listing = lists and self.command == "GET"
            body = _NOTHING if listing else b""
            self.send_response(200 if listing else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = _answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _running(Answers) as address:
        yield address


@contextmanager
def _running(handler: object) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def upload(folder: Path, bucket: str, server: str, under: str = "") -> None:
    """Put everything in a folder into a bucket, under its path from there, which begins with `under`."""
    import boto3

    client = boto3.client("s3", endpoint_url=server)
    for file in folder.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), bucket, under + file.relative_to(folder).as_posix())
