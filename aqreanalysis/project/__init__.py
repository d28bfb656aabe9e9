"""A folder that takes records to a validated cube by one command: what `aqreanalysis new` lays."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from aqreanalysis.common.files import replacing
from aqreanalysis.errors import ObservationsError, OutputError

#: What is laid, as it lies in the package. Folders are made by code: an empty one survives no packing.
TEMPLATE = Path(__file__).parent / "template"
FOLDERS = ("records", "covariates")
#: Laid last: a folder of ours without it is unfinished, and laid again.
LAST = "Makefile"
#: Names that would have a meaning within the package, and what they become.
_RENAMED = {"gitignore": ".gitignore"}


def lay_project(folder: str | Path, records: Sequence[str | Path] = (), settings: dict[str, str] | None = None) -> Path:
    """Return the folder of a project, laid now: a Makefile, settings, a config, and where records and covariates go.

    Parameters
    ----------
    folder : str or Path
        New, or empty, or one whose laying was cut short.
    records : sequence of str or Path
        Station files and folders to copy into it.
    settings : dict, optional
        Values of ``settings.mk``: GRID, SPECIES, START, END, WAY; AQ, the program, is by default that of this Python.

    Raises
    ------
    OutputError
        If the folder holds something, or cannot be written.
    ObservationsError
        If records are not there.
    """
    root = Path(folder)
    laid = [path for path in sorted(TEMPLATE.iterdir()) if path.is_file()]
    own = {*FOLDERS, *(_RENAMED.get(path.name, path.name) for path in laid)} - {LAST}
    if root.is_file() or (root.is_dir() and any(path.name not in own for path in root.iterdir())):
        raise OutputError(f"{root} exists and is not empty: choose another folder")
    for path in map(Path, records):
        if not path.exists():
            raise ObservationsError(f"no observations file {str(path)!r}")
    try:
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        for path in laid:
            if path.name != LAST:
                shutil.copyfile(path, root / _RENAMED.get(path.name, path.name))
        for path in map(Path, records):
            copy = partial(shutil.copytree, dirs_exist_ok=True) if path.is_dir() else shutil.copyfile
            copy(path, root / "records" / path.name)
        _set(root / "settings.mk", {"AQ": _program(), **(settings or {})})
        with replacing(root / LAST) as part:
            shutil.copyfile(TEMPLATE / LAST, part)
    except OSError as error:
        raise OutputError(f"{root} cannot be written: {error.strerror or error}") from None
    return root


def _program() -> str:
    # The whole path: cron runs `make` with a PATH of the system's own, in which no virtual environment stands.
    script = Path(sys.executable).with_name("aqreanalysis")
    words = [str(script)] if script.is_file() else [sys.executable, "-m", "aqreanalysis.cli"]
    return " ".join(map(shlex.quote, words)).replace("$", "$$").replace("#", r"\#")


def _set(path: Path, settings: dict[str, str]) -> None:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        setting = re.match(r"(\w+) *[:?]=", line)
        lines.append(f"{setting[0]} {settings[setting[1]]}" if setting and setting[1] in settings else line)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
