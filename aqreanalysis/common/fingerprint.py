"""Whose a folder of unfinished work is: a record beside it of what it was begun with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aqreanalysis.errors import OutputError


def json_digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of what JSON says of `content`, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_fingerprint(record: Path, mine: Mapping[str, Any], what: str, anew: str) -> None:
    """Make sure that the file `record` says what `mine` says.

    Parameters
    ----------
    record : Path
        JSON beside the unfinished work.
    mine : mapping
        The fingerprint of the run that wants to go on with it.
    what, anew : str
        For the message: what the folder holds, and how to begin anew.

    Raises
    ------
    OutputError
        If they differ, or the record cannot be read.
    """
    try:
        theirs = json.loads(record.read_text(encoding="utf-8"))
        if not isinstance(theirs, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{record} cannot be read ({error}), which tells whose run is kept there: {anew}") from None
    for name in sorted(mine.keys() | theirs.keys()):
        there, here = theirs.get(name), mine.get(name)
        if there != here:
            raise OutputError(
                f"{record.parent} holds {what} with other {name} ({there!s:.12} there, {here!s:.12} here): go on with "
                f"the old one, or {anew}"
            )
