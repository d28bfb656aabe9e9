"""EBAS NASA Ames 1001: header, scaled and missing values, flags of three digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import flag, raw, read

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag

NAMES = [
    "end_time of measurement, days from the file reference point",
    "ozone, nmol/mol, Statistics=arithmetic mean",
    "ozone, nmol/mol, Statistics=percentile:15.87",
    "numflag ozone, no unit",
]
NOTES = [
    "Data definition:                EBAS_1.1",
    "Timezone:                       UTC",
    "Station code:                   NO0042G",
    "Station name:                   Zeppelin mountain (Ny-Alesund)",
    "Station latitude:               78.90715",
    "Station longitude:              11.88668",
]


def _file(folder: Path, rows: list[str], notes: list[str] = NOTES) -> Path:
    fixed = ["Somebody, A", "NO01L, NILU", "Somebody, A", "ACTRIS EMEP", "1 1", "2019 01 01 2020 05 09", "0.041667"]
    head = [*fixed, "days from file reference point", "4", "1 1 1 1", "999.999999 9999.9 9999.9 9.999999999", *NAMES]
    head += ["0", str(len(notes) + 1), *notes, "starttime endtime O3 O3 flag"]
    path = folder / "NO0042G.20190101000000.uv_abs.ozone.air.1y.1h.nas"
    path.write_text("\n".join([f"{len(head) + 1} 1001", *head, *rows]) + "\n")
    return path


ROWS = [
    "0.000000 0.041667 34.1 33.0 0.000000000",
    "0.041667 0.083333 9999.9 9999.9 0.999000000",
    "0.083333 0.125000 1.2 1.0 0.147000000",
    "0.125000 0.166667 55.0 54.0 0.459000000",
    "0.166667 0.208333 30.0 29.0 0.459100000",
]


def test_readings_flags_and_missing_values(tmp_path: Path) -> None:
    observations = read(_file(tmp_path, ROWS))
    assert observations.stations == ["NO0042G"] and observations.lat[0] == 78.90715
    ug = 1e-9 * 47.998e6 * 101325 / (8.314462618 * 293.15)
    assert raw(observations, "o3", "NO0042G", "2019-01-01 01:00") == pytest.approx(34.1 * ug, rel=1e-6)
    assert np.isnan(raw(observations, "o3", "NO0042G", "2019-01-01 02:00"))
    assert flag(observations, "o3", "NO0042G", "2019-01-01 03:00") == Flag.BELOW_DETECTION_LIMIT
    assert flag(observations, "o3", "NO0042G", "2019-01-01 04:00") == Flag.INVALID_AT_SOURCE
    assert flag(observations, "o3", "NO0042G", "2019-01-01 05:00") == Flag.GOOD  # 100: checked by the originator


@pytest.mark.parametrize(
    ("rows", "notes", "message"),
    [
        ([*ROWS, "0.208333 0.25"], NOTES, r"line 31: 2 numbers, expected 5: is the file truncated"),
        ([*ROWS, "0.208333 0.25 x 1 0"], NOTES, r"line 31: could not convert string to float: 'x'"),
        (ROWS, NOTES[:2], r"line 17: not as NASA Ames 1001 of EBAS has it: 'station latitude'"),
        (ROWS, [*NOTES, "Timezone: CET"], r"timezone 'CET', expected UTC"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(
    tmp_path: Path, rows: list[str], notes: list[str], message: str
) -> None:
    with pytest.raises(ObservationsError, match=message):
        read(_file(tmp_path, rows, notes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("25 1001\n", "250 1001\n", r"line 1: .*250 header lines of format 1001 in a file of 30 lines"),
        ("2019 01 01 2020", "2019 13 01 2020", r"line 7: not as NASA Ames 1001"),
        (
            "days from file",
            "hours from file",
            r"line 9: .*unit of time 'hours from file reference point', expected days",
        ),
        ("1 1 1 1\n", "1 1 1\n", r"line 12: .*4 missing values, expected 4"),
        ("ozone, nmol/mol, Statistics=arithmetic mean", "ozone, blobs", r"line 14: unit 'blobs' of o3 is unknown"),
    ],
)
def test_a_header_that_is_not_as_the_format_has_it_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = _file(tmp_path, ROWS)
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(ObservationsError, match=message):
        read(path)


def test_of_two_columns_of_a_component_the_first_counts_and_a_place_of_the_measurement_goes_before(
    tmp_path: Path,
) -> None:
    path = _file(tmp_path, ["", *ROWS[:1], ""], [*NOTES, "Measurement latitude: 78.5"])
    path.write_text(path.read_text().replace("Statistics=percentile:15.87", "Statistics=arithmetic mean"))
    observations = read(path)
    ug = 1e-9 * 47.998e6 * 101325 / (8.314462618 * 293.15)
    assert raw(observations, "o3", "NO0042G", "2019-01-01 01:00") == pytest.approx(34.1 * ug, rel=1e-6)
    assert observations.lat[0] == 78.5
