"""Exceedances: probabilities from quantiles, counts and their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import lognorm, norm

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, Limit
from aqreanalysis.export.daily_maxima import RULES
from aqreanalysis.export.exceedance import DayCut, count_exceedances, exceedance_probability, layer_prefix
from aqreanalysis.export.periods import periods_of


@settings(deadline=None)
@given(st.floats(1, 5), st.floats(0.05, 1), st.floats(-3, 3), st.floats(0, 20))
def test_the_probability_of_a_shifted_log_normal_is_exact(mean, spread, z, shift):
    law = lognorm(spread, scale=np.exp(mean), loc=-shift)
    limit = law.ppf(norm.cdf(z))
    quantiles = tuple(np.array([law.ppf(p)]) for p in (0.05, 0.5, 0.95))
    assert exceedance_probability(quantiles, 0.9, limit)[0] == pytest.approx(norm.sf(z), abs=1e-4)


def test_a_symmetric_interval_gives_the_normal_and_nothing_between_bounds_gives_certainty():
    half = norm.ppf(0.95)
    p = exceedance_probability((np.array([10 - half]), np.array([10.0]), np.array([10 + half])), 0.9, 11.0)
    assert p[0] == pytest.approx(norm.sf(1.0), abs=1e-4)
    same = np.array([5.0, 15.0, np.nan])
    np.testing.assert_array_equal(exceedance_probability((same, same, same), 0.9, 10.0), [0.0, 1.0, np.nan])


def test_the_cubes_own_probability_agrees_with_that_from_its_bounds(cubes):
    with CubeSource(cubes.two) as two:
        own = two.read("o3_exceedance_60", slice(None))
        quantiles = tuple(two.read(n, slice(None)) for n in ("o3_lower", "o3", "o3_upper"))
    known = np.isfinite(own)
    assert np.abs(exceedance_probability(quantiles, 0.9, 60.0) - own)[known].max() < 0.06


def test_hours_are_counted_between_their_bounds_and_expected_from_the_cubes_own_probability(cubes):
    with CubeSource(cubes.two) as two:
        day, limit = periods_of(two, "day")[1], Limit("o3", 60.0)
        counts = count_exceedances(two, limit, day, DayCut(RULES["eu"]))
        hours = {n: two.read(n, slice(24, 48)) for n in ("o3", "o3_lower", "o3_upper", "o3_exceedance_60")}
    stem = "o3_hours_above_60"
    cell = (5, 5)
    assert counts[stem][cell] == (hours["o3"] > 60).sum(axis=0)[cell]
    assert counts[f"{stem}_lower"][cell] <= counts[stem][cell] <= counts[f"{stem}_upper"][cell]
    assert counts[f"{stem}_expected"][cell] == pytest.approx(hours["o3_exceedance_60"].sum(axis=0)[cell], rel=1e-5)
    assert counts[f"{stem}_probability"][cell] == hours["o3_exceedance_60"].max(axis=0)[cell]
    assert np.isnan(counts[stem][0, 0])  # masked


@pytest.mark.parametrize("basis", ["day", "mda8"])
def test_days_are_counted_by_their_mean_or_maximum(basis, cubes):
    with CubeSource(cubes.one) as one:
        whole = periods_of(one, "year")[0]
        limit = Limit("pm25", 40.0, basis)
        assert np.isnan(count_exceedances(one, limit, whole, DayCut(RULES["eu"]))[layer_prefix(one, limit)]).all()
        counts = count_exceedances(one, limit, whole, DayCut(RULES["eu"], 0, 2 / 365))[layer_prefix(one, limit)]
        days = [one.read("pm2p5", slice(24 * i, 24 * i + 24)).mean(axis=0) for i in range(3)]
    if basis == "day":
        np.testing.assert_array_equal(counts, sum((d > 40).astype(np.float32) for d in days))
    else:
        assert (counts >= 0).all() and (counts <= 3).all()


def test_a_limit_that_is_none_is_refused():
    with pytest.raises(OutputError, match="above 0"):
        Limit("o3", -1.0)
    with pytest.raises(OutputError, match="basis 'week'"):
        Limit("o3", 1.0, "week")
