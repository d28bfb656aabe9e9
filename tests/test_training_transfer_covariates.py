"""A model that learned without covariates takes those of another network: measured there, nothing learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fields_case import FIRST, MadeUp, network, trained

from aqreanalysis.errors import ModelError
from aqreanalysis.model import AnalysisPredictor, Bundle, read_bundle
from aqreanalysis.training import TrainOptions
from aqreanalysis.training.recalibrate import recalibrate


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """Return a model without covariates, and what it becomes where a network has them."""
    folder = tmp_path_factory.mktemp("bundles")
    plain = trained(folder / "plain", None)
    elsewhere = network(stations=18, seed=4)
    options = TrainOptions(covariates=MadeUp())
    made = recalibrate(plain, elsewhere, folder / "windy", "cpu", None, options, means=False)
    return read_bundle(plain), read_bundle(made)


def test_what_was_learned_stays_and_the_covariates_come_beside_it(bundles: tuple[Bundle, Bundle]) -> None:
    plain, windy = bundles
    assert windy.fields is not None and windy.fields.names == MadeUp().fields
    assert windy.config.covariates.fields == list(MadeUp().fields)
    before, after = plain.members[0], windy.members[0]
    beside = {name for name in after if name not in before}
    assert beside and all(name.startswith("surroundings.") for name in beside)
    fitted = ("knn.", "head_out.")  # to the record, and held back as far as its stations say
    assert all(torch.equal(before[n], after[n]) for n in before if not n.startswith(fitted))


def test_the_bundle_says_where_its_covariates_come_from(bundles: tuple[Bundle, Bundle]) -> None:
    _, windy = bundles
    assert windy.provenance["covariates_digest"] == MadeUp().digest()
    assert set(windy.metrics["covariate_drift_explained"]) == {"pm25", "no2"}
    assert "u10" in windy.card


def test_it_needs_them_from_then_on(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    _, windy = bundles
    with pytest.raises(ModelError, match="give the files with --covariates"):
        AnalysisPredictor(windy, "cpu")
    with pytest.raises(ModelError, match="trained with covariates"):
        recalibrate(windy, network(), tmp_path / "again", "cpu")


def test_what_the_covariates_say_reaches_the_estimates(bundles: tuple[Bundle, Bundle]) -> None:
    _, windy = bundles
    observations = network(stations=18, seed=4)
    lat, lon = np.array([39.3, 40.1]), np.array([115.2, 117.0])

    def estimates(source: MadeUp) -> np.ndarray:
        predictor = AnalysisPredictor(windy, "cpu", source)
        first = FIRST + 48 - predictor.history_hours - observations.first_hour
        count = predictor.history_hours + 24 + predictor.lookahead_hours
        values = np.stack([observations.values(key) for key in predictor.inputs], axis=-1)[first : first + count]
        hours = np.arange(observations.first_hour + first, observations.first_hour + first + count)
        encoded = predictor.encode(values.astype(np.float32), hours, observations.lat, observations.lon)
        places = predictor.geometry(observations.lat, observations.lon, lat, lon)
        return predictor.predict(encoded, places, ["pm25"])["pm25"].best

    whole, without = estimates(MadeUp()), estimates(MadeUp(missing=tuple(range(FIRST - 240, FIRST + 24 * 8 + 240))))
    assert np.isfinite(whole).all() and np.isfinite(without).all()
    assert not np.allclose(whole, without)
