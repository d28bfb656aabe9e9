"""`estimate`: the cube as a lazy Dataset is the cube that `produce` writes, and computes only what is asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from production_case import END, GRID, START, TILES, make_bundle, make_observations

import aqreanalysis as aq
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import OutputError
from aqreanalysis.production import ProduceOptions, open_cube, produce
from aqreanalysis.production import lazy_cube as room


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("lazy") / "model", ("pm25", "o3"))


@pytest.fixture(scope="module")
def written(model: Path, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Return the cube as `produce` writes it, in whole blocks."""
    return produce(model, make_observations(), GRID, START, END, tmp_path_factory.mktemp("cube") / "cube.zarr")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> ProductionConfig:
    """Let `estimate` cut the cube into many blocks."""
    monkeypatch.setattr(room, "ProduceOptions", lambda **more: ProduceOptions(production=TILES, **more))
    return TILES


def plain(attrs: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with arrays as lists, as JSON holds them."""
    return {key: np.asarray(value).tolist() for key, value in attrs.items()}


def test_the_settings_of_production_are_those_of_the_models_config(model):
    predictor = aq.load_predictor(model, "cpu")
    far = predictor.config.production.model_copy(update={"blank_beyond_km": 20.0})
    predictor.config = predictor.config.model_copy(update={"production": far})
    lazy = aq.estimate(predictor, make_observations(), GRID, START, "2019-01-04", species=["pm25"]).compute()
    assert lazy.pm2p5.attrs["blank_beyond_km"] == 20.0
    np.testing.assert_array_equal(np.isnan(lazy.pm2p5), lazy.nearest_station_distance > 20.0)


def test_it_has_the_layers_coordinates_attributes_and_bits_of_the_written_cube(model, written, small_blocks):
    lazy = aq.estimate(model, make_observations(), GRID, START, END)
    assert all(isinstance(v.data, dask.array.Array) for v in lazy.data_vars.values())
    assert lazy.pm2p5.chunks == ((24,) * 4, (3, 3, 1), (4, 4, 1))
    assert set(lazy.data_vars) == set(written.data_vars) and set(lazy.coords) == set(written.coords)
    moments = {"history", "date_created", "date_modified", "date_metadata_modified"}
    # The blocks of the sweep are cut otherwise here, and the record of the run says how.
    differing = {k for k in written.attrs if lazy.attrs.get(k) != written.attrs[k]}
    assert differing <= moments | {"aqreanalysis_run"} and set(lazy.attrs) == set(written.attrs)
    for name, variable in written.variables.items():
        assert plain(lazy[name].attrs) == plain(variable.attrs) and lazy[name].dtype == variable.dtype, name
        np.testing.assert_array_equal(lazy[name].values, variable.values, err_msg=name)


def test_it_sweeps_only_the_blocks_that_are_asked_for(model, small_blocks, monkeypatch):
    swept: Counter[str] = Counter()

    def counted(name: str):
        real = getattr(room, name)

        def call(*given):
            swept[name] += 1
            return real(*given)

        return call

    for name in ("encode_time_block", "sweep_block"):
        monkeypatch.setattr(room, name, counted(name))
    lazy = aq.estimate(model, make_observations(), GRID, START, END)
    assert not swept
    lazy.pm2p5.sel(time="2019-01-04T12:30").isel(lat=0, lon=0).compute()
    assert swept == {"encode_time_block": 1, "sweep_block": 1}
    # All layers of a block come from one sweep of it.
    lazy.sel(time="2019-01-05T06:30").compute()
    assert swept == {"encode_time_block": 2, "sweep_block": 10}


def test_it_is_saved_as_it_is_and_opens_as_a_cube(model, written, small_blocks, tmp_path):
    lazy = aq.estimate(model, make_observations(), GRID, START, "2019-01-04", species=["pm25"])
    lazy.to_zarr(tmp_path / "saved.zarr", zarr_format=2)
    with open_cube(tmp_path / "saved.zarr") as saved:
        np.testing.assert_array_equal(saved.pm2p5, written.pm2p5[:24])
    lazy.to_netcdf(tmp_path / "saved.nc")
    with xr.open_dataset(tmp_path / "saved.nc", decode_cf=False) as raw:
        coordinates = [raw[name] for name in ("time", "lat", "lon", "time_bnds", "lat_bnds", "lon_bnds", "crs")]
        assert not any("_FillValue" in coordinate.attrs for coordinate in coordinates)


def test_the_workers_of_a_dask_client_give_the_same_bits(model, written, small_blocks):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
        Client(cluster),
    ):
        lazy = aq.estimate(model, make_observations(), GRID, START, END)
        mean = lazy.o3.mean("time").compute()
        part = lazy.o3_upper.isel(time=slice(20, 50)).compute()
    np.testing.assert_array_equal(part, written.o3_upper[20:50])
    np.testing.assert_allclose(mean, written.o3.mean("time"), rtol=1e-6)


@pytest.mark.parametrize("model", [None, 3])
def test_what_is_no_model_is_refused_in_one_line(model):
    for make in (aq.estimate, lambda *given: produce(*given, "cube.nc")):
        with pytest.raises(aq.AqreanalysisError, match=f"^model {model}: give the folder of a bundle, or .*$"):
            make(model, make_observations(), GRID, START, END)
    with pytest.raises(aq.AqreanalysisError, match=f"^model {model}: "):
        aq.load_predictor(model)


@pytest.mark.parametrize("observations", [None, 3, [None]])
def test_what_are_no_observations_is_refused_in_one_line(model, observations):
    with pytest.raises(aq.AqreanalysisError, match=r"^observations (None|3): give a file or folder, or .*$"):
        aq.estimate(model, observations, GRID, START, END)


@pytest.mark.parametrize("grid", [None, 3, ("110", "35")])
def test_what_is_no_grid_is_refused_in_one_line(model, grid):
    with pytest.raises(aq.AqreanalysisError, match=r"^grid .*: give a Grid, or write .*$"):
        aq.estimate(model, make_observations(), grid, START, END)


def test_a_wrong_timeline_is_refused_before_anything_is_swept(model):
    with pytest.raises(OutputError, match="before the observations"):
        aq.estimate(model, make_observations(), GRID, "2018-12-01", END)
