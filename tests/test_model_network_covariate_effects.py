from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fields_case import DAYS, FIRST, MadeUp, network, small_config, trained

from aqreanalysis.errors import ModelError
from aqreanalysis.model import AQNet
from aqreanalysis.model.bundle import read_bundle
from aqreanalysis.model.network.covariate_effects import REACH_HOURS
from aqreanalysis.model.network.scaling import FieldScaling
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import window

LAT, LON = np.array([39.1, 40.2, 39.7, 40.9]), np.array([115.2, 116.1, 117.3, 114.4])


@pytest.fixture(scope="module")
def windy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        tmp_path_factory.mktemp("models") / "windy", MadeUp(), "species=[pm25]", "training.learning_rate=0.1"
    )


def estimate(
    predictor: AnalysisPredictor, first_day: int = 2, days: int = 2, places: slice = slice(None)
) -> np.ndarray:
    """Return best estimates (hour, place) of whole days."""
    observations = network()
    start = FIRST + 24 * first_day
    span = predictor.history_hours + 24 * days + predictor.lookahead_hours
    values, hours = window(observations, predictor.inputs, start - predictor.history_hours, span)
    encoded = predictor.encode(values, hours, observations.lat, observations.lon)
    geometry = predictor.geometry(observations.lat, observations.lon, LAT[places], LON[places])
    return predictor.predict(encoded, geometry)["pm25"].best


def scaling_of(fields: tuple[str, ...]) -> FieldScaling:
    count = len(fields)
    return FieldScaling(fields, ("",) * count, count, (None,) * count, (0.0,) * count, (1.0,) * count)


def test_without_covariates_the_network_has_the_parameters_that_it_always_had() -> None:
    config = small_config().model
    torch.manual_seed(5)
    plain = AQNet(2, [0], config)
    torch.manual_seed(5)
    windy = AQNet(2, [0], config, scaling_of(("u10", "v10", "blh")))
    mine, more = plain.state_dict(), windy.state_dict()
    assert not [name for name in mine if name.startswith("surroundings")]
    assert {name for name in more if not name.startswith("surroundings.")} == set(mine)
    assert all(torch.equal(mine[name], more[name]) for name in mine)


def test_the_names_and_shapes_of_a_network_without_covariates_are_those_on_record() -> None:
    state = AQNet(2, [0], small_config().model).state_dict()
    heads = {name.split(".")[0]: 0 for name in state}
    assert sorted(heads) == [
        "channels",
        "exchange",
        "filters",
        "head_clock",
        "head_dynamic",
        "head_inner",
        "head_out",
        "head_static",
        "knn",
        "mixture",
        "own",
        "temporal",
        "trust",
    ]
    assert state["temporal.embed.weight"].shape == (8, 2 * 2 + 6)
    assert state["head_dynamic.0.weight"].shape == (8, 2 * 3 + 2 + 2 + 2)


def test_untrained_covariates_tell_nothing_but_what_the_wind_brings(windy: Path) -> None:
    bundle = read_bundle(windy)
    torch.manual_seed(0)
    fresh = AQNet(2, [0], bundle.config.model, bundle.fields).state_dict()
    assert fresh["surroundings.carry.0.bias"].item() == pytest.approx(0.7)
    fresh["surroundings.carry.0.bias"].zero_()
    members = {k: v for k, v in bundle.members[0].items() if not k.startswith("surroundings.")}
    bundle.members = [members | {k: v for k, v in fresh.items() if k.startswith("surroundings.")}]
    with_fields = estimate(AnalysisPredictor(bundle, "cpu", MadeUp()))
    bundle.members, bundle.fields = [members], None
    assert np.allclose(with_fields, estimate(AnalysisPredictor(bundle, "cpu")), rtol=1e-5)


def test_trained_covariates_count(windy: Path) -> None:
    estimates = estimate(load_predictor(windy, "cpu", MadeUp()))
    calm = estimate(load_predictor(windy, "cpu", MadeUp(missing=tuple(range(FIRST - 240, FIRST + 24 * DAYS + 240)))))
    assert np.isfinite(estimates).all() and np.isfinite(calm).all()
    assert not np.allclose(estimates, calm, rtol=1e-4)


def test_numbers_depend_on_no_block_and_no_neighbouring_place(windy: Path) -> None:
    predictor = load_predictor(windy, "cpu", MadeUp(missing=(FIRST + 60, FIRST + 61)))
    whole = estimate(predictor, 2, 3)
    assert np.allclose(whole[24:48], estimate(predictor, 3, 1), rtol=1e-5)
    assert np.allclose(whole[:, 2:3], estimate(predictor, 2, 3, slice(2, 3)), rtol=1e-5)


def test_it_refuses_to_run_without_its_covariates_and_names_them(windy: Path) -> None:
    with pytest.raises(ModelError, match="trained with covariates and does not run without them: u10, v10, blh"):
        load_predictor(windy, "cpu")
    with pytest.raises(ModelError, match="v10 is missing"):
        load_predictor(windy, "cpu", MadeUp(("u10", "blh", "t2m")))


def test_the_order_in_the_files_does_not_matter(windy: Path) -> None:
    turned = MadeUp(("t2m", "blh", "v10", "u10"))
    assert np.array_equal(
        estimate(load_predictor(windy, "cpu", MadeUp())), estimate(load_predictor(windy, "cpu", turned))
    )


def test_a_model_without_covariates_refuses_some(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain", None, "species=[pm25]", "training.steps_per_epoch=1")
    assert read_bundle(plain).fields is None and not (plain / "covariates.json").exists()
    with pytest.raises(ModelError, match="was trained without covariates and cannot use any"):
        load_predictor(plain, "cpu", MadeUp())


def test_the_bundle_records_fields_units_and_how_they_are_standardised(windy: Path) -> None:
    bundle = read_bundle(windy)
    assert bundle.fields is not None
    assert bundle.fields.names == ("u10", "v10", "blh") and bundle.fields.units == ("m s-1", "m s-1", "m")
    assert bundle.fields.mean[2] == pytest.approx(np.log(600), abs=0.5)
    assert bundle.config.covariates.fields == ["u10", "v10", "blh"]
    assert bundle.provenance["covariates_digest"] == MadeUp().digest()
    (windy / "covariates.json").write_text("{}")
    with pytest.raises(ModelError, match=r"covariates\.json was altered"):
        read_bundle(windy)


def test_static_fields_alone_describe_a_place_and_are_a_model(tmp_path: Path) -> None:
    alone = FieldScaling(("elevation",), ("m",), 0, (None,), (0.0,), (1.0,))
    network_of_one = AQNet(2, [0], small_config().model, alone)
    effects = network_of_one.surroundings
    assert effects is not None
    described = effects.describe(torch.tensor([0.5, torch.nan]).expand(3, 24 + 2 * REACH_HOURS, 2)[..., None])
    assert described.shape == (3, 24, 2, 2)
    assert described[0, 0].tolist() == [[0.5, 1.0], [0.0, 0.0]]
