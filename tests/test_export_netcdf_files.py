"""NetCDF files cut from a store hold its numbers, chunked as asked, clean under the project's rules."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
import xarray as xr
from picture_case import write_cube

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, export_netcdf, source
from aqreanalysis.export import netcdf_files as netcdf
from aqreanalysis.validation import ValidateOptions, validate


@pytest.mark.parametrize(("layout", "chunks"), [("maps", [1, 7, 9]), ("series", [72, 7, 9])])
@pytest.mark.parametrize("name", ["one", "two"])
def test_numbers_fills_and_attributes_are_the_cubes(layout, chunks, name, cubes, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "SLAB_VALUES", 63 * 10)  # several pieces
    monkeypatch.setattr(netcdf, "SLAB_VALUES", 72 * 9 * 2)
    with CubeSource(getattr(cubes, name)) as cube:
        (path,) = export_netcdf(cube, tmp_path / "a.nc", layout, "none")
        with xr.open_dataset(path) as made:
            for layer in [*cube.layers, *cube.maps]:
                np.testing.assert_array_equal(made[layer].values, cube.dataset[layer].values)
                assert made[layer].attrs["long_name"] == cube.dataset[layer].attrs["long_name"]
    with netCDF4.Dataset(path) as file:
        assert file["pm2p5"].chunking() == chunks and file["pm2p5"]._FillValue == -9999
        assert file["pm2p5"].filters()["zlib"] and file["pm2p5"].filters()["shuffle"]
        assert not any(on for codec, on in file["pm2p5"].filters().items() if codec in ("zstd", "szip", "blosc"))
    assert validate(path, ValidateOptions(checker=False)).clean


def test_a_file_a_month_is_named_and_stamped_by_it(cubes, tmp_path):
    noted = []
    with CubeSource(cubes.one) as one:
        one.bounds = one.bounds + np.timedelta64(24 * 29 - 12, "h")  # over the end of January
        paths = export_netcdf(one, tmp_path / "months", progress=lambda *said: noted.append(said[:2]))
    assert [p.name for p in paths] == ["one_201901.nc", "one_201902.nc"] and noted == [(1, 2), (2, 2)]
    with xr.open_dataset(paths[0]) as january, xr.open_dataset(paths[1]) as february:
        assert january.sizes["time"] + february.sizes["time"] == 72
        assert str(january.time.values[-1]) == "2019-01-31T23:30:00.000000000"
        assert february.attrs["time_coverage_start"] == "2019-02-01T00:00:00Z"


def test_a_wrong_option_is_refused(cubes, tmp_path):
    with CubeSource(cubes.one) as one:
        with pytest.raises(OutputError, match="layout 'rows'"):
            export_netcdf(one, tmp_path / "a", "rows")
        with pytest.raises(OutputError, match="split 'week'"):
            export_netcdf(one, tmp_path / "a", split="week")
        with pytest.raises(OutputError, match=r"must end in \.nc"):
            export_netcdf(one, tmp_path / "a", split="none")
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_cube_without_a_grid_mapping_gets_that_of_its_degrees(tmp_path):
    write_cube(tmp_path / "foreign.nc", np.ones((24, 3, 4)))
    with CubeSource(tmp_path / "foreign.nc") as cube:
        assert "crs" not in cube.dataset
        (path,) = export_netcdf(cube, tmp_path / "a.nc", split="none")
    with xr.open_dataset(path, decode_coords="all") as made:
        assert made["pm2p5"].encoding["grid_mapping"] == "crs" and 'ID["EPSG",4326]' in made["crs"].attrs["crs_wkt"]
