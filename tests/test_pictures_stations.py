"""Stations over a map: their roles from the bundle, their readings from the observations."""

import numpy as np
import pandas as pd
import pytest
from production_case import make_observations

from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.pictures import station_markers


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
