"""A mapping proposed for a table that looks like no known format: which column is what, as far as its names tell."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import configured_or_usual, usual_time
from aqreanalysis.observations.encodings import likely_encoding
from aqreanalysis.observations.files import NETCDF, PARQUET, Source, own_encoding
from aqreanalysis.observations.formats.registry import GENERIC_RANK, guess_format
from aqreanalysis.observations.headers import HEADER_LINES, ROLES, header_score
from aqreanalysis.observations.pollutant_codes import CODES, likely_list
from aqreanalysis.observations.read_context import read_head
from aqreanalysis.observations.table_blocks import find_delimiter, parse_header

# Rows whose stamps are looked at.
SAMPLE_ROWS = 200
_DAY_OR_MONTH = re.compile(r"^(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}")
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")


def propose_columns(path: str | Path, columns: ColumnsConfig | None = None) -> list[str]:
    """Return the lines of a config's section ``columns`` that a text table seems to need; empty where nothing is known.

    What cannot be told from the file, its clock and the place of its one station, stands there to be filled in.

    Parameters
    ----------
    path : path
        The table.
    columns : ColumnsConfig, optional
        What is told already.
    """
    source, chosen = Source(Path(path)), columns or ColumnsConfig()
    if not source.path.is_file() or source.has_suffix((*PARQUET, *NETCDF, ".json", ".zip")):
        return []
    if _is_known(source, chosen):
        return []
    text = source.head().decode(own_encoding(source, chosen.encoding), errors="replace").lstrip("\ufeff")
    lines = text.splitlines()
    headers = [parse_header(line, find_delimiter(line)) for line in lines[:HEADER_LINES]]
    scores = [header_score(names) for names in headers]
    if not scores or max(scores) < 2:
        return []
    at = scores.index(max(scores))
    names = headers[at]
    roles = {role: configured_or_usual(role, names, chosen) for role in ROLES}
    roles = {role: name for role, name in roles.items() if name in names}
    if not {"parameter", "value"} <= set(roles):
        roles = {role: name for role, name in roles.items() if role in ("station", "time", "lat", "lon")}
    rows = [parse_header(line, find_delimiter(lines[at])) for line in lines[at + 1 : at + 1 + SAMPLE_ROWS]]
    out = ["columns:"] + ([f"  skip_lines: {at}"] if at else []) + _encoding(source, chosen)
    time = usual_time(names) or ()
    for role, name in roles.items():
        several = role == "time" and len(time) > 1
        out.append(f"  {role}: [{', '.join(map(_yaml, time))}]" if several else f"  {role}: {_yaml(str(name))}")
    if "parameter" in roles:
        at_parameter = names.index(str(roles["parameter"]))
        likely = likely_list(list({row[at_parameter] for row in rows if len(row) == len(names)}))
        out += [f"  codes: {likely}  # whose numbers name pollutants: {', '.join(CODES)}"] if likely else []
    if time:
        at_names = [names.index(name) for name in time]
        out += _clock([" ".join(row[i] for i in at_names) for row in rows if len(row) == len(names)])
    if "station" not in roles:
        out.append("  place: {station: NAME, lat: 0.0, lon: 0.0}  # fill in the one station of the file")
    return out


def _encoding(source: Source, columns: ColumnsConfig) -> list[str]:
    """Return the line on the encoding of a text that is not UTF-8, none where nothing need or can be said."""
    head = source.head()
    try:
        # The last character may be cut by the end of what was read.
        codecs.getincrementaldecoder(own_encoding(source, columns.encoding))("strict").decode(head)
    except UnicodeDecodeError:
        likely = likely_encoding(head)
        return [f"  encoding: {likely}"] if likely else []
    return [f"  encoding: {columns.encoding}"] if columns.encoding else []


def _is_known(source: Source, columns: ColumnsConfig) -> bool:
    """Return whether a file is of a network's own format, whose reader needs no mapping."""
    try:
        return guess_format(read_head(source, columns), columns)[0].rank < GENERIC_RANK
    except ObservationsError:
        return False


def _clock(stamps: Sequence[str]) -> list[str]:
    """Return the lines on how stamps are written and on their clock."""
    stamps = [stamp for stamp in stamps if stamp]
    out = []
    days = [match for match in map(_DAY_OR_MONTH.match, stamps) if match is not None]
    if days and len(days) == len(stamps):
        first, second = (max(int(match.group(i)) for match in days) for i in (1, 2))
        doubt = "" if max(first, second) > 12 else "  # or month-first: the rows at the beginning do not tell"
        out.append(f"  time_format: {'month-first' if second > 12 else 'day-first'}{doubt}")
    elif stamps and all(stamp.isdigit() and len(stamp) in (10, 13) for stamp in stamps):
        milliseconds = len(stamps[0]) == 13
        return [f"  time_format: {'epoch-ms' if milliseconds else 'epoch'}"]
    if not all(_OFFSET.search(stamp) for stamp in stamps):
        out.append("  time_zone: UTC  # the clock of the stamps, such as Asia/Kolkata or +08:00")
        out.append("  stamp: end  # which end of the hour is stamped: end or start")
    return out


def _yaml(name: str) -> str:
    """Return a name as YAML takes it."""
    return name if re.fullmatch(r"[A-Za-z][\w ./()-]*", name) and not name.endswith(" ") else f'"{name}"'
