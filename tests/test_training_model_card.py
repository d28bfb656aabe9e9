"""The model card: its figures are the bundle's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_case import make_bundle, make_observations, make_readings

from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.training.model_card import model_card


@pytest.fixture
def bundle():
    bundle = make_bundle()
    for key, km in (("pm25", 40.0), ("o3", 25.0)):
        bundle.calibration[key] = replace(bundle.calibration[key], reach_km=km)
    bundle.metrics["training"] = {"epoch": 9, "best_epoch": 4, "best_score": 0.31415, "seconds": 150.0}
    bundle.provenance |= {
        "program": "aqreanalysis 9.9",
        "torch": "2.0",
        "device": "cpu",
        "time_coverage_start": "2019-01-01 01:00:00",
        "time_coverage_end": "2019-01-07 00:00:00",
        "stations_by_role": {"training": 16, "calibration": 2, "hidden-tenth": 2},
    }
    return bundle


def test_the_card_says_what_the_model_is_and_saw(bundle):
    card = model_card(bundle, make_observations(make_readings()))
    for part in (
        "PM2.5 (ug m-3), O3 (ug m-3)",
        "20 stations",
        "16 training, 2 calibration, 2 hidden-tenth",
        "2019-01-01 01:00:00 to 2019-01-07 00:00:00 UTC",
        "from 2019-01-06T01 on were not seen",
        "9 epochs, best at epoch 4",
        "0.3141",
        "2.5 minutes",
        "90% coverage",
        "## Not for",
        "than the intervals were calibrated (PM2.5 40 km, O3 25 km)",
        "Not yet: run `aqreanalysis evaluate`",
        "seed 0",
        "1 member,",
    ):
        assert part in card


def test_the_card_names_the_pollutants_that_height_and_population_enter(bundle):
    observations = make_observations(make_readings())
    assert "Height" not in model_card(bundle, observations)
    bundle.drift = Drift({"pm25": (-0.2, 0.0), "o3": (0.0, 0.0)}, (0.0, 0.0), (0.3, 5.0), (2.0, 8.0))
    assert "Height and population of a place enter the estimates of PM2.5.\n" in model_card(bundle, observations)


def test_the_card_follows_the_bundle_and_is_plain_ascii(bundle):
    bundle.metrics["training"]["best_score"] = 0.2
    bundle.config = bundle.config.model_copy(update={"species": ["o3"]})
    card = model_card(bundle, make_observations(make_readings()))
    assert "0.2000" in card and "hourly means of O3 (ug m-3); reads" in card
    assert card.isascii() and card.startswith("# Model card\n") and card.endswith("\n")


def test_readings_are_counted_by_pollutant(bundle):
    readings = make_readings()
    readings.values[::2, :, 1] = np.nan
    present = np.isfinite(make_observations(readings).values("o3")).mean()
    assert 0.3 < present < 0.5 and f"O3 {present:.0%}" in model_card(bundle, make_observations(readings))


def test_a_model_of_synthetic_records_is_none_for_real_air(bundle):
    assert "Real air" not in model_card(bundle, make_observations(make_readings()))
    bundle.provenance["synthetic"] = "a nature run"
    card = model_card(bundle, make_observations(make_readings()))
    assert "learned from synthetic records" in card and "- Real air:" in card


def test_a_source_that_is_not_stated_is_called_so(bundle):
    assert "Data: not stated;" in model_card(bundle, make_observations(make_readings()))
