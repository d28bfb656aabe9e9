"""The smallest and the oddest that can be asked for is right, or refused in one line: never a false number."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from production_case import END, GRID, START, TILES, make_frame, tiled
from production_processes import digest

from aqreanalysis.errors import AqreanalysisError
from aqreanalysis.observations import from_frame
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.validation import ValidateOptions, validate

pytestmark = pytest.mark.usefixtures("fixed_clock")


@pytest.fixture(scope="module")
def whole(production_files: tuple[Path, Path], fixed_clock: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cube of all hours and cells of the small case."""
    out = tmp_path_factory.mktemp("whole") / "x.nc"
    produce(*production_files, GRID, START, END, out, tiled()).close()
    return out


def produced(model: Path, frame: pd.DataFrame | Path, out: Path, grid: str = GRID, **more: object) -> xr.Dataset:
    """Return a cube of the small model, in memory."""
    readings = from_frame(frame) if isinstance(frame, pd.DataFrame) else frame
    start, end = str(more.pop("start", START)), str(more.pop("end", END))
    with produce(model, readings, grid, start, end, out, ProduceOptions(production=TILES, **more)) as cube:
        return cube.load()


def test_one_hour_and_one_cell_are_those_of_the_whole_cube(
    production_files: tuple[Path, Path], whole: Path, tmp_path: Path
) -> None:
    model, readings = production_files
    hour = produced(model, readings, tmp_path / "h.nc", start="2019-01-04T05:00", end="2019-01-04T06:00")
    cell = produced(model, readings, tmp_path / "c.nc", grid="117,39.5,117.25,39.75@0.25")
    with xr.open_dataset(whole) as cube:
        assert hour.sizes["time"] == 1
        for name in ("pm2p5", "pm2p5_lower", "pm2p5_upper", "pm2p5_standard_error"):
            np.testing.assert_array_equal(hour[name].values, cube[name].sel(time=hour["time"]).values)
            same = cube[name].sel(lat=cell["lat"], lon=cell["lon"], method="nearest")
            np.testing.assert_array_equal(cell[name].values, same.values)


@pytest.mark.parametrize("grid", ["117,39.5,117,39.5@0.25", "117,39.5,117.25,39.5@0.25"])
def test_a_grid_of_one_cell_or_one_row_is_made_or_refused(
    grid: str, production_files: tuple[Path, Path], whole: Path, tmp_path: Path
) -> None:
    try:
        cell = produced(*production_files, tmp_path / "x.nc", grid=grid)
    except AqreanalysisError as error:
        assert "\n" not in str(error)
        return
    with xr.open_dataset(whole) as cube:
        same = cube["pm2p5"].sel(lat=cell["lat"], lon=cell["lon"], method="nearest")
        np.testing.assert_array_equal(cell["pm2p5"].values, same.values)


def test_one_station_gives_a_finite_map_or_one_line(production_files: tuple[Path, Path], tmp_path: Path) -> None:
    frame = make_frame()
    try:
        cube = produced(production_files[0], frame[frame["station_id"] == "s00"], tmp_path / "x.nc")
    except AqreanalysisError as error:
        assert "\n" not in str(error)
        return
    read = cube["observations_used"] > 0
    assert bool(np.isfinite(cube["pm2p5"].where(read, 0.0)).all())


def test_where_all_stations_are_silent_no_reading_is_said_to_be_used(
    production_files: tuple[Path, Path], tmp_path: Path
) -> None:
    frame = make_frame()
    within = frame["time"] > pd.Timestamp("2019-01-02")
    frame.loc[within, ["pm25", "o3"]] = np.nan
    try:
        cube = produced(production_files[0], frame, tmp_path / "x.nc", start="2019-01-05", end="2019-01-06")
    except AqreanalysisError as error:
        assert "\n" not in str(error)
        return
    assert int(cube["observations_used"].max()) == 0
    flagged = cube["quality_flag"] > 0
    assert bool((flagged | cube["pm2p5"].isnull()).all()), "an estimate without a reading and without a flag"


@pytest.mark.parametrize(("begin", "day"), [("2020-02-26", "2020-02-29"), ("2019-12-28", "2019-12-31")])
@pytest.mark.parametrize("frequency", ["hourly", "daily"])
def test_leap_day_and_year_end_are_days_as_any_other(
    begin: str, day: str, frequency: str, production_files: tuple[Path, Path], tmp_path: Path
) -> None:
    frame = make_frame()
    frame["time"] += pd.Timestamp(begin) - pd.Timestamp("2019-01-01")
    first = pd.Timestamp(day)
    end = str(first + pd.Timedelta(days=2))
    cube = produced(production_files[0], frame, tmp_path / "x.nc", start=str(first), end=end, frequencies=(frequency,))
    step = pd.Timedelta(hours=1) if frequency == "hourly" else pd.Timedelta(days=1)
    stamps = pd.DatetimeIndex(cube["time"].values)
    assert (stamps == pd.date_range(first + step / 2, periods=pd.Timedelta(days=2) // step, freq=step)).all()
    assert bool(np.isfinite(cube["pm2p5"]).all())
    findings = validate(tmp_path / "x.nc", ValidateOptions(checker=False)).findings
    assert [one for one in findings if one.severity == "error"] == []


def test_a_clock_that_jumps_in_mid_run_changes_nothing(
    production_files: tuple[Path, Path], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, asked = time.time, []

    def jump(done: int, total: int, note: str) -> None:
        asked.append(done)
        monkeypatch.setattr(time, "time", lambda: true() + (-86_400.0 if done % 2 else 86_400.0))

    produce(*production_files, GRID, START, END, tmp_path / "x.nc", tiled(progress=jump)).close()
    assert len(asked) > 3 and digest(tmp_path) == digest(whole.parent)
