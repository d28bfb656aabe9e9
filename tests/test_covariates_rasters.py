from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from aqreanalysis.configs import CovariatesConfig, StaticConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import CovariatesError

WEST, NORTH, STEP = 5.0, 52.0, 0.01


def write(
    path: Path, values: np.ndarray, crs: str | None = "EPSG:4326", transform: object = None, **more: object
) -> Path:
    """Write a GeoTIFF; by default degrees from (WEST, NORTH) on."""
    values = np.asarray(values)
    bands = values if values.ndim == 3 else values[None]
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    profile |= {
        "dtype": bands.dtype,
        "crs": crs,
        "transform": transform or from_origin(WEST, NORTH, STEP, STEP),
        **more,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)
    return path


def slope(rows: int = 300, columns: int = 400) -> np.ndarray:
    """Return elevation that rises by 100 m a degree to the north and 50 m to the east, at the pixels' centres."""
    lat = NORTH - (np.arange(rows) + 0.5) * STEP
    lon = WEST + (np.arange(columns) + 0.5) * STEP
    return (100 * lat[:, None] + 50 * lon).astype(np.float32)


def expected(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return 100 * lat + 50 * lon


PLACES = np.array([50.503, 49.2, 51.5]), np.array([7.017, 8.61, 5.4])


@pytest.mark.parametrize("method", ["bilinear", "mean"])
def test_a_slope_is_found_at_the_point_and_as_the_mean_around_it(tmp_path: Path, method: str) -> None:
    path = write(tmp_path / "elevation.tif", slope())
    config = CovariatesConfig(static={"elevation": StaticConfig(method=method, window_km=6.0)})
    covariates = Covariates.open(path, config)
    assert covariates.fields == covariates.static == ("elevation",)
    # A pixel rises by 1 m; one that the edge of the window cuts counts with its own value.
    assert covariates.static_at(*PLACES)[:, 0] == pytest.approx(expected(*PLACES), abs=0.1)


def test_static_fields_are_repeated_over_the_hours_and_missing_off_the_raster(tmp_path: Path) -> None:
    covariates = Covariates.open(write(tmp_path / "elevation.tif", slope()))
    values = covariates.at(np.array([50.5, 10.0]), np.array([7.0, 7.0]), np.arange(3))
    assert values.shape == (3, 2, 1)
    assert np.isfinite(values[:, 0]).all() and np.isnan(values[:, 1]).all()


def test_the_mean_is_over_the_window_by_its_width_in_km(tmp_path: Path) -> None:
    values = np.zeros((301, 301), np.float32)
    values[150, 150] = 1000.0  # one pixel of 1.11 x 0.70 km
    path = write(tmp_path / "lights.tif", values)
    lat, lon = np.array([NORTH - 150.5 * STEP]), np.array([WEST + 150.5 * STEP])
    pixel_km2 = (111.195 * STEP) ** 2 * np.cos(np.radians(lat[0]))
    for window in (4.0, 8.0):
        covariates = Covariates.open(path, CovariatesConfig(static={"lights": StaticConfig(window_km=window)}))
        assert covariates.static_at(lat, lon)[0, 0] == pytest.approx(1000 * pixel_km2 / window**2, rel=0.01)


def test_another_projection_gives_the_same_as_degrees(tmp_path: Path) -> None:
    from pyproj import Transformer

    back = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    x, y = 300_000 + 500 * (np.arange(600) + 0.5), 5_700_000 - 500 * (np.arange(500) + 0.5)
    lon, lat = back.transform(*np.meshgrid(x, y))
    path = write(
        tmp_path / "utm.tif",
        expected(lat, lon).astype(np.float32),
        "EPSG:32632",
        from_origin(300_000, 5_700_000, 500, 500),
    )
    places = np.array([50.503, 49.8]), np.array([7.017, 8.61])
    assert Covariates.open(f"dem={path}").static_at(*places)[:, 0] == pytest.approx(expected(*places), abs=0.3)


def test_land_cover_becomes_the_share_of_each_class(tmp_path: Path) -> None:
    values = np.full((300, 400), 10, np.uint8)
    values[:, 200:] = 50
    values[:, 210:] = 20
    path = write(tmp_path / "landcover.tif", values, nodata=0)
    config = StaticConfig(method="fractions", window_km=4.0, classes={"urban": [50], "green": [10, 20]})
    covariates = Covariates.open(path, CovariatesConfig(static={"landcover": config}))
    assert covariates.fields == ("landcover_green", "landcover_urban")
    edge = WEST + 200 * STEP
    shares = covariates.static_at(np.full(3, 50.5), np.array([edge - 1.0, edge, edge + 1.0]))
    assert shares == pytest.approx(np.array([[1, 0], [0.5, 0.5], [1, 0]]), abs=0.01)


def test_pixels_without_a_value_are_left_out_and_a_window_mostly_without_is_missing(tmp_path: Path) -> None:
    values = np.full((300, 400), 7.0, np.float32)
    values[:, 200:] = -9999.0
    covariates = Covariates.open(write(tmp_path / "people.tif", values, nodata=-9999.0))
    edge = WEST + 200 * STEP
    means = covariates.static_at(np.full(3, 50.5), np.array([edge - 0.5, edge - 0.005, edge + 0.3]))[:, 0]
    assert means == pytest.approx([7.0, 7.0, np.nan], nan_ok=True)


def test_many_places_far_apart_give_the_same_as_one_by_one(tmp_path: Path) -> None:
    covariates = Covariates.open(
        write(tmp_path / "e.tif", np.random.default_rng(0).random((2500, 2600)).astype(np.float32))
    )
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(NORTH - 25, NORTH, 60), rng.uniform(WEST, WEST + 26, 60)
    together = covariates.static_at(lat, lon)[:, 0]
    alone = [covariates.static_at(lat[[i]], lon[[i]])[0, 0] for i in range(60)]
    assert together == pytest.approx(alone, abs=1e-5, nan_ok=True)


def test_a_raster_without_projection_with_bands_or_damaged_is_named(tmp_path: Path) -> None:
    write(tmp_path / "nocrs.tif", slope(), None)
    write(tmp_path / "rgb.tif", np.zeros((3, 10, 10), np.uint8))
    good = write(tmp_path / "good.tif", slope()).read_bytes()
    (tmp_path / "cut.tif").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.tif").touch()
    for name, reason in (
        ("nocrs", "no coordinate reference"),
        ("rgb", "3 bands"),
        ("cut", "cannot be read"),
        ("empty", "no raster"),
    ):
        with pytest.raises(CovariatesError, match=rf"{name}.tif.*{reason}") as caught:
            Covariates.open(tmp_path / f"{name}.tif").static_at(*PLACES)
        assert "\n" not in str(caught.value)


def test_a_setting_for_a_raster_that_is_not_given_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "elevation.tif", slope())
    with pytest.raises(
        CovariatesError, match=r"covariates.static names 'height', and no raster is called so \(elevation\)"
    ):
        Covariates.open(path, CovariatesConfig(static={"height": StaticConfig()}))
