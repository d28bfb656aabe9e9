"""Numbers and addresses that stand for pollutants: the sure ones are known, the others ask whose list it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from station_files import raw, read

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.pollutant_codes import keys_of_texts
from aqreanalysis.observations.propose import propose_columns

EEA = "http://dd.eionet.europa.eu/vocabulary/aq/pollutant/"
UNIT = "http://dd.eionet.europa.eu/vocabulary/uom/concentration/mg.m-3"


def _table(folder: Path, codes: dict[str, float], unit: str = "ug/m3") -> Path:
    lines = ["Station,Pollutant,Start,End,Value,Unit,lat,lon"]
    for code, level in codes.items():
        for hour in range(23):
            begin, end = f"2023-06-01 {hour:02d}:00+01:00", f"2023-06-01 {hour + 1:02d}:00+01:00"
            lines.append(f"AT1,{code},{begin},{end},{level + hour},{unit},48.2,16.3")
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_numbers_of_aqs_and_addresses_of_the_eea_are_sure() -> None:
    texts = ["88101", "42602", "62101", f"{EEA}8", f"{EEA}38", "PM10", "NOx"]
    keys = keys_of_texts(texts, "code", ColumnsConfig(), "t.csv")
    assert keys == {"88101": "pm25", "42602": "no2", f"{EEA}8": "no2", "PM10": "pm10"}


def test_short_numbers_are_asked_about_and_a_list_or_a_mapping_tells(tmp_path: Path) -> None:
    path = _table(tmp_path, {"5": 10.0})
    with pytest.raises(ObservationsError, match=r"by the numbers 5, of which lists differ.*columns.codes=eea"):
        read(path)
    assert read(path, codes="eea").species == ("pm10",)
    assert read(path, codes="uba").species == ("no2",)
    observations = read(path, codes={5: "pm25"})
    # The column End says when the hour ends, whatever stands beside it.
    assert observations.species == ("pm25",) and raw(observations, "pm25", "AT1", "2023-06-01 00:00") == 10.0


def test_the_list_that_is_proposed_reads_the_table(tmp_path: Path) -> None:
    path = _table(tmp_path, {"5": 10.0})
    mapping = yaml.safe_load("\n".join(propose_columns(path)))["columns"]
    assert mapping["codes"] == "eea" and mapping["time"] == "End"
    assert read(path, **mapping).species == ("pm10",)


def test_units_of_the_eeas_vocabulary_are_read(tmp_path: Path) -> None:
    observations = read(_table(tmp_path, {f"{EEA}10": 0.5}, UNIT))
    assert raw(observations, "co", "AT1", "2023-06-01 00:00") == 0.5
    observations = read(_table(tmp_path, {f"{EEA}7": 0.05}, UNIT))
    assert raw(observations, "o3", "AT1", "2023-06-01 00:00") == pytest.approx(50.0)
