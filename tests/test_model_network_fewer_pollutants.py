"""A network of fewer pollutants says what the larger one says where nobody measures the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fields_case import MadeUp, trained
from model_case import make_bundle, make_readings

from aqreanalysis.errors import ModelError
from aqreanalysis.model import AnalysisPredictor, read_bundle
from aqreanalysis.model.network.fewer_pollutants import keep_pollutants


@pytest.mark.parametrize("kept", [0, 1])
def test_the_smaller_network_says_the_same_where_the_other_pollutant_is_missing(kept: int) -> None:
    bundle, readings = make_bundle(), make_readings(padded=True)
    key, inputs = bundle.config.species[kept], list(bundle.config.inputs or ())
    values = np.full_like(readings.values, np.nan)
    values[..., inputs.index(key)] = readings.values[..., inputs.index(key)]
    config = bundle.config.model_copy(update={"species": [key], "inputs": [key]})
    one = (2, [inputs.index(key)]), (2, [kept])
    small = replace(bundle, config=config, members=[keep_pollutants(w, *one) for w in bundle.members])
    places = readings.lat[:4] + 0.05, readings.lon[:4] + 0.05
    answers = []
    for model, given in ((bundle, values), (small, values[..., [inputs.index(key)]])):
        predictor = AnalysisPredictor(model, "cpu")
        encoded = predictor.encode(given, readings.hours, readings.lat, readings.lon)
        geometry = predictor.geometry(readings.lat, readings.lon, *places)
        answers.append(predictor.predict(encoded, geometry)[key])
    np.testing.assert_allclose(answers[1].best, answers[0].best, rtol=2e-5)
    np.testing.assert_allclose(answers[1].standard_error, answers[0].standard_error, rtol=2e-5)


def test_a_network_with_covariates_is_refused(tmp_path) -> None:
    bundle = read_bundle(trained(tmp_path / "windy", MadeUp()))
    with pytest.raises(ModelError, match="has covariates"):
        keep_pollutants(bundle.members[0], (2, [0]), (2, [0]))
