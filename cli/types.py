"""What options take: checked while the command line is parsed, completed by the shell, without anything heavy.

A value that can be known to be wrong from its text or from what lies on the disk is refused here, in the words of the
room that would refuse it, before arrays, networks or files of data are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from aqreanalysis import errors
from aqreanalysis.errors import ConfigError, CovariatesError, nearest_hint

Context: TypeAlias = click.Context | None
Parameter: TypeAlias = click.Parameter | None


_NO_FORMATS = ("__init__", "registry")
# What 64 bits of nanoseconds hold.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


class UtcTime(click.ParamType):
    """A UTC time as ISO 8601; a date is its first instant, and an offset (``+08:00``) is taken off."""

    name = "UTC time"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> datetime:
        """Return a naive datetime in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time: write 2019-01-31 or 2019-01-31T06:00 (UTC)", param, ctx)
        if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
            self.fail(f"{value!r} lies outside of the years {_FIRST_YEAR} to {_LAST_YEAR} that are kept", param, ctx)
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


class Names(click.ParamType):
    """One of some names, or several joined by commas where the option takes them; a wrong one gets the nearest.

    Parameters
    ----------
    what : str
        What a name is of, for messages: ``frequency``.
    known : sequence of str, or callable
        The names; a callable is asked when they are needed.
    """

    name = "name"

    def __init__(self, what: str, known: Sequence[str] | Callable[[], Iterable[str]]) -> None:
        self.what, self._known = what, known

    def known(self) -> list[str]:
        """Return the names."""
        return list(self._known() if callable(self._known) else self._known)

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """Return the text as it is.

        Raises
        ------
        ConfigError
            If a name in it is unknown.
        """
        for name in (part.strip() for part in str(value).split(",")):
            if name and name not in self.known():
                known = self.known()
                raise ConfigError(f"no {self.what} {name!r}: there are {', '.join(known)}{nearest_hint(name, known)}")
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that the last of those joined by commas may become."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in self.known() if name.startswith(last)]


class Suggested(click.ParamType):
    """A text of which some values are known by name: they are completed, and files besides.

    Parameters
    ----------
    name : str
        For the help.
    known : callable
        Returns the names.
    check : callable, optional
        ``check(text)`` raises if the text can be no value.
    """

    def __init__(
        self, name: str, known: Callable[[], Iterable[str]], check: Callable[[str], object] | None = None
    ) -> None:
        self.name, self._known, self._check = name, known, check

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """Return the text as it is, once it has been looked at."""
        if self._check is not None:
            self._check(str(value))
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, or that the last of those joined by commas may become; else files."""
        before, comma, last = incomplete.rpartition(",")
        names = [CompletionItem(f"{before}{comma}{name}") for name in self._known() if name.startswith(last)]
        return names or [CompletionItem(incomplete, type="file")]


class Records(click.ParamType):
    """Station records: a file of a known ending, a folder or an archive, which is there."""

    name = "path"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """Return the path as it is.

        Raises
        ------
        ObservationsError
            If there is no such file, or it is of no kind that is read.
        """
        from aqreanalysis.observations.files import list_sources

        list_sources(str(value))
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return that it is a file."""
        return [CompletionItem(incomplete, type="file")]


class FieldFiles(Records):
    """Covariates: a file or folder that is there, or ``NAME=PATH``."""

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """Return the text as it is.

        Raises
        ------
        CovariatesError
            If there is no such file or folder.
        """
        from aqreanalysis.covariates.files import named

        path = named(str(value))[1]
        if not path.exists():
            raise CovariatesError(f"no covariates at {str(path)!r}: no such file or folder")
        return str(value)


class StaticFiles(Records):
    """Static fields: ``[NAME=]PATH[:COLUMN]`` of a file or folder that is there."""

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        """Return the text as it is.

        Raises
        ------
        CovariatesError
            If there is no such file, or no raster in the folder.
        """
        from aqreanalysis.covariates.files import static_files

        static_files(str(value))
        return str(value)


def grid_names() -> list[str]:
    """Return the names of the grids that come with the package."""
    return _yaml_names("grids")


def config_names() -> list[str]:
    """Return the names of the configs that come with the package."""
    return _yaml_names("configs")


def _yaml_names(folder: str) -> list[str]:
    # Of the files beside this one: a shell that completes waits for an answer, and the rooms load arrays.
    return sorted(path.stem for path in (Path(__file__).parents[1] / folder).glob("*.yaml"))


def set_keys() -> list[str]:
    """Return the beginnings of what ``--set`` takes: each key of a config, and ``=``."""
    from aqreanalysis.configs import config_keys

    return [f"{key.name}=" for key in config_keys()]


def format_names() -> list[str]:
    """Return the names of the formats of station files: of the files that read them, a format each."""
    folder = Path(errors.__file__).parent / "observations" / "formats"
    return sorted(path.stem.replace("_", "-") for path in folder.glob("*.py") if path.stem not in _NO_FORMATS)


def species_names() -> list[str]:
    """Return the keys of the pollutants."""
    from aqreanalysis.species import SPECIES

    return list(SPECIES)


def check_grid(spec: str) -> None:
    """Refuse a text, or a file of text, that means no grid; a NetCDF file or a store is not opened.

    Raises
    ------
    GridError
        As of `load_grid`.
    """
    path = Path(spec.partition("#")[0])
    if not path.exists() or path.is_file():
        from aqreanalysis.grids.loader import holds_netcdf, load_grid

        if not path.exists() or not holds_netcdf(path):
            load_grid(spec)


def check_config(source: str) -> None:
    """Refuse a config that is neither known by name nor a file.

    Raises
    ------
    ConfigError
        As of `load_config`.
    """
    if source not in config_names() and not Path(source).is_file():
        from aqreanalysis.configs import load_config

        load_config(source)


def check_format(name: str) -> None:
    """Refuse a format of station files that is not known.

    Raises
    ------
    ObservationsError
        If so.
    """
    known = format_names()
    if name not in known:
        raise errors.no_format(name, known)


def check_cube_name(out: str) -> None:
    """Refuse the name of an output whose ending chooses no format.

    Raises
    ------
    OutputError
        If so.
    """
    from aqreanalysis.production.stores.outputs import kind_of

    kind_of(out)


CUBE_OUT = Suggested("path", lambda: (), check_cube_name)
GRID = Suggested("grid", grid_names, check_grid)
CONFIG = Suggested("config", config_names, check_config)
SETTING = Suggested("setting", set_keys)
FORMAT = Suggested("format", format_names, check_format)
