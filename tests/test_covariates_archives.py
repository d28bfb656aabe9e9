from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from covariates_case import hour, message, plane, write_grib

from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import CovariatesError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_zarr_store_is_refused_with_the_way_to_netcdf(tmp_path: Path) -> None:
    store = tmp_path / "arco.zarr"
    store.mkdir()
    (store / ".zgroup").write_text("{}")
    with pytest.raises(CovariatesError, match=r"is a Zarr store, which is not read: .*to_netcdf"):
        Covariates.open(store)


def packed(path: Path, *files: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"inside/{file.name}")
    return path


def weather(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    return (
        write_grib(folder / "instant.grib", [message("t2m", "2020-01-01T01:00", plane(280.0))]),
        write_grib(folder / "wind.grib", [message("u10", "2020-01-01T01:00", plane(3.0))]),
    )


@pytest.mark.parametrize("name", ["era5.nc", "era5.grib", "era5.zip", "era5"])
def test_what_the_cds_sends_under_any_name_is_read_and_unpacked_once(tmp_path: Path, cache: Path, name: str) -> None:
    path = packed(tmp_path / name, *weather(tmp_path / "w"))
    for _ in range(2):
        covariates = Covariates.open(path)
        values = covariates.at(np.array([50.0]), np.array([7.0]), np.array([hour("2020-01-01T01:00")]))
        assert covariates.fields == ("u10", "t2m") and values[0, 0] == pytest.approx([3.0, 280.0], abs=1e-3)
        assert "is a ZIP archive of 2 files, unpacked in" in covariates.report.notes[0]
    assert len(list((cache / "aqreanalysis" / "unpacked").iterdir())) == 1


def test_a_damaged_archive_and_one_of_other_things_end_in_a_line(tmp_path: Path) -> None:
    path = packed(tmp_path / "era5.nc", *weather(tmp_path / "w"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CovariatesError, match=r"era5.nc is a ZIP archive that cannot be read"):
        Covariates.open(path)
    (tmp_path / "notes.txt").write_text("nothing")
    other = packed(tmp_path / "notes.zip", tmp_path / "notes.txt")
    with pytest.raises(CovariatesError, match=r"notes.zip is a ZIP archive of 1 files, and none is GRIB"):
        Covariates.open(other)


def test_in_a_folder_the_documents_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    weather(tmp_path / "w")
    packed(tmp_path / "w" / "list.xlsx", tmp_path / "w" / "wind.grib")
    assert Covariates.open(tmp_path / "w").report.notes == []


def test_a_gzip_file_is_unpacked_once_and_a_damaged_one_told(tmp_path: Path, cache: Path) -> None:
    plain = weather(tmp_path / "w")[1]
    path = tmp_path / "wind.grib.gz"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    for _ in range(2):
        covariates = Covariates.open(path)
        values = covariates.at(np.array([50.0]), np.array([7.0]), np.array([hour("2020-01-01T01:00")]))
        assert values[0, 0] == pytest.approx([3.0], abs=1e-3)
        assert "wind.grib.gz is a gzip file, unpacked in" in covariates.report.notes[0]
    assert len(list((cache / "aqreanalysis" / "unpacked").iterdir())) == 1
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CovariatesError, match=r"wind.grib.gz is a gzip file that cannot be read"):
        Covariates.open(path)


def test_a_small_gzip_file_of_very_much_is_refused_before_it_fills_the_disk(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wind.nc.gz"
    path.write_bytes(gzip.compress(bytes(8 << 20)))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4 << 20))
    with pytest.raises(CovariatesError, match=r"wind.nc.gz is a gzip file of more than 0.0021 GB, half the room in"):
        Covariates.open(path)
    assert list((cache / "aqreanalysis" / "unpacked").iterdir()) == []
