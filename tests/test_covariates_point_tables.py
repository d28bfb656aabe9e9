"""Points with a strength: their density around places, smooth, the same whoever asks, and bad tables refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.covariates.point_tables import PointTable
from aqreanalysis.errors import CovariatesError


def write(path: Path, **columns: object) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_point_counts_smoothly_less_with_its_distance_and_not_at_all_beyond_the_window(tmp_path: Path) -> None:
    table = PointTable.read(write(tmp_path / "p.csv", lat=[50.0], lon=[8.0], mw=[600.0]), "mw")
    lat = 50.0 + np.array([0.0, 10.0, 19.9, 20.1]) / 111.195
    found = table.means(lat, np.full(4, 8.0), [20.0])[:, 0]
    peak = 3 * 600 / (np.pi * 20**2)
    assert found[:2] == pytest.approx([peak, peak * 0.75**2], rel=1e-4)
    assert 0 < found[2] < 1e-3 * peak and found[3] == 0.0


def test_all_of_it_is_there_once_summed_over_the_plane(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "p.csv", lat=50 + rng.normal(0, 0.02, 500), lon=8 + rng.normal(0, 0.02, 500))
    side = np.arange(-40, 41) / 111.195
    lat, lon = (a.ravel() for a in np.meshgrid(50 + side, 8 + side / np.cos(np.radians(50)), indexing="ij"))
    # Rows without a strength are counted, and a cell of the grid is 1 km2.
    assert PointTable.read(path).means(lat, lon, [20.0]).sum() == pytest.approx(500, rel=0.01)


def test_the_density_of_a_place_has_the_same_bits_whoever_asks_with_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = write(tmp_path / "p.csv", lat=rng.uniform(49, 51, 3000), lon=rng.uniform(7, 9, 3000), n=rng.random(3000))
    table, lat, lon = PointTable.read(path, "n"), rng.uniform(49, 51, 50), rng.uniform(7, 9, 50)
    together = table.means(lat, lon, [5.0, 80.0])
    for i in range(50):
        np.testing.assert_array_equal(table.means(lat[[i]], lon[[i]], [5.0, 80.0])[0], together[i])


def test_the_date_line_is_no_edge_and_longitudes_come_in_any_turn(tmp_path: Path) -> None:
    table = PointTable.read(write(tmp_path / "p.csv", latitude=[-17.0, -17.0], longitude=[179.95, -179.95]))
    found = table.means(np.full(4, -17.0), np.array([179.95, -179.95, 180.05, -180.05]), [20.0])[:, 0]
    assert found == pytest.approx(np.full(4, found[0]), rel=1e-9) and found[0] > 3 / (np.pi * 400)


def test_rows_are_chosen_by_the_values_of_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv",
        lat=[50.0, 50.0, 50.0, 50.0],
        lon=[8.0, 8.0, 8.0, 8.0],
        mw=[1.0, 2.0, 4.0, np.nan],
        status=["operating", "Retired", "Mothballed", "operating"],
        new=[True, False, True, True],
    )
    assert PointTable.read(path, "mw", {"status": ["operating", "retired"]}).strength.tolist() == [1.0, 2.0]
    assert PointTable.read(path, "mw", {"new": True}).strength.tolist() == [1.0, 4.0]
    with pytest.raises(CovariatesError, match=r"p.csv has no rows that meet \{'status': 'planned'\}"):
        PointTable.read(path, "mw", {"status": "planned"})


def test_a_bad_table_is_refused_with_row_and_way_out(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", lat=[50.0, 51.0], lon=[8.0, 9.0], mw=[1.0, -2.0], word=["a", "b"])
    for column, reason in (
        ("mv", r"no column 'mv'; did you mean 'mw'\? \(it has lat, lon, mw, word\)"),
        ("mw", r"row 2: -2 in column 'mw': a strength is at least 0"),
        ("word", r"row 1: 'a' in column 'word' is no number"),
    ):
        with pytest.raises(CovariatesError, match=reason):
            PointTable.read(good, column)
    with pytest.raises(CovariatesError, match=r"far.csv, row 1: no latitude and longitude in degrees"):
        PointTable.read(write(tmp_path / "far.csv", lat=[500.0], lon=[8.0]))
    with pytest.raises(CovariatesError, match=r"no column lat or latitude"):
        PointTable.read(write(tmp_path / "placeless.csv", mw=[1.0]))
    (tmp_path / "empty.csv").touch()
    with pytest.raises(CovariatesError, match=r"empty.csv is no table that can be read"):
        PointTable.read(tmp_path / "empty.csv")
