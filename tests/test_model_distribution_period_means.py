"""The distribution of a mean: the error of many hours that err together, and one shape from which all is read."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_case import make_bundle
from scipy.special import ndtri

from aqreanalysis.model import NUMERICS, read_bundle, write_bundle
from aqreanalysis.model.distribution.period_means import (
    MEAN_DAYS,
    PROBABILITIES,
    AccumulatedHours,
    ErrorAutocovariance,
    MeanPredictive,
    MeansCalibration,
    MeanTable,
    accumulate_hours,
)

NORMAL = np.array([-2.5758, *np.linspace(-2.2, 2.2, 98), 2.5758])
HOURS = np.array([0.0, 2.0, 30.0, np.inf])


def calibration(shape=NORMAL, offset=4.0, autocovariance=None):
    """Return a calibration whose tables widen with distance."""
    autocovariance = autocovariance or ErrorAutocovariance(HOURS, np.array([0.3, 0.4, 0.2, 0.1]))
    table = MeanTable(
        np.array([0.0, 50.0]), np.array([1.0, 5.0]), np.stack([[shape, shape], [2 * shape, 3 * shape]]), 1, 100, 10
    )
    return MeansCalibration(offset, autocovariance, dict.fromkeys(MEAN_DAYS, table))


def drawn(seed, hours, places=3):
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 20, (hours, places)), rng.gamma(4, 3, (hours, places))


memories = st.lists(st.floats(0, 2), min_size=4, max_size=4).map(lambda w: ErrorAutocovariance(HOURS, np.array(w)))


@given(autocovariance=memories, hours=st.integers(1, 60), seed=st.integers(0, 99))
def test_the_variance_is_the_double_sum_over_the_covariance(autocovariance, hours, seed):
    mean, error = drawn(seed, hours)
    sums = accumulate_hours(mean, error, autocovariance)
    lag = np.abs(np.subtract.outer(np.arange(hours), np.arange(hours)))
    wanted = np.einsum("ip,ij,jp->p", error, autocovariance.covariance(lag), error)
    np.testing.assert_allclose(sums.variance, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.total, mean.sum(axis=0))


@given(autocovariance=memories, cuts=st.lists(st.integers(1, 30), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_sums_joined_in_order_are_those_of_the_whole_however_it_is_cut(autocovariance, cuts, seed):
    mean, error = drawn(seed, sum(cuts))
    edges = np.cumsum([0, *cuts])
    parts = [accumulate_hours(mean[a:b], error[a:b], autocovariance) for a, b in pairwise(edges)]
    predictive = parts[0]
    for part in parts[1:]:
        predictive = predictive.joined(part, autocovariance)
    whole = accumulate_hours(mean, error, autocovariance)
    assert predictive.hours == whole.hours == sum(cuts)
    for name in ("total", "variance", "left", "right"):
        np.testing.assert_allclose(getattr(predictive, name), getattr(whole, name), rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_lasting_bias_is_not_averaged_away_and_noise_is():
    error = np.full((24, 1), 6.0)
    for scale, wanted in ((np.inf, 6.0), (0.0, 6.0 / np.sqrt(24))):
        sums = accumulate_hours(error, error, ErrorAutocovariance(np.array([scale]), np.ones(1)))
        assert np.sqrt(sums.variance[0]) / 24 == pytest.approx(wanted)


@settings(deadline=None)
@given(
    total=st.floats(0, 500),
    relative=st.floats(0, 3),
    near=st.floats(0, 400),
    skew=st.floats(0, 2),
    threshold=st.floats(0.01, 800),
)
def test_bounds_enclose_the_estimate_nothing_is_negative_and_all_tell_the_same(total, relative, near, skew, threshold):
    shape = NORMAL + skew * np.maximum(NORMAL, 0)
    variance = np.array([(relative * (total + 1) * 24) ** 2])
    sums = AccumulatedHours(24, np.array([24 * total]), variance, np.zeros((3, 1)), np.zeros((3, 1)))
    mean = MeanPredictive(sums, np.array([near]), calibration(shape), "daily")
    levels = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
    quantiles = [float(mean.quantile(p)[0]) for p in levels]
    assert quantiles == sorted(quantiles) and quantiles[0] >= 0
    assert mean.best == pytest.approx(total) and mean.standard_error >= 0
    for coverage in (0.02, 0.5, 0.9):
        lower, upper = mean.interval(coverage)
        assert 0 <= lower <= mean.best <= upper
    probability = float(mean.exceedance(threshold)[0])
    assert 0 <= probability <= 1
    for level, value in zip(levels, quantiles, strict=True):
        if value > 1.001 * threshold:
            assert probability >= 1 - level - 0.011
        if value < 0.999 * threshold:
            assert probability <= 1 - level + 0.011


def test_the_best_estimate_is_the_mean_of_the_hourly_expectations():
    mean, error = drawn(1, 48)
    one = calibration(shape=ndtri(PROBABILITIES))
    whole = MeanPredictive(accumulate_hours(mean, error, one.autocovariance), np.zeros(3), one, "daily")
    np.testing.assert_allclose(whole.best, mean.mean(axis=0), rtol=1e-6)
    # And that is the mean of the distribution that the bounds are of.
    spread = np.mean([whole.quantile(p) for p in PROBABILITIES], axis=0)
    np.testing.assert_allclose(spread, whole.best, rtol=0.01)


def test_the_interval_widens_with_distance_and_with_the_spread_of_the_hours():
    mean, error = drawn(2, 24)
    one = calibration()

    def width(error, km):
        lower, upper = MeanPredictive(
            accumulate_hours(mean, error, one.autocovariance), np.full(3, km), one, "daily"
        ).interval(0.9)
        return upper - lower

    assert (width(error, 40.0) > width(error, 5.0)).all()
    assert (width(1.5 * error, 5.0) > width(error, 5.0)).all()


def test_a_probability_outside_the_table_is_refused():
    mean, error = drawn(3, 24)
    one = calibration()
    with pytest.raises(ValueError, match=r"0\.999"):
        MeanPredictive(accumulate_hours(mean, error, one.autocovariance), np.zeros(3), one, "daily").quantile(0.999)


def test_a_calibration_reads_back_from_json_as_it_was_written():
    one = calibration()
    again = MeansCalibration.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
    assert again.offset == one.offset and set(again.tables) == set(MEAN_DAYS)
    np.testing.assert_array_equal(again.autocovariance.hours, one.autocovariance.hours)
    np.testing.assert_array_equal(again.autocovariance.weights, one.autocovariance.weights)
    for name in ("distance_km", "level", "quantiles"):
        np.testing.assert_allclose(getattr(again.tables["daily"], name), getattr(one.tables["daily"], name), atol=1e-6)
    assert again.tables["daily"].describe("daily") == one.tables["daily"].describe("daily")
    assert len(PROBABILITIES) == 100


def test_a_bundle_keeps_the_calibration_of_means_and_one_from_before_is_read_without(tmp_path):
    bundle = make_bundle(species=("pm25",))
    bundle.calibration_means = {"pm25": calibration()}
    path = write_bundle(bundle, tmp_path / "model")
    read = read_bundle(path)
    assert read.calibration_means["pm25"].to_dict() == calibration().to_dict()
    digest = read.digest
    bundle.calibration_means = {"pm25": calibration(offset=5.0)}
    assert read_bundle(write_bundle(bundle, tmp_path / "other")).digest != digest
    # As an older version left it: the file neither there nor listed.
    (path / "calibration_means.json").unlink()
    provenance = json.loads((path / "provenance.json").read_text())
    del provenance["files_sha256"]["calibration_means.json"]
    listed = provenance["files_sha256"]
    numeric = [listed[n] for n in ("config.yaml", "scaling.json", "calibration.json", "weights.safetensors")]
    provenance["model_digest"] = hashlib.sha256(("".join(numeric) + str(NUMERICS)).encode()).hexdigest()
    (path / "provenance.json").write_text(json.dumps(provenance))
    assert read_bundle(path).calibration_means == {}
