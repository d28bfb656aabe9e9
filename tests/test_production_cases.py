"""Station files that went wrong when produce was tried from outside: what no map can be made from is refused in one
line with the way out, and what fell silent is none of the stations that a cell is near to.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from aqreanalysis.cli import main

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases" / "production"
RUN = ("--grid", "11,47,13,48@0.2", "--start", "2001-03-02", "--end", "2001-03-04")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("one-station/n1.parquet", "at least 2"),
        ("no-readings/nopm25.parquet", "no usable reading of pm25"),
    ],
)
def test_records_that_no_map_can_be_made_from_are_refused_and_leave_nothing(
    production_files: tuple[Path, Path], tmp_path: Path, case: str, expected: str
) -> None:
    records = CASES / case
    if not records.exists():
        pytest.skip(f"{records} is not here")
    out = tmp_path / "x.nc"
    given = ("--model", str(production_files[0]), "--observations", str(records), *RUN, "--out", str(out))
    done = CliRunner().invoke(main, ["produce", *given])
    assert done.exit_code == 2, done.output
    assert expected in done.output and "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def flag_masks(cube: xr.Dataset) -> dict[str, int]:
    """Return the bits of the quality flag by meaning."""
    return dict(zip(cube.quality_flag.flag_meanings.split(), cube.quality_flag.flag_masks.tolist(), strict=True))


@pytest.fixture
def swept_case(production_files: tuple[Path, Path], tmp_path: Path) -> Callable[[str], xr.Dataset]:
    """Return what makes the cube of one of the files of six stations that fall silent, on days of their silence."""

    def sweep(name: str) -> xr.Dataset:
        records = CASES / "silent-station" / f"{name}.parquet"
        if not records.exists():
            pytest.skip(f"{records} is not here")
        out, span = tmp_path / f"{name}.nc", ("--start", "2001-03-24", "--end", "2001-03-26")
        given = ("--model", str(production_files[0]), "--observations", str(records), "--grid", "11,47,14,49@0.1")
        done = CliRunner().invoke(main, ["produce", *given, *span, "--out", str(out)])
        assert done.exit_code == 0, done.output
        with xr.open_dataset(out) as cube:
            return cube.load()

    return sweep


@pytest.mark.parametrize("name", ["silent", "nosensor"])
def test_stations_that_do_not_report_the_pollutant_are_as_far_as_if_they_were_not_there(
    swept_case: Callable[[str], xr.Dataset], name: str
) -> None:
    cube, without = swept_case(name), swept_case("removed")
    assert float(without.nearest_station_distance.min()) < 10
    np.testing.assert_array_equal(cube.nearest_station_distance, without.nearest_station_distance)
    flags = flag_masks(cube)["extrapolated_beyond_network"] | flag_masks(cube)["hour_without_observation"]
    np.testing.assert_array_equal(cube.quality_flag.values & flags, without.quality_flag.values & flags)


def test_where_nobody_reports_for_weeks_no_cell_has_a_nearest_station_and_all_are_flagged(
    swept_case: Callable[[str], xr.Dataset],
) -> None:
    cube = swept_case("gap")
    assert np.isnan(cube.nearest_station_distance).all() and not cube.observations_used.any()
    for meaning in ("hour_without_observation", "extrapolated_beyond_network", "few_neighbours"):
        assert (cube.quality_flag.values & flag_masks(cube)[meaning]).all(), meaning
    assert np.isfinite(cube.pm2p5).all() and (cube.pm2p5_lower < cube.pm2p5_upper).all()
