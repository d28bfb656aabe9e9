"""`validate`: all rules on one cube, and their outcome as a report."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aqreanalysis.common.progress import Progress
from aqreanalysis.common.remote import RemotePath
from aqreanalysis.errors import CubeError, nearest_hint
from aqreanalysis.validation import coordinates, metadata, values  # noqa: F401  (they register their rules)
from aqreanalysis.validation import provenance as origin  # noqa: F401  (they register their rules)
from aqreanalysis.validation.checker import check_conventions
from aqreanalysis.validation.damage import unreadable
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.rules import RULES, SEVERITIES, Finding
from aqreanalysis.validation.value_scan import SEAMS, seam_findings, survey, value_findings


@dataclass(frozen=True)
class ValidateOptions:
    """What is examined.

    Attributes
    ----------
    model : str, Path or None
        Bundle that the cube is said to come from.
    values : bool
        Whether values are read; without them metadata and coordinates only.
    checker : bool
        Whether compliance-checker is asked.
    skip : tuple of str
        Ids of rules that are left out.
    """

    model: str | Path | None = None
    values: bool = True
    checker: bool = True
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = {*RULES, SEAMS.id}
        for name in self.skip:
            if name not in known:
                raise CubeError(
                    f"no rule {name!r}{nearest_hint(name, known)}; 'aqreanalysis validate --rules' lists them"
                )


@dataclass(frozen=True)
class Report:
    """The outcome.

    Attributes
    ----------
    path, format : str
        The cube.
    rules : int
        Rules applied.
    values : int
        Values looked at.
    findings : list of Finding
        Errors first.
    not_run : list of str
        What was left out, and why.
    """

    path: str
    format: str
    rules: int
    values: int
    findings: list[Finding] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether there is nothing but advice."""
        return all(finding.severity == "advice" for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Return how many findings there are of each severity."""
        counted = Counter(finding.severity for finding in self.findings)
        return {severity: counted[severity] for severity in SEVERITIES}

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {**asdict(self), "clean": self.clean, "counts": self.counts()}

    def lines(self) -> list[str]:
        """Return the report for people: a line a finding, the reason once a rule, the sum at the end."""
        lines: list[str] = []
        reasons: set[str] = set()
        for finding in self.findings:
            reason = "" if finding.reason in reasons or finding.severity == "advice" else f"  [{finding.reason}]"
            reasons.add(finding.reason)
            lines.append(f"{finding.severity:<7} {finding.rule}: {finding.message}{reason}")
        lines += [f"not run: {text}" for text in self.not_run]
        counts = ", ".join(
            f"{count} {severity}{'' if count == 1 or severity == 'advice' else 's'}"
            for severity, count in self.counts().items()
        )
        looked = f"{self.rules} rules, {self.values} values"
        lines.append(f"{self.path} ({self.format}): {'clean' if self.clean else 'NOT clean'}; {counts} ({looked})")
        return lines


def validate(
    path: str | Path | RemotePath, options: ValidateOptions | None = None, progress: Progress | None = None
) -> Report:
    """Return what is wrong with a cube by the project's own rules, CF and ACDD.

    A rule that cannot be applied because the cube breaks another one so badly that its numbers make no sense is itself
    a finding, never passed over.

    Parameters
    ----------
    path : str or Path
        A ``.nc`` file or ``.zarr`` store, on a disk or at an ``s3://`` or ``https://`` URL.
    options : ValidateOptions or None
        What is examined; all by default.
    progress : callable or None
        Told of each slab of values.

    Raises
    ------
    CubeError
        If it is no cube at all.
    """
    options = options or ValidateOptions()
    rules = [rule for name, rule in RULES.items() if name not in options.skip]
    findings: list[Finding] = []
    not_run = [] if options.values else ["rules of values (asked for)"]
    looked = 0
    with RawCube(path, options.model) as cube:
        for rule in rules:
            if rule.check is not None:
                findings += [Finding(rule.id, rule.severity, text, rule.reason) for text in rule.check(cube)]
        if options.values:
            try:
                scan = survey(cube, rules, progress)
            except (RuntimeError, OSError, ValueError) as error:  # a chunk that is damaged so that it cannot be decoded
                findings += unreadable(cube, error)
                not_run.append("rules of values: some cannot be read")
            else:
                looked = scan.values
                findings += value_findings(scan, rules)
                if SEAMS.id not in options.skip:
                    findings += seam_findings(cube, scan)
        if options.checker:
            remarks, why = check_conventions(cube)
            findings += remarks
            not_run += [why] if why else []
        else:
            not_run.append("compliance-checker (asked for)")
        if cube.file is None and cube.names_stored is None and "zarr-chunks" not in options.skip:
            not_run.append("rule zarr-chunks: a web server lists no files")
        findings = list(dict.fromkeys(findings))
        findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
        return Report(str(cube.path), cube.format, len(rules) + 1, looked, findings, not_run)
