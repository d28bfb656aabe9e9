"""Whether a run fits is told by arithmetic where that leaves no doubt."""

from __future__ import annotations

import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.production.dry_run.limits import check_memory
from aqreanalysis.production.plan import Plan


def test_a_plan_that_does_not_fit_memory_names_the_setting_to_change():
    plan = Plan(1, 24, 1000, 1000, (24, 1000, 1000), 20)
    with pytest.raises(OutputError, match=r"production\.tile_rows"):
        check_memory(plan, 4, free=plan.working_bytes * 3)
    check_memory(plan, 4, free=plan.working_bytes * 4)
