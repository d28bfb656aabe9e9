"""Cheap mistakes that concern several options: told before anything heavy is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aqreanalysis.errors import OutputError, already_exists


def check_span(start: datetime | None, end: datetime) -> None:
    """Refuse a timeline that ends before it begins, or holds no whole hour.

    Raises
    ------
    OutputError
        If so.
    """
    if start is None:
        return
    if start >= end:
        raise OutputError(f"start {start:%Y-%m-%d %H:%M} is not before end {end:%Y-%m-%d %H:%M} (UTC); swap them")
    first = start if start == _hour(start) else _hour(start) + timedelta(hours=1)
    if first >= _hour(end):
        raise OutputError(f"no whole hour lies between start {start} and end {end}; give them at least one hour")


def check_produced(out: str, span: tuple[datetime | None, datetime], settings: Mapping[str, Any]) -> None:
    """Refuse a timeline that is none, and a single cube that is there and may be neither replaced nor grown.

    One that waits to go on is left alone.

    Parameters
    ----------
    out : str
        Value of ``--out``.
    span : tuple
        Values of ``--start`` and ``--end``.
    settings : mapping
        Of the run: ``overwrite``, and where the command has them ``append``, ``repair``, ``frequencies``, ``split``.

    Raises
    ------
    OutputError
        If so.
    """
    check_span(*span)
    check_place(out)
    may = any(settings.get(key) for key in ("overwrite", "append", "repair", "dry_run"))
    several = len(settings.get("frequencies", ())) > 1 or settings.get("split", "none") != "none"
    path = Path(out)
    if "://" in out or may or several or not path.exists() or path.with_name(f"{path.name}.part").exists():
        return
    from aqreanalysis.production.stores.outputs import already_there

    raise already_there(path)


def check_place(out: str | Path) -> None:
    """Refuse an output that no folder can be made for, or in whose folder nothing may be written.

    Raises
    ------
    OutputError
        If so.
    """
    if "://" in str(out):
        return
    above = next(folder for folder in Path(out).absolute().parents if folder.exists())
    if not above.is_dir():
        raise OutputError(f"{out} cannot be written: {above} is a file; choose another --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"{out} cannot be written: {above} may not be written into; choose another --out")


def check_export(out: Path, endings: Sequence[str], overwrite: bool) -> None:
    """Refuse an output of a cube that cannot be written: a file of one of `endings`, or without any a folder.

    Raises
    ------
    OutputError
        If so.
    """
    from aqreanalysis.export.files import check_file

    check_place(out)
    if endings:
        check_file(out, endings, overwrite)
    elif out.exists() and not out.is_dir():
        raise OutputError(f"output {out} is a file, and a folder is to be written; choose another --out")


def check_there(out: str, overwrite: bool) -> None:
    """Refuse an output that is there and may not be replaced: a bundle, or the cube of a map.

    One beside which work waits is left alone: a process that was killed at its last step has left it there.

    Raises
    ------
    OutputError
        If so.
    """
    check_place(out)
    path = Path(out)
    if path.exists() and not overwrite and not path.with_name(f"{path.name}.part").exists():
        raise already_exists(out)


def check_report(out: str, overwrite: bool) -> None:
    """Refuse the folder of an evaluation that holds one already and may not be replaced.

    Raises
    ------
    OutputError
        If so.
    """
    check_place(out)
    if (Path(out) / "metrics.json").exists() and not overwrite:
        raise OutputError(f"{out} holds an evaluation already (metrics.json): choose another --out or pass --overwrite")


def check_demo(out: str, overwrite: bool) -> None:
    """Refuse a folder that is of no demo, or of one that may not be replaced.

    Raises
    ------
    OutputError
        If so.
    """
    from aqreanalysis.common.files import DEMO_MARKER, check_own_folder

    check_place(out)
    check_own_folder(Path(out), DEMO_MARKER, "demo", overwrite)


def check_map(out: str, overwrite: bool) -> None:
    """Refuse the cube of a map that is there and may not be replaced; one whose pictures are missing was stopped.

    Raises
    ------
    OutputError
        If so.
    """
    path = Path(out)
    scores = Path(f"{out}.evaluation") / "metrics.json"
    if Path(f"{out}.model").exists() and path.exists():
        try:
            scored = json.loads(scores.read_text(encoding="utf-8"))["species"]
        except (OSError, ValueError, LookupError, TypeError):
            return  # stopped before its scores, which the run looks at
        if not all(path.with_name(f"{path.stem}_{key}.png").exists() for key in scored):
            return
    check_there(out, overwrite)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
