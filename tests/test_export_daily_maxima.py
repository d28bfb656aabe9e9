"""Running 8-hour means and their daily maximum, by each rule of the day."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.export.daily_maxima import (
    RULES,
    check_hourly,
    dense,
    max_eight_hour,
    max_one_hour,
    mda8,
    running_mean,
)
from aqreanalysis.export.periods import periods_of


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_a_running_mean_is_the_mean_of_its_8_hours_if_6_are_there(seed, gaps):
    rng = np.random.default_rng(seed)
    values = rng.uniform(1, 200, (20, 2, 1)).astype(np.float32)
    values[rng.random(values.shape) < gaps] = np.nan
    means = running_mean(values)
    assert means.shape == (13, 2, 1)
    for i in range(13):
        window = values[i : i + 8, :, 0]
        for cell in range(2):
            known = window[np.isfinite(window[:, cell]), cell]
            if len(known) >= 6:
                assert means[i, cell, 0] == pytest.approx(known.mean(), rel=1e-5)
            else:
                assert np.isnan(means[i, cell, 0])


@pytest.mark.parametrize(("rule", "first", "last"), [("eu", 1, 24), ("us", 15, 31), ("cn", 8, 24)])
def test_each_rule_takes_its_own_means_of_the_day(rule, first, last, cubes):
    with CubeSource(cubes.one) as one:
        day = periods_of(one, "day")[1]
        values = one.read("pm2p5", slice(0, 72))[:, 3, 3]
        maxima = max_eight_hour(one, "pm2p5", day, RULES[rule])[3, 3]
    # Stamp h of the second day is value 23 + h; a mean that ends there takes the 8 values up to it.
    wanted = max(values[24 + end - 8 : 24 + end].mean() for end in range(first, last + 1))
    assert maxima == pytest.approx(wanted, rel=1e-5)


def test_bounds_enclose_the_maximum_and_hours_beyond_the_cube_are_missing(cubes):
    with CubeSource(cubes.two) as two:
        day = periods_of(two, "day")[1]
        maxima = mda8(two, two.species["o3"], day, RULES["eu"])
        known = np.isfinite(maxima["o3_mda8"])
        assert known.any() and (maxima["o3_mda8_lower"] <= maxima["o3_mda8"])[known].all()
        assert (maxima["o3_mda8"] <= maxima["o3_mda8_upper"])[known].all()
        hours = two.read("o3", slice(24, 48))
        np.testing.assert_array_equal(max_one_hour(two, "o3", day), np.fmax.reduce(hours, axis=0))
        last = periods_of(two, "day")[-1]
        # Of the US day 8 of 17 means reach into the next day, which the cube does not hold; 13 are needed.
        assert np.isnan(max_eight_hour(two, "o3", last, RULES["us"])).all()
        begin = int(two.bounds[0, 1].astype("datetime64[h]").astype(int))
        around = dense(two, "o3", begin - 2, 4)
        assert np.isnan(around[:2]).all() and np.isfinite(around[2:, 5, 5]).all()


def test_a_cube_that_is_not_hourly_is_refused(cubes):
    with CubeSource(cubes.one) as one:
        one.bounds = one.bounds.copy()
        one.bounds[:, 0] -= np.timedelta64(23, "h")
        with pytest.raises(OutputError, match="steps of 24 h, and it needs an hourly cube"):
            check_hourly(one, "it")
