"""What can go wrong for a reason that the user can mend: one base class, a few children.

A message is one line that names the value, the rule it breaks and the way out. The command line prints it without a
traceback and exits with ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class AqreanalysisError(Exception):
    """Base of every error that this package raises on purpose.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> try:
    ...     aq.load_config("aqnett")
    ... except aq.AqreanalysisError as error:
    ...     print(type(error).__name__, error.exit_code)
    ConfigError 2
    """

    exit_code = 2


class ConfigError(AqreanalysisError):
    """A configuration with an unknown key, a wrong type or values that contradict each other."""


class ObservationsError(AqreanalysisError):
    """Station records that cannot be read, or that break the rules of `Observations`."""


class CovariatesError(AqreanalysisError):
    """Meteorology or a raster that cannot be read, or that does not hold what is asked of it."""


class GridError(AqreanalysisError):
    """A grid that cannot be read, or that is not regular in latitude and longitude."""


class ModelError(AqreanalysisError):
    """A model bundle that is missing, altered or does not fit the observations."""


class TrainingError(AqreanalysisError):
    """A training that cannot go on: the loss diverged."""


class OutputError(AqreanalysisError):
    """An output that exists, belongs to another run, or cannot be written."""


class CubeError(AqreanalysisError):
    """A cube that cannot be read or does not keep the conventions."""


class Interrupted(AqreanalysisError):
    """The user stopped the run; what was finished is kept and the message says how to go on."""

    exit_code = 130


def already_exists(out: object) -> OutputError:
    """Return the refusal of an output that is there and was not to be replaced."""
    return OutputError(f"{out} exists: choose another --out, or replace it with --overwrite")


def as_given(value: object) -> str:
    """Return an argument as a message names it: its repr where that is a short line, else its type."""
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"of type {type(value).__name__}"


def wrong_type(what: str, value: object, give: str, kind: type[AqreanalysisError] = ConfigError) -> AqreanalysisError:
    """Return the refusal of an argument that is no such thing, with what to give instead."""
    return kind(f"{what} {as_given(value)}: give {give}")


def no_cube(path: Path) -> CubeError:
    """Return the refusal of a cube that is not there, with the run that waits beside its place, if one does."""
    part = path.with_name(f"{path.name}.part")
    way = f"{part} holds an unfinished run: repeat its command" if part.exists() else "check the path"
    return CubeError(f"no cube {path}; {way}")


def no_format(name: str, known: Iterable[str]) -> ObservationsError:
    """Return the refusal of a format of station files that is not among those known."""
    names = sorted(known)
    return ObservationsError(f"no format {name!r}{nearest_hint(name, names)}: known are {', '.join(names)}")


def in_one_line(error: BaseException, most: int | None = None) -> str:
    """Return what a library's error says without line breaks, `most` characters of it; its class if it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def nearest_hint(value: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to `value` in any case, or an empty string."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(value.lower(), list(names), n=1, cutoff=0.5)
    return f"; did you mean {names[close[0]]!r}?" if close else ""
