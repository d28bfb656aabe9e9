"""Block keys: equal where a block is made from the same, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from production_case import make_observations

from aqreanalysis.errors import CubeError
from aqreanalysis.production.plan import Plan, block_keys
from aqreanalysis.production.plan.block_keys import (
    BlockKeys,
    DayChecksums,
    MadeFrom,
    Reach,
    RunKeys,
    days_of,
    differences,
    record_readings,
)
from aqreanalysis.production.plan.blocks import make_mean_plan
from aqreanalysis.production.plan.inputs import HourSpan

KEYS = ("pm25", "o3")
REACH = Reach((1, 1), (2, 0))
FIRST = 100  # day
PLAN = Plan(24 * FIRST + 1, 24 * 6, 7, 9, (48, 4, 9), 4)
RUN = {"model": "m", "grid": "g", "last readings": {"pm25": 24 * (FIRST + 20)}}


def checksums(**changed: int) -> DayChecksums:
    days = [f"{day:04d}".encode() for day in range(FIRST - 5, FIRST + 15)]
    for day in changed.values():
        days[day - FIRST + 5] = b"new."
    return DayChecksums(FIRST - 5, tuple(days))


def made_from(**more) -> MadeFrom:
    return replace(MadeFrom(RUN, checksums(), checksums()), **more)


def keys_of(made: MadeFrom, plan: Plan = PLAN, steps: int | None = None) -> BlockKeys:
    days = {day: made.day_key(day, REACH) for day in days_of(plan, (0, plan.steps))}
    return BlockKeys(plan, days, plan.steps if steps is None else steps)


def changed(newer: BlockKeys, older: BlockKeys) -> set[int]:
    return set(range(newer.plan.counts[0])) - newer.time_blocks_like(older)


@given(day=st.integers(FIRST - 4, FIRST + 10))
def test_a_reading_changes_the_keys_of_the_blocks_whose_window_holds_its_day_and_no_other(day):
    wanted = {i for i in range(3) if FIRST + 2 * i - 1 <= day <= FIRST + 2 * i + 2}
    assert changed(keys_of(made_from(readings=checksums(a=day))), keys_of(made_from())) == wanted


@given(day=st.integers(FIRST - 4, FIRST + 10))
def test_so_does_a_covariate_by_its_own_reach(day):
    wanted = {i for i in range(3) if FIRST + 2 * i - 2 <= day <= FIRST + 2 * i + 1}
    assert changed(keys_of(made_from(covariates=checksums(a=day))), keys_of(made_from())) == wanted


@pytest.mark.parametrize("name", ["model", "grid"])
def test_another_run_has_no_key_in_common(name):
    assert changed(keys_of(made_from(run={**RUN, name: "other"})), keys_of(made_from())) == {0, 1, 2}


def test_the_last_reading_counts_only_in_the_hours_that_it_flags():
    early, late = (made_from(run={**RUN, "last readings": {"pm25": 24 * (FIRST + 2) + h}}) for h in (1, 7))
    assert changed(keys_of(early), keys_of(late)) == {1}
    assert changed(keys_of(early), keys_of(made_from())) == {1, 2}
    assert changed(keys_of(late), keys_of(late)) == set()


def test_a_block_that_grows_and_one_that_is_not_begun_have_other_keys_and_tiles_differ():
    whole, cut = keys_of(made_from()), keys_of(made_from(), steps=60)
    assert changed(whole, cut) == {1, 2} and cut[4] == b""
    assert whole[0] != whole[1] and len({whole[n] for n in range(PLAN.blocks)}) == PLAN.blocks


def test_means_are_keyed_by_the_days_of_their_periods_and_numbered_after_the_sweep():
    daily = make_mean_plan(PLAN, "daily", 4)
    old, new = (keys_of(made_from(readings=r), daily) for r in (checksums(), checksums(a=FIRST + 9)))
    assert changed(old, new) == set()
    keys = RunKeys(keys_of(made_from()), {"daily": old})
    assert keys[PLAN.blocks - 1] == keys.sweep[PLAN.blocks - 1] and keys[PLAN.blocks] == old[0]
    with pytest.raises(IndexError):
        keys[PLAN.blocks + daily.blocks]


def test_what_a_cube_says_of_its_making_reads_back_from_its_attributes():
    for made in (made_from(), made_from(covariates=None)):
        attributes = made.attributes
        assert all(text.isascii() for text in attributes.values())
        assert MadeFrom.from_attributes(attributes) == made
    with pytest.raises(CubeError, match="aqreanalysis_readings of the cube is damaged: 'nonsense'"):
        DayChecksums.from_text("nonsense")


def test_days_before_the_first_that_can_be_verified_are_those_of_the_older_record():
    older, newer = checksums(), DayChecksums(FIRST - 5, tuple([b"none"] * 20))
    assert [newer.with_older_days(older, FIRST).get(day) for day in (FIRST - 1, FIRST)] == [
        older.get(FIRST - 1),
        b"none",
    ]


def digest_of(observations, inputs, span) -> str:
    return record_readings(observations, inputs, span)[0]


@pytest.fixture(scope="module")
def observations():
    return make_observations()


@pytest.fixture
def span(observations):
    return HourSpan(observations.first_hour - 30, 24 * 8 + 60)


def test_the_checksum_of_a_day_depends_on_no_span_and_on_every_reading_of_the_day(observations, span):
    whole = record_readings(observations, KEYS, span)[1]
    part = record_readings(observations, KEYS, HourSpan(observations.first_hour + 30, 40))[1]
    assert part.checksums == tuple(whole.get(day) for day in part.days)
    other = observations.dataset.copy(deep=True)
    other["pm25"][50, 3] = np.float32(1234)
    found = record_readings(type(observations)(other), KEYS, span)[1]
    differing = [d for d in whole.days if whole.get(d) != found.get(d)]
    assert differing == [(observations.first_hour + 50 - 1) // 24]


def test_the_digest_changes_with_a_reading_a_place_and_a_span_and_with_nothing_outside(observations, span, monkeypatch):
    digest = digest_of(observations, KEYS, span)
    assert digest == digest_of(make_observations(), KEYS, span)
    monkeypatch.setattr(block_keys, "_SLAB_DAYS", 2)
    assert digest == digest_of(observations, KEYS, span)
    assert digest != digest_of(observations, KEYS, HourSpan(span.first_hour, span.hours - 1))
    assert digest != digest_of(observations, ("o3", "pm25"), span)
    assert digest != digest_of(make_observations(seed=1), KEYS, span)
    early = HourSpan(observations.first_hour, 48)
    shorter = observations.select(end="2019-01-05")
    assert digest_of(shorter, KEYS, early) == digest_of(observations, KEYS, early)


def test_differences_show_both_values_and_shorten_digests():
    ours, theirs = {"model": "a" * 64, "species": ["pm25"], "same": 1}, {"model": "b" * 64, "same": 1}
    assert differences(ours, theirs) == [
        f"model is {'b' * 16} there and {'a' * 16} here",
        'species is null there and ["pm25"] here',
    ]
    assert differences(ours, dict(ours)) == []


@pytest.mark.parametrize("text", ["{]", "[" * 100_000, '"text"', "7"])
def test_a_cube_that_says_nothing_readable_of_what_it_was_made_from_is_refused(text: str) -> None:
    with pytest.raises(CubeError, match="aqreanalysis_run of the cube is damaged"):
        MadeFrom.from_attributes({"aqreanalysis_run": text, "aqreanalysis_readings": "2019-01-02 AAAA"})
