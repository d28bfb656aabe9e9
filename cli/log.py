"""What a command says, on the terminal and in the log of its run: lines with a moment, a level and the run's id."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from aqreanalysis.cli.errors import RUN_ID, one_line, visible
from aqreanalysis.errors import OutputError

#: The logger of the command line and, below it, of the package: whoever calls the package in Python attaches his own.
LOGGER = logging.getLogger("aqreanalysis")
_SAID = logging.getLogger("aqreanalysis.cli")
LEVELS = ("debug", "info", "warning", "error")
_LEVEL = "aqreanalysis.log_level"


class _Warnings(logging.Handler):
    """Prints what the package itself warns of, a line each, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one that nobody has printed yet."""
        if record.name != _SAID.name:
            click.echo(f"warning: {one_line(record.getMessage())}", err=True)


LOGGER.addHandler(_Warnings(logging.WARNING))
LOGGER.propagate = False


def say(text: str, err: bool = False, nl: bool = True) -> None:
    """Print a line, on stderr if `err`, with the control characters of foreign names written out; and log it."""
    shown = visible(text)
    _SAID.info("%s", shown)
    click.echo(shown, err=err, nl=nl)


class _Lines(logging.Formatter):
    """One record, one line: nothing in a name makes a second one."""

    converter = time.gmtime  # type: ignore[assignment]  # as the documentation of logging has it

    def __init__(self) -> None:
        super().__init__(f"%(asctime)sZ %(levelname)s run={RUN_ID} %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return one_line(super().format(record))


def _set_level(context: click.Context, parameter: click.Parameter, level: str | None) -> None:
    """Keep the level until the file is opened, which is after it."""
    del parameter
    if level is not None:
        context.meta[_LEVEL] = level


def _open(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Append to a file what is logged from here on.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    del parameter
    if path is None:
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the log {path}: {error.strerror}; choose another --log-file") from None
    handler.setFormatter(_Lines())
    LOGGER.addHandler(handler)
    LOGGER.setLevel(context.meta.get(_LEVEL, "info").upper())
    _SAID.info("begins: %s, aqreanalysis %s", context.command_path, version("aqreanalysis"))


def log_options(command: click.Command) -> None:
    """Give a command, or each of a group, ``--log-file`` and ``--log-level``."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            log_options(one)
        return
    file: dict[str, Any] = {
        "type": click.Path(dir_okay=False, path_type=Path),
        "expose_value": False,
        "callback": _open,
    }
    command.params += [
        click.Option(
            ["--log-level"],
            type=click.Choice(LEVELS),
            is_eager=True,
            expose_value=False,
            callback=_set_level,
            help="Least severe messages that --log-file keeps.  [default: info]",
        ),
        click.Option(["--log-file"], **file, help="Append messages, with time, level and run id, to this file."),
    ]
