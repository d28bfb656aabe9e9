"""Covariates of a run: read block by block, named in the cube, and refused where their hours are missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from fields_case import DAYS, FIRST, MadeUp, network, trained

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ModelError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.checks import covariates_text, missing_hours
from aqreanalysis.production.plan.inputs import HourSpan, stage_readings
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.run import produce
from aqreanalysis.production.sweep import sweep

GRID = "114,38,117,40@0.5"
START = np.datetime64(FIRST + 24 - 1, "h")
MISSING = (FIRST + 70, FIRST + 71)


@pytest.fixture(scope="module")
def windy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return trained(folder / "windy", MadeUp(), "species=[pm25]", "training.learning_rate=0.1")


def span(days: int = 3) -> tuple[str, str]:
    return str(START), str(START + np.timedelta64(24 * days, "h"))


def field(model: Path, folder: Path, grid: str, production: ProductionConfig) -> np.ndarray:
    """Return the best estimate (hour, row, column) assembled from the blocks of a plan."""
    predictor, observations = load_predictor(model, "cpu", MadeUp(missing=MISSING)), network()
    prepared = prepare(predictor, observations, grid, span(), ProduceOptions(production=production))
    window = stage_readings(observations, predictor.inputs, prepared.span, folder / "readings.npy")
    plan = prepared.plan
    blocks: Iterable = [plan.get_block(n) for n in range(plan.blocks)]
    out = np.full(plan.shape, np.nan, np.float32)
    for block, layers in sweep(prepared.sweep_inputs(window), blocks):
        out[block.region] = layers["pm2p5"]
    return out


def test_numbers_depend_on_no_block_and_no_region(windy: Path, tmp_path: Path) -> None:
    whole = field(windy, tmp_path, GRID, ProductionConfig(block_days=3, keepbits=0))
    assert np.isfinite(whole).all()
    small = field(windy, tmp_path, GRID, ProductionConfig(block_days=1, tile_rows=2, tile_columns=3, keepbits=0))
    np.testing.assert_allclose(small, whole, rtol=1e-5)
    corner = field(windy, tmp_path, "115,38.5,116,39.5@0.5", ProductionConfig(block_days=2, keepbits=0))
    rows, columns = corner.shape[1:]
    np.testing.assert_allclose(corner, whole[:, 1 : 1 + rows, 2 : 2 + columns], rtol=1e-5)


def test_a_cube_names_its_covariates_and_counts_the_hours_that_lack_them(windy: Path, tmp_path: Path) -> None:
    options = ProduceOptions(covariates=MadeUp(missing=MISSING), device="cpu", threads=1)
    cube = produce(windy, network(), GRID, *span(1), tmp_path / "day.nc", options)
    assert cube.attrs["covariates"].startswith("u10, v10, blh, sha256 made up")
    assert cube.attrs["covariates"].endswith("read: u10 2, v10 2, blh 2")
    assert np.isfinite(cube["pm2p5"]).all()


def test_a_run_is_known_by_its_covariates(windy: Path) -> None:
    def fingerprint(covariates: MadeUp) -> dict:
        return prepare(windy, network(), GRID, span(), ProduceOptions(covariates=covariates, device="cpu")).fingerprint

    mine, other = fingerprint(MadeUp()), fingerprint(MadeUp(missing=MISSING))
    assert mine["covariates"] != other["covariates"]
    assert {k for k in mine if mine[k] != other[k]} == {"covariates"}


def test_a_model_with_covariates_is_not_run_without(windy: Path) -> None:
    with pytest.raises(ModelError, match="u10, v10, blh are missing; give the files with --covariates"):
        prepare(windy, network(), GRID, span(), ProduceOptions(device="cpu"))


def test_files_of_other_hours_are_refused_with_the_field_and_the_hours(windy: Path) -> None:
    elsewhere = MadeUp(missing=tuple(range(FIRST - 240, FIRST + 24 * DAYS + 240)))
    with pytest.raises(ModelError, match=r"no u10, v10, blh among the covariates between 2016-07-18T01 UTC and"):
        prepare(windy, network(), GRID, span(), ProduceOptions(covariates=elsewhere, device="cpu"))


def test_missing_hours_are_counted_by_field(windy: Path) -> None:
    predictor = load_predictor(windy, "cpu", MadeUp(missing=MISSING))
    assert missing_hours(predictor, HourSpan(FIRST + 60, 24)) == {"u10": 2, "v10": 2, "blh": 2}
    assert "hours without a value" not in covariates_text(predictor, HourSpan(FIRST, 24))["covariates"]
