"""Ozone by the sun tells whether a clock is UTC: right ones pass wherever they are, local time is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import read_observations
from aqreanalysis.observations.clock_check import check_clock, daily_peak, hours_off
from aqreanalysis.observations.report import QualityReport

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _ozone(days: int, lon: float, shift: float = 0.0, peak: float = 15.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ozone at three stations that peaks at `peak` local solar time, on a clock that is `shift` hours ahead of UTC."""
    hours = np.arange(5, 5 + 24 * days, dtype=np.int64)
    rng = np.random.default_rng(0)
    solar = hours[:, None] - 0.5 - shift + lon / 15
    values = 60 + 40 * np.cos(2 * np.pi * (solar - peak) / 24) + rng.normal(0, 5, (len(hours), 3))
    values[rng.random(values.shape) < 0.1] = np.nan
    return values.astype(np.float32), hours, np.full(3, lon)


@given(lon=st.floats(-180, 180), peak=st.floats(0, 24, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_the_peak_is_found_in_local_solar_time_anywhere(lon: float, peak: float) -> None:
    peak_hour = daily_peak(*_ozone(30, lon, peak=peak))
    assert peak_hour is not None
    assert abs(hours_off(peak_hour.solar_hour, peak)) < 0.3
    assert peak_hour.stations == 3


@given(lon=st.floats(-180, 180), off=st.sampled_from([-10, -8, -7, -6, -5, 5, 5.5, 8, 9, 12]))
@settings(max_examples=40, deadline=None)
def test_local_time_far_from_utc_is_refused_with_its_offset(lon: float, off: float) -> None:
    with pytest.raises(ObservationsError, match=r"does not look like UTC; set columns.time_zone"):
        check_clock({"o3": _ozone(30, lon, shift=off)[0]}, *_ozone(30, lon)[1:], QualityReport())


@pytest.mark.parametrize("days", [6, 30])
def test_utc_passes_and_is_noted(days: int) -> None:
    report = QualityReport()
    values, hours, lon = _ozone(days, 116.0)
    check_clock({"o3": values}, hours, lon, report)
    assert "as UTC would have it" in report.notes[0] and not report.warnings


def test_too_short_or_too_flat_a_record_is_noted_as_not_checked() -> None:
    for values, hours, lon in (_ozone(3, 116.0, shift=8), _ozone(1, 116.0, shift=8)):
        report = QualityReport()
        check_clock({"o3": values}, hours, lon, report)
        assert "not checked" in report.notes[0]
    values, hours, lon = _ozone(30, 116.0, shift=8)
    report = QualityReport()
    check_clock({"o3": np.full_like(values, 60.0), "pm25": values}, hours, lon, report)
    assert "not checked" in report.notes[0]


def test_nitrogen_dioxide_alone_warns_and_does_not_refuse() -> None:
    values, hours, lon = _ozone(30, 116.0, shift=8, peak=1.0)
    report = QualityReport()
    check_clock({"no2": values}, hours, lon, report)
    assert "set columns.time_zone" in report.warnings[0]
    report = QualityReport()
    check_clock({"no2": _ozone(30, 116.0, peak=1.0)[0]}, hours, lon, report)
    assert not report.warnings and "as UTC" in report.notes[0]


@pytest.mark.parametrize("name", ["china_north_2019", "beijing_uci12_2013_2017"])
def test_real_networks_in_utc_pass_and_the_same_in_beijing_time_are_refused(name: str) -> None:
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    observations = read_observations(path, ColumnsConfig())
    assert any("as UTC would have it" in line for line in observations.report.lines())
    ozone, hours, lon = observations.values("o3"), observations.hours, observations.lon
    with pytest.raises(ObservationsError, match=r"about UTC\+8"):
        check_clock({"o3": ozone}, hours + 8, lon, QualityReport())
    for first in range(0, len(hours) - 30 * 24, 30 * 24):
        month = slice(first, first + 30 * 24)
        check_clock({"o3": ozone[month]}, hours[month], lon, QualityReport())
        if daily_peak(ozone[month], hours[month], lon) is not None:
            with pytest.raises(ObservationsError):
                check_clock({"o3": ozone[month]}, hours[month] + 8, lon, QualityReport())
