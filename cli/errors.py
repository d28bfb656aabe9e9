"""Where errors become one line and an exit status: 2 for what the user can mend, 130/143 for a stop, 1 for a bug."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from aqreanalysis.errors import AqreanalysisError, Interrupted

# All that Unicode counts among the controls, and the marks that turn the direction of a text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# What libraries say in errors of any kind when the system gives them no memory; the last is oneDNN's, for its code.
_NO_MEMORY = (
    "failed to map segment",
    "Cannot allocate memory",
    "can't allocate memory",
    "std::bad_alloc",
    "could not create a primitive",
)
# In a URL a name and password stand before the last @ (which a password may hold, as it may oblique strokes), and
# tokens behind the question mark or the fragment's sign.
_SECRETS = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,9}:/{1,2})[^\s'\"]*@"), r"\1...@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,9}:/{1,2}[^\s'\"?#]*)[?#][^\s'\"]+"), r"\1?..."),
)
#: Tells the lines and the report of this process from those of others.
RUN_ID = secrets.token_hex(4)
TRACEBACK_VARIABLE = "AQREANALYSIS_TRACEBACK"
STOPPED_BY_KEYBOARD = 130
STOPPED_BY_TERMINATION = 143

# What the system refuses for a reason that the user can mend: rights, space, a folder where a file should be.
_USERS_OSERRORS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EISDIR,
    errno.ENOTDIR,
}


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be, so that both leave the same things behind."""


class Commands(click.Group):
    """A click group that lets no traceback out and says every error on one line of stderr."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Return what click's own ``main`` returns; see `error_boundary` for what it lets out."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            with error_boundary():
                sys.exit(super().main(args, prog_name, complete_var, False, **extra) or 0)
        finally:
            _close_log()

    def invoke(self, ctx: click.Context) -> Any:
        """Return the command's value; SIGTERM and Ctrl-C are raised as `Interrupted` while it runs."""
        try:
            with _termination_raised():
                return super().invoke(ctx)
        except Terminated as stop:
            raise Interrupted("terminated") from stop
        except KeyboardInterrupt as stop:  # before click sees it, which would print an empty line
            raise Interrupted("stopped") from stop


@contextmanager
def error_boundary() -> Iterator[None]:
    """Turn any exception into one line on stderr and an exit status."""
    try:
        yield
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "aqreanalysis"
        _leave(f"{one_line(error.format_message())} See '{path} --help'.", error.exit_code)
    except click.ClickException as error:
        _leave(one_line(error.format_message()), error.exit_code)
    except click.Abort:
        _leave("stopped", STOPPED_BY_KEYBOARD)
    except AqreanalysisError as error:
        _leave(one_line(str(error)), STOPPED_BY_TERMINATION if _was_terminated(error) else error.exit_code)
    except MemoryError as error:
        _leave(one_line(f"out of memory: {error}: give this process more, or a smaller part of the work"), 2)
    except Exception as error:
        if any(text in str(error) for text in _NO_MEMORY):
            _leave(f"out of memory: {one_line(str(error))[:200]}: give this process more, or a smaller part", 2)
        if isinstance(error, OSError) and error.errno in _USERS_OSERRORS:
            _leave(one_line(f"{error.strerror}: {error.filename}" if error.filename else str(error)), 2)
        from aqreanalysis.cli.crash import write_report

        report = write_report(error, RUN_ID)
        beside = f" and with {report}, which holds no data" if report is not None else ""
        _leave(
            f"unexpected {type(error).__name__}: {one_line(str(error))} "
            f"(a fault of this program: please report it with the traceback that {TRACEBACK_VARIABLE}=1 shows{beside})",
            1,
        )


def _was_terminated(error: BaseException | None) -> bool:
    """Say whether SIGTERM stands at the beginning of `error`, however the core has worded it since."""
    while error is not None:
        if isinstance(error, Terminated):
            return True
        error = error.__cause__ or error.__context__
    return False


def one_line(text: str) -> str:
    """Return `text` with its line breaks and runs of blanks made single blanks, and nothing that moves a terminal."""
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    """Return `text` with control characters written out, but for line breaks and tabs, and without secrets of URLs.

    Names in files of strangers may hold sequences that a terminal obeys: a title, a colour, a paste.
    """
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return _CONTROLS.sub(lambda control: control[0].encode("unicode_escape").decode("ascii"), text)


def _leave(message: str, status: int) -> None:
    if os.environ.get(TRACEBACK_VARIABLE, "0") not in {"", "0"}:
        traceback.print_exc()
    logging.getLogger("aqreanalysis.cli").error("Error: %s; status %d", message, status)
    click.echo(f"Error: {message}", err=True)
    sys.exit(status)


def _close_log() -> None:
    """Close the file of ``--log-file``, which has the error in it by then."""
    logger = logging.getLogger("aqreanalysis")
    for handler in [one for one in logger.handlers if isinstance(one, logging.FileHandler)]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.WARNING)


@contextmanager
def _termination_raised() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, where Python takes no signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
