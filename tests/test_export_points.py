"""Values at places are those of the cells that hold them, with their uncertainty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, export_points, source
from aqreanalysis.production import open_cube

PLACES = pd.DataFrame({"place": ["a", "far", "masked"], "lat": [39.8, 10.0, 39.0], "lon": [117.3, 5.0, 116.0]})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_each_row_equals_the_cell_and_hour_that_hold_it(ending, cubes, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "SLAB_VALUES", 63 * 15 * 10)  # several slabs
    out = tmp_path / f"t.{ending}"
    with CubeSource(cubes.two) as two:
        report = export_points(two, PLACES, out)
        wanted = {
            n: two.read(n, slice(None))[:, 3, 5] for n in ("o3", "o3_standard_error", "o3_upper", "o3_quality_flag")
        }
        distance = two.read("o3_nearest_station_distance", slice(None))[:, 3, 5]
    assert (report.rows, report.places, report.outside) == (2 * 2 * 72, 2, ["far"])
    table = (
        pd.read_csv(out, parse_dates=["time", "time_start", "time_end"]) if ending == "csv" else pd.read_parquet(out)
    )
    rows = table[(table["place"] == "a") & (table["species"] == "o3")].sort_values("time")
    for column, name in (("value", "o3"), ("standard_error", "o3_standard_error"), ("upper", "o3_upper")):
        np.testing.assert_allclose(rows[column], wanted[name], rtol=1e-5)
    assert rows["quality_flag"].tolist() == wanted["o3_quality_flag"].tolist()
    np.testing.assert_allclose(rows["nearest_station_km"], distance, rtol=1e-5)
    assert set(rows["units"]) == {"ug m-3"}
    assert str(rows["time"].iloc[0]) == "2019-01-02 00:30:00+00:00"
    assert str(rows["time_end"].iloc[0]) == "2019-01-02 01:00:00+00:00"
    assert ((rows["time_end"] - rows["time_start"]) == pd.Timedelta(hours=1)).all()
    masked = table[table["place"] == "masked"]
    assert masked["value"].isna().all() and (masked["quality_flag"] == 16).all()


def test_a_count_of_readings_is_what_the_cube_has_also_that_of_a_year(cubes, tmp_path):
    year = open_cube(cubes.two)
    year["o3_observations_used"] += 24 * 365 * 16  # as of an annual mean, beyond 16 bits
    export_points(CubeSource(year, ("o3",)), PLACES[:1], tmp_path / "t.parquet")
    used = pd.read_parquet(tmp_path / "t.parquet")["observations_used"]
    assert used.tolist() == year["o3_observations_used"].values[:, 3, 5].tolist() and used.min() > 140_000


def test_places_of_another_region_are_refused_and_nothing_is_written(cubes, tmp_path):
    with CubeSource(cubes.two) as two, pytest.raises(OutputError, match="none of the 1 places lies in the cube"):
        export_points(two, PLACES[1:2], tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_place_says_whether_it_is_extrapolated_beyond_which_distance_and_what_is_left_blank(cubes, tmp_path):
    with CubeSource(cubes.far) as far:
        lat, lon = (part.ravel() for part in np.meshgrid(far.dataset.lat, far.dataset.lon, indexing="ij"))
        places = pd.DataFrame({"place": [f"p{i}" for i in range(lat.size)], "lat": lat, "lon": lon})
        export_points(far, places, tmp_path / "t.parquet")
    table = pd.read_parquet(tmp_path / "t.parquet")
    km = table["nearest_station_km"].to_numpy()
    assert (table["extrapolation_km"] == 15.0).all()
    np.testing.assert_array_equal(table["extrapolated"].to_numpy(bool), km > 15.0)
    np.testing.assert_array_equal(table["value"].isna(), km > 25.0)
    assert 0 < (km > 25.0).sum() < (km > 15.0).sum() < len(table)


def test_a_masked_place_is_not_extrapolated_and_an_older_cube_says_no_distance(cubes, tmp_path):
    with CubeSource(cubes.two) as two:
        del two.dataset["pm2p5_quality_flag"].attrs["extrapolation_km"]
        export_points(two, PLACES, tmp_path / "t.parquet")
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert table.loc[table["place"] == "masked", "extrapolated"].isna().all()
    assert table.loc[table["species"] == "pm2p5", "extrapolation_km"].isna().all()
    assert (table.loc[table["species"] == "o3", "extrapolation_km"] == 50.0).all()
