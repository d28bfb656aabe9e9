"""Stamps as people write them become whole hours of UTC at the end of the averaging hour, or are refused by name."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import NO_TIME, find_step
from aqreanalysis.observations.report import QualityReport, Where
from aqreanalysis.observations.times import Clock, _parse_text, ends_of_hours, read_zone, stamps_to_minutes


def _hours(values: list, columns: ColumnsConfig | None = None, report: QualityReport | None = None) -> np.ndarray:
    clock = Clock.of(columns or ColumnsConfig())
    end, minutes = stamps_to_minutes(pa.chunked_array([pa.array(values)]), clock, report or QualityReport(), Where("t"))
    assert minutes == 60 and (end[end != NO_TIME] % 60 == 0).all()
    return np.where(end == NO_TIME, NO_TIME, end // 60)


def _hour(text: str) -> int:
    return int(pd.Timestamp(text).timestamp() // 3600)


@pytest.mark.parametrize(
    "text",
    ["2019-01-31 13:00", "2019-01-31T13:00:00", "2019-01-31T13:00:00Z", "2019-01-31 21:00+08:00", " 2019-01-31 13:00 "],
)
def test_usual_ways_to_write_a_time_mean_the_same_hour(text: str) -> None:
    assert _hours([text]) == [_hour("2019-01-31 13:00")]


def test_a_declared_clock_is_taken_off_naive_stamps_and_not_off_aware_ones() -> None:
    for zone in ("+08:00", "UTC+8", "Asia/Shanghai"):
        hours = _hours(["2019-01-31 13:00", "2019-01-31T13:00:00Z"], ColumnsConfig(time_zone=zone))
        assert list(hours) == [_hour("2019-01-31 05:00"), _hour("2019-01-31 13:00")]


def test_a_stamp_at_the_start_of_the_hour_moves_to_its_end() -> None:
    assert _hours(["2019-01-31 13:00"], ColumnsConfig(stamp="start")) == [_hour("2019-01-31 14:00")]


def test_the_hour_that_daylight_saving_repeats_is_counted_and_left_out() -> None:
    report = QualityReport()
    local = [f"2021-10-31 {h:02d}:00" for h in range(6)] + ["2021-03-28 02:00"]
    hours = _hours(local, ColumnsConfig(time_zone="Europe/Berlin"), report)
    assert list(hours == NO_TIME) == [False, False, True, False, False, False, True]
    assert hours[3] == _hour("2021-10-31 02:00")
    assert report.counts == {"rows_in_clock_change": 2}


def test_a_spreadsheet_second_is_rounded_to_its_hour() -> None:
    stamps = [pd.Timestamp("2019-01-01 09:59:59.997"), pd.Timestamp("2019-01-01 10:00:01")]
    assert set(_hours(stamps)) == {_hour("2019-01-01 10:00")}


def test_half_hours_are_refused_and_the_first_is_named() -> None:
    with pytest.raises(ObservationsError, match=r"2 of 3 stamps: '2019-01-01 10:30'.*full hour.*average"):
        _hours(["2019-01-01 10:00", "2019-01-01 10:30", "2019-01-01 11:30"])


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("Asia/Kolkata", "04:30 -> 05:00"), ("Asia/Kathmandu", "04:15 -> 04:00"), ("+09:30", "00:30 -> 01:00")],
)
def test_hours_of_a_zone_with_half_an_hour_stand_at_the_nearest_of_utc_half_past_at_the_next(zone: str, hour: str):
    report = QualityReport()
    hours = _hours(["2019-01-01 10:00", "2019-01-01 11:00"], ColumnsConfig(time_zone=zone), report)
    assert list(hours) == [_hour(f"2019-01-01 {hour[-5:]}") + i for i in range(2)]
    assert report.counts == {"hours_off_utc": 2} and "half past on the next" in " ".join(report.lines())


@pytest.mark.parametrize(
    ("written", "pattern", "right"),
    [
        ("03.02.2019 24:00", "%d.%m.%Y %H:%M", "2019-02-04 00:00"),
        ("2019-02-03 24:00", None, "2019-02-04 00:00"),
        ("2019020324", "%Y%m%d%H", "2019-02-04 00:00"),
        ("03/02/2019 13:00", "day-first", "2019-02-03 13:00"),
        ("03/02/2019 1", "day-first", "2019-02-03 01:00"),
        ("02/03/2019 24", "month-first", "2019-02-04 00:00"),
        ("02/03/2019 1:00 PM", "month-first", "2019-02-03 13:00"),
        ("1549198800", "epoch", "2019-02-03 13:00"),
        (1549198800, "epoch", "2019-02-03 13:00"),
        (1549198800000, "epoch-ms", "2019-02-03 13:00"),
        (2019020313, "%Y%m%d%H", "2019-02-03 13:00"),
        ("03.02.2019 14:00 +0100", "%d.%m.%Y %H:%M %z", "2019-02-03 13:00"),
    ],
)
def test_stamps_may_be_written_in_the_way_that_is_told(written: object, pattern: str | None, right: str) -> None:
    assert _hours([written], ColumnsConfig(time_format=pattern)) == [_hour(right)]


def test_each_series_of_stamps_has_its_own_step() -> None:
    quarters = pd.date_range("2020-01-01 00:15", periods=40, freq="15min")
    hours = pd.date_range("2020-01-01 01:00", periods=10, freq="h")
    loose = pd.date_range("2020-01-01 00:03", periods=100, freq="145s")
    stamps = [str(t) for t in (*quarters, *hours, *loose)]
    series = np.repeat([0, 1, 2], [40, 10, 100])
    ends, minutes = stamps_to_minutes(pa.array(stamps), Clock(), QualityReport(), Where("t"), series)
    assert [set(np.asarray(minutes)[series == i]) for i in range(3)] == [{15}, {60}, {2}]
    assert (ends[series == 1] // 60 == [_hour(str(t)) for t in hours]).all()


def test_a_few_bad_stamps_are_counted() -> None:
    report = QualityReport()
    good = [str(t) for t in pd.date_range("2019-01-01", periods=400, freq="h")]
    hours = _hours([*good, "soon", None, "2019-01-01 10:30", "2910-01-01 00:00"], None, report)
    assert (hours[:400] != NO_TIME).all() and (hours[400:] == NO_TIME).all()
    assert report.counts == {"rows_without_time": 3, "rows_off_hour": 1}


@pytest.mark.parametrize("text", ["31/01/2019 13:00", "yesterday", "2019-13-01 00:00", "43496.54"])
def test_a_column_of_no_iso_times_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ObservationsError, match=r"ISO 8601|outside the years"):
        _hours([text])


def test_a_year_beyond_nanoseconds_is_refused_in_any_clock() -> None:
    for zone in ("UTC", "+08:00", "Europe/Berlin"):
        with pytest.raises(ObservationsError, match="'5000-01-01 00:00' lies outside the years 1950 to 2100"):
            _hours(["5000-01-01 00:00"], ColumnsConfig(time_zone=zone))


def test_a_column_of_numbers_is_no_time() -> None:
    with pytest.raises(ObservationsError, match="holds int64, no times"):
        _hours([1546300800])


def test_zones_are_read_and_unknown_ones_name_the_nearest() -> None:
    assert read_zone("-05:00").utcoffset(None) == timedelta(hours=-5)
    assert read_zone("utc").utcoffset(None) == timedelta(0)
    with pytest.raises(ObservationsError, match="Asia/Shanghai"):
        read_zone("Asia/Shangai")
    with pytest.raises(ObservationsError, match="is no clock"):
        read_zone("+25:00")


@pytest.mark.parametrize(
    ("step", "end"), [(15, "2020-01-02 00:15"), (30, "2020-01-02 00:30"), (10, "2020-01-02 00:10")]
)
def test_short_averages_are_known_by_their_stamps(step: int, end: str) -> None:
    stamps = [str(t) for t in pd.date_range("2020-01-01", "2020-01-02", freq=f"{step}min")]
    clock = Clock(stamp="start")
    ends, minutes = stamps_to_minutes(pa.chunked_array([pa.array(stamps)]), clock, QualityReport(), Where("t"))
    assert minutes == step
    assert ends[-1] == pd.Timestamp(end).timestamp() // 60


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_full_hours_are_never_taken_for_short_averages(hours: list[int]) -> None:
    assert find_step(np.array(hours) * 60) == 60
    assert find_step(np.array(hours) * 60 + 30) == 60


def test_a_pattern_reads_what_is_not_iso() -> None:
    clock = Clock(pattern="%d/%m/%Y %H:%M")
    minutes, _ = stamps_to_minutes(pa.array(["02/01/2013 01:00"]), clock, QualityReport(), Where("t"))
    assert minutes[0] == pd.Timestamp("2013-01-02 01:00").timestamp() // 60
    with pytest.raises(ObservationsError, match=r"t, row 1: 1 of 1 stamps: '2013-13-45' is not written as %d/%m/%Y"):
        stamps_to_minutes(pa.array(["2013-13-45"]), clock, QualityReport(), Where("t"))


@pytest.mark.parametrize(
    ("stamp", "advice"),
    [
        ("01/06/2023 24:00", "columns.time_format='%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'"),
        ("13/06/2023 11:00:00 PM", "columns.time_format='%d/%m/%Y %I:%M:%S %p'"),
        ("10/03/2004 18.00.00", "columns.time_format='%d/%m/%Y %H.%M.%S'"),
    ],
)
def test_of_stamps_that_are_not_iso_the_pattern_that_reads_them_is_named(stamp: str, advice: str) -> None:
    with pytest.raises(ObservationsError) as told:
        stamps_to_minutes(pa.array([stamp] * 3), Clock(), QualityReport(), Where("a.csv"))
    assert str(told.value).endswith(advice)


@pytest.mark.parametrize(
    "stamp",
    ["01.06.2023 05:00", "20230601 05:00", "2023-06-01 05:00 AM", "2023/6/1 5:00", "2023 6 1 5", "2023-06-01 5"],
)
def test_stamps_that_can_be_read_one_way_only_need_no_setting(stamp: str) -> None:
    end, _ = stamps_to_minutes(pa.array([stamp] * 3), Clock(), QualityReport(), Where("a.csv"))
    assert (end == pd.Timestamp("2023-06-01 05:00").value // 60_000_000_000).all()


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("%d/%m/%Y %H:%M", ["31/01/2019 13:00", "1/2/2019 3:04", "31/02/2019 10:00", "13/13/2019 10:00", "31/01/2019"]),
        (
            "%d-%m-%Y %H:%M:%S",
            ["31-01-2019 13:00:59", "31-01-2019 13:00:60", "31-01-2019 13:00", "31/01/2019 13:00:00"],
        ),
        ("%Y%m%d%H", ["2019013113", "2019013125", "201901311", "20190131 13", "2019-01-31 13"]),
        ("%m/%d/%Y", ["01/31/2019", "31/01/2019", "02/29/2020", "02/29/2019", "01/31/2019 13:00"]),
        ("%d.%m.%Y (%H)", ["31.01.2019 (13)", "31.01.2019 13", "31,01,2019 (13)"]),
    ],
)
def test_stamps_of_a_pattern_of_digits_are_read_as_strptime_reads_them(pattern: str, texts: list[str]) -> None:
    read = _parse_text(pd.Series(texts, dtype="str"), np.zeros(len(texts), bool), pattern)
    right = pd.to_datetime(pd.Series(texts), format=pattern, errors="coerce")
    assert list(read.astype("M8[s]")) == list(pd.DatetimeIndex(right).astype("M8[s]"))
    assert 0 < read.isna().sum() < len(texts)


def test_hours_counted_from_a_midnight_end_when_the_clock_of_the_place_shows_them() -> None:
    report = QualityReport()
    days, hours = pa.array(["2019-10-27"] * 3), np.array([1.0, 2.0, 24.0])  # Mexico's clocks go back at two
    ends = ends_of_hours(days, hours, Clock("America/Mexico_City"), report, Where("x"))
    shown = [None if end == NO_TIME else str(np.datetime64(int(end), "m")) for end in ends]
    assert shown == [None, "2019-10-27T08:00", "2019-10-28T06:00"]
    assert ends_of_hours(days, hours, Clock("-06:00"), report, Where("x"))[2] == ends[2]
