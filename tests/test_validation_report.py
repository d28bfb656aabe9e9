"""The report: errors first, reasons told once, what was not run told too."""

from __future__ import annotations

import netCDF4
import pytest
from export_case import copy_cube

from aqreanalysis.errors import CubeError
from aqreanalysis.validation import ValidateOptions, validate


def test_errors_stand_first_and_the_sum_last(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        file.standard_name_vocabulary = "latest"
        file["o3"][5, 5, 5] = -4.0
    report = validate(path, ValidateOptions(checker=False))
    severities = [f.severity for f in report.findings]
    assert severities == sorted(severities, key=["error", "warning", "advice"].index)
    lines = report.lines()
    assert lines[0].startswith("error") and "NOT clean" in lines[-1] and "1 warning," in lines[-1]
    assert "not run: compliance-checker (asked for)" in lines


def test_a_skipped_rule_is_not_applied_and_an_unknown_one_is_refused(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        file.standard_name_vocabulary = "latest"
    assert validate(path, ValidateOptions(checker=False, values=False, skip=("vocabulary",))).clean
    with pytest.raises(CubeError, match="did you mean 'vocabulary'"):
        ValidateOptions(skip=("vocabularyy",))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.nc", None, "check the path"),
        ("notes.txt", "x", "must end in .nc or .zarr"),
        ("text.nc", "hello", "cannot be read as a cube"),
    ],
)
def test_what_is_no_cube_is_refused_in_one_line(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CubeError, match=message) as caught:
        validate(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_pollutant_and_an_unfinished_run_are_no_cubes(tmp_path):
    with netCDF4.Dataset(tmp_path / "other.nc", "w") as file:
        for name in ("time", "lat", "lon"):
            file.createDimension(name, 2)
            file.createVariable(name, "f8", (name,))[:] = [0, 1]
    with pytest.raises(CubeError, match="no pollutant"):
        validate(tmp_path / "other.nc")
    (tmp_path / "run.nc.part").mkdir()
    with pytest.raises(CubeError, match="unfinished run"):
        validate(tmp_path / "run.nc")
