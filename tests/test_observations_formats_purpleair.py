"""PurpleAir: two channels, two estimates, the correction for humidity, and the three ways in which files come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from station_files import flag, raw, read, write_list

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag

HEAD = "time_stamp,sensor_index,humidity,pm2.5_atm_a,pm2.5_atm_b,pm2.5_cf_1_a,pm2.5_cf_1_b,pm10.0_atm"


def _file(folder: Path, lines: list[str], name: str = "131075 2023-06-01 60-Minute Average.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def _hours(cf1_b: float = 22.0) -> list[str]:
    return [HEAD, *(f"2023-06-01T{h:02d}:00:00Z,131075,40,15,17,20,{cf1_b},30" for h in range(6))]


def test_the_mean_of_both_channels_is_corrected_and_stamped_at_its_end(tmp_path: Path) -> None:
    observations = read(_file(tmp_path, _hours()), write_list(tmp_path, ["131075"]))
    corrected = 0.524 * 21 - 0.0862 * 40 + 5.75
    assert raw(observations, "pm25", "131075", "2023-06-01 01:00") == pytest.approx(corrected, abs=1e-4)
    assert observations.networks == ["PurpleAir"]
    assert observations.species == ("pm25",) and len(observations.times) == 6
    assert any("corrected as Barkjohn et al. 2021" in note for note in observations.report.notes)


def test_without_correction_atm_counts_and_seconds_since_1970_are_read(tmp_path: Path) -> None:
    lines = [HEAD, *(f"{1685577600 + 600 * i},131075,40,15,17,20,22,30" for i in range(12))]
    observations = read(_file(tmp_path, lines), write_list(tmp_path, ["131075"]), correction="none")
    assert raw(observations, "pm25", "131075", "2023-06-01 01:00") == 16
    assert observations.report.counts["hours_averaged"] == 2
    assert any("PM2.5 not corrected" in note for note in observations.report.notes)


def test_local_stamps_carry_their_offset_and_the_name_of_the_file_its_sensor(tmp_path: Path) -> None:
    lines = ["time_stamp,humidity,pm2.5_atm", *(f"2023-06-01T{h:02d}:00:00-07:00,40,{h}" for h in range(6))]
    observations = read(_file(tmp_path, lines), write_list(tmp_path, ["131075"]))
    assert raw(observations, "pm25", "131075", "2023-06-01 08:00") == 0
    assert any("for want of CF=1 and humidity" in note for note in observations.report.notes)
    with pytest.raises(ObservationsError, match=r"needs columns of pm2.5_cf_1 and humidity"):
        read(_file(tmp_path, lines), write_list(tmp_path, ["131075"]), correction="barkjohn")


def test_channels_that_disagree_are_flagged_and_one_that_is_silent_is_not_missed(tmp_path: Path) -> None:
    observations = read(_file(tmp_path, _hours(cf1_b=60.0)), write_list(tmp_path, ["131075"]))
    assert flag(observations, "pm25", "131075", "2023-06-01 01:00") == Flag.INVALID_AT_SOURCE
    assert observations.report.counts["channels_disagree"] == 6
    lines = [line.replace(",20,22.0,", ",20,,") for line in _hours()]
    observations = read(_file(tmp_path, lines), write_list(tmp_path, ["131075"]))
    assert raw(observations, "pm25", "131075", "2023-06-01 01:00") == pytest.approx(0.524 * 20 - 3.448 + 5.75, abs=1e-4)


def test_a_marked_reading_of_a_channel_keeps_what_its_mark_says(tmp_path: Path) -> None:
    lines = _hours()
    lines[1] = lines[1].replace(",20,22.0,", ",20x,22.0,")
    observations = read(_file(tmp_path, lines), write_list(tmp_path, ["131075"]))
    assert flag(observations, "pm25", "131075", "2023-06-01 01:00") == Flag.INVALID_AT_SOURCE
    assert flag(observations, "pm25", "131075", "2023-06-01 02:00") == Flag.GOOD


def test_the_old_download_page_names_sensor_and_place_in_the_file(tmp_path: Path) -> None:
    head = "created_at,entry_id,PM1.0_CF1_ug/m3,PM2.5_CF1_ug/m3,PM10.0_CF1_ug/m3,UptimeMinutes,RSSI_dbm,Temperature_F,"
    lines = [head + "Humidity_%,PM2.5_ATM_ug/m3"]
    lines += [
        f"2019-10-01 {h:02d}:{m:02d}:20 UTC,1,5,20,25,100,-60,70,40,18" for h in range(3) for m in range(0, 60, 2)
    ]
    name = "Oak Hill (outside) (38.75 -120.93) Primary Real Time 10_01_2019 10_02_2019.csv"
    observations = read(_file(tmp_path, lines, name))
    corrected = 0.524 * 20 - 0.0862 * 40 + 5.75
    assert raw(observations, "pm25", "Oak Hill", "2019-10-01 02:00") == pytest.approx(corrected, abs=1e-4)
    assert float(observations.dataset["lat"][0]) == 38.75
    with pytest.raises(ObservationsError, match=r"a sensor inside a building"):
        read(_file(tmp_path, lines, name.replace("outside", "inside")))


def test_sd_cards_are_read(tmp_path: Path) -> None:
    head = "UTCDateTime,mac_address,current_temp_f,current_humidity,pm2_5_cf_1,pm2_5_atm,pm2_5_cf_1_b,pm2_5_atm_b"
    lines = [f"2020/11/30T{h:02d}:{m:02d}:26z,84:f3:eb,55,50,10,9,12,11" for h in range(3) for m in range(0, 60, 2)]
    observations = read(_file(tmp_path, [head, *lines], "20201130.csv"), write_list(tmp_path, ["84:f3:eb"]))
    assert raw(observations, "pm25", "84:f3:eb", "2020-11-30 02:00") == pytest.approx(
        0.524 * 11 - 4.31 + 5.75, abs=1e-4
    )


def test_the_answer_of_the_api_is_read_as_its_csv(tmp_path: Path) -> None:
    rows = [[1685577600 + 3600 * h, 50, 20.0 + h, 21.0 + h, 30.0] for h in (3, 0, 2, 1)]
    fields = ["time_stamp", "humidity", "pm2.5_cf_1_a", "pm2.5_cf_1_b", "pm2.5_atm"]
    page = {"api_version": "V1.0.11", "sensor_index": 2054, "average": 60, "fields": fields, "data": rows}
    path = tmp_path / "history.json"
    path.write_text(json.dumps(page))
    observations = read(path, write_list(tmp_path, ["2054"]))
    right = 0.524 * 20.5 - 0.0862 * 50 + 5.75
    assert raw(observations, "pm25", "2054", "2023-06-01 01:00") == pytest.approx(right, rel=1e-5)
