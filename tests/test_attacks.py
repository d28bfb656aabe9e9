"""What strangers send ends in one line with status 2, or does no harm: see `attack_kit`, and SECURITY.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attack_case import SECRET, Assets, Attack, Outcome, attempt, judge
from attack_kit import all_attacks

#: Too long for every day: a training, a compliance checker, hundreds of megabytes packed.
_LONG = {
    "_config",
    "_fingerprint",
    "_tiff_static",
    "_zipped",
    "_gzipped",
    "_many",
    "_zip_covariates",
    "_tiff_covariate",
}
_LONG |= {"_cube", "_written", "_store", "_link_chunk", "_sparse_places", "_sparse_list", "_sparse_store", "_zmetadata"}
_LONG |= {
    "_tiff_covariate",
    "_polygons",
    "_formula_polygons",
    "_span",
    "_parquet_rows",
    "_import",
    "_note_of_places",
    "_slip_covariates",
}


def _first_of_each_kind() -> set[int]:
    """Return the places of the attacks that are tried every day: the first that each function prepares."""
    first: dict[str, int] = {}
    for number, one in enumerate(all_attacks()):
        first.setdefault(one.prepare.__name__, number)
    return {number for name, number in first.items() if name not in _LONG}


_DAILY = _first_of_each_kind()
_CASES = [
    pytest.param(one, id=f"{one.kind}: {one.name}", marks=[] if number in _DAILY else [pytest.mark.slow])
    for number, one in enumerate(all_attacks())
]


@pytest.fixture(scope="module")
def assets(production_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """Return what a user has; everything that a command needs is imported, so that a fork begins at once."""
    from production_case import GRID, TILES, make_frame

    from aqreanalysis.production import ProduceOptions, produce

    folder = tmp_path_factory.mktemp("assets")
    model, observations = production_files
    make_frame().to_csv(folder / "obs.csv", index=False)
    kinds = {"x.nc": {}, "x2.zarr": {}, "x3.zarr": {"zarr_format": 3}}
    for name, more in kinds.items():
        options = ProduceOptions(production=TILES, **more)
        produce(model, observations, GRID, "2019-01-03", "2019-01-05", folder / name, options).close()
    return Assets(model, observations, folder / "obs.csv", *(folder / name for name in kinds))


@pytest.mark.parametrize("attack", _CASES)
def test_an_attack_ends_in_one_line_or_does_no_harm(attack: Attack, assets: Assets, tmp_path: Path) -> None:
    outcome = attempt(attack.prepare(assets, tmp_path), tmp_path)
    assert judge(attack, outcome, tmp_path) == ""


def test_what_falls_is_seen(tmp_path: Path) -> None:
    attack = Attack("none", "none", lambda assets, folder: [])
    for outcome in (
        Outcome(0, "fine", "", 0.1),
        Outcome(1, "", "Error: unexpected KeyError: 'a'\n", 0.1),
        Outcome(2, "", "Error: a\nError: b\n", 0.1),
        Outcome(2, "", "Error: \x1b]0;owned\x07\n", 0.1),
        Outcome(2, "", f"Error: s3://{SECRET}@bucket\n", 0.1),
        Outcome(2, "", "Error: out of memory\n", 0.1),
        Outcome(2, "", "Error: a\n", 500.0),
        Outcome(-9, "", "", 0.1),
    ):
        assert judge(attack, outcome, tmp_path), outcome
    assert judge(attack, Outcome(2, "", "Error: a\n", 0.1), tmp_path) == ""


def test_a_command_that_eats_memory_or_waits_for_ever_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    assert attempt(["observations", "check", "t.csv"], tmp_path).status == 2
