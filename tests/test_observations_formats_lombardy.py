"""Lombardy: sensors whose pollutant, unit and place stand in a table of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import flag, raw, read, write_list

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag

SENSORS = """IdSensore,NomeTipoSensore,UnitaMisura,Idstazione,NomeStazione,Quota,Provincia,Comune,Storico,lat,lng
5551,Biossido di Azoto,µg/m³,501,Milano v.Marche,129,MI,Milano,N,45.4963,9.1909
5834,Monossido di Carbonio,mg/m³,501,Milano v.Marche,129,MI,Milano,N,45.4963,9.1909
6328,Benzene,µg/m³,501,Milano v.Marche,129,MI,Milano,N,45.4963,9.1909
"""


def _file(folder: Path, lines: list[str]) -> tuple[Path, Path]:
    path, sensors = folder / "aria.csv", folder / "sensori.csv"
    path.write_text("\n".join(["IdSensore,Data,Valore,Stato,idOperatore", *lines]) + "\n")
    sensors.write_text(SENSORS, encoding="utf-8")
    return path, sensors


def test_sensors_become_pollutants_of_their_station(tmp_path: Path) -> None:
    lines = []
    for h in range(1, 24):
        state = "NV" if h == 3 else "VA"
        lines += [
            f"5551,02/01/2019 {h:02d}:00:00,{-9999 if h == 2 else h},{state},1",
            f"6328,02/01/2019 {h:02d}:00:00,1,VA,1",
        ]
        lines += [f"5834,02/01/2019 {h:02d}:00:00,0.7,,1", f"5551,02/01/2019 {h:02d}:00:00,99,VA,3"]
    path, sensors = _file(tmp_path, lines)
    observations = read(path, sensors)
    assert observations.stations == ["501"] and observations.species == ("no2", "co")
    assert raw(observations, "no2", "501", "2019-01-02 00:00") == 1
    assert np.isnan(raw(observations, "no2", "501", "2019-01-02 01:00"))
    assert flag(observations, "no2", "501", "2019-01-02 02:00") == Flag.INVALID_AT_SOURCE
    assert raw(observations, "co", "501", "2019-01-02 05:00") == pytest.approx(0.7)
    assert observations.report.counts["rows_of_other_periods"] == 23


def test_the_portals_months_come_first_with_am_and_pm(tmp_path: Path) -> None:
    hours = [(h % 12 or 12, "AM" if h < 12 else "PM") for h in range(24)]
    path, sensors = _file(tmp_path, [f"5551,01/13/2019 {h:02d}:00:00 {half},{h},VA,1" for h, half in hours])
    assert raw(read(path, sensors), "no2", "501", "2019-01-13 12:00") == 1  # 01:00 PM


def test_without_the_table_of_sensors_it_is_asked_for(tmp_path: Path) -> None:
    path, _ = _file(tmp_path, ["5551,02/01/2019 01:00:00,5,VA,1"])
    with pytest.raises(ObservationsError, match=r"stands in the table of sensors .*give it with --stations"):
        read(path, write_list(tmp_path, ["5551"]))
