"""A small made-up file of every format of station records, for tests that are about all of them."""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from station_files import write_list

TESTS = Path(__file__).resolve().parents[1]
NAMES = (
    *(
        "table",
        "table-zip",
        "table-parquet",
        "wide",
        "wide-parquet",
        "uci-beijing",
        "china-archive",
        "openaq-archive",
        "openaq-api",
    ),
    *("aqs", "airnow", "laqn", "openair", "ebas", "eea", "netcdf"),
)


@dataclass(frozen=True)
class Made:
    """A file, the name of its format (None: it is NetCDF), and its station list if it needs one."""

    path: Path
    format: str | None
    stations: Path | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is plain text."""
        return self.path.suffix in (".csv", ".dat", ".nas", ".json")

    @property
    def is_lines(self) -> bool:
        """Whether it is plain text whose lines stand for themselves."""
        return self.is_text and self.format not in ("ebas", "openaq-api")


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, TESTS / f"test_observations_formats_{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _table() -> pd.DataFrame:
    times = pd.date_range("2020-01-01 01:00", periods=30, freq="h")
    rng = np.random.default_rng(5)
    frames = [
        pd.DataFrame(
            {
                "station_id": station,
                "time": times,
                "lat": 40 + i / 10,
                "lon": 116.5,
                "pm25": np.round(rng.gamma(4, 10, 30), 1),
                "no2": np.round(rng.gamma(4, 10, 30), 1),
            }
        )
        for i, station in enumerate(("A1", "B2"))
    ]
    return pd.concat(frames, ignore_index=True)


def make_files(folder: Path) -> dict[str, Made]:
    """Return a made-up file of each of `NAMES`, in `folder`."""
    made: dict[str, Made] = {}
    frame = _table()
    frame.to_csv(folder / "obs.csv", index=False)
    made["table"] = Made(folder / "obs.csv", "table")
    frame.to_parquet(folder / "obs.parquet", row_group_size=25)
    made["table-parquet"] = Made(folder / "obs.parquet", "table")
    with zipfile.ZipFile(folder / "obs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "obs.csv", "obs.csv")
    made["table-zip"] = Made(folder / "obs.zip", "table")
    pivot = frame.pivot(index="time", columns="station_id", values="pm25")
    wide = pivot.rename(columns=lambda name: f"{name}:pm25").reset_index()
    wide.to_csv(folder / "wide.csv", index=False)
    both = write_list(folder, ["A1", "B2"], "w.csv")
    made["wide"] = Made(folder / "wide.csv", "wide", both)
    wide.to_parquet(folder / "wide.parquet", row_group_size=7)
    made["wide-parquet"] = Made(folder / "wide.parquet", "wide", both)
    uci = _module("uci_beijing")._file(folder)
    made["uci-beijing"] = Made(uci, "uci-beijing", write_list(folder, ["Aotizhongxin"], "u.csv"))
    china = _module("china_archive")._day(folder, "20190101")
    made["china-archive"] = Made(china, "china-archive", write_list(folder, ["1001A", "1002A"], "c.csv"))
    archive = _module("openaq_archive")
    rows = archive._hours(1, "pm10", "µg/m³", 45.0)
    made["openaq-archive"] = Made(archive._write(folder / "location-2178-20230101.csv.gz", rows), "openaq-archive")
    api = _module("openaq_api")
    page = api._page(folder, [api._result(h, 10.0 + h) for h in range(6)])
    made["openaq-api"] = Made(page, "openaq-api", api._locations(folder))
    aqs = _module("aqs")
    made["aqs"] = Made(aqs._file(folder, [aqs._row(h, f"0.03{h}") for h in range(6)]), "aqs")
    airnow = _module("airnow")
    made["airnow"] = Made(airnow._hour(folder, 5, 30.0), "airnow", airnow._sites(folder))
    lines = [f"MY1,PM2.5,01/07/2017 {h:02d}:00,{h + 5},ug m-3,P" for h in range(6)]
    made["laqn"] = Made(_module("laqn")._file(folder, lines), "laqn", write_list(folder, ["MY1"], "l.csv"))
    openair = folder / "aurn.csv"
    head = "source,site,code,date,nox,no2,o3,co,pm10,pm2.5,latitude,longitude,site_type"
    more = [
        f"aurn,Marylebone Road,MY1,2022-01-01T{h:02d}:00:00Z,80,{40 + h},NA,0.3,20,{12 + h},51.52253,-0.1546,Urban"
        for h in range(8)
    ]
    openair.write_text("\n".join([head, *more]) + "\n")
    made["openair"] = Made(openair, "openair")
    ebas = _module("ebas")
    made["ebas"] = Made(ebas._file(folder, ebas.ROWS), "ebas")
    eea = _module("eea")
    (folder / "metadata.csv").write_text(eea.META)
    path = eea._file(folder / "a.parquet", "SPO.30.0101.1.1", 7, [60.0, 61.5, 63.0])
    made["eea"] = Made(path, "eea", folder / "metadata.csv")
    from aqreanalysis.observations import from_frame

    made["netcdf"] = Made(from_frame(frame).to_netcdf(folder / "obs.nc"), None)
    assert set(made) == set(NAMES)
    return made
