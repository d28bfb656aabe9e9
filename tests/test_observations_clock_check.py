"""Ozone by the sun tells whether a clock is UTC: right ones pass wherever they are, wrong ones are told or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import ReadOptions, check_observations, import_observations, read_observations
from aqreanalysis.observations.clock_check import MeanDays, Rhythm, hours_off, judge_clock
from aqreanalysis.observations.report import QualityReport

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
# Hours since 1970 of 10 April and 10 January 2019.
SPRING, WINTER = 431_800, 429_600
#: Ozone over the solar day, least at sunrise of an equinox and most in the afternoon.
SOLAR, OZONE = [0, 6.5, 9.5, 12.5, 15.5, 18.5, 21.5, 24], [45, 25, 50, 85, 100, 80, 55, 45]


def _ozone(days: int, lon: float, shift: float = 0.0, first: int = SPRING, stations: int = 6) -> tuple[np.ndarray, ...]:
    """Return ozone (time, station) on a clock that is `shift` hours ahead of UTC, its stamps, and longitudes."""
    hours = np.arange(first, first + 24 * days, dtype=np.int64)
    rng = np.random.default_rng(0)
    solar = (hours[:, None] - 0.5 - shift + lon / 15) % 24
    values = np.interp(solar, SOLAR, OZONE) + rng.normal(0, 5, (len(hours), stations))
    values[rng.random(values.shape) < 0.1] = np.nan
    return values.astype(np.float32), hours, np.full(stations, lon)


def _judge(values: dict[str, np.ndarray], hours: np.ndarray, lon: np.ndarray, lat: float = 5.0) -> QualityReport:
    days, report = MeanDays(len(lon)), QualityReport()
    for part in np.array_split(np.arange(len(hours)), 3):  # block by block, as an import has it
        days.add({key: readings[part] for key, readings in values.items()}, hours[part])
    judge_clock(days, np.full(len(lon), lat), lon, report)
    return report


def _rhythm(values: np.ndarray, hours: np.ndarray, lon: np.ndarray) -> Rhythm:
    days = MeanDays(len(lon))
    days.add({"o3": values}, hours)
    rhythm = days.rhythm("o3", np.full(len(lon), 5.0), lon, warm=True)
    assert rhythm is not None
    return rhythm


@given(lon=st.floats(-180, 180), shift=st.floats(-12, 12))
@settings(max_examples=40, deadline=None)
def test_peak_and_minimum_are_found_in_local_solar_time_anywhere(lon: float, shift: float) -> None:
    rhythm, right = _rhythm(*_ozone(30, lon, shift)), _rhythm(*_ozone(30, 0.0))
    assert abs(hours_off(rhythm.peak, right.peak + shift)) < 0.3 and abs(hours_off(rhythm.low, right.low + shift)) < 0.8
    assert rhythm.stations == 6 and 5.7 < rhythm.sunrise < 6.1


@given(lon=st.floats(-180, 180), shift=st.sampled_from([-11, -10, -8, -7, -6, -5, -4, 4, 5, 5.5, 8, 9, 12]))
@settings(max_examples=30, deadline=None)
def test_local_time_far_from_utc_is_refused_with_its_offset(lon: float, shift: float) -> None:
    values, hours, degrees = _ozone(30, lon, shift)
    with pytest.raises(ObservationsError, match=r"does not look like UTC; set columns.time_zone"):
        _judge({"o3": values}, hours, degrees)


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_an_hour_or_two_are_warned_of(shift: int) -> None:
    values, hours, lon = _ozone(60, 116.0, shift)
    report = _judge({"o3": values}, hours, lon)
    assert f"both about {abs(shift)} h {'later' if shift > 0 else 'earlier'} than in UTC" in report.warnings[0]


@pytest.mark.parametrize("days", [12, 30])
def test_utc_passes_and_is_noted(days: int) -> None:
    values, hours, lon = _ozone(days, 116.0)
    report = _judge({"o3": values}, hours, lon)
    assert "as UTC would have it" in report.notes[0] and not report.warnings


def test_too_short_or_too_flat_a_record_is_noted_as_not_checked() -> None:
    for values, hours, lon in (_ozone(3, 116.0, 8), _ozone(1, 116.0, 8)):
        assert "not checked" in _judge({"o3": values}, hours, lon).notes[0]
    values, hours, lon = _ozone(30, 116.0, 8)
    assert "not checked" in _judge({"o3": np.full_like(values, 60.0), "pm25": values}, hours, lon).notes[0]


@pytest.mark.parametrize(
    ("of", "lat", "reason"),
    [
        ({"stations": 2}, 5.0, "2 stations are few"),
        ({"first": WINTER}, 50.0, "few of the days are of the warm half"),
        ({"days": 8}, 5.0, "few of the days"),
    ],
)
def test_a_rhythm_that_tells_little_warns_and_proposes_no_offset(of: dict[str, int], lat: float, reason: str) -> None:
    values, hours, lon = _ozone(**({"days": 30, "lon": 116.0, "shift": 11.0} | of))  # type: ignore[arg-type]
    (warning,) = _judge({"o3": values}, hours, lon, lat).warnings
    assert reason in warning and "UTC+" not in warning and "tells no wrong clock" in warning
    values, hours, lon = _ozone(**({"days": 30, "lon": 116.0} | of))  # type: ignore[arg-type]
    assert not _judge({"o3": values}, hours, lon, lat).warnings


def test_the_warm_half_of_a_year_counts_on_either_side_of_the_equator() -> None:
    # A kerb: ozone peaks by night in winter, and as it should in summer.
    year = [_ozone(45, 0.0, 11.0, WINTER), _ozone(90, 0.0, 0.0, WINTER + 45 * 24)]
    values, hours = (np.concatenate([part[i] for part in year]) for i in (0, 1))
    assert "as UTC would have it" in _judge({"o3": values}, hours, year[0][2], 45.0).notes[0]
    with pytest.raises(ObservationsError, match="does not look like UTC"):  # in the south that was summer
        _judge({"o3": values[: 45 * 24]}, hours[: 45 * 24], year[0][2], -5.0)


def test_nitrogen_dioxide_alone_warns_and_does_not_refuse() -> None:
    values, hours, lon = _ozone(30, 116.0, 8 + 14.1 - 6.4)
    assert "make sure that columns.time_zone" in _judge({"no2": values}, hours, lon).warnings[0]
    values, hours, lon = _ozone(30, 116.0, 14.1 - 6.4)
    report = _judge({"no2": values}, hours, lon)
    assert not report.warnings and "as UTC" in report.notes[0]


def test_check_and_import_say_the_same_of_a_kerb_in_winter(tmp_path: Path) -> None:
    """Each block of an import once judged itself, and refused what `check` had passed."""
    lines = ["Site,Species,ReadingDateTime,Value,Units,Provisional or Ratified"]
    values, hours, _ = _ozone(120, 0.0, 11.0, WINTER - 50 * 24, stations=1)
    stamps = (hours - 1).astype("M8[h]").astype("M8[s]").tolist()
    for stamp, value in zip(stamps, np.nan_to_num(values[:, 0], nan=40.0), strict=True):
        lines.append(f"KB1,O3,{stamp:%d/%m/%Y %H:%M},{value:.4f},ug m-3,R")
    (tmp_path / "LaqnData.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "stations.csv").write_text("station_id,lat,lon\nKB1,51.52,-0.15\n")
    how = ReadOptions(stations=[tmp_path / "stations.csv"])
    checked = check_observations(tmp_path / "LaqnData.csv", options=how)
    report = import_observations(tmp_path / "LaqnData.csv", tmp_path / "obs.nc", options=how)
    assert [text for text in checked["warnings"] if "ozone" in text] == [t for t in report.warnings if "ozone" in t]
    assert "UTC+" not in " ".join(report.lines())
    first = read_observations(tmp_path / "obs.nc")
    assert first.times[0] == np.datetime64(int(hours[0]), "h") and first.values("o3")[0, 0] == pytest.approx(
        values[0, 0]
    )


@pytest.mark.parametrize("name", ["china_north_2019", "beijing_uci12_2013_2017"])
def test_real_networks_pass_in_utc_and_are_told_of_one_to_twelve_hours(name: str) -> None:
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    observations = read_observations(path, ColumnsConfig())
    assert any("as UTC would have it" in line for line in observations.report.lines())
    ozone, hours, lon = observations.values("o3"), observations.hours, observations.lon
    for shift in (-2, -1, 1, 2):
        assert "than in UTC" in _judge({"o3": ozone}, hours + shift, lon, 39.0).warnings[0]
    for shift in range(3, 13):
        with pytest.raises(ObservationsError, match="does not look like UTC"):
            _judge({"o3": ozone}, hours + shift, lon, 39.0)
    for first in range(0, len(hours) - 60 * 24, 60 * 24):  # no two months blame a right clock of more than warnings
        _judge({"o3": ozone[first : first + 60 * 24]}, hours[first : first + 60 * 24], lon, 39.0)
