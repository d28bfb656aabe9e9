from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from aqreanalysis.configs import CovariatesConfig, StaticConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.covariates.rasters import Raster
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


def raster(path: Path) -> Raster:
    return Raster.open(path.stem, path, StaticConfig())


def test_means_over_several_windows_are_those_of_each_by_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "lights.tif", np.random.default_rng(0).random((300, 400)).astype(np.float32))
    together = raster(path).means(*PLACES, [1.0, 5.0, 40.0])
    for i, window in enumerate((1.0, 5.0, 40.0)):
        config = CovariatesConfig(static={"lights": StaticConfig(window_km=window)})
        assert together[:, i] == pytest.approx(Covariates.open(path, config).static_at(*PLACES)[:, 0], rel=1e-6)
    assert np.ptp(together[:, 2]) < np.ptp(together[:, 0])


def test_the_mean_of_a_place_has_the_same_bits_whoever_asks_with_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one = raster(write(tmp_path / "e.tif", rng.lognormal(0, 3, (1400, 1300)).astype(np.float32)))
    lat, lon = rng.uniform(NORTH - 14, NORTH, 80), rng.uniform(WEST, WEST + 13, 80)
    together = one.means(lat, lon, [2.0, 30.0])
    for i in range(80):
        np.testing.assert_array_equal(one.means(lat[[i]], lon[[i]], [2.0, 30.0])[0], together[i])


def test_a_raster_round_the_earth_has_no_seam(tmp_path: Path) -> None:
    lon = -180 + (np.arange(720) + 0.5) / 2
    values = np.cos(np.radians(lon)) * 100 + np.zeros((80, 1))
    east = write(tmp_path / "east.tif", values.astype(np.float32), transform=from_origin(-180, 20, 0.5, 0.5))
    turned = np.roll(values, 360, axis=1).astype(np.float32)
    whole = write(tmp_path / "whole.tif", turned, transform=from_origin(0, 20, 0.5, 0.5))
    places = np.zeros(5), np.array([179.9, -179.9, 180.1, 0.1, 359.9])
    expected = 100 * np.cos(np.radians(places[1]))
    for path in (east, whole):
        assert raster(path).means(*places, [60.0, 400.0]) == pytest.approx(np.stack([expected] * 2, 1), abs=0.05)


def test_a_raster_across_the_date_line_is_found_from_both_sides(tmp_path: Path) -> None:
    values = np.arange(200.0)[None] + np.zeros((100, 1))
    fiji = raster(write(tmp_path / "fiji.tif", values.astype(np.float32), transform=from_origin(175, -12, 0.05, 0.05)))
    found = fiji.means(np.full(4, -15.0), np.array([179.0, -179.0, 181.0, 174.0]), [5.0])[:, 0]
    assert found == pytest.approx([79.5, 119.5, 119.5, np.nan], abs=0.01, nan_ok=True)


def test_means_in_another_projection_are_those_in_degrees(tmp_path: Path) -> None:
    from pyproj import Transformer

    back = Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True)
    x, y = 4_000_000 + 1000 * (np.arange(500) + 0.5), 3_200_000 - 1000 * (np.arange(400) + 0.5)
    lon, lat = back.transform(*np.meshgrid(x, y))
    values = expected(lat, lon).astype(np.float32)
    path = write(tmp_path / "laea.tif", values, "EPSG:3035", from_origin(4_000_000, 3_200_000, 1000, 1000))
    places = np.array([50.503, 49.8]), np.array([7.017, 8.61])
    assert raster(path).means(*places, [2.0, 20.0]) == pytest.approx(np.stack([expected(*places)] * 2, 1), abs=1.0)


def test_no_more_of_a_large_raster_is_read_than_around_the_places(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path / "world.tif", np.zeros((6000, 9000), np.uint8), tiled=True, compress="deflate")
    read = []
    plain = Raster._window

    def counted(self, band, rows, columns):
        pixels = plain(self, band, rows, columns)
        read.append(pixels.size)
        return pixels

    monkeypatch.setattr(Raster, "_window", counted)
    raster(path).means(np.array([20.0, 20.1]), np.array([50.0, 50.1]), [1.0, 40.0])
    assert 0 < sum(read) < 0.05 * 6000 * 9000


def test_a_window_of_more_pixels_than_can_be_held_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "fine.tif", np.zeros((6000, 6000), np.uint8), transform=from_origin(5, 52, 1e-4, 1e-4))
    with pytest.raises(CovariatesError, match=r"a window of 80 km is .* pixels wide; set the windows of fine smaller"):
        raster(path).means(np.array([51.7]), np.array([5.3]), [80.0])


def test_a_copy_with_another_window_has_its_own_values(tmp_path: Path) -> None:
    values = np.zeros((300, 400), np.float32)
    values[150, 200] = 900.0
    one = Raster.open("works", write(tmp_path / "works.tif", values), StaticConfig(window_km=3))
    at = np.array([NORTH - 150.5 * STEP]), np.array([WEST + 200.5 * STEP])
    wide = replace(one, config=StaticConfig(window_km=30))
    narrow = one.values(*at)
    assert wide.values(*at)[0, 0] < narrow[0, 0] / 50 and np.array_equal(one.values(*at), narrow)


@pytest.mark.parametrize("code", [-9999.0, -3.4028235e38])
def test_an_undeclared_code_is_taken_as_missing_told_and_never_blended(tmp_path: Path, code: float) -> None:
    values = np.where(np.arange(400) < 200, 120.0, code) * np.ones((300, 1))
    path = write(tmp_path / "dem.tif", values.astype(np.float32))
    covariates = Covariates.open(path)
    lon = WEST + STEP * (np.arange(180, 220) + 0.5)
    got = covariates.static_at(np.full(40, 50.5), lon)[:, 0]
    assert got[:20] == pytest.approx(120.0) and np.isnan(got[25:]).all()
    assert got[np.isfinite(got)] == pytest.approx(120.0)
    assert "is not declared as missing and is taken so" in covariates.report.warnings[0]
    assert "gdal_edit.py -a_nodata" in covariates.report.warnings[0]


def test_a_code_that_a_first_look_missed_ends_in_one_line_where_it_is_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("aqreanalysis.covariates.rasters._SMALL", 0)
    monkeypatch.setattr("aqreanalysis.covariates.rasters._LOOKS", 1)
    values = slope()
    values[250:260, 250:260] = -9999.0
    path = write(tmp_path / "dem.tif", values)
    covariates = Covariates.open(path)
    place = np.array([NORTH - 2.55]), np.array([WEST + 2.55])
    with pytest.raises(CovariatesError, match=r"dem.tif holds -9999, which looks like a code .*missing: \[-9999\]"):
        covariates.static_at(*place)
    config = CovariatesConfig(static={"dem": StaticConfig(missing=[-9999.0], method="bilinear")})
    assert np.isnan(Covariates.open(path, config).static_at(*place)).all()


def test_values_outside_a_range_that_is_set_are_missing(tmp_path: Path) -> None:
    values = np.full((300, 400), 7.0, np.float32)
    values[:, 200:] = 900.0
    path = write(tmp_path / "slope.tif", values)
    config = CovariatesConfig(static={"slope": StaticConfig(valid_range=(0.0, 90.0))})
    got = Covariates.open(path, config).static_at(np.array([50.5, 50.5]), np.array([6.0, 8.0]))[:, 0]
    assert got[0] == 7.0 and np.isnan(got[1])


def test_one_raster_gives_a_field_for_each_of_several_windows(tmp_path: Path) -> None:
    path = write(tmp_path / "people.tif", slope() ** 2)
    config = CovariatesConfig(static={"people": StaticConfig(window_km=[2.0, 20.0])})
    covariates = Covariates.open(path, config)
    assert covariates.fields == ("people_20km", "people_2km")
    for name, km in (("people_2km", 2.0), ("people_20km", 20.0)):
        alone = Covariates.open(path, CovariatesConfig(static={"people": StaticConfig(window_km=km)}))
        got = covariates.select([name]).static_at(*PLACES)
        assert got == pytest.approx(alone.static_at(*PLACES), rel=1e-6)


def test_where_nobody_is_the_mean_is_zero_and_not_what_long_sums_leave(tmp_path: Path) -> None:
    values = np.random.default_rng(0).gamma(0.2, 5000.0, (300, 400))
    values[100:200, 150:250] = 0.0
    path = write(tmp_path / "people.tif", values)
    lat, lon = NORTH - STEP * np.linspace(110, 190, 40), WEST + STEP * np.linspace(160, 240, 40)
    means = Raster.open("people", path, StaticConfig()).means(lat, lon, [2.0, 5.0])
    assert (means == 0.0).all() and not np.signbit(means).any()
    below = Raster.open("dem", write(tmp_path / "dem.tif", values - 400.0), StaticConfig())
    assert below.means(lat, lon, [2.0]) == pytest.approx(-400.0)


def test_a_raster_of_classes_whose_mean_is_asked_for_is_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cover = write(tmp_path / "cover.tif", rng.choice([10, 20, 30, 50, 80], (300, 400)).astype(np.uint8))
    warned = Covariates.open(cover).report.warnings
    assert len(warned) == 1 and "holds 5 numbers, which look like classes" in warned[0]
    shares = CovariatesConfig(static={"cover": StaticConfig(method="fractions", classes={"urban": [50]})})
    assert Covariates.open(cover, shares).report.warnings == []
    people = write(tmp_path / "people.tif", rng.integers(0, 250, (300, 400)).astype(np.uint8))
    assert Covariates.open(people).report.warnings == []
