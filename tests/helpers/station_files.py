"""What the tests of formats share: a station list, and hours of readings to put into made-up files."""

from __future__ import annotations

from pathlib import Path

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
