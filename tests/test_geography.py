"""Height and population of the whole Earth: right where anybody can check, and without steps."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

from aqreanalysis.geography import FIELDS, describe, pack, scale
from aqreanalysis.geography.make import altitude, population


def metres_and_people(lat: float, lon: float) -> tuple[float, float]:
    values = describe(np.array([lat]), np.array([lon]))[0]
    return tuple(little * np.expm1(x) for x, (little, _) in zip(values, FIELDS.values(), strict=True))


@pytest.mark.parametrize(
    ("lat", "lon", "metres", "people"),
    [
        (39.90, 116.40, (20, 100), (3000, 30000)),  # Beijing
        (27.99, 86.92, (4500, 7000), (0, 20)),  # Qomolangma, a mean over 17 km
        (36.25, 117.10, (150, 700), (50, 5000)),  # Tai'an, under Mount Tai
        (0.0, -30.0, (0, 1), (0, 1)),  # the Atlantic
        (-80.0, 60.0, (2000, 4500), (0, 1)),  # Antarctica
        (19.43, -99.13, (2100, 2700), (2000, 30000)),  # Mexico City
    ],
)
def test_known_places_are_as_high_and_as_crowded_as_they_are(lat, lon, metres, people):
    values = metres_and_people(lat, lon)
    assert metres[0] <= values[0] <= metres[1]
    assert people[0] <= values[1] <= people[1]


def test_the_seam_of_the_globe_is_closed_and_longitudes_come_in_any_turn():
    lat = np.full(5, 66.0)
    seam = describe(lat, np.array([179.999, 180.0, -180.0, -179.999, 540.0]))
    assert np.abs(seam - seam[0]).max() < 0.01
    np.testing.assert_allclose(
        describe(lat[:2], np.array([243.6, -116.4]))[0], describe(lat[:1], np.array([-116.4]))[0]
    )


def test_there_is_no_step_anywhere_and_the_poles_have_values():
    lat = np.linspace(-90, 90, 20001)
    lon = np.full_like(lat, 87.0)
    values = describe(lat, lon)
    assert np.isfinite(values).all()
    # A cell is 18.5 arc minutes of these steps wide: no step carries more than its share of the largest difference.
    per_cell = 20000 / 180 / 6
    assert np.abs(np.diff(values, axis=0)).max() < 1.01 * np.log1p(7000 / 10) / per_cell


def test_packing_keeps_values_to_a_level_and_the_ends():
    for name, (little, most) in FIELDS.items():
        values = np.array([0.0, little, 10 * little, most, 2 * most, -5.0])
        back = little * np.expm1(pack(name, values) * scale(name))
        np.testing.assert_allclose(back[:4], values[:4], rtol=scale(name), atol=1e-9)
        assert back[4] == pytest.approx(most) and back[5] == 0


def test_heights_are_means_of_cells_from_south_to_north_and_the_sea_is_zero(tmp_path):
    packed = np.full((2160, 4320), 255, np.uint8)  # rows from north to south
    packed[:2, :2] = [[30, 40], [50, 255]]  # 390, 670, 950 m and none, at the north-western corner
    packed[-1, -1] = 0  # 450 m under the sea
    with netCDF4.Dataset(tmp_path / "h.nc", "w") as file:
        file.createDimension("y", 2160)
        file.createDimension("x", 4320)
        file.createVariable("Altitude", "u1", ("y", "x"), fill_value=False)[:] = packed
    values = altitude(tmp_path / "h.nc")
    assert values.shape == (1080, 2160)
    assert values[-1, 0] == pytest.approx((390 + 670 + 950 + 0) / 4)
    assert values[0, -1] == 0 and np.count_nonzero(values) == 1


def test_people_are_neither_lost_nor_made(tmp_path):
    towns = '{"1": {"latitude": 60.0, "longitude": 179.95, "population": 500000}}'
    (tmp_path / "towns.json").write_text(towns, encoding="utf-8")
    values = population(tmp_path / "towns.json")
    lat = -90 + (np.arange(1080) + 0.5) / 6
    area = (111.2 / 6) ** 2 * np.cos(np.radians(lat))[:, None]
    assert (values * area).sum() == pytest.approx(500000, rel=0.02)
    assert values[900].argmax() in (0, 2159) and values[900, 0] > 0 and values[900, -1] > 0
