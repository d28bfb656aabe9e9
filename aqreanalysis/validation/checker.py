"""The CF and ACDD checks of compliance-checker, where it is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aqreanalysis.errors import CubeError
from aqreanalysis.validation.names import nameless
from aqreanalysis.validation.provenance import WANTED
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.rules import Finding

SUITES = {"cf": "cf:1.11", "acdd": "acdd:1.3"}
_SEVERITIES = {"high_priorities": "error", "medium_priorities": "warning", "low_priorities": "advice"}
#: How ACDD's check of a variable is called; its messages are the attributes that lack.
_OF_VARIABLE = re.compile(r'variable "(\w+)" missing the following attributes:')
# What ACDD offers for data of instruments and platforms, and for roles of people, of which a cube has none.
_NOT_OF_CUBES = re.compile(
    r"(Attr )?((contributor|creator|publisher)_(name|role|type|institution)|instrument\w*|platform\w*|metadata_link"
    r"|program|keywords_vocabulary|date_issued)\b"
)
# There is no vertical coordinate, so there is nothing to say of it.
_NOT_APPLICABLE = (
    "geospatial_vertical",
    "geospatial_bounds_vertical",
    # It takes the stamps for the ends of the timeline; the rule `time-coverage` looks at their bounds.
    "Date time mismatch between time_coverage",
)


# In a process of its own: the checker prints, and changes settings of netCDF4.
_SCRIPT = """
import sys
from compliance_checker.runner import CheckSuite, ComplianceChecker
CheckSuite.load_all_available_checkers()
suite, out, path = sys.argv[1:]
ComplianceChecker.run_checker(
    path, [suite], verbose=0, criteria="strict", output_filename=out, output_format=["json"]
)
"""


def check_conventions(cube: RawCube) -> tuple[list[Finding], str]:
    """Return what the checkers find, and why they were not run (empty if they were).

    Findings of ACDD are advice, whatever their priority there: it asks for what only the user can know.

    Raises
    ------
    CubeError
        If the checker fails.
    """
    if find_spec("compliance_checker") is None:
        return [], "compliance-checker is not installed: pip install 'aqreanalysis[check]'"
    if not cube.is_netcdf or cube.file is None:
        return [], "compliance-checker reads NetCDF only; 'aqreanalysis export netcdf' makes one from a Zarr store"
    findings = []
    for suite, name in SUITES.items():
        report = _run(cube.file, name)
        for priority, severity in _SEVERITIES.items():
            for check in report.get(priority, []):
                if check["value"][0] < check["value"][1]:
                    level = "advice" if suite == "acdd" else severity
                    reason = f"{name}, {check['name']}"
                    findings += [Finding(suite, level, message, reason) for message in _messages(check)]
    return findings, ""


def _messages(check: Mapping[str, Any]) -> list[str]:
    """Return what a failed check says that is worth repeating.

    What a rule of ours has already said, with the remedy, is not; nor that a layer has no standard name whose quantity
    CF has none for.
    """
    messages = [" ".join(str(message).split()) for message in check["msgs"] or [check["name"]]]
    lacking = _OF_VARIABLE.match(str(check["name"]))
    if lacking is not None:
        layer = lacking[1]
        return [f"{layer} has no {key}" for key in messages if not (key == "standard_name" and nameless(layer))]
    named = {m: m.removesuffix(" not present").split("/")[-1] for m in messages}
    left = [m for m in messages if named[m] not in WANTED and not m.startswith(_NOT_APPLICABLE)]
    return [m for m in left if not _NOT_OF_CUBES.match(m)]


def _run(path: Path, suite: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-c", _SCRIPT, suite, str(out), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not out.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise CubeError(f"compliance-checker failed on {path}: {last}; leave it out with --no-checker")
        result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))[suite]
        return result
