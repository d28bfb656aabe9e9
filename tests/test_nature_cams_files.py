from __future__ import annotations

from pathlib import Path

import eccodes
import numpy as np
import pytest
import xarray as xr

from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import OutputError
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.nature.cams_files import write_background_grib, write_background_netcdf
from aqreanalysis.species import SPECIES

WRITERS = {"background.grib2": write_background_grib, "background.nc": write_background_netcdf}


@pytest.fixture(scope="module")
def nature() -> Nature:
    return nature_run(seed=3, days=1, stations=13, species=("pm25",))


@pytest.mark.parametrize("name", WRITERS)
def test_the_background_comes_back_at_its_cells_and_between_them_in_every_hour(
    name: str, tmp_path: Path, nature: Nature
) -> None:
    covariates = Covariates.open(WRITERS[name](nature.background, tmp_path / name))
    assert set(covariates.fields) == {f"{key}_background" for key in SPECIES}
    hours = nature.observations.hours
    lat, lon = (axis.ravel() for axis in np.meshgrid(nature.grid.lat[::8], nature.grid.lon[::8], indexing="ij"))
    read = covariates.at(lat, lon, hours)
    for index, field in enumerate(covariates.fields):
        assert np.array_equal(covariates.hours(field), hours)
        species = SPECIES[field.removesuffix("_background")]
        field_between = nature.background[species.layer].interp(lat=("p", lat), lon=("p", lon))
        wanted = np.repeat(field_between.values, 3, axis=0)
        # Half a step of 16 bits over the range of a map.
        assert np.abs(read[..., index] - wanted).max() < np.ptp(nature.background[species.layer].values) / 65535


def test_both_files_say_the_same(tmp_path: Path, nature: Nature) -> None:
    opened = [Covariates.open(write(nature.background, tmp_path / name)) for name, write in WRITERS.items()]
    hours = nature.observations.hours
    grids = [c.grid(nature.grid, hours) for c in opened]
    assert opened[0].fields == opened[1].fields
    assert np.isfinite(grids[0]).all()
    assert grids[0] == pytest.approx(grids[1], rel=1e-2, abs=1e-2)


def test_the_messages_are_those_of_the_european_ensemble(tmp_path: Path, nature: Nature) -> None:
    path = write_background_grib(nature.background, tmp_path / "b.grib2")
    keys = dict.fromkeys(("discipline", "parameterCategory", "parameterNumber", "constituentType"), int)
    keys |= {"stepType": str, "stepRange": str}
    found = []
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            found.append([str(eccodes.codes_get(handle, key, kind)) for key, kind in keys.items()])
            eccodes.codes_release(handle)
    assert len(found) == 6 * 8
    assert [f[3] for f in found[:6]] == ["40009", "40008", "8", "5", "0", "4"]
    assert all(f[:3] + f[4:] == ["0", "20", "0", "avg", "0-3"] for f in found)


def test_the_netcdf_is_laid_out_as_the_ensembles_and_says_that_it_is_synthetic(tmp_path: Path, nature: Nature) -> None:
    path = write_background_netcdf(nature.background, tmp_path / "b.nc")
    with xr.open_dataset(path, decode_times=False) as opened:
        assert opened["pm2p5_conc"].dims == ("time", "level", "latitude", "longitude")
        assert {f"{s.layer}_conc" for s in SPECIES.values()} <= set(opened.data_vars)
        assert opened["co_conc"].attrs["units"] == "µg/m3"
        assert opened["time"].attrs["units"] == "hours"
        assert opened["time"].attrs["long_name"] == "ANALYSIS time from 20010301"
        assert opened["time"].values.tolist() == list(range(3, 25, 3))
        assert (np.diff(opened["latitude"].values) < 0).all()
        assert opened.attrs["synthetic"] == "true"


@pytest.mark.parametrize("name", WRITERS)
def test_an_existing_file_is_not_replaced_unless_told_and_another_dataset_is_refused(
    name: str, tmp_path: Path, nature: Nature
) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(OutputError, match="exists"):
        WRITERS[name](nature.background, path)
    assert WRITERS[name](nature.background, path, overwrite=True).stat().st_size > 0
    with pytest.raises(OutputError, match="none of pm2p5"):
        WRITERS[name](nature.meteorology, tmp_path / f"other_{name}")
