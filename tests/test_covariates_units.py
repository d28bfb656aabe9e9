from __future__ import annotations

import pytest

from aqreanalysis.covariates import get_field
from aqreanalysis.covariates.units import conversion, normal
from aqreanalysis.errors import CovariatesError


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("m s**-1", "m s-1"),
        ("m/s", "m s-1"),
        ("kg m**-3", "kg m-3"),
        ("\u00b5g/m3", "ug m-3"),
        ("ug.m-3", "ug m-3"),
        ("\u00b0C", "degc"),
        ("Celsius", "degc"),
        ("kg kg**-1", "kg kg-1"),
        ("kg m^-2", "kg m-2"),
        ("mbar", "hpa"),
    ],
)
def test_one_unit_has_one_spelling(written: str, plain: str) -> None:
    assert normal(written) == plain


def test_values_come_to_the_units_of_the_field() -> None:
    kelvin = conversion("degC", get_field("t2m"), "file")
    assert 20 * kelvin.factor + kelvin.offset == pytest.approx(293.15)
    assert conversion("hPa", get_field("sp"), "file").factor == 100
    assert conversion("m", get_field("tp"), "file").factor == 1000
    assert conversion("kg m-3", get_field("co_background"), "file").factor == pytest.approx(1e6)
    assert conversion("kg kg**-1", get_field("o3_background"), "file").mixing_ratio


@pytest.mark.parametrize(("units", "key"), [("", "t2m"), ("m", "sp"), ("ppb", "o3_background"), ("K", "u10")])
def test_a_unit_that_a_field_cannot_have_is_refused_never_guessed(units: str, key: str) -> None:
    with pytest.raises(CovariatesError, match=rf"somewhere: {key}"):
        conversion(units, get_field(key), "somewhere")


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(CovariatesError, match=r"unknown field 'u1'.*did you mean"):
        get_field("u1")
