"""What a file's own flags say of its readings: usable, below the detection limit, or invalid."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.report import QualityReport, Where

# Words that flags are written in, in small letters; an empty flag says nothing against a reading.
GOOD = {"", "valid", "v", "ok", "good", "pass", "passed", "true", "yes", "y", "r", "p", "ratified", "provisional"}
GOOD |= {"verified", "validated", "preliminary", "checked", "accepted", "normal", "none", "no flag"}
GOOD |= {"sim", "si", "sí", "oui", "ja", "tak"}
BAD = {"invalid", "i", "bad", "fail", "failed", "false", "no", "n", "error", "suspect", "missing", "calibration"}
BAD |= {"maintenance", "rejected", "not valid", "unverified invalid", "outlier", "questionable", "faulty", "down"}
BAD |= {"não", "nao", "non", "nein", "nee", "nie"}
BELOW = {"<lod", "bdl", "<dl", "<", "below detection limit", "below_detection_limit", "belowdetectionlimit", "lod"}
# Where the column asks whether a reading is valid its numbers answer: 2 and 3 are the EEA's, below the detection limit.
_ASKS_VALIDITY = {"valid", "validity", "isvalid", "validite", "valido"}
_VALIDITY = {"1": Flag.GOOD, "4": Flag.GOOD, "2": Flag.BELOW_DETECTION_LIMIT, "3": Flag.BELOW_DETECTION_LIMIT}
_VALIDITY |= dict.fromkeys(("0", "-1", "-99"), Flag.INVALID_AT_SOURCE)


def flags_of_rows(
    rows: pa.Table, column: str | None, columns: ColumnsConfig, report: QualityReport, where: Where
) -> NDArray[np.int8] | None:
    """Return the `Flag` of each row by a column of flags, int8 (row,); None where there is no such column.

    Raises
    ------
    ObservationsError
        A flag is none of the usual words, and ``columns.good_flags`` does not say which are good; all are named.
    """
    if column is None:
        return None
    texts = rows[column]
    if pa.types.is_boolean(texts.type):
        texts = pc.cast(texts, pa.string())
    codes, words = to_texts(texts)
    meanings = [_meaning(word, column, columns) for word in words]
    unknown = [word for word, flag in zip(words, meanings, strict=True) if flag is None]
    if unknown:
        raise ObservationsError(
            f"{where.source}: column {column!r} holds the flags {', '.join(repr(w) for w in unknown)[:200]}, of which "
            f"it is not known whether they are good: say so with columns.good_flags=[{unknown[0]}, ...] (['*'] for all)"
        )
    flags = np.array([*(int(flag or 0) for flag in meanings), int(Flag.GOOD)], dtype=np.int8)[codes]
    report.count("readings_of_bad_flags", int(np.count_nonzero(flags == Flag.INVALID_AT_SOURCE)))
    return flags


def _meaning(word: str, column: str, columns: ColumnsConfig) -> Flag | None:
    """Return what one flag says, None where nobody knows."""
    small = word.strip().lower()
    if columns.good_flags is not None:
        good = {str(flag).strip().lower() for flag in columns.good_flags}
        if small in good or "*" in good:
            return Flag.GOOD
        return Flag.BELOW_DETECTION_LIMIT if small in BELOW else Flag.INVALID_AT_SOURCE
    if plain(column) in _ASKS_VALIDITY and small in _VALIDITY:
        return _VALIDITY[small]
    for words, flag in ((GOOD, Flag.GOOD), (BELOW, Flag.BELOW_DETECTION_LIMIT), (BAD, Flag.INVALID_AT_SOURCE)):
        if small in words:
            return flag
    return None


def combined_flags(first: NDArray[np.int8] | None, second: NDArray[np.int8] | None) -> NDArray[np.int8]:
    """Return the worse of two flags of each reading: what is invalid by one is, whatever the other says.

    Raises
    ------
    ValueError
        Neither is there.
    """
    parts = [flags for flags in (first, second) if flags is not None]
    if not parts:
        raise ValueError("no flags to combine")
    return parts[0] if len(parts) == 1 else np.maximum(*parts)
