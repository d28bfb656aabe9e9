from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import OutputError
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.nature.era5_grib import write_meteorology


@pytest.fixture(scope="module")
def nature() -> Nature:
    return nature_run(seed=3, days=1, stations=13, species=("pm25",))


def test_the_weather_of_a_nature_run_comes_back_from_grib_at_cells_and_stations(tmp_path: Path, nature: Nature) -> None:
    path = write_meteorology(nature.meteorology, tmp_path / "weather.grib")
    covariates = Covariates.open(path)
    assert covariates.fields == ("u10", "v10", "t2m", "tp", "blh", "washout")
    hours = nature.observations.hours
    assert np.array_equal(covariates.hours("u10"), hours)
    cells = covariates.grid(nature.grid, hours)
    for index, key in enumerate(covariates.fields[:-1]):
        truth = nature.meteorology[key].values * (1000 if key == "tp" else 1)
        # Half a step of 16 bits over the range of a map.
        step = np.ptp(truth.reshape(len(hours), -1), axis=1).max() / 65535
        assert np.abs(cells[..., index] - truth).max() < step + 1e-4 * np.abs(truth).max() / 100
    stations = covariates.at(nature.observations.lat, nature.observations.lon, hours)
    between = nature.meteorology.interp(
        lat=("s", nature.observations.lat), lon=("s", nature.observations.lon), kwargs={"fill_value": None}
    )
    assert stations[..., 0] == pytest.approx(between["u10"].values, abs=0.01)


def test_an_existing_file_is_not_replaced_unless_told(tmp_path: Path, nature: Nature) -> None:
    path = tmp_path / "weather.grib"
    path.touch()
    with pytest.raises(OutputError, match="exists"):
        write_meteorology(nature.meteorology, path)
    assert write_meteorology(nature.meteorology, path, overwrite=True).stat().st_size > 0
