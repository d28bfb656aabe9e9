"""A long table becomes observations; what is bad in it is counted, and what contradicts itself is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag, from_frame

HOURS = 30


def _frame(stations: int = 3, hours: int = HOURS, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    times = pd.date_range("2020-05-01 01:00", periods=hours, freq="h")
    return pd.DataFrame(
        {
            "station_id": np.repeat([f"s{i}" for i in range(stations)], hours),
            "time": np.tile(times, stations),
            "lat": np.repeat(40.0 + 0.1 * np.arange(stations), hours),
            "lon": np.repeat(116.0 + 0.1 * np.arange(stations), hours),
            "pm25": rng.gamma(4, 10, stations * hours).astype(np.float32),
            "co": rng.gamma(4, 0.2, stations * hours).astype(np.float32),
        }
    )


def test_every_row_lands_at_its_station_and_hour() -> None:
    frame = _frame()
    observations = from_frame(frame)
    assert observations.stations == ["s0", "s1", "s2"] and observations.species == ("pm25", "co")
    table = frame.pivot(index="time", columns="station_id", values="pm25")
    np.testing.assert_array_equal(observations.values("pm25"), table.to_numpy())
    assert (observations.times == table.index).all()
    assert observations.report.rows == len(frame) and not observations.report.counts


@given(seed=st.integers(0, 1000), lost=st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_neither_the_order_of_rows_nor_missing_rows_as_nan_change_the_digest(seed: int, lost: int) -> None:
    rng = np.random.default_rng(seed)
    frame = _frame()
    gone = rng.choice(np.arange(1, len(frame) - 1), lost, replace=False)
    with_nan = frame.copy()
    with_nan.loc[gone, ["pm25", "co"]] = np.nan
    without = frame.drop(index=gone)
    # The timeline and the stations must stay: the first and last row keep them only if some row of each is left.
    shuffled = with_nan.iloc[rng.permutation(len(frame))]
    expected = from_frame(with_nan).digest()
    assert from_frame(shuffled).digest() == expected
    if without["station_id"].nunique() == 3:
        assert from_frame(without).digest() == expected


def test_a_change_of_one_reading_station_or_hour_changes_the_digest() -> None:
    frame = _frame()
    digests = {from_frame(frame).digest()}
    for column, value in (("pm25", 77.0), ("station_id", "s9"), ("lat", 40.05)):
        changed = frame.copy()
        rows = [5] if column == "pm25" else list(range(HOURS))
        changed.loc[rows, column] = value
        digests.add(from_frame(changed).digest())
    digests.add(from_frame(frame.assign(time=frame["time"] + pd.Timedelta("1h"))).digest())
    assert len(digests) == 5


def test_missing_hours_stay_as_empty_rows_and_are_counted() -> None:
    frame = _frame()
    observations = from_frame(frame[frame["time"] != frame["time"][7]])
    assert len(observations.times) == HOURS
    assert (observations.flags("pm25")[7] == Flag.MISSING).all()
    assert observations.report.counts == {"hours_without_rows": 1}


def test_equal_rows_of_a_station_hour_are_merged_and_counted() -> None:
    frame = _frame()
    twice = pd.concat([frame, frame.iloc[:4]], ignore_index=True)
    twice.loc[0, "co"] = np.nan  # its twin has the reading
    observations = from_frame(twice)
    assert observations.digest() == from_frame(frame).digest()
    assert observations.report.counts == {"repeated_rows": 4}


def test_contradicting_rows_of_a_station_hour_are_refused_and_the_first_is_named() -> None:
    frame = _frame()
    other = frame.iloc[[35, 8]].assign(pm25=[1.0, 2.0])
    first = frame["pm25"][35]
    with pytest.raises(ObservationsError, match=rf"'s1' has pm25 1 and {first:g} at 2020-05-01 06:00:00 .*2 such"):
        from_frame(pd.concat([frame, other], ignore_index=True))


def test_rows_without_station_or_place_are_counted() -> None:
    frame = _frame()
    frame.loc[[3, 4], "station_id"] = [None, " "]
    frame.loc[frame["station_id"] == "s2", "lat"] = np.nan
    observations = from_frame(frame)
    assert observations.stations == ["s0", "s1"]
    assert observations.report.counts == {"rows_without_station": 2, "rows_without_place": HOURS}


def test_units_and_clock_are_converted() -> None:
    frame = _frame()
    expected = from_frame(frame)
    local = frame.assign(co=frame["co"] * 1000, time=frame["time"] + pd.Timedelta("7h"))
    columns = ColumnsConfig(units={"co": "ug m-3"}, time_zone="Asia/Shanghai", stamp="start")
    observations = from_frame(local, columns)
    assert (observations.times == expected.times).all()
    np.testing.assert_allclose(observations.values("co"), expected.values("co"), rtol=1e-6)


def test_aware_stamps_are_converted() -> None:
    frame = _frame()
    aware = frame.assign(time=frame["time"].dt.tz_localize("UTC").dt.tz_convert("America/Denver"))
    assert from_frame(aware).digest() == from_frame(frame).digest()


def test_numbers_and_categories_as_station_ids_are_read() -> None:
    frame = _frame()
    ids = frame["station_id"].str[1:]
    by_number = from_frame(frame.assign(station_id=ids.astype(int)))
    assert by_number.stations == ["0", "1", "2"]
    assert from_frame(frame.assign(station_id=ids.astype(float))).digest() == by_number.digest()
    assert from_frame(frame.assign(station_id=ids.astype("category"))).digest() == by_number.digest()


def test_bad_readings_keep_their_value_beside_their_flag() -> None:
    frame = _frame()
    frame.loc[[2, 3], "pm25"] = [-999.0, 5e6]
    observations = from_frame(frame)
    assert np.isnan(observations.values("pm25")[2:4, 0]).all()
    np.testing.assert_array_equal(observations.dataset["pm25"].values[2:4, 0], np.float32([-999.0, 5e6]))
    assert list(observations.flags("pm25")[2:4, 0]) == [Flag.NEGATIVE, Flag.ABOVE_PLAUSIBLE_RANGE]
    assert "1 negative, 1 above plausible range" in " ".join(observations.report.lines())


def test_labels_of_the_source_pass_through() -> None:
    frame = _frame().assign(city="X", name="Y")
    frame.attrs = {"synthetic": "yes", "comment": "made", "other": 1}
    observations = from_frame(frame)
    assert observations.attributes == {"synthetic": "yes", "comment": "made"}
    assert observations.city == ["X"] * 3 and observations.names == ["Y"] * 3


def test_stations_without_readings_are_kept_and_counted() -> None:
    frame = _frame()
    frame.loc[frame["station_id"] == "s1", ["pm25", "co"]] = np.nan
    observations = from_frame(frame)
    assert observations.stations == ["s0", "s1", "s2"]
    assert observations.report.counts == {"stations_without_readings": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.iloc[:0], "holds no rows"),
        (lambda f: f.assign(pm25=np.nan, co=np.nan), "not one reading of pm25, co"),
        (lambda f: f.assign(pm25="high"), "column of pm25 holds 'high' .90 of 90 rows., no number: .*columns.missing"),
        (lambda f: f.assign(lat="north"), "column 'lat' holds 'north'"),
        (lambda f: f.assign(time=f["time"] + pd.Timedelta("10min")), "'2020-05-01 01:10:00' is not on a full hour"),
        (lambda f: f.assign(lat=f["lon"], lon=f["lat"]), "swapped"),
        (lambda f: f.assign(pm25=[b"x", *f["pm25"][1:]]), "mixes kinds of values|holds"),
        (lambda f: f.assign(time=f["time"].dt.date), "no times"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_with_the_reason(change, message: str) -> None:
    with pytest.raises(ObservationsError, match=message):
        from_frame(change(_frame()), source="t")


def test_daily_means_are_refused() -> None:
    frame = _frame(hours=96)
    with pytest.raises(ObservationsError, match="the stamps are 24 h apart"):
        from_frame(frame[frame["time"].dt.hour == 8])


def test_one_wrong_year_is_refused_before_it_fills_the_memory() -> None:
    frame = _frame()
    frame.loc[0, "time"] = pd.Timestamp("2098-05-01")
    with pytest.raises(ObservationsError, match=r"to 2098-05-01 00:00:00.*wrong year"):
        from_frame(frame)


def test_a_clock_that_is_not_utc_is_refused_unless_told_otherwise() -> None:
    frame = _frame(stations=6, hours=24 * 30)
    solar = (frame["time"].dt.hour - 0.5 + frame["lon"] / 15) % 24
    ozone = np.interp(solar, [0, 5.5, 9, 12, 15, 18, 21, 24], [45, 25, 50, 85, 100, 80, 55, 45])
    local = frame.assign(o3=ozone, time=frame["time"] + pd.Timedelta("8h"))
    with pytest.raises(ObservationsError, match="check_clock=false"):
        from_frame(local)
    assert "not checked" in " ".join(from_frame(local, ColumnsConfig(check_clock=False)).report.lines())
    assert from_frame(local, ColumnsConfig(time_zone="+08:00")).times[0] == frame["time"][0]
