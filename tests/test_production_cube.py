"""Opening a cube and telling what it is."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import xarray as xr
from production_case import block_values, make_template

from aqreanalysis.errors import CubeError
from aqreanalysis.production import describe_cube, open_cube
from aqreanalysis.production.stores.netcdf import ChunkFolder, create_chunks, write_netcdf
from aqreanalysis.production.stores.zarr import ZarrStore


@pytest.fixture
def cubes(tmp_path):
    template = make_template()
    store = ZarrStore((), tmp_path / "x.zarr")
    store.create(template)
    create_chunks(tmp_path / "x.chunks", template, 1)
    for number in range(template.plan.blocks):
        block = template.plan.get_block(number)
        store.write(block, block_values(template, block))
        ChunkFolder(tmp_path / "x.chunks").write(block, block_values(template, block))
    write_netcdf(tmp_path / "x.chunks", template, tmp_path / "x.nc", lambda *_: None)
    return tmp_path


@pytest.mark.parametrize("name", ["x.nc", "x.zarr"])
def test_a_cube_is_described_by_its_span_grid_layers_and_provenance(name, cubes):
    told = describe_cube(cubes / name)
    assert told["species"] == ["pm25"] and told["kind"] == "cube"
    assert told["hours"] == 30 and told["first"] == "1970-01-01T00:30" and told["last"] == "1970-01-02T05:30"
    assert (told["west"], told["south"], told["east"], told["north"]) == (116.0, 39.0, 118.0, 40.5)
    assert told["step"] == [0.25, 0.25] and told["shape"] == [30, 7, 9]
    assert told["layers"]["pm2p5"] == {"long_name": "PM2.5 mass concentration", "units": "ug m-3"}
    assert told["model_digest"] == "m" and told["observations_digest"] == "o" and told["bytes"] > 1000
    assert told["format"] == ("NetCDF" if name == "x.nc" else "Zarr")


@pytest.mark.parametrize("name", ["x.nc", "x.zarr"])
def test_layers_are_data_and_bounds_and_grid_mapping_are_coordinates(name, cubes):
    with open_cube(cubes / name) as cube:
        assert {"crs", "time_bnds", "lat_bnds", "lon_bnds"} <= set(cube.coords)
        assert set(cube.data_vars) == {x.name for x in make_template().layers}
        assert not any("_CRS" in v.attrs for v in cube.variables.values())


def test_what_is_no_cube_is_one_clear_line(cubes, tmp_path):
    with pytest.raises(CubeError, match="no cube"):
        describe_cube(tmp_path / "absent.nc")
    (tmp_path / "text.nc").write_text("hello")
    with pytest.raises(CubeError, match="cannot be read as a cube") as caught:
        describe_cube(tmp_path / "text.nc")
    assert "\n" not in str(caught.value)
    xr.Dataset({"t2m": ("x", np.zeros(3))}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(CubeError, match="no coordinate time"):
        describe_cube(tmp_path / "other.nc")
    with netCDF4.Dataset(cubes / "x.nc", "a") as file:
        file.renameVariable("pm2p5", "renamed")
    with pytest.raises(CubeError, match="no pollutant"):
        describe_cube(cubes / "x.nc")
