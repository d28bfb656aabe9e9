"""The drift on covariates: its size is found, noise gets none, a town has one vote, and the network starts from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fields_case import MadeUp, small_config, trained

from aqreanalysis.model import AQNet, Scaling
from aqreanalysis.model.bundle import read_bundle
from aqreanalysis.model.network.covariate_effects import CovariateDrift
from aqreanalysis.model.network.scaling import FieldScaling
from aqreanalysis.training.covariate_drift import fit_covariate_drift

HOURS, TOWNS, A_TOWN = 200, 24, 3


def region(slopes: tuple[float, float], noise: float = 0.3, seed: int = 0):
    """Return (readings, fields, lat, lon): the hour's level, `slopes` times two fields, and noise."""
    rng = np.random.default_rng(seed)
    lat = np.repeat(rng.uniform(38, 44, TOWNS), A_TOWN) + rng.normal(0, 0.03, TOWNS * A_TOWN)
    lon = np.repeat(rng.uniform(110, 118, TOWNS), A_TOWN) + rng.normal(0, 0.03, TOWNS * A_TOWN)
    fields = rng.normal(size=(HOURS, len(lat), 2))
    level = np.cumsum(rng.normal(size=(HOURS, 1)), axis=0)
    readings = level + fields @ np.array(slopes) + rng.normal(0, noise, (HOURS, len(lat)))
    readings[rng.random(readings.shape) < 0.1] = np.nan
    return readings[..., None].astype(np.float32), fields.astype(np.float32), lat, lon


def fitted(readings, fields, lat, lon, names=("t2m", "sp")) -> CovariateDrift:
    """Return the drift of a region whose fields are standardised already."""
    scaling = FieldScaling(names, ("", ""), 2, *((value,) * 2 for value in (None, 0.0, 1.0)))
    scalings = {"pm25": Scaling(1.0, 0.0, 1.0, 1.0)}
    return fit_covariate_drift(readings, fields, np.arange(len(fields)), (lat, lon), scalings, scaling)


def test_a_drift_is_found_with_its_size_whatever_the_level_of_the_hour() -> None:
    readings, fields, lat, lon = region((0.5, -0.2))
    drift = fitted(readings, fields, lat, lon)
    assert drift.slopes[:, 0] == pytest.approx([0.5, -0.2], abs=0.02)
    assert drift.explained[0] == pytest.approx(0.29 / (0.29 + 0.09), abs=0.03)
    assert drift.low == pytest.approx(fields.min(axis=(0, 1))) and drift.high == pytest.approx(fields.max(axis=(0, 1)))


def test_of_a_long_record_every_hour_of_the_day_is_asked() -> None:
    readings, fields, lat, lon = region((0.5, -0.2))
    readings, fields = np.tile(readings, (23, 1, 1)), np.tile(fields, (23, 1, 1))
    readings[np.arange(len(readings)) % 3 != 1] = np.nan  # as of a network that reports every three hours
    drift = fitted(readings, fields, lat, lon)
    assert drift.slopes[:, 0] == pytest.approx([0.5, -0.2], abs=0.03)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_drift_is_made_of_noise(seed: int) -> None:
    drift = fitted(*region((0.0, 0.0), seed=seed))
    assert not drift.slopes.any() and not drift.explained.any()


def test_of_few_towns_nothing_is_learned() -> None:
    readings, fields, lat, lon = region((0.5, 0.0))
    few = slice(0, 4 * A_TOWN)
    assert not fitted(readings[:, few], fields[:, few], lat[few], lon[few]).slopes.any()


def test_the_stations_of_a_town_share_a_vote() -> None:
    readings, fields, lat, lon = region((0.5, 0.0), noise=0.05)
    crowd = 400  # one town of many stations, where the slope is another
    own = np.random.default_rng(9).normal(size=(HOURS, crowd, 2)).astype(np.float32)
    there = readings.mean() - 0.5 * own[..., :1]
    joined = np.concatenate((readings, there), axis=1), np.concatenate((fields, own), axis=1)
    places = np.append(lat, np.full(crowd, 41.0)), np.append(lon, np.full(crowd, 125.0))
    slope = fitted(*joined, *places).slopes[0, 0]
    assert 0.35 < slope < 0.55  # by stations alone it would be about -0.35


def test_what_adds_up_in_the_air_is_found_as_a_sum() -> None:
    rng = np.random.default_rng(4)
    _, _, lat, lon = region((0.0, 0.0))
    names = ("pm25_background", "works_upwind")
    scaling = FieldScaling(names, ("", ""), 2, (1.0, 0.5), (2.0, 1.0), (0.5, 1.0))
    field = rng.normal(size=(HOURS, len(lat), 2))
    model, plume = (np.exp(field[..., i] * s + m) - o for i, (o, m, s) in enumerate(((1.0, 2.0, 0.5), (0.5, 1.0, 1.0))))
    air = 4.0 + 0.5 * np.maximum(model, 0) + 2.0 * np.maximum(plume, 0)
    readings = (np.log(air) + rng.normal(0, 0.1, air.shape))[..., None].astype(np.float32)
    scalings, hours = {"pm25": Scaling(1.0, 0.0, 1.0, 1.0)}, np.arange(len(field))
    drift = fit_covariate_drift(readings, field.astype(np.float32), hours, (lat, lon), scalings, scaling)
    assert drift.amounts[:, 0] == pytest.approx([0.5 / 4.0, 2.0 / 4.0], rel=0.15)
    assert drift.share[0] == pytest.approx(1.0, abs=0.1) and np.abs(drift.slopes).max() < 0.1


def test_of_what_adds_up_the_amounts_are_found_beside_a_field_that_multiplies_and_one_that_repeats_it() -> None:
    rng = np.random.default_rng(5)
    _, _, lat, lon = region((0.0, 0.0))
    names = ("pm25_background", "washout", "tp")
    scaling = FieldScaling(names, ("",) * 3, 3, (1.0, None, None), (2.0, 0.0, 0.0), (0.5, 1.0, 1.0))
    field = rng.normal(size=(HOURS, len(lat), 3))
    field[..., 2] = field[..., 1]
    air = 4.0 + 0.5 * np.maximum(np.exp(field[..., 0] * 0.5 + 2.0) - 1.0, 0)
    readings = np.log(air) - 0.4 * field[..., 1] + rng.normal(0, 0.1, air.shape)
    drift = fit_covariate_drift(
        readings[..., None].astype(np.float32),
        field.astype(np.float32),
        np.arange(len(field)),
        (lat, lon),
        {"pm25": Scaling(1.0, 0.0, 1.0, 1.0)},
        scaling,
    )
    assert drift.amounts[:, 0] == pytest.approx([0.5 / 4.0, 0.0, 0.0], rel=0.25)
    assert drift.slopes[1:, 0].sum() == pytest.approx(-0.4, abs=0.03) and not drift.slopes[0, 0]


def test_what_sources_take_from_the_air_is_subtracted() -> None:
    rng = np.random.default_rng(6)
    _, _, lat, lon = region((0.0, 0.0))
    scaling = FieldScaling(("o3_background", "roads_upwind"), ("", ""), 2, (1.0, 0.5), (2.0, 1.0), (0.3, 0.7))
    field = rng.normal(size=(HOURS, len(lat), 2))
    model, plume = (np.exp(field[..., i] * s + m) - o for i, (o, m, s) in enumerate(((1.0, 2.0, 0.3), (0.5, 1.0, 0.7))))
    air = 300.0 + 2.0 * np.maximum(model, 0) - 8.0 * np.maximum(plume, 0)
    readings = (np.log(air / 300.0) + rng.normal(0, 0.01, air.shape))[..., None].astype(np.float32)
    scalings, hours = {"o3": Scaling(270.0, 0.0, 1.0, 1.0)}, np.arange(len(field))
    drift = fit_covariate_drift(readings, field.astype(np.float32), hours, (lat, lon), scalings, scaling)
    assert drift.amounts[0, 0] > 0 > drift.amounts[1, 0]
    assert drift.amounts[1, 0] / drift.amounts[0, 0] == pytest.approx(-4.0, rel=0.15)
    network = AQNet(1, [0], small_config().model, scaling)
    assert network.surroundings is not None
    network.surroundings.start_from(drift)
    with torch.no_grad():
        said = network.surroundings.drift_of(torch.from_numpy(field.astype(np.float32)), torch.from_numpy(hours))
    left = (readings - said.numpy())[..., 0]
    assert (left - left.mean(axis=1, keepdims=True)).std() < 0.015


def test_slopes_that_follow_the_clock_are_found_hour_by_hour() -> None:
    readings, fields, lat, lon = region((0.0, 0.0), noise=0.1)
    hours = 5 + np.arange(HOURS)
    slope = 0.4 + 0.3 * np.cos(2 * np.pi * hours / 24)
    readings = readings + (slope[:, None] * fields[..., 0])[..., None].astype(np.float32)
    scaling = FieldScaling(("t2m", "sp"), ("", ""), 2, *((value,) * 2 for value in (None, 0.0, 1.0)))
    scalings = {"pm25": Scaling(1.0, 0.0, 1.0, 1.0)}
    drift = fit_covariate_drift(readings, fields, hours, (lat, lon), scalings, scaling)
    assert drift.slopes[:, 0] == pytest.approx([0.4, 0.0], abs=0.02)
    assert drift.clock[:, :, 0] == pytest.approx(np.array([[0.3, 0.0, 0.0], [0.0, 0.0, 0.0]]), abs=0.02)
    network = AQNet(1, [0], small_config().model, scaling)
    assert network.surroundings is not None
    network.surroundings.start_from(drift)
    said = network.surroundings.drift_of(torch.tensor([1.0, 0.0]).expand(3, 1, 2), torch.tensor([0, 6, 12]))
    assert said[:, 0, 0].tolist() == pytest.approx([0.7, 0.4, 0.1], abs=0.03)


def drift_of(slopes, amounts, share, bounds) -> CovariateDrift:
    slopes = np.asarray(slopes, np.float32)
    clock = np.zeros((2, len(slopes) + 1, slopes.shape[1]), np.float32)
    amounts, share, low, high = (np.asarray(a, np.float32) for a in (amounts, share, *bounds))
    return CovariateDrift(slopes, amounts, share, clock, low, high, np.zeros(len(share)))


def test_a_network_takes_the_drift_off_readings_and_puts_it_onto_places() -> None:
    scaling = FieldScaling(("blh",), ("m",), 1, (None,), (0.0,), (1.0,))
    network = AQNet(2, [1], small_config().model, scaling)
    assert network.surroundings is not None
    network.surroundings.start_from(drift_of([[0.5, 2.0]], [[0.0, 0.0]], [0.0, 0.0], ([-1.0], [1.5])))
    fields = torch.tensor([[[[0.5]], [[9.0]], [[torch.nan]]]])
    readings = torch.ones(1, 3, 1, 2)
    expected = torch.tensor([[1 - 0.25, 1 - 1.0], [1 - 0.75, 1 - 3.0], [1.0, 1.0]])
    hours = torch.arange(3)[None]
    assert torch.equal(network.remove_drift(readings, fields, hours)[0, :, 0], expected)
    assert torch.equal(network.remove_drift(readings, None, hours), readings)


def test_the_sum_of_concentrations_enters_in_its_logarithm() -> None:
    scaling = FieldScaling(("pm25_background",), ("ug m-3",), 1, (1.0,), (2.0,), (0.5,))
    network = AQNet(1, [0], small_config().model, scaling)
    assert network.surroundings is not None
    network.surroundings.start_from(drift_of([[0.0]], [[0.3]], [0.7], ([-2.0], [2.0])))
    drift = network.surroundings.drift_of(torch.tensor([[[1.0]]]), torch.zeros(1))
    assert float(drift) == pytest.approx(0.7 * np.log1p(0.3 * (np.exp(2.5) - 1.0)), rel=1e-5)


def test_a_model_of_before_there_was_a_drift_loads_and_has_none() -> None:
    scaling = FieldScaling(("blh",), ("m",), 1, (None,), (0.0,), (1.0,))
    network = AQNet(2, [0], small_config().model, scaling)
    state = {k: v for k, v in network.state_dict().items() if "drift" not in k}
    assert network.surroundings is not None
    network.surroundings.start_from(drift_of([[1.0, 1.0]], [[0.0, 0.0]], [0.5, 0.5], ([-1.0], [1.0])))
    network.load_state_dict(state)
    assert not network.surroundings.drift.any() and not network.surroundings.drift_range.any()
    assert not network.surroundings.drift_of(torch.ones(1, 1, 1), torch.zeros(1)).any()


def test_the_card_says_what_the_regression_on_covariates_explains(tmp_path) -> None:
    bundle = read_bundle(trained(tmp_path / "windy", MadeUp(), "species=[pm25]"))
    assert set(bundle.metrics["covariate_drift_explained"]) == {"pm25", "no2"}
    assert "- Covariates: u10, v10, blh. The network starts from a regression on them" in bundle.card
