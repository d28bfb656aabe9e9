"""Files of the UCI Beijing data set are read by name, clock and unit of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import flag, raw, read, write_list

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag

HEADER = (
    '"No","year","month","day","hour","PM2.5","PM10","SO2","NO2","CO","O3","TEMP","PRES","DEWP","RAIN","wd","WSPM",'
    '"station"'
)


def _file(folder: Path, rows: int = 30) -> Path:
    lines = [HEADER]
    for i in range(rows):
        day, hour = divmod(i, 24)
        pm10 = "NA" if i == 3 else str(20 + i)
        weather = '-0.7,1023,-18.8,0,"NNW",4.4'
        gases = f"4,{7 + i},{300 + i},{77 - i}"
        lines.append(f'{i + 1},2013,3,{day + 1},{hour},{4 + i},{pm10},{gases},{weather},"Aotizhongxin"')
    path = folder / "PRSA_Data_Aotizhongxin_20130301-20170228.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_hours_of_beijing_become_utc_and_carbon_monoxide_milligrams(tmp_path: Path) -> None:
    observations = read(_file(tmp_path), write_list(tmp_path, ["Aotizhongxin"]))
    assert observations.species == ("pm25", "pm10", "so2", "no2", "o3", "co")
    assert str(observations.times[0]) == "2013-02-28 16:00:00"  # 00:00 on the first of March in Beijing
    assert raw(observations, "pm25", "Aotizhongxin", "2013-02-28 16:00") == 4
    assert raw(observations, "co", "Aotizhongxin", "2013-02-28 17:00") == pytest.approx(0.301)
    assert observations.report.readings["pm10"] == 29
    assert observations.report.rows == 30


def test_a_marked_reading_keeps_what_its_mark_says(tmp_path: Path) -> None:
    path = _file(tmp_path)
    path.write_text(path.read_text().replace(",4,20,4,7,", ",18x,20,4,7,"))
    observations = read(path, write_list(tmp_path, ["Aotizhongxin"]))
    assert flag(observations, "pm25", "Aotizhongxin", "2013-02-28 16:00") == Flag.INVALID_AT_SOURCE
    assert flag(observations, "pm25", "Aotizhongxin", "2013-02-28 17:00") == Flag.GOOD


def test_the_format_needs_places_and_says_how_to_give_them(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match=r"format uci-beijing give no coordinates: .*--stations"):
        read(_file(tmp_path))


def test_a_site_that_the_list_lacks_is_left_out_and_told(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match="no row has a station"):
        read(_file(tmp_path), write_list(tmp_path, ["Dingling"]))
