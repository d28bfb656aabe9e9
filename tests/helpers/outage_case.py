"""Object storage with a bad time: a server that hands questions on, but for a while."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Answers of 500 and 503, answers that do not come before it is over, connections that are cut.
TROUBLES = ("500", "503", "slow", "cut")
_OWN_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Outage:
    """A bad time that begins when some chunks have come.

    Attributes
    ----------
    trouble : str
        One of `TROUBLES`.
    seconds : float
        How long it lasts.
    after : int
        Chunks that are taken before.
    met : int
        Questions that came in it.
    """

    trouble: str
    seconds: float
    after: int
    met: int = 0
    _chunks: int = 0
    _begun: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def comes_over(self, method: str, path: str) -> bool:
        """Tell whether a question meets it."""
        with self._lock:
            self._chunks += method == "PUT" and ".part" not in path
            if self._chunks > self.after and self._begun is None:
                self._begun = time.monotonic()
            now = self._begun is not None and time.monotonic() < self._begun + self.seconds
            self.met += now
            return now

    def wait(self) -> None:
        """Wait until it is over."""
        while self._begun is not None and time.monotonic() < self._begun + self.seconds:
            time.sleep(0.02)

    def end(self) -> None:
        """Be over."""
        self.seconds = 0.0


@contextmanager
def in_front_of(server: str, outage: Outage) -> Iterator[str]:
    """Yield the address of a server that hands all questions on to another, but for its bad time."""
    host = server.removeprefix("http://")

    class Handing(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if outage.comes_over(self.command, self.path):
                if outage.trouble == "slow":
                    outage.wait()
                elif outage.trouble == "cut":
                    self.close_connection = True
                    return
                else:
                    self._give(int(outage.trouble), {}, b"")
                    return
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            self._give(answer.status, dict(answer.getheaders()), answer.read())
            connection.close()

        def _give(self, status: int, headers: dict[str, str], content: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in _OWN_HOP:
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # who asked has gone

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    front = ThreadingHTTPServer(("127.0.0.1", 0), Handing)
    front.daemon_threads = True
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{front.server_address[1]}"
    finally:
        front.shutdown()
        front.server_close()
