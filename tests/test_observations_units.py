"""Units as networks write them are known, mixing ratios become mass by the gas law, and nothing unknown passes."""

from __future__ import annotations

import pytest

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.units import conversion, read_unit


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("µg/m³", "ug m-3"),
        ("ug.m-3", "ug m-3"),
        ("UG/M3", "ug m-3"),
        ("ug m-3", "ug m-3"),
        ("Micrograms/cubic meter (LC)", "ug m-3"),
        ("Micrograms/cubic meter (25 C)", "ug m-3"),
        ("mg.m-3", "mg m-3"),
        ("Parts per million", "ppm"),
        ("PPB", "ppb"),
        ("nmol/mol", "ppb"),
        ("particles/cm³", None),
        ("", None),
    ],
)
def test_spellings_are_known(text: str, unit: str | None) -> None:
    assert read_unit(text) == unit


def test_factors_are_those_of_the_directive() -> None:
    # Factors at 20 degC that UK AIR publishes: O3 1.9957, NO2 1.9125, SO2 2.6609, CO 1.1642 (mg m-3 a ppm).
    columns = ColumnsConfig()
    for key, unit, factor in (
        ("o3", "ppb", 1.9957),
        ("no2", "ppb", 1.9125),
        ("so2", "ppb", 2.6609),
        ("co", "ppm", 1.1642),
    ):
        assert conversion(key, unit, columns, "t") == pytest.approx(factor, rel=1e-3)
    assert conversion("pm25", "ug/m3", columns, "t") == 1.0
    assert conversion("co", "ug/m3", columns, "t") == 0.001
    assert conversion("co", "mg.m-3", columns, "t") == 1.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ObservationsError, match=r"t, line 3: unit 'furlong' of o3 is unknown"):
        conversion("o3", "furlong", ColumnsConfig(), "t, line 3")
    with pytest.raises(ObservationsError, match="particles have a mass, not a mixing ratio"):
        conversion("pm10", "ppb", ColumnsConfig(), "t")


@pytest.mark.parametrize(
    ("text", "key", "factor"),
    [
        ("kg m-3", "pm25", 1e9),
        ("1e-9 kg m-3", "pm25", 1.0),
        ("ng m-3", "pm25", 1e-3),
        ("g/m3", "co", 1e3),
        ("pg m**-3", "o3", 1e-6),
        ("microgram meter-3", "o3", 1.0),
        ("\u00b5g/m\u00b3", "pm10", 1.0),
        ("\u03bcg/m\u00b3", "pm10", 1.0),
    ],
)
def test_valid_cf_units_of_a_mass_in_a_volume_are_taken(text: str, key: str, factor: float) -> None:
    assert conversion(key, text, ColumnsConfig(), "t") == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize("text", ["", "1", "%", "1e-9", "kg", "mm/day", "kg m-2"])
def test_units_of_something_else_are_refused(text: str) -> None:
    with pytest.raises(ObservationsError, match="is unknown"):
        conversion("o3", text, ColumnsConfig(), "t")
