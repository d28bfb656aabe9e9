"""The registry of rules: each a short function with an id, a severity and the reason why it is a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from numpy.typing import NDArray

from aqreanalysis.validation.raw_cube import RawCube, Slab

SEVERITIES = ("error", "warning", "advice")

Check = Callable[[RawCube], Iterator[str]]
#: Yields the name of a layer and a mask (time, lat, lon) that is True where it breaks the rule.
ValueCheck = Callable[[RawCube, Slab], Iterator[tuple[str, NDArray]]]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    id : str
        What it is called, in messages and in ``--skip``.
    severity : str
        ``error`` (a number or its meaning is wrong, or a client fails), ``warning`` (suspicious), ``advice``.
    reason : str
        Why: what was seen to fail, or what it would mean.
    check : callable or None
        Looks at metadata and coordinates; yields a message a finding.
    values : callable or None
        Looks at the values of a slab.
    """

    id: str
    severity: str
    reason: str
    check: Check | None = None
    values: ValueCheck | None = None


@dataclass(frozen=True)
class Finding:
    """One broken rule, with what was found and why it matters."""

    rule: str
    severity: str
    message: str
    reason: str


RULES: dict[str, Rule] = {}


def rule(name: str, severity: str, reason: str) -> Callable[[Check], Check]:
    """Register a check of metadata."""

    def register(check: Check) -> Check:
        _add(Rule(name, severity, reason, check=check))
        return check

    return register


def value_rule(name: str, severity: str, reason: str) -> Callable[[ValueCheck], ValueCheck]:
    """Register a check of values, called slab by slab."""

    def register(check: ValueCheck) -> ValueCheck:
        _add(Rule(name, severity, reason, values=check))
        return check

    return register


def _add(one: Rule) -> None:
    assert one.id not in RULES and one.severity in SEVERITIES, one.id
    RULES[one.id] = one
