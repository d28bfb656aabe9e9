"""Files of months in the programs that join and average them: a mean falls into the day, month and season it is of."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from production_case import DAYS, make_bundle, make_frame, small_grid

from aqreanalysis.observations import from_frame
from aqreanalysis.production import ProduceOptions, produce_cubes

LAYER = "pm2p5"
#: What xarray and CDO call a period, and how its beginning is told here.
PERIODS = {"day": ("1D", "daymean"), "month": ("MS", "monmean"), "season": ("QS-DEC", "seasmean")}
#: Months of the second file alone, and of both.
SPANS = {"a month": slice(1, 2), "two months": slice(0, 2)}
#: Beginning of a period -> the mean of a layer over its hours and all cells.
Means = dict[str, float]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the files of February and March 2019, hours of 7 x 9 cells."""
    folder = tmp_path_factory.mktemp("months")
    frame = make_frame()
    later = [
        frame.assign(time=frame["time"] + pd.Timedelta(days=31 + n * DAYS), pm25=frame["pm25"] * (1 + n / 10))
        for n in range(8)
    ]
    records, span = from_frame(pd.concat(later)), ("2019-02-01", "2019-04-01")
    model, options = make_bundle(folder / "model"), ProduceOptions(split="month", threads=1)
    for cube in produce_cubes(model, records, small_grid(), span, folder / "x.nc", options).values():
        cube.close()
    return [folder / f"x_20190{month}.nc" for month in (2, 3)]


def means_of(layer: xr.DataArray, begins: Sequence[np.datetime64] | None = None, period: str = "day") -> Means:
    """Return the means of the hours by the periods in which they begin; of a layer that is of hours, or of means."""
    begin = pd.DatetimeIndex(layer["time"].values if begins is None else begins)
    values = layer.values.reshape(len(begin), -1).mean(axis=1, dtype=np.float64)
    return pd.Series(values).groupby(labels(begin, period)).mean().to_dict()


def labels(times: pd.DatetimeIndex, period: str) -> list[str]:
    """Return the period that each time lies in; a season as the quarter of a year that begins in December."""
    if period == "season":
        return [str(quarter) for quarter in times.to_period("Q-NOV")]
    return list(times.strftime("%Y-%m-%d" if period == "day" else "%Y-%m"))


def expected(files: Sequence[Path], period: str) -> Means:
    """Return the means by the bounds of the hours, which no client goes by."""
    parts = [xr.load_dataset(file) for file in files]
    layer = xr.concat([part[LAYER] for part in parts], "time")
    begins = np.concatenate([part["time_bnds"].values[:, 0] for part in parts])
    return means_of(layer, begins, period)


def assert_equal(found: Means, wanted: Means) -> None:
    """Compare periods, and their means as far as float32 goes."""
    assert found.keys() == wanted.keys()
    np.testing.assert_allclose(list(found.values()), list(wanted.values()), rtol=2e-6)


def command(*arguments: str | Path) -> str:
    """Return what a program prints; skip where it is not installed."""
    if shutil.which(str(arguments[0])) is None:
        pytest.skip(f"no {arguments[0]}: bash tests/clients/install.sh")
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("span", SPANS)
def test_xarray_averages_whole_periods(span: str, period: str, files: list[Path]) -> None:
    with xr.open_mfdataset(files[SPANS[span]]) as cube:
        averaged = cube[LAYER].resample(time=PERIODS[period][0]).mean()
        assert_equal(means_of(averaged, period=period), expected(files[SPANS[span]], period))


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("span", SPANS)
def test_cdo_averages_whole_periods(span: str, period: str, files: list[Path], tmp_path: Path) -> None:
    command("cdo", "-s", "mergetime", *files[SPANS[span]], tmp_path / "joined.nc")
    command("cdo", "-s", PERIODS[period][1], tmp_path / "joined.nc", tmp_path / "means.nc")
    with xr.open_dataset(tmp_path / "means.nc") as means:
        assert_equal(means_of(means[LAYER], period=period), expected(files[SPANS[span]], period))


@pytest.mark.parametrize("span", SPANS)
def test_nco_averages_whole_days(span: str, files: list[Path], tmp_path: Path) -> None:
    command("ncrcat", *files[SPANS[span]], tmp_path / "joined.nc")
    command("ncra", "--mro", "-d", "time,0,,24,24", "-v", LAYER, tmp_path / "joined.nc", tmp_path / "days.nc")
    with xr.open_dataset(tmp_path / "days.nc") as means:
        assert_equal(means_of(means[LAYER]), expected(files[SPANS[span]], "day"))
        assert (means["time"].dt.hour == 12).all()


def test_nco_averages_a_month_and_dates_it_in_its_middle(files: list[Path], tmp_path: Path) -> None:
    command("ncra", "-v", LAYER, files[1], tmp_path / "month.nc")
    with xr.open_dataset(tmp_path / "month.nc") as mean:
        assert_equal(means_of(mean[LAYER], period="month"), expected(files[1:], "month"))
        assert mean["time"].values[0] == np.datetime64("2019-03-16T12:00")


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("span", SPANS)
def test_gdals_bands_lie_in_their_periods(span: str, period: str, files: list[Path]) -> None:
    import rasterio

    values, times = [], []
    for file in files[SPANS[span]]:
        with rasterio.open(f"netcdf:{file}:{LAYER}") as layer:
            since = pd.Timestamp(layer.tags()["time#units"].removeprefix("hours since "))
            hours = [float(layer.tags(band)["NETCDF_DIM_time"]) for band in layer.indexes]
            times += [since + pd.Timedelta(hours=hour) for hour in hours]
            values.append(layer.read())
    layer = xr.DataArray(np.concatenate(values), dims=("time", "lat", "lon"), coords={"time": times})
    assert_equal(means_of(layer, period=period), expected(files[SPANS[span]], period))


TERRA = """
library(terra)
hours <- rast(commandArgs(TRUE), subds = "pm2p5")
at <- as.POSIXlt(time(hours), tz = "UTC")
periods <- list(day = format(at, "%Y-%m-%d"), month = format(at, "%Y-%m"),
  season = paste0(1900 + at$year + (at$mon == 11), "Q", 1 + ((at$mon + 1) %% 12) %/% 3))
for (period in names(periods)) {
  begins <- periods[[period]]
  means <- global(tapp(hours, factor(begins, unique(begins)), mean), "mean")[, 1]
  cat(paste(period, unique(begins), format(means, digits = 10), sep = ","), sep = "\\n")
}
"""


@pytest.mark.parametrize("span", SPANS)
def test_terra_averages_whole_periods(span: str, files: list[Path], tmp_path: Path) -> None:
    if not Path("/usr/lib/R/site-library/terra").is_dir():
        pytest.skip("no terra: bash tests/clients/install.sh all")
    (tmp_path / "means.R").write_text(TERRA)
    printed = list(csv.reader(io.StringIO(command("Rscript", tmp_path / "means.R", *files[SPANS[span]]))))
    for period in PERIODS:
        found = {begin: float(mean) for kind, begin, mean in printed if kind == period}
        assert_equal(found, expected(files[SPANS[span]], period))


def by_xarray(files: list[Path], folder: Path) -> xr.Dataset:
    return xr.open_mfdataset(files)


def by_nco(files: list[Path], folder: Path) -> xr.Dataset:
    command("ncrcat", *files, folder / "x.nc")
    return xr.open_dataset(folder / "x.nc")


def by_cdo(files: list[Path], folder: Path) -> xr.Dataset:
    command("cdo", "-s", "mergetime", *files, folder / "x.nc")
    return xr.open_dataset(folder / "x.nc")


def by_virtualizarr(files: list[Path], folder: Path) -> xr.Dataset:
    pytest.importorskip("virtualizarr", reason="VirtualiZarr comes with the extra 'dev'")
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr import open_virtual_dataset
    from virtualizarr.parsers import HDFParser

    registry = ObjectStoreRegistry({"file://": LocalStore()})
    parts = [
        open_virtual_dataset(f"file://{file}", registry=registry, parser=HDFParser(), loadable_variables=[])
        for file in files
    ]
    joined = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override", join="override")
    joined.vz.to_kerchunk(str(folder / "x.json"), format="json")
    return xr.open_dataset(str(folder / "x.json"), engine="kerchunk")


def by_kerchunk(files: list[Path], folder: Path) -> xr.Dataset:
    hdf = pytest.importorskip("kerchunk.hdf", reason="kerchunk comes with the extra 'dev'")
    from kerchunk.combine import MultiZarrToZarr

    parts = [hdf.SingleHdf5ToZarr(str(file)).translate() for file in files]
    fixed = ["lat", "lon", "lat_bnds", "lon_bnds", "crs", "quantization_info"]
    joined = MultiZarrToZarr(parts, concat_dims=["time"], identical_dims=fixed).translate()
    (folder / "x.json").write_text(json.dumps(joined))
    return xr.open_dataset(str(folder / "x.json"), engine="kerchunk")


@pytest.mark.parametrize("join", [by_xarray, by_nco, by_cdo, by_virtualizarr, by_kerchunk])
def test_split_months_are_joined(
    join: Callable[[list[Path], Path], xr.Dataset], files: list[Path], tmp_path: Path
) -> None:
    february, march = (xr.load_dataset(file) for file in files)
    with join(files, tmp_path) as joined:
        hours = np.concatenate([february["time"].values, march["time"].values])
        assert (joined["time"].values == hours).all() and joined.sizes["time"] == 59 * 24
        for name in february.data_vars:
            if "time" in february[name].dims:
                wanted = np.concatenate([february[name].values, march[name].values])
                np.testing.assert_array_equal(joined[name].values, wanted, err_msg=str(name))
            else:
                assert "time" not in joined[name].dims
                if february[name].ndim:  # what is said by attributes alone has a value of no meaning
                    np.testing.assert_array_equal(joined[name].values, february[name].values, err_msg=str(name))
