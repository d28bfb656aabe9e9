"""Files as people bring them, each a case in the folder of cases: what is right of each, or how it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import ReadOptions, check_observations

IST = {"time_zone": "Asia/Kolkata"}
LIST = "stations.csv"
CASES = Path(__file__).resolve().parents[2] / "shared" / "cases" / "observations"
TOLD = {"station": "location", "time": "utc", "lat": "latitude", "lon": "longitude"}
# Without its five hours of codes, and without sixteen hours of text.
CLEAN = {"pm10": (235, 40.0, 1.0), "pm25": (235, 20.0, 0.6), "so2": (235, 5.0, 0.2), "no2": (235, 25.0, 0.6)}
CLEAN |= {"co": (235, 0.5, 0.02)}
HALF = "hourly means ending off the full hours of UTC"


@pytest.fixture(autouse=True)
def _cases_are_here() -> None:
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is not there")


def _check(file: str, lists: str | None, columns: dict[str, Any]) -> dict[str, Any]:
    how = ReadOptions(stations=[CASES / Path(file).parent / lists] if lists else [])
    return check_observations(CASES / file, ColumnsConfig(**columns), how)


@pytest.mark.parametrize(
    ("file", "lists", "columns", "right", "said"),
    [
        (
            "airnow_layout/HourlyData_2021030100.dat",
            "monitoring_site_locations.dat",
            {},
            {"o3": (144, None, 0)},
            "PPB made ug m-3 at 25 degC",
        ),
        ("aqs_layout/hourly_44201_2021.csv", None, {}, {"o3": (240, 68.99, 0.01)}, "at 25 degC"),
        (
            "daily_among_hourly/LaqnData.csv",
            LIST,
            {},
            {"no2": (336, 29.906, 1e-3)},
            "no2 at BB1 (14, one a day)",
        ),
        ("decimal_comma/semicolon.csv", None, {}, {"pm10": (72, None, 0)}, "decimal commas"),
        ("decimal_comma/thousands_dot.csv", None, {}, {}, "'1.234' beside whole hundreds"),
        ("dst/madrid_local.csv", None, {"time_zone": "Europe/Madrid"}, {}, "2 rows in the hour that a clock change"),
        ("ebas_valid_flags/XX0001R.nas", None, {}, {"o3": (72, 60.0, 0.05)}, "72 rows read"),
        ("eea_e1a/XX_8_0001_2020_timeseries.csv", LIST, {}, {"no2": (48, 21.5, 1e-6)}, "48 rows read"),
        (
            "encoding_station_list/readings_latin1.csv",
            "stations_utf8.csv",
            {"encoding": "cp1252"},
            {"no2": (216, None, 0)},
            "216 rows read",
        ),
        ("half_hour_zone/location-8118-20240101.csv", None, {}, {"pm25": (192, 150.0, 0.01)}, f"192 {HALF}"),
        (
            "half_hour_zone/table_ist.csv",
            None,
            IST,
            {"pm25": (192, 150.0, 1e-3)},
            f"192 {HALF}",
        ),
        ("missing_codes/runs_of_9999.csv", None, {}, CLEAN | {"o3": (235, 60.0, 2.0)}, "5 missing code"),
        ("missing_codes/runs_of_9999_no_o3.csv", None, {}, CLEAN, "5 missing code"),
        ("missing_codes/runs_of_9999_no_o3.csv", None, {"missing": [9999, 999, 99.9]}, CLEAN, "240 rows read"),
        *(
            (f"missing_codes/text_{name}.csv", None, {}, {"pm25": (224, 20.246, 0.001)}, "240 rows read")
            for name in ("nd", "nodata", "star", "hash", "fault", "jp", "dash", "x")
        ),
        (
            "missing_codes/text_lt.csv",
            None,
            {},
            {"pm25": (240, (20.246 * 224 + 1.5 * 16) / 240, 0.001)},
            "as below a limit",
        ),
        ("narrow_mixed/openaq_like.csv", None, {}, {"pm25": (72, 7.835, 1e-3), "o3": (72, 44.821, 1e-3)}, "288 rows"),
        (
            "narrow_mixed/openaq_like.csv",
            None,
            TOLD | {"species": {"pm25": "value"}, "repeats": "mean"},
            {"pm25": (72, 7.835, 1e-3)},
            "288 rows",
        ),
        ("one_stamp/annual_means.csv", None, {}, {}, "all rows carry one stamp"),
        ("openaq_archive_daily/location-101-20190601.csv", None, {}, {"pm25": (336, 29.903, 1e-3)}, "pm25 at 102 (14"),
        (
            "ppm_ignored/o3_ppm.csv",
            None,
            TOLD | {"species": {"o3": "value"}},
            {"o3": (576, 59.75, 0.01)},
            "o3: ppm made",
        ),
        ("ppm_ignored/airkorea_like_ppm.csv", None, {}, {}, "the file is in ppm (or in mg m-3)"),
        (
            "ppm_ignored/airkorea_like_ppm.csv",
            None,
            {"units": {"SO2": "ppm", "NO2": "ppm", "CO": "ppm"}},
            {"so2": (240, 10.65, 0.5), "no2": (240, 38.3, 1.0), "co": (240, 0.572, 0.001)},
            "so2: ppm made",
        ),
        (
            "preamble_and_single_station/no_station_column.csv",
            None,
            {"time": "Date", "place": {"station": "A", "lat": 10.8, "lon": 106.7}},
            {"pm25": (24, 31.5, 1e-6)},
            "24 rows read",
        ),
        (
            "preamble_and_single_station/embassy_like.csv",
            None,
            {"skip_lines": 2, "time": "Date (LST)", "place": {"station": "Town", "lat": 10.8, "lon": 106.7}},
            {"pm25": (23, None, 0)},
            "1 reading that the file's flag calls bad",
        ),
        (
            "repeat_count/LaqnData.csv",
            LIST,
            {},
            {"no2": (24, 12.85, 1e-6), "o3": (24, 12.85, 1e-6)},
            "72 rows",
        ),
        (
            "wide_not_guessed/air_no2.csv",
            LIST,
            {"time": "datetime"},
            {"no2": (48, 12.0, 1e-6)},
            "24 rows read",
        ),
        *(
            (
                "wide_units_key/o3_wide.csv",
                LIST,
                {"units": {name: "ppb"}},
                {"o3": (336, 59.86, 0.01)},
                "o3: ppb made",
            )
            for name in ("o3", "O3", "ozone")
        ),
        ("winter_kerbside/LaqnData_january.csv", LIST, {}, {"o3": (672, None, 0)}, "tells no wrong clock"),
        (
            "winter_kerbside/LaqnData_60days.csv",
            LIST,
            {},
            {"o3": (1440, None, 0)},
            "says nothing against UTC",
        ),
    ],
)
def test_a_file_gives_the_right_numbers_and_says_what_was_done(
    file: str, lists: str | None, columns: dict[str, Any], right: dict[str, tuple], said: str
) -> None:
    facts = _check(file, lists, columns)
    for key, (usable, mean, within) in right.items():
        assert facts["species"][key]["usable"] == usable, (key, facts["species"][key])
        if mean is not None:
            assert facts["species"][key]["mean"] == pytest.approx(mean, abs=within), key
    lines = "\n".join(facts["report"])
    assert said in lines
    assert "repeat a station-hour" not in lines


@pytest.mark.parametrize(
    ("file", "lists", "columns", "message"),
    [
        ("aqs_layout/daily_88101_2021.csv", None, {}, r"daily means of US EPA AQS: hourly ones are needed"),
        ("decimal_comma/thousands.csv", None, {}, "no number"),
        ("dst/madrid_local.csv", None, {}, r"clock change in autumn repeats.*set columns.time_zone"),
        ("encoding_hint/latin-1.csv", None, {}, "perhaps cp1252"),
        ("encoding_hint/big5.csv", None, {}, "perhaps big5"),
        ("encoding_hint/shift_jis.csv", None, {}, "perhaps shift_jis"),
        ("encoding_hint/cp949.csv", None, {}, r"set columns.encoding(?!.*gb18030)"),
        (
            "encoding_setting_ignored/unknown_columns_latin1.csv",
            None,
            {"encoding": "cp1252"},
            "Estación, Fecha, Di",
        ),
        ("openaq_days/sensor-3917-days.json", LIST, {}, r"10 rows, all averages longer than an hour"),
        ("preamble_and_single_station/no_station_column.csv", None, {"time": "Date"}, r"columns.place=\{station: A"),
        ("wide_units_key/o3_wide.csv", LIST, {"units": {"o33": "ppb"}}, "unknown pollutant 'o33'"),
    ],
)
def test_a_file_that_tells_too_little_is_refused_with_the_way_out(
    file: str, lists: str | None, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ObservationsError, match=message):
        _check(file, lists, columns)
