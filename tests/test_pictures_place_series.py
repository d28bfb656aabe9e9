"""The course at a place: readings averaged as the cube's steps are, and no line across a gap."""

from pathlib import Path

import numpy as np
import pandas as pd
from picture_case import write_cube
from production_case import make_observations

from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import draw_series, station_markers
from aqreanalysis.pictures.place_series import _step_means


def test_on_a_cube_of_days_the_readings_are_daily_means(tmp_path: Path) -> None:
    observations = make_observations()
    marks = station_markers(None, observations)
    lat, lon = float(observations.lat[0]), float(observations.lon[0])
    first = pd.Timestamp(observations.times.values[0]).ceil("D").to_datetime64().astype("datetime64[ns]")
    days = first + np.arange(3) * np.timedelta64(1, "D")
    cube = write_cube(
        tmp_path / "d.nc", np.full((3, 5, 5), 30.0), 24, (lon - 1, lat - 1, lon + 1, lat + 1), starts=days
    )
    with CubeSource(cube) as source:
        bounds = source.bounds
        text = draw_series(source, tmp_path / "d.svg", (lat, lon), marks).read_text()
    assert "daily means of station" in text
    assert marks is not None
    means = _step_means(marks, 0, "pm25", bounds)
    read = pd.Series(observations.values("pm25")[:, 0].astype(float), pd.DatetimeIndex(observations.times.values))
    for (start, end), mean in zip(bounds, means, strict=True):
        # Hours that end after the day's beginning and by its end.
        day = read[(read.index > start) & (read.index <= end)].dropna()
        assert np.isnan(mean) if len(day) < 18 else abs(mean - day.mean()) < 1e-9
    assert np.isfinite(means).any()


def test_the_line_breaks_where_steps_are_missing(tmp_path: Path) -> None:
    starts = np.datetime64("2019-01-01", "ns") + np.array([0, 1, 2, 10, 11]) * np.timedelta64(1, "h")
    whole = np.datetime64("2019-01-01", "ns") + np.arange(5) * np.timedelta64(1, "h")
    paths = []
    for name, hours in (("gap", starts), ("whole", whole)):
        cube = write_cube(tmp_path / f"{name}.nc", np.full((5, 4, 4), 9.0), starts=hours)
        with CubeSource(cube) as source:
            text = draw_series(source, tmp_path / f"{name}.svg", (47.0, 11.0)).read_text()
        line = next(part for part in text.split('<path d="') if "#a2145a" in part.split("/>")[0])
        paths.append(line.split('"')[0].count("M "))
    assert paths == [2, 1]
