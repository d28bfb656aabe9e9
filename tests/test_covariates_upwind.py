"""What the wind brings from a map of sources: where it goes, how it thins, what is done where weather is missing."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.covariates import upwind as upwind_module
from aqreanalysis.covariates.upwind import HOURS, follow_back
from aqreanalysis.errors import CovariatesError

FIRST = 438_288  # 2020-01-01T00
SOURCE = 51.05, 7.05
EAST = (np.array([51.05, 51.05, 51.05]), np.array([7.35, 7.75, 6.75]))


def sources(path: Path, strength: float = 100.0) -> Path:
    """Write a raster that holds something in one pixel of a tenth of a degree."""
    values = np.zeros((60, 60), np.float32)
    values[int((54 - SOURCE[0]) * 10), int((SOURCE[1] - 4) * 10)] = strength
    profile = {"driver": "GTiff", "count": 1, "height": 60, "width": 60, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", **profile, transform=from_origin(4.0, 54.0, 0.1, 0.1)) as file:
        file.write(values[None])
    return path


def weather(path: Path, u: float = 3.0, depth: float = 500.0, hours: int = 48, lacking: int | None = None) -> Path:
    """Write a wind from the west and a boundary layer over some degrees, 48 hours by default."""
    lat, lon = np.arange(54.0, 47.9, -0.25), np.arange(3.0, 12.1, 0.25)
    time = np.datetime64("2020-01-01", "ns") + np.arange(1, hours + 1) * np.timedelta64(1, "h")
    shape = (hours, len(lat), len(lon))
    fields = {"u10": (u, "m s-1"), "v10": (0.0, "m s-1"), "blh": (depth, "m")}
    dataset = xr.Dataset(coords={"time": time, "latitude": lat, "longitude": lon})
    for name, (value, units) in fields.items():
        values = np.full(shape, value, np.float32)
        if lacking is not None:
            values[lacking] = np.nan
        dataset[name] = ("time", "latitude", "longitude"), values, {"units": units}
    dataset["latitude"].attrs["units"], dataset["longitude"].attrs["units"] = "degrees_north", "degrees_east"
    dataset.to_netcdf(path)
    return path


def with_shower(path: Path, rate: float = 2.0, hour: int = 20) -> Path:
    """Add to a weather file rain of one hour, west of 7 E."""
    with xr.open_dataset(path) as opened:
        dataset = opened.load()
    rain = np.zeros_like(dataset["blh"].values)
    rain[hour - 1][:, dataset["longitude"].values < 7.0] = rate  # stamps are at the end of the hour, from 1 on
    dataset["tp"] = ("time", "latitude", "longitude"), rain, {"units": "mm h-1"}
    dataset.to_netcdf(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [str(weather(tmp_path / "weather.nc")), f"works={sources(tmp_path / 'works.tif')}"]


def hours(first: int = 20, count: int = 4) -> np.ndarray:
    return FIRST + np.arange(first, first + count, dtype=np.int64)


def test_a_plume_lies_downwind_of_its_source_and_thins_with_the_distance(files: list[str]) -> None:
    covariates = Covariates.open(files)
    assert covariates.fields == ("u10", "v10", "blh", "works_upwind", "works")
    assert covariates.hourly[-1] == "works_upwind" and covariates.static == ("works",)
    near, far, against = covariates.select(["works_upwind"]).at(*EAST, hours())[0, :, 0]
    assert near > far > 0.0
    assert against < 0.01 * near


def test_twice_the_depth_is_half_the_plume(tmp_path: Path) -> None:
    path = sources(tmp_path / "works.tif")
    plumes = []
    for depth in (500.0, 1000.0):
        opened = Covariates.open([str(weather(tmp_path / f"{depth}.nc", depth=depth)), f"works={path}"])
        plumes.append(opened.select(["works_upwind"]).at(*EAST, hours())[..., 0])
    assert plumes[0][:, 0] == pytest.approx(2 * plumes[1][:, 0], rel=1e-5)


def test_the_field_reaches_the_border_of_the_weather_without_a_rim(tmp_path: Path) -> None:
    border = np.full(3, 51.05), np.array([11.8, 11.95, 12.1])  # the last column of the weather is at 12.0
    raster = tmp_path / "everywhere.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 12, "width": 20, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(raster, "w", **profile, transform=from_origin(3.0, 56.0, 1.0, 1.0)) as file:
        file.write(np.ones((1, 12, 20), np.float32))
    config = CovariatesConfig(upwind=["works"])
    covariates = Covariates.open([str(weather(tmp_path / "weather.nc", u=-3.0)), f"works={raster}"], config)
    values = covariates.select(["works_upwind"]).at(*border, hours())[0, :, 0]
    assert values[1:] == pytest.approx(values[0], rel=0.02)


def test_a_number_depends_on_nothing_else_that_is_asked(files: list[str]) -> None:
    whole = Covariates.open(files).select(["works_upwind"])
    lat, lon = (a.ravel() for a in np.meshgrid(np.arange(50.0, 52.0, 0.17), np.arange(5.0, 9.0, 0.17), indexing="ij"))
    everything = whole.at(lat, lon, hours(4, 40))
    alone = Covariates.open(files).select(["works_upwind"]).at(lat[7:8], lon[7:8], hours(24, 1))
    assert alone[0, 0, 0] == everything[20, 7, 0]


def test_an_hour_without_weather_is_missing_and_ends_the_path_of_later_hours(tmp_path: Path) -> None:
    raster = f"works={sources(tmp_path / 'works.tif')}"
    whole = Covariates.open([str(weather(tmp_path / "whole.nc")), raster]).select(["works_upwind"])
    gap = Covariates.open([str(weather(tmp_path / "gap.nc", lacking=20)), raster]).select(["works_upwind"])
    missing = FIRST + 21
    assert np.isnan(gap.at(*EAST, np.array([missing]))).all()
    later = np.array([missing + 1])
    assert 0 <= gap.at(*EAST, later)[0, 1, 0] < whole.at(*EAST, later)[0, 1, 0]


def test_the_compiled_path_is_that_of_the_plain_form() -> None:
    rng = np.random.default_rng(0)
    side = round((upwind_module.SIDE + 2 * 4.0) / 0.2) + 1
    shape = (HOURS + 23, side, side)
    u, v = (
        rng.normal(0.6, 0.15, shape).astype(np.float32) for _ in range(2)
    )  # rougher ones part what rounding differs
    depth = rng.uniform(200, 1500, shape).astype(np.float32)
    u[HOURS + 3, 20:30] = np.nan
    plumes = rng.random((2, HOURS, 2 * side - 1, 2 * side - 1), np.float32)
    washed = rng.random(shape, np.float32)
    fade = np.exp(-np.arange(HOURS) / np.array([[10], [6]])).astype(np.float32)
    out = np.empty((3, 24, 41, 41), np.float32)
    follow_back((u, v, depth, washed), plumes, fade, out)
    for hour, i, j in ((0, 0, 0), (5, 20, 20), (23, 40, 40), (4, 3, 11), (3, 5, 5)):
        expected = plain((u, v, depth, washed), plumes, fade, (hour, i, j))
        assert out[:, hour, i, j] == pytest.approx(expected, rel=1e-4, nan_ok=True)


def plain(weather, plumes, fade, node) -> np.ndarray:
    """Follow the air of one node back, as the compiled loop does."""

    def at(field, y, x):
        i, j = min(int(y), field.shape[0] - 2), min(int(x), field.shape[1] - 2)
        square, a, b = field[i : i + 2, j : j + 2].astype(float), y - i, x - j
        return np.array([1 - a, a]) @ square @ np.array([1 - b, b])

    u, v, depth, washed = weather
    hour, i, j = node
    y, x = 20 + i / 2, 20 + j / 2
    total = np.zeros(len(plumes) + 1) + 0 * at(depth[hour + HOURS - 1], y, x)
    deepest, edge = 0.0, u.shape[1] - 1
    for ago in range(HOURS):
        now = hour + HOURS - 1 - ago
        half = y - at(v[now], y, x) / 2, x - at(u[now], y, x) / 2
        if not all(0 <= c <= edge for c in half):
            break
        deepest = np.fmax(deepest, at(depth[now], *half))
        north, east = at(v[now], *half), at(u[now], *half)
        total[-1] += fade[1, ago] * at(washed[now], *half)
        for part in range(3):
            under = y - (part + 0.5) / 3 * north, x - (part + 0.5) / 3 * east
            if all(0 <= c <= edge for c in under):
                brought = np.array([at(p[ago], *(2 * c for c in under)) for p in plumes])
                total[:-1] += fade[0, ago] * 1000 / deepest * brought
        y, x = y - north, x - east
        if not (0 <= y <= edge and 0 <= x <= edge):
            break
    return total


def test_heights_are_no_sources_and_the_config_may_name_them_or_none(tmp_path: Path, files: list[str]) -> None:
    heights = tmp_path / "height.tif"
    with rasterio.open(tmp_path / "works.tif") as source:
        profile = source.profile
    with rasterio.open(heights, "w", **profile) as file:
        file.write(np.linspace(10, 500, 3600, dtype=np.float32).reshape(1, 60, 60))
    paths = [*files, f"height={heights}"]
    assert [f for f in Covariates.open(paths).fields if f.endswith("_upwind")] == ["works_upwind"]
    none = Covariates.open(paths, CovariatesConfig(upwind=[]))
    assert not [f for f in none.fields if f.endswith("_upwind")]
    named = Covariates.open(paths, CovariatesConfig(upwind=["height"]))
    assert [f for f in named.fields if f.endswith("_upwind")] == ["height_upwind"]


def test_a_source_that_is_no_raster_or_has_no_wind_is_refused_with_the_way_out(
    tmp_path: Path, files: list[str]
) -> None:
    with pytest.raises(CovariatesError, match=r"names 'roads', and no raster .*called so \(works\); write roads=PATH"):
        Covariates.open(files, CovariatesConfig(upwind=["roads"]))
    with pytest.raises(CovariatesError, match=r"no u10, v10, blh: give the files .* or set covariates.upwind=\[\]"):
        Covariates.open(files[1:], CovariatesConfig(upwind=["works"]))


def test_it_goes_to_another_process(files: list[str]) -> None:
    covariates = Covariates.open(files).select(["works_upwind"])
    again = pickle.loads(pickle.dumps(covariates))
    assert np.array_equal(again.at(*EAST, hours()), covariates.at(*EAST, hours()))


def test_the_summary_says_what_it_is(files: list[str]) -> None:
    about = Covariates.open(files).summary()["fields"]["works_upwind"]
    assert about["title"] == "what the wind brings of works" and about["hours"] == 48


def test_rain_stays_with_the_air_that_it_fell_through(tmp_path: Path) -> None:
    covariates = Covariates.open(str(with_shower(weather(tmp_path / "weather.nc"))))
    assert covariates.fields == ("u10", "v10", "tp", "blh", "washout") and covariates.units[-1] == "mm0.7 h0.3"
    about = covariates.summary()["fields"]["washout"]
    assert about["title"] == "rain that the air went through" and about["hours"] == 48
    washout = covariates.select(["washout"])
    lon = np.array([6.0, 7.6, 11.0])
    lat = np.full(3, 51.05)
    before, falling, after = washout.at(lat, lon, FIRST + np.array([19, 20, 24], np.int64))[..., 0]
    assert not before.any()
    # Where it falls, and not yet where the air comes to from there.
    assert falling[0] == pytest.approx(2.0**0.7, rel=1e-4) and not falling[1:].any()
    # Four hours of 17 km later the washed air is east of where it rained, and counts less.
    assert after[0] == pytest.approx(falling[0] * np.exp(-4 / 8), rel=1e-3)
    assert after[1] == pytest.approx(after[0], rel=1e-3) and not after[2]


def test_the_rain_of_the_way_needs_rain_and_may_be_refused(tmp_path: Path, files: list[str]) -> None:
    assert "washout" not in Covariates.open(files).fields
    with_shower(tmp_path / "weather.nc")
    opened = Covariates.open(files)
    assert opened.hourly[-2:] == ("works_upwind", "washout")
    assert "tp" in opened.select(["washout"]).as_read().fields
    assert "washout" not in Covariates.open(files, CovariatesConfig(upwind=[])).fields
