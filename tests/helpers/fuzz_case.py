"""What the fuzz tests of covariates and of observations share."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

#: How many examples a test draws; ``make fuzz`` sets it, and does so again and again from other seeds.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
CASES = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Shelf(dict):
    """A dict that does not fill a report."""

    def __repr__(self) -> str:
        return "<shelf>"


def check_refusal(error: Exception, path: Path) -> None:
    """Check that a file is refused as it should be: in one line, with its name."""
    text = str(error)
    assert "\n" not in text and len(text) < 700, text
    assert path.name in text, text
