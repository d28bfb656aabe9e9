"""Stations over a map: their roles from the bundle, their readings from the observations."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from production_case import make_observations

from aqreanalysis.cli import main
from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.pictures import station_markers
from aqreanalysis.pictures.stations import find_model


def write_roles(folder, rows):
    folder.mkdir()
    frame = pd.DataFrame(rows, columns=["station", "lat", "lon", "role"])
    frame.to_parquet(folder / "stations.parquet")
    return folder


def test_hidden_stations_are_those_whose_role_says_so(tmp_path):
    bundle = write_roles(tmp_path / "m", [("a", 1.0, 2.0, "training"), ("b", 3.0, 4.0, "hidden-city")])
    marks = station_markers(bundle, None)
    assert marks.names == ["a", "b"] and marks.hidden.tolist() == [False, True]


def test_readings_are_means_of_the_hours_that_a_step_covers():
    observations = make_observations()
    marks = station_markers(None, observations)
    first, last = observations.times.values[3], observations.times.values[7]
    expected = np.nanmean(observations.values("pm25")[4:8].astype(float), axis=0)
    assert np.allclose(marks.readings("pm25", first, last), expected, equal_nan=True)
    assert np.isnan(marks.readings("so2", first, last)).all()


def test_a_bundle_of_other_stations_is_refused(tmp_path):
    bundle = write_roles(tmp_path / "m", [("elsewhere", 1.0, 2.0, "training")])
    with pytest.raises(ObservationsError, match="no station"):
        station_markers(bundle, make_observations())
    with pytest.raises(ModelError, match=r"stations\.parquet"):
        station_markers(tmp_path / "none", None)


def test_the_model_of_a_cube_is_found_near_it_by_its_digest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, digest in (("a.nc.model", "1"), ("models/north", "2"), ("outputs/models/far", "3")):
        bundle = tmp_path / folder
        bundle.mkdir(parents=True)
        (bundle / "provenance.json").write_text(json.dumps({"model_digest": digest}))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "provenance.json").write_text("{")
    cube = tmp_path / "a.nc"
    assert find_model(cube, "1") == tmp_path / "a.nc.model"
    assert find_model(cube, "2") == find_model(tmp_path / "months" / "b.nc", "2") == tmp_path / "models" / "north"
    assert find_model(cube, "3") == tmp_path / "outputs" / "models" / "far"
    assert find_model(cube, "4") is None and find_model(cube, "") is None


def test_a_map_marks_the_stations_of_its_cubes_model_unless_told_not_to(cubes, tmp_path):
    def run(*more):
        return CliRunner().invoke(
            main, ["plot", str(cubes.one), "--time", "2019-01-03T06:00", "--out", str(tmp_path / "x.png"), *more]
        )

    done = run("--no-borders")
    assert done.exit_code == 0 and f"stations: those of {cubes.model}" in done.stderr, done.stderr
    with_stations = (tmp_path / "x.png").read_bytes()
    done = run("--no-borders", "--no-stations", "--overwrite")
    assert done.exit_code == 0 and "stations" not in done.stderr
    assert (tmp_path / "x.png").read_bytes() != with_stations
