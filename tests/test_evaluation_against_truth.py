from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from smoke_case import FIRST, Smoke, smoky_network, truth

from aqreanalysis.errors import ConfigError, CubeError
from aqreanalysis.evaluation import against_truth
from aqreanalysis.evaluation.against_truth import score_against_truth, truth_table
from aqreanalysis.evaluation.baselines import OrdinaryKriging, StationField, all_baselines, covariate_baselines
from aqreanalysis.model.bundle import MODEL
from aqreanalysis.observations import Observations, StationPlaces

LAT, LON = np.arange(38.2, 40, 0.4), np.arange(114.2, 116, 0.3)
HOURS = FIRST + np.arange(12)
ASKED = ("inverse-distance", "log-kriging", "residual-kriging")


@dataclass(frozen=True)
class Map:
    """A cube whose estimate is the truth less a constant, that truth, the readings, and people in one cell."""

    cube: xr.Dataset
    truth: xr.Dataset
    observations: Observations
    people: xr.DataArray


@pytest.fixture(scope="module")
def case() -> Map:
    lat, lon = (axis.ravel() for axis in np.meshgrid(LAT, LON, indexing="ij"))
    field = truth(lat, lon, HOURS).reshape(len(HOURS), len(LAT), len(LON)).astype(np.float32)
    dims, times = ("time", "lat", "lon"), pd.to_datetime(HOURS, unit="h")
    coords = {"time": times, "lat": LAT, "lon": LON}
    km = np.linspace(1, 80, lat.size).reshape(len(LAT), len(LON)).astype(np.float32)
    cube = xr.Dataset(
        {
            "pm2p5": (dims, field - 2),
            "pm2p5_lower": (dims, field - 5, {"coverage_probability": 0.9}),
            "pm2p5_upper": (dims, field + 1),
            "nearest_station_distance": (("lat", "lon"), km),
        },
        coords,
    )
    network = smoky_network(hours=30)
    places = StationPlaces([f"s{i}" for i in range(30)], network.lat, network.lon)
    readings = {"pm25": network.values.astype(np.float32)}
    observations = Observations.from_arrays(pd.to_datetime(network.hours, unit="h"), places, readings)
    people = np.zeros(km.shape)
    people[1, 2], people[0, 0] = 1000.0, 10.0
    known = xr.Dataset({"pm25": (dims, field)}, coords)
    return Map(cube, known, observations, xr.DataArray(people, {"lat": LAT, "lon": LON}))


@pytest.fixture(scope="module")
def scored(case: Map) -> dict:
    given = {"observations": case.observations, "covariates": Smoke(), "population": case.people}
    return score_against_truth(case.cube, case.truth, baselines=ASKED, **given)["pm25"]


def test_baselines_are_scored_on_the_cells_and_hours_of_the_cube(case: Map, scored: dict) -> None:
    assert list(scored["methods"]) == [MODEL, *ASKED]
    counts = {m["overall"]["n"] for m in scored["methods"].values()}
    assert counts == {case.truth["pm25"].size}
    assert scored["methods"][MODEL]["overall"]["mae"] == pytest.approx(2.0, rel=1e-4)
    assert scored["methods"]["residual-kriging"]["overall"]["mae"] < scored["methods"]["log-kriging"]["overall"]["mae"]
    assert all(np.isfinite(list(m["overall"].values())).all() for m in scored["methods"].values())


def test_the_expectation_is_scored_beside_the_median_where_the_cube_has_it(case: Map, scored: dict) -> None:
    assert "expectation" not in scored
    cube = case.cube.assign(pm2p5_mean=case.cube["pm2p5"] + 1.5)
    result = score_against_truth(cube, case.truth)
    of_mean = result["pm25"]["expectation"]
    assert of_mean["bias"] == pytest.approx(-0.5, rel=1e-3) and of_mean["mae"] == pytest.approx(0.5, rel=1e-3)
    assert result["pm25"]["overall"]["bias"] == pytest.approx(-2, rel=1e-3)
    assert sum(part["n"] for part in of_mean["by_distance"].values()) == of_mean["n"] == case.truth["pm25"].size
    rows = [row for row in truth_table(result).rows if row[2] == "AQ-Net, expectation"]
    assert rows[0][1] == "all" and float(rows[0][6]) == pytest.approx(-0.5, abs=0.01)


def test_a_baseline_says_at_cells_what_it_says_at_points(case: Map, scored: dict) -> None:
    kriging = OrdinaryKriging("log")
    given = case.observations
    field = StationField(given.lat, given.lon, given.values("pm25")[:12].astype(float), np.arange(30), HOURS)
    kriging.tune(field)
    lat, lon = (axis.ravel() for axis in np.meshgrid(LAT, LON, indexing="ij"))
    best = kriging.predict(field, lat, lon).best
    error = np.abs(best - case.truth["pm25"].values.reshape(12, -1)).mean()
    assert scored["methods"]["log-kriging"]["overall"]["mae"] == pytest.approx(error, rel=1e-4)


def test_answering_in_small_blocks_changes_nothing(case: Map, scored: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_truth, "_BLOCK_VALUES", 5 * len(HOURS))
    again = score_against_truth(
        case.cube,
        case.truth,
        observations=case.observations,
        covariates=Smoke(),
        baselines=ASKED,
        population=case.people,
    )["pm25"]
    for name in ASKED:
        assert again["methods"][name]["overall"] == pytest.approx(scored["methods"][name]["overall"], rel=1e-5)


def test_town_country_and_people_are_told_where_a_population_is_given(case: Map, scored: dict) -> None:
    own = scored["methods"][MODEL]
    assert {name: s["n"] for name, s in own["by_settlement"].items()} == {
        "town": len(HOURS),
        "country": len(HOURS) * (LAT.size * LON.size - 1),
    }
    kriged = scored["methods"]["log-kriging"]
    towns = kriged["by_settlement"]["town"]["mae"]
    assert abs(kriged["by_people"]["mae"] - towns) < 0.1 * towns
    bare = score_against_truth(case.cube, case.truth)["pm25"]["methods"][MODEL]
    assert "by_settlement" not in bare and "by_people" not in bare


def test_without_a_name_all_are_asked_but_those_that_take_too_long(case: Map) -> None:
    few = case.cube.isel(time=slice(0, 6), lat=slice(0, 2), lon=slice(0, 2))
    result = score_against_truth(few, case.truth, observations=case.observations, covariates=Smoke())["pm25"]
    every = [b.name for b in (*all_baselines(), *covariate_baselines())]
    assert list(result["methods"]) == [MODEL, *(n for n in every if n != "space-time-kriging")]
    assert list(score_against_truth(few, case.truth)["pm25"]["methods"]) == [MODEL]
    # Thirty hours tell little of a climatology, and enough not to take anything from the others.
    assert result["methods"]["climatology"]["overall"]["n"] == result["methods"]["nearest"]["overall"]["n"] > 0


def test_the_table_has_a_row_a_method_and_set_of_cells(scored: dict) -> None:
    table = truth_table({"pm25": scored})
    near = [name for name in ("0-5 km", "5-10 km", "10-25 km", "25-50 km") if name in scored["by_distance"]]
    assert near, "the network has cells within 50 km"
    sets = ["all", *near, "beyond 50 km", "town", "country", "by people"]
    assert [(row[1], row[2]) for row in table.rows] == [
        (s, m["title"]) for s in sets for m in scored["methods"].values()
    ]
    own = scored["methods"][MODEL]["overall"]
    best = min(scored["methods"].values(), key=lambda m: m["overall"]["mae"] if m["title"] != "AQ-Net" else np.inf)
    against = scored["against_best_baseline"]["mae"]
    assert against["ratio"] == pytest.approx(own["mae"] / best["overall"]["mae"])
    assert table.notes[-1].startswith("Verdict by MAE: ") and "PM2.5 every cell (" in table.notes[-1]
    assert table.rows[0][3:5] == [f"{own['mae']:.2f}", f"{own['rmse']:.2f}"]


def test_what_cannot_be_asked_is_refused(case: Map) -> None:
    with pytest.raises(ConfigError, match=r"no baseline 'log-krigin': .* did you mean"):
        score_against_truth(case.cube, case.truth, observations=case.observations, baselines=("log-krigin",))
    with pytest.raises(ConfigError, match="no baseline 'residual-kriging'"):
        score_against_truth(case.cube, case.truth, observations=case.observations, baselines=("residual-kriging",))
    sparse = case.cube.isel(time=slice(None, None, 3))
    with pytest.raises(CubeError, match="score an hourly cube"):
        score_against_truth(sparse, case.truth, observations=case.observations)
    with pytest.raises(CubeError, match="the population lacks"):
        score_against_truth(case.cube, case.truth, population=case.people.isel(lat=slice(0, 2)))


def _ramp() -> xr.Dataset:
    """A cube of two days of a value that tells its hour, row and column, at four distances."""
    hour, row, column = np.meshgrid(np.arange(48), np.arange(3), np.arange(4), indexing="ij")
    best = (100 * hour + 10 * row + column).astype(np.float32)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "pm2p5": (dims, best),
            "pm2p5_lower": (dims, best - 2, {"coverage_probability": 0.9}),
            "pm2p5_upper": (dims, best + 2),
            "nearest_station_distance": (("lat", "lon"), np.array([[1, 7, 30, 70]] * 3, np.float32)),
        },
        {
            "time": pd.date_range("2021-03-01 01:00", periods=48, freq="h"),
            "lat": [35.0, 35.5, 36.0],
            "lon": [110.0, 110.5, 111.0, 111.5],
        },
    )


def test_scores_against_the_truth_are_told_by_distance_to_the_network() -> None:
    cube = _ramp()
    error = np.array([0.0, 1.0, 2.0, 5.0], np.float32)
    truth = xr.Dataset({"pm25": (("time", "lat", "lon"), cube["pm2p5"].values + error)}, cube.coords)
    result = score_against_truth(cube, truth)["pm25"]
    assert result["overall"]["n"] == 48 * 12
    assert result["overall"]["mae"] == pytest.approx(2.0)
    assert result["overall"]["coverage"] == pytest.approx(0.75)
    assert {k: v["mae"] for k, v in result["by_distance"].items()} == {
        "0-5 km": 0.0, "5-10 km": 1.0, "25-50 km": 2.0, "50-100 km": 5.0,
    }  # fmt: skip


def test_a_truth_of_other_cells_or_hours_is_refused() -> None:
    cube = _ramp()
    truth = xr.Dataset({"pm25": (("time", "lat", "lon"), cube["pm2p5"].values)}, cube.coords)
    with pytest.raises(CubeError, match="lacks an hour or a cell"):
        score_against_truth(cube, truth.isel(time=slice(0, 10)))
    with pytest.raises(CubeError, match="lacks an hour or a cell"):
        score_against_truth(cube, truth.assign_coords(lat=truth["lat"] + 0.2))
    with pytest.raises(CubeError, match="share no pollutant"):
        score_against_truth(cube, truth.rename(pm25="o3"))
