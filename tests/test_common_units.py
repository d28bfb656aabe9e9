"""UDUNITS says how one unit becomes another, and a plain factor comes out as the plain number."""

from __future__ import annotations

import subprocess
import sys

from aqreanalysis.common.units import linear_conversion


def test_factor_and_offset_are_those_of_the_units() -> None:
    assert linear_conversion("kg m-3", "ug m-3") == (1e9, 0.0)
    assert linear_conversion("degC", "K") == (1.0, 273.15)
    assert linear_conversion("km/hr", "m s-1") == (1 / 3.6, 0.0)


def test_what_cannot_be_converted_or_read_is_none() -> None:
    assert linear_conversion("m", "Pa") is None and linear_conversion("furlongs of hope", "Pa") is None
    assert linear_conversion("", "Pa") is None and linear_conversion("no_unit", "1") is None


def test_who_reads_no_units_does_not_load_udunits() -> None:
    rooms = "aqreanalysis.observations.units, aqreanalysis.covariates.units"
    code = f"import sys, {rooms}; assert 'cf_units' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
