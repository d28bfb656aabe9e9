from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from aqreanalysis.evaluation.interval_level import WIDEST, covering_level


@given(st.floats(0.6, 1.8), st.floats(0.5, 0.95))
def test_the_level_found_covers_what_was_asked_for_whatever_the_spread(factor: float, coverage: float) -> None:
    errors = np.random.default_rng(0).normal(0, 1, 4000)
    pit = ndtr(errors / factor)  # the method believes in a spread of `factor`
    level = covering_level(pit, coverage)
    assert level is not None
    inside = np.abs(errors) <= factor * ndtri(0.5 + level / 2) + 1e-9
    assert inside.mean() >= coverage or level == WIDEST
    if level < WIDEST:
        assert inside.mean() == pytest.approx(coverage, abs=0.002)


def test_a_true_distribution_keeps_its_level() -> None:
    pit = np.random.default_rng(1).uniform(size=50_000)
    assert covering_level(pit, 0.9) == pytest.approx(0.9, abs=0.01)


def test_unknown_readings_do_not_count_and_too_few_tell_nothing() -> None:
    pit = np.full(100, np.nan)
    pit[:19] = 0.5
    assert covering_level(pit, 0.9) is None
