"""What reading covariates left out, interpolated or assumed: counted, and told in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aqreanalysis.covariates.fields import Field
from aqreanalysis.covariates.temporal_recipes import HourlyWeights
from aqreanalysis.errors import CovariatesError

#: Reasons that one message names.
_REASONS = 6


@dataclass
class CovariatesReport:
    """Counts, notes and warnings of an opening.

    Attributes
    ----------
    counts : dict
        How many of what was read.
    left_out : dict
        Reason -> how many maps.
    skipped : dict
        File that could not be read -> why (only with ``skip_broken``).
    """

    counts: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, what: str, count: int = 1) -> None:
        """Count something that was read."""
        self.counts[what] = self.counts.get(what, 0) + count

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count maps that are not used."""
        self.left_out[reason] = self.left_out.get(reason, 0) + count

    def note(self, text: str) -> None:
        """Tell something once, however often it is met."""
        if text not in self.notes:
            self.notes.append(text)

    def tell(self, one: Field, hourly_weights: HourlyWeights) -> None:
        """Tell what the hourly_weights of a field interpolate and cannot use."""
        if hourly_weights.bridged:
            self.notes.append(f"{one.key}: {hourly_weights.bridged} hours interpolated between the stamps of the file")
        if hourly_weights.unusable:
            self.leave_out(
                f"{one.key} summed over too long a period, the step before being absent", hourly_weights.unusable
            )

    def reasons(self) -> str:
        """Return why nothing of the files was taken, as the end of a sentence."""
        reasons = list(dict.fromkeys([*self.left_out, *self.skipped.values()]))
        if not reasons:
            return ""
        more = f" and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
        named = any("no known field" in reason for reason in reasons)
        way = "; covariates.names.t2m=NAME says which variable is a field" if named else ""
        return f". Not taken: {'; '.join(reasons[:_REASONS])}{more}{way}"

    @contextmanager
    def skipping(self, path: Path, skip: bool) -> Iterator[None]:
        """Let an error about a file end the run, or note it and go on where `skip` says so."""
        try:
            yield
        except (CovariatesError, OSError) as error:
            reason = str(error)
            if not isinstance(error, CovariatesError):
                reason = f"{path} cannot be read ({error.strerror or error})"
                error = CovariatesError(reason)
            if not skip:
                raise error from None
            self.skipped[str(path)] = reason

    def lines(self) -> list[str]:
        """Return what was found in lines for people."""
        lines = [f"{count} map{'s' * (count != 1)} not used: {reason}" for reason, count in self.left_out.items()]
        lines += [f"left out, broken: {reason}" for reason in self.skipped.values()]
        return [*self.notes, *lines, *(f"warning: {text}" for text in self.warnings)]

    def to_dict(self) -> dict[str, Any]:
        """Return the report in values that JSON can hold."""
        return {
            "counts": self.counts,
            "left_out": self.left_out,
            "skipped": self.skipped,
            "notes": self.notes,
            "warnings": self.warnings,
        }
