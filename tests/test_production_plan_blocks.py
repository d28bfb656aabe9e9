"""The plan: which hours lie between two moments, how the cube is cut, what does not fit."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.production.plan import blocks
from aqreanalysis.production.plan.blocks import (
    Plan,
    available_memory,
    check_memory,
    check_timeline,
    hours_between,
    make_plan,
)

JANUARY_7 = int(np.datetime64("2019-01-07T00", "h").astype(int))


def test_a_week_is_168_hours_the_first_stamped_at_one():
    assert hours_between("2019-01-07", "2019-01-14") == (JANUARY_7 + 1, 168)
    assert stamp_text(JANUARY_7 + 1) == "2019-01-07T01:00"


def test_an_hour_counts_only_if_all_of_it_lies_between():
    assert hours_between("2019-01-07T00:30", "2019-01-07T03:59") == (JANUARY_7 + 2, 2)
    with pytest.raises(OutputError, match="no whole hour"):
        hours_between("2019-01-07T00:30", "2019-01-07T01:29")


@pytest.mark.parametrize(
    "start",
    [
        datetime(2019, 1, 7),
        date(2019, 1, 7),
        np.datetime64("2019-01-07"),
        datetime(2019, 1, 7, tzinfo=UTC),
        datetime(2019, 1, 7, 8, tzinfo=timezone(timedelta(hours=8))),
        "2019-01-07T08:00+08:00",
    ],
)
def test_moments_may_be_of_any_kind_and_zones_are_converted(start):
    assert hours_between(start, "2019-01-08") == (JANUARY_7 + 1, 24)


@pytest.mark.parametrize("wrong", ["yesterday week", "2019-13-01", "", float("nan")])
def test_what_is_no_date_is_refused_with_its_name(wrong):
    with pytest.raises(OutputError, match=r"start .* is no date"):
        hours_between(wrong, "2019-01-08")
    with pytest.raises(OutputError, match="end None is no date"):
        hours_between("2019-01-08", None)
    with pytest.raises(ConfigError, match="start is missing"):
        hours_between(None, "2019-01-08")


@settings(deadline=None)
@given(
    hours=st.integers(1, 200),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    days=st.integers(1, 3),
    tile=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_blocks_cover_every_cell_and_hour_once(hours, shape, days, tile):
    config = ProductionConfig(block_days=days, tile_rows=tile[0], tile_columns=tile[1])
    plan = make_plan((5, hours), shape, config, 10)
    seen = np.zeros(plan.shape, dtype=int)
    for number in range(plan.blocks):
        block = plan.get_block(number)
        assert block.number == number
        seen[block.region] += 1
        # A block is whole chunks: it begins at multiples of the chunk.
        assert all(s.start % size == 0 for s, size in zip(block.region, plan.block, strict=True))
    assert (seen == 1).all()
    numbers = [b.number for t in range(plan.counts[0]) for b in plan.blocks_of(t)]
    assert numbers == list(range(plan.blocks))
    assert plan.raw_bytes == hours * shape[0] * shape[1] * 10


def test_a_day_holds_the_stamps_from_one_to_midnight():
    plan = Plan(JANUARY_7 + 1, 168, 1, 1, (24, 1, 1), 1)
    day = JANUARY_7 // 24
    assert plan.days((0, 24)) == (day, day + 1)
    assert plan.days((0, 25)) == (day, day + 2)
    late = Plan(JANUARY_7 + 6, 24, 1, 1, (24, 1, 1), 1)
    assert late.days((0, 24)) == (day, day + 2)


def test_a_timeline_must_lie_within_what_is_observed_and_forecast():
    observed = (JANUARY_7 + 1, JANUARY_7 + 48)

    def plan(first: int, hours: int) -> Plan:
        return Plan(JANUARY_7 + first, hours, 1, 1, (24, 1, 1), 1)

    check_timeline(plan(1, 48), observed, observed)
    check_timeline(plan(1, 72), observed, (observed[0], observed[1] + 24))
    check_timeline(plan(60, 10), observed, (observed[0], observed[1] + 24))
    with pytest.raises(OutputError, match=r"ends too late.*2019-01-07T00:00 to 2019-01-09T00:00.*at most 24 h"):
        check_timeline(plan(1, 73), observed, (observed[0], observed[1] + 24))
    with pytest.raises(OutputError, match=r"begins before.*start at 2019-01-07T00:00"):
        check_timeline(plan(0, 48), observed, (observed[0], observed[1] + 24))
    for first in (-100, 200):
        with pytest.raises(OutputError, match="wholly outside the observations"):
            check_timeline(plan(first, 20), observed, (observed[0], observed[1] + 24))


def test_a_plan_that_does_not_fit_memory_names_the_setting_to_change():
    plan = Plan(1, 24, 1000, 1000, (24, 1000, 1000), 20)
    with pytest.raises(OutputError, match=r"production\.tile_rows"):
        check_memory(plan, 4, available=plan.working_bytes * 3)
    check_memory(plan, 4, available=plan.working_bytes * 4)
    assert available_memory() > 1_000_000


def put_group(folder, names, limit, used):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")


V1, V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


@pytest.mark.parametrize(
    ("own", "where", "names"),
    [
        ("0::/system.slice/run.service\n", "system.slice", V2),
        ("0::/a/b/c/d\n", "a/b", V2),
        ("0::/a/b/c/d\n", "", V2),
        ("0::/\n", "", V2),
        ("9:memory:/slurm/uid_1/job_7/step_0\n1:name=systemd:/x\n", "memory/slurm/uid_1/job_7", V1),
        ("9:cpu,memory:/a\n0::/\n", "memory/a", V1),
        ("9:memory:/outside/of/the/container\n", "memory", V1),
    ],
)
def test_the_limit_of_any_control_group_above_this_process_is_seen(own, where, names, tmp_path, monkeypatch):
    (tmp_path / "self").write_text(own)
    put_group(tmp_path / "fs" / where, names, 500_000_000, 80_000_000)
    put_group(tmp_path / "fs" / "another", V2, 1, 0)
    monkeypatch.setattr(blocks, "_GROUPS", tmp_path / "fs")
    monkeypatch.setattr(blocks, "_OWN_GROUPS", tmp_path / "self")
    assert available_memory() == 420_000_000


def test_the_limit_of_the_address_space_is_seen():
    code = (
        "import resource, psutil; from aqreanalysis.production.plan.blocks import available_memory as a;"
        "limit = psutil.Process().memory_info().vms + 300_000_000;"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); print(a())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) <= 300_000_000
