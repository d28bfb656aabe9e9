"""RAMA: workbooks of a pollutant with hours 1 to 24, and long tables with codes of units."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from station_files import raw, read, write_list, write_workbook

from aqreanalysis.errors import ObservationsError


def test_a_workbook_names_its_pollutant_in_its_name(tmp_path: Path) -> None:
    rows = [[datetime(2019, 1, 1), h, h, -99] for h in range(1, 25)]
    path = write_workbook(tmp_path / "2019O3.xlsx", {"O3": [["FECHA", "HORA", "ACO", "AJM"], *rows]})
    observations = read(path, write_list(tmp_path, ["ACO", "AJM"]))
    assert raw(observations, "o3", "ACO", "2019-01-01 07:00") == pytest.approx(1.962, rel=1e-3)  # hour 1, ends at 01:00
    assert raw(observations, "o3", "ACO", "2019-01-02 06:00") == pytest.approx(24 * 1.962, rel=1e-3)
    assert np.isnan(raw(observations, "o3", "AJM", "2019-01-01 07:00"))


def test_a_csv_of_it_has_days_first(tmp_path: Path) -> None:
    path = tmp_path / "2019PM25.csv"
    path.write_text("FECHA,HORA,ACO\n" + "".join(f"02/01/2019,{h},{h}\n" for h in range(1, 25)))
    observations = read(path, write_list(tmp_path, ["ACO"]))
    assert raw(observations, "pm25", "ACO", "2019-01-02 07:00") == 1
    with pytest.raises(ObservationsError, match=r"no pollutant in its name"):
        read(path.rename(tmp_path / "x.csv"), write_list(tmp_path, ["ACO"]))


def test_long_tables_have_lines_on_top_and_codes_of_units(tmp_path: Path) -> None:
    lines = ["Red Automática de Monitoreo Atmosférico", "", "Notas", "date,id_station,id_parameter,value,unit"]
    for h in range(1, 25):
        lines += [f"02/01/2021 {h:02d}:00,ACO,O3,25,1", f"02/01/2021 {h:02d}:00,ACO,CO,{'' if h == 1 else 0.4},15"]
        lines += [f"02/01/2021 {h:02d}:00,ACO,PM2.5,{h},2", f"02/01/2021 {h:02d}:00,ACO,NOX,9,1"]
    path = tmp_path / "contaminantes_2021.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    observations = read(path, write_list(tmp_path, ["ACO"]))
    assert raw(observations, "pm25", "ACO", "2021-01-03 06:00") == 24
    assert raw(observations, "o3", "ACO", "2021-01-02 07:00") == pytest.approx(25 * 1.962, rel=1e-3)
    assert raw(observations, "co", "ACO", "2021-01-02 08:00") == pytest.approx(0.4 * 1.145, rel=1e-3)
