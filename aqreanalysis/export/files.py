"""Outputs that appear whole or not at all: written under a temporary name beside their place, then renamed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aqreanalysis.common.files import disk_errors, partial_name, replaced_name, replacing
from aqreanalysis.common.publish import publish_folder
from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.errors import OutputError, already_exists


def check_file(out: str | Path, suffixes: Sequence[str], overwrite: bool) -> Path:
    """Return the path of a file that may be written; arguments as of `whole_file`.

    Raises
    ------
    OutputError
        If it exists, or has another ending.
    """
    path = Path(out)
    if path.suffix.lower() not in suffixes or not path.stem:
        raise OutputError(f"output {str(out)!r} must end in {' or '.join(suffixes)}; the ending chooses the format")
    if path.is_dir():
        raise OutputError(f"output {path} is a folder; choose another name")
    if path.exists() and not overwrite:
        raise already_exists(path)
    return path


@contextmanager
def whole_file(out: str | Path, suffixes: Sequence[str], overwrite: bool) -> Iterator[Path]:
    """Yield the temporary name under which to write the file `out`; it gets its own name when the block ends well.

    Parameters
    ----------
    out : str or Path
        The file.
    suffixes : sequence of str
        Endings that it may have; the temporary name has the same one, since writers go by it.
    overwrite : bool
        Whether a file that exists is replaced.

    Raises
    ------
    OutputError
        If it exists, or has another ending.
    """
    path = check_file(out, suffixes, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(path):
        if path.exists() and not overwrite:  # another process has written it meanwhile
            raise already_exists(path)
        # Within, while the file is there that was being written; without, for what is said when it gets its name.
        with disk_errors(path, path.parent), replacing(path) as temporary, disk_errors(path, temporary):
            yield temporary


@contextmanager
def whole_folder(out: str | Path, endings: Sequence[str], overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder that takes the name `out` when the block ends well.

    Parameters
    ----------
    out : str or Path
        The folder.
    endings : sequence of str
        Endings of the files that such an export writes: a folder that holds anything else is never replaced.
    overwrite : bool
        Whether a folder of an earlier export is replaced.

    Raises
    ------
    OutputError
        If it exists and may not be replaced.
    """
    path = Path(out)
    check_replaceable(path, endings, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(path):
        place = path.resolve()
        replaced = replaced_name(place)
        check_replaceable(path, endings, overwrite)
        temporary = partial_name(place)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with disk_errors(path, temporary):
                temporary.mkdir()
                yield temporary
                publish_folder(temporary, place, replaced, temporary.stat().st_ino)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path, endings: Sequence[str], overwrite: bool) -> None:
    """Refuse a folder that exists and may not be replaced, as `whole_folder` does.

    Raises
    ------
    OutputError
        Naming what is in the way.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"output {path} is a file, and a folder is to be written; choose another --out")
    held = list(path.iterdir())
    alien = [p.name for p in held if not p.is_file() or p.suffix not in endings]
    if alien:
        raise OutputError(f"output folder {path} holds {alien[0]!r}, which no such export wrote; choose another --out")
    if held and not overwrite:
        raise OutputError(
            f"output folder {path} holds {len(held)} files; choose another --out or replace it with --overwrite"
        )
