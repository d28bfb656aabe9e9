"""What the tests of formats share: a station list, and hours of readings to put into made-up files."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations import Observations, ReadOptions, read_observations


def write_list(folder: Path, ids: list[str], name: str = "stations.csv") -> Path:
    """Write a station list of `ids`, a tenth of a degree apart from 40 N 116 E on, and return its path."""
    path = folder / name
    n = np.arange(len(ids))
    pd.DataFrame({"station_id": ids, "lat": 40 + 0.1 * n, "lon": 116 + 0.1 * n}).to_csv(path, index=False)
    return path


def read(path: Path, *lists: Path, format: str | None = None, **columns: object) -> Observations:
    """Return the observations in a file, the clock unchecked: made-up ozone peaks at any hour."""
    chosen = ColumnsConfig(check_clock=False, **columns)  # type: ignore[arg-type]
    return read_observations(path, chosen, ReadOptions(format=format, stations=lists))


def raw(observations: Observations, key: str, station: str, stamp: str) -> float:
    """Return the reading of a station at a stamp (UTC, end of the hour), flagged or not."""
    picked = observations.dataset[key].sel(station=station, time=pd.Timestamp(stamp))
    return float(picked)


def flag(observations: Observations, key: str, station: str, stamp: str) -> int:
    """Return the flag of that reading."""
    return int(observations.dataset[f"{key}_flag"].sel(station=station, time=pd.Timestamp(stamp)))


def write_workbook(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    """Write an XLSX of the least parts that make one: texts inline, numbers, and times as Excel's days; return it."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    with zipfile.ZipFile(path, "w") as book:
        names, links, types = "", "", ""
        for i, (name, rows) in enumerate(sheets.items(), 1):
            body = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
            book.writestr(f"xl/worksheets/sheet{i}.xml", f"<worksheet {main}><sheetData>{body}</sheetData></worksheet>")
            names += f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>'
            links += f'<Relationship Id="r{i}" Type="{rel}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            types += f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{kind}.worksheet+xml"/>'
        links += f'<Relationship Id="s" Type="{rel}/styles" Target="styles.xml"/>'
        formats = '<cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs>'
        book.writestr("xl/styles.xml", f"<styleSheet {main}>{formats}</styleSheet>")
        book.writestr("xl/workbook.xml", f'<workbook {main} xmlns:r="{rel}"><sheets>{names}</sheets></workbook>')
        links = f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        book.writestr("xl/_rels/workbook.xml.rels", links)
        root = f'<Relationship Id="r" Type="{rel}/officeDocument" Target="xl/workbook.xml"/>'
        book.writestr("_rels/.rels", f'<Relationships xmlns="{package}/relationships">{root}</Relationships>')
        types += f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        types += f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/>'
        types = f'<Default Extension="rels" ContentType="{package}.relationships+xml"/>{types}'
        book.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types">{types}</Types>')
    return path


def _cell(value: object) -> str:
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>' if value else "<c/>"
    if isinstance(value, datetime):
        days = (value - datetime(1899, 12, 30)).total_seconds() / 86400  # Excel's day 0
        return f'<c s="1"><v>{days!r}</v></c>'
    return f"<c><v>{value}</v></c>"
