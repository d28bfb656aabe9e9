"""Every kind of covariate file, harmed: one clear line that names the file, or the numbers of the unharmed file.

GRIB and uncompressed NetCDF carry no sum of their values (docs/covariates.md), so bytes changed inside these may pass
as long as the value is one that can be; that they are cut, or of another unit, may not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from covariates_case import LAT, LON, hour, message, plane, write_grib
from fuzz_case import CASES, Shelf, check_refusal
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.covariates.fields import FIELDS
from aqreanalysis.errors import CovariatesError

STAMPS = [f"2020-01-01T{h:02d}:00" for h in range(1, 7)]
HOURS = np.array([hour(stamp) for stamp in STAMPS])
PLACES = np.array([49.6, 48.2]), np.array([6.3, 8.9])
NAMES = (
    "one.grib",
    "two.grib2",
    "plain.nc",
    "packed.nc",
    "elevation.tif",
    "tiled.tif",
    "weather.csv",
    "weather.parquet",
)


def _netcdf(path: Path, unit: str = "K", packed: bool = False) -> Path:
    held = np.stack([plane(280 + i, 1.0, 0.5) for i in range(6)]).astype(np.float32)
    times = pd.date_range(STAMPS[0], periods=6, freq="h")
    variables = {"t2m": (("time", "latitude", "longitude"), held, {"units": unit})}
    axes = {"time": times, "latitude": ("latitude", LAT), "longitude": ("longitude", LON)}
    how = {"zlib": True, "fletcher32": True, "chunksizes": (2, 4, 5)} if packed else {}
    xr.Dataset(variables, axes).to_netcdf(path, engine="netcdf4", encoding={"t2m": how})
    return path


def _raster(path: Path, **how: object) -> Path:
    values = np.fromfunction(lambda row, column: 500.0 + row - 2 * column, (300, 400)).astype(np.float32)
    profile = {"driver": "GTiff", "count": 1, "height": 300, "width": 400, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", transform=from_origin(5.5, 50.5, 0.01, 0.01), **profile, **how) as file:
        file.write(values[None])
    return path


def _make(folder: Path, name: str) -> Path:
    path = folder / name
    if name == "one.grib":
        return write_grib(path, [message("t2m", s, plane(280 + i, 1.0, 0.5)) for i, s in enumerate(STAMPS)])
    if name == "two.grib2":
        keys = {"edition": 2, "parameterCategory": 0, "parameterNumber": 0, "typeOfFirstFixedSurface": 103}
        keys |= {"scaledValueOfFirstFixedSurface": 2, "scaleFactorOfFirstFixedSurface": 0, "bitsPerValue": 24}
        days = {s: pd.Timestamp(s) for s in STAMPS}
        maps = [
            {**keys, "dataDate": int(f"{t:%Y%m%d}"), "dataTime": int(f"{t:%H%M}"), "values": plane(280 + i, 1.0, 0.5)}
            for i, t in enumerate(days.values())
        ]
        return write_grib(path, maps)
    if name.endswith(".nc"):
        return _netcdf(path, packed=name == "packed.nc")
    if name.endswith(".tif"):
        return _raster(path, **({"compress": "deflate", "tiled": True} if name == "tiled.tif" else {}))
    frame = pd.DataFrame(
        {
            "station_id": np.repeat(["a", "b"], 6),
            "time": [pd.Timestamp(s) for s in STAMPS] * 2,
            "lat": np.repeat(PLACES[0], 6),
            "lon": np.repeat(PLACES[1], 6),
            "temp": np.arange(12.0),
            "wspm": 2.0,
            "wdir": 90.0,
        }
    )
    frame.to_csv(path, index=False) if name.endswith(".csv") else frame.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray, tuple[str, ...]]]:
    folder = tmp_path_factory.mktemp("covariates")
    shelf = Shelf()
    for name in NAMES:
        path = _make(folder, name)
        covariates = Covariates.open(path)
        shelf[name] = path, covariates.at(*PLACES, HOURS), covariates.fields
        assert np.isfinite(shelf[name][1]).all(), name
    return shelf


def _refused_or(path: Path) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Return values and fields, or None if the file is refused as it should be: one line, with its name."""
    try:
        covariates = Covariates.open(path)
        return covariates.at(*PLACES, HOURS), covariates.fields
    except CovariatesError as error:
        check_refusal(error, path)
        return None


def _can_be(values: np.ndarray, fields: tuple[str, ...]) -> bool:
    for i, key in enumerate(fields):
        if key in FIELDS:
            low, high = FIELDS[key].plausible
            there = values[:, :, i][~np.isnan(values[:, :, i])]
            if ((there < low) | (there > high)).any():
                return False
    return True


@pytest.mark.parametrize("name", NAMES)
@given(share=st.floats(0, 1, exclude_max=True))
@CASES
def test_a_truncated_file_is_refused_or_gives_what_is_left_of_it(
    made: dict, tmp_path_factory: pytest.TempPathFactory, name: str, share: float
) -> None:
    whole, right, fields = made[name]
    raw = whole.read_bytes()
    path = tmp_path_factory.mktemp("cut") / name
    path.write_bytes(raw[: int(share * len(raw))])
    shelf = _refused_or(path)
    if shelf is not None:
        assert shelf[1] == fields
        covariates, there = Covariates.open(path), np.isfinite(shelf[0])
        wrong = shelf[0][there] != right[there]
        # The last number of a text may be cut, as 90.0 to 9, and no reader can know: then it is told. Of a wind
        # direction two fields are made.
        warned = any("ends without a line end" in line for line in covariates.report.lines())
        assert wrong.sum() <= 2 * warned


@pytest.mark.parametrize("name", NAMES)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12))
@CASES
def test_other_bytes_are_refused_or_give_values_that_can_be(
    made: dict, tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]]
) -> None:
    whole = made[name][0]
    raw = bytearray(whole.read_bytes())
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(raw)
    shelf = _refused_or(path)
    if shelf is not None:
        assert _can_be(*shelf)


@pytest.mark.parametrize("name", ["one.grib", "two.grib2"])
def test_messages_in_any_order_give_the_same(made: dict, tmp_path: Path, name: str) -> None:
    from aqreanalysis.covariates.gribfile import walk

    whole, right, _ = made[name]
    raw = whole.read_bytes()
    parts = [raw[f.offset : f.offset + f.length] for f in walk(whole)]
    for seed in range(4):
        path = tmp_path / name
        path.write_bytes(b"".join(parts[i] for i in np.random.default_rng(seed).permutation(len(parts))))
        np.testing.assert_array_equal(Covariates.open(path).at(*PLACES, HOURS), right)


@pytest.mark.parametrize("unit", ["furlongs", "", "Pa", "m s-1", "degC"])
def test_a_wrong_unit_is_refused_with_file_and_variable(tmp_path: Path, unit: str) -> None:
    path = _netcdf(tmp_path / "unit.nc", unit)
    with pytest.raises(CovariatesError, match=r"unit\.nc.*t2m"):
        Covariates.open(path).at(*PLACES, HOURS)


HARMS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("empty", lambda raw: b""),
    ("one byte", lambda raw: raw[:1]),
    ("zeros", lambda raw: bytes(100_000)),
    ("40 MB of nines behind", lambda raw: raw + b"9" * 40_000_000),
    ("40 MB of nines before", lambda raw: b"9" * 40_000_000 + raw),
    ("another kind", lambda raw: b"<html>404 Not Found</html>\n" * 20),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harm", HARMS, ids=[title for title, _ in HARMS])
def test_the_empty_the_enormous_and_another_kind_are_refused_or_right(
    made: dict, tmp_path: Path, name: str, harm: tuple[str, Callable[[bytes], bytes]]
) -> None:
    whole, right, fields = made[name]
    path = tmp_path / name
    path.write_bytes(harm[1](whole.read_bytes()))
    shelf = _refused_or(path)
    if shelf is not None:
        there = np.isfinite(shelf[0])
        assert shelf[1] == fields
        np.testing.assert_array_equal(shelf[0][there], right[there])


@pytest.mark.parametrize("value", [1e30, -5.0, 5000.0, np.inf])
@pytest.mark.parametrize("suffix", ["nc", "csv"])
def test_numbers_that_cannot_be_are_refused_with_file_and_value(tmp_path: Path, suffix: str, value: float) -> None:
    path = tmp_path / f"enormous.{suffix}"
    if suffix == "nc":
        with xr.open_dataset(_netcdf(tmp_path / "good.nc")) as good:
            held = good.load()
        held["t2m"][3, 1, 2] = value
        held.to_netcdf(path)
    else:
        frame = pd.read_csv(_make(tmp_path, "weather.csv"))
        frame.loc[4, "temp"] = value if value > 0 else -500.0
        frame.to_csv(path, index=False)
    shelf = _refused_or(path)
    # Infinity is no number: it is missing.
    assert shelf is None or (np.isinf(value) and not np.isfinite(shelf[0]).all() and _can_be(*shelf))


@pytest.mark.parametrize("files", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_one_broken_file_among_many_stops_by_name_or_is_left_out_and_named(tmp_path: Path, files: int) -> None:
    folder = tmp_path / "era5"
    folder.mkdir()
    stamps = pd.date_range("2020-01-01 01:00", periods=files, freq="h")
    for i, stamp in enumerate(stamps):
        write_grib(folder / f"{i:04d}.grib", [message("t2m", f"{stamp:%Y-%m-%dT%H:%M}", plane(280.0))])
    broken = folder / f"{files // 2:04d}.grib"
    broken.write_bytes(broken.read_bytes()[:-9])
    with pytest.raises(CovariatesError, match=rf"{broken.name}, message 1: .*cut short"):
        Covariates.open(folder)
    opened = Covariates.open(folder, CovariatesConfig(skip_broken=True))
    assert list(opened.report.skipped) == [str(broken)] and any(broken.name in line for line in opened.report.lines())
    assert len(opened.hours("t2m")) in (files - 1, files)  # the hour of the broken file lies between two others
    assert not [path for path in folder.iterdir() if path.suffix != ".grib"]
