"""The drift in a model at work: taken off readings, put back onto estimates, and nothing beside."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from model_case import INPUTS, make_bundle, make_readings, some_places

from aqreanalysis.errors import ModelError
from aqreanalysis.geography import FIELDS, describe
from aqreanalysis.model import AnalysisPredictor, read_bundle, write_bundle
from aqreanalysis.model.bundle import OFFERED
from aqreanalysis.model.distribution.external_drift import Drift, StaticField

DRIFT = Drift({"pm25": (-0.4, 0.1), "o3": (0.2, 0.0)}, low=(0.0, 0.0), middle=(0.3, 5.0), high=(2.0, 8.0))


def bundle_with(drift: Drift | None, **made):
    bundle = make_bundle(**made)
    bundle.drift = drift
    return bundle


def estimates(bundle, values, readings):
    predictor = AnalysisPredictor(bundle, "cpu")
    lat, lon = some_places()
    encoded = predictor.encode(values, readings.hours, readings.lat, readings.lon)
    return predictor.predict(encoded, predictor.geometry(readings.lat, readings.lon, lat, lon)), (lat, lon)


@pytest.mark.parametrize("members", [1, 2])
def test_readings_with_the_drift_on_them_give_the_estimates_of_readings_without_and_the_drift(members):
    readings, bundle = make_readings(days=1, padded=True), bundle_with(None, members=members)
    plain, places = estimates(bundle, readings.values, readings)
    station = DRIFT.at(readings.lat, readings.lon, INPUTS)
    moved = np.empty_like(readings.values)
    for i, key in enumerate(INPUTS):
        scaling = bundle.scaling[key]
        moved[..., i] = (readings.values[..., i] + scaling.offset) * np.exp(
            station[:, i] * scaling.std
        ) - scaling.offset
    assert moved[np.isfinite(moved)].min() > 0  # else the case would be cut at zero
    drifted, _ = estimates(bundle_with(DRIFT, members=members), moved, readings)
    place = DRIFT.at(*places, INPUTS)
    assert np.abs(place).max() > 0.05
    for i, key in enumerate(INPUTS):
        scaling = bundle.scaling[key]
        _, before = plain[key].standardise(plain[key].best)
        _, after = drifted[key].standardise(plain[key].best)
        np.testing.assert_allclose(after, before + place[:, i], atol=2e-4)
        assert (drifted[key].quantile(0.95) >= drifted[key].best).all() and scaling.std > 0


def test_a_drift_of_zero_is_none():
    readings = make_readings(days=1, padded=True)
    nothing = dataclasses.replace(DRIFT, slopes={"pm25": (0.0, 0.0), "o3": (0.0, 0.0)})
    with_it, _ = estimates(bundle_with(nothing), readings.values, readings)
    without, _ = estimates(bundle_with(None), readings.values, readings)
    for key in INPUTS:
        np.testing.assert_array_equal(with_it[key].best, without[key].best)


def test_the_drift_is_linear_between_its_ends_and_constant_beyond_them():
    lat, lon = np.array([39.9, 40.6, 27.99, 0.0]), np.array([116.4, 115.0, 86.92, -30.0])
    fields = describe(lat, lon)
    assert fields[2, 0] > DRIFT.high[0]  # Qomolangma lies beyond every station
    result = DRIFT.at(lat, lon, ["o3"])[:, 0]
    np.testing.assert_allclose(result[:2], 0.2 * (fields[:2, 0] - 0.3), rtol=1e-5)
    assert result[2] == pytest.approx(0.2 * (2.0 - 0.3))
    assert not DRIFT.at(lat, lon, ["so2"]).any()


def test_a_bundle_keeps_its_drift_and_is_another_model_by_it(tmp_path):
    kept = read_bundle(write_bundle(bundle_with(DRIFT), tmp_path / "with"))
    assert kept.drift == DRIFT
    without = read_bundle(write_bundle(bundle_with(None), tmp_path / "without"))
    assert without.drift is None and without.digest != kept.digest
    assert not (tmp_path / "without" / "drift.json").exists()


def test_a_drift_of_other_fields_is_refused_with_the_way_out():
    stored = DRIFT.to_dict() | {"fields": ["altitude", "roads"]}
    with pytest.raises(ModelError, match=rf"of altitude, roads, this program knows {', '.join(FIELDS)}: retrain"):
        Drift.from_dict(stored)


LIT = StaticField("lights", "l.tif", "a" * 64, (1.0, 20.0), little=2.0)


class Lights:
    """Lights that are the latitude, and missing in the far north."""

    fields = (LIT,)

    def means(self, name, lat, lon, windows_km):
        return np.where(lat[:, None] > 60, np.nan, lat[:, None] + np.zeros(len(windows_km)))


def lit_drift() -> Drift:
    bounds = np.array([[0.0, 0.0, 0.0, 0.0, 10.0, 10.0], [0.0] * 6, [9.0, 9.0, 9.0, 9.0, 50.0, 50.0]])
    slopes = {"no2": (0.0, 0.0, 0.5, 0.0, 0.0, 0.1)}
    return Drift(slopes, *(tuple(b) for b in bounds), (LIT,), {"no2": {"all": 0.3}})


def test_a_static_field_gives_its_logarithm_and_itself_at_each_window_and_its_lowest_where_it_has_no_value():
    drift = lit_drift().with_source(Lights())
    found = drift.at(np.array([20.0, 55.0, 70.0]), np.array([5.0, 5.0, 5.0]), ["no2"])[:, 0]
    expected = [0.5 * np.log1p(10) + 2.0, 0.5 * np.log1p(27.5) + 5.0, 0.0 + 1.0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_bundle_keeps_its_static_fields_and_asks_for_them(tmp_path):
    bundle = bundle_with(lit_drift().with_source(Lights()))
    bundle.provenance[OFFERED] = {"lights": "l.tif", "roads": "r.csv"}
    stored = read_bundle(write_bundle(bundle, tmp_path / "lit"))
    assert stored.drift == lit_drift() and stored.drift.source is None
    assert AnalysisPredictor(bundle, "cpu").drift.source is not None  # as in the training that made it
    assert AnalysisPredictor(stored, "cpu", static=Lights()).drift.source is not None
    with pytest.raises(ModelError, match=r"reads lights \(l.tif\), and lights is not given: add --static lights=PATH"):
        AnalysisPredictor(stored, "cpu")


def test_a_drift_without_static_fields_is_written_as_it_was_before_there_were_any():
    assert set(DRIFT.to_dict()) == {"fields", "slopes", "low", "middle", "high"}
