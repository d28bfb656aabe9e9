"""London's CSV: quarters of an hour, stamped at their start."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import raw, read, write_list

from aqreanalysis.errors import ObservationsError


def _file(folder: Path, lines: list[str]) -> Path:
    path = folder / "LaqnData.csv"
    path.write_text("\n".join(["Site,Species,ReadingDateTime,Value,Units,Provisional or Ratified", *lines]) + "\n")
    return path


def test_quarters_become_the_hour_that_they_begin(tmp_path: Path) -> None:
    lines = [
        f"HG4,NO2,01/01/2013 {h:02d}:{m:02d},{10 * h + m / 15},ug m-3,R" for h in range(3) for m in (0, 15, 30, 45)
    ]
    lines += [line.replace("NO2", "NO") for line in lines]
    observations = read(_file(tmp_path, lines), write_list(tmp_path, ["HG4"]))
    assert raw(observations, "no2", "HG4", "2013-01-01 01:00") == pytest.approx(1.5)
    assert raw(observations, "no2", "HG4", "2013-01-01 03:00") == pytest.approx(21.5)
    assert observations.report.counts["hours_averaged"] == 3
    assert observations.report.counts["rows_of_other_pollutants"] == 12


def test_hours_and_empty_values_are_read(tmp_path: Path) -> None:
    lines = [f"MY1,PM2.5,01/07/2017 {h:02d}:00,{'' if h == 1 else h + 5},ug m-3,P" for h in range(4)]
    observations = read(_file(tmp_path, lines), write_list(tmp_path, ["MY1"]))
    assert observations.report.readings["pm25"] == 3
    assert raw(observations, "pm25", "MY1", "2017-07-01 01:00") == 5


def test_american_dates_are_refused_and_not_exchanged(tmp_path: Path) -> None:
    lines = [f"MY1,PM2.5,07/{d:02d}/2017 00:00,5,ug m-3,P" for d in range(10, 20)]
    with pytest.raises(ObservationsError, match=r"line 5: 7 of 10 stamps: '07/13/2017 00:00' is not written as %d/%m"):
        read(_file(tmp_path, lines), write_list(tmp_path, ["MY1"]))
