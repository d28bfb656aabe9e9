"""What a kerb would read at places of a cube of background air."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, export_points
from aqreanalysis.export.street_values import StreetValues, street_values
from aqreanalysis.model import Bundle, Scaling, read_bundle
from aqreanalysis.model.distribution.station_groups import GroupErrors, StationGroups

KERB = GroupErrors(mean=0.5, spread=0.05, noise=0.1, shared=0.05, shared_km=100.0, stations=9, helps=True)
PLACES = pd.DataFrame({"place": ["a", "b"], "lat": [39.8, 39.5], "lon": [117.3, 117.0], "kind": ["x", "y"]})


@pytest.fixture(scope="module")
def bundle(cubes) -> Bundle:
    """Return the model of the cube, as if its record had had kerbs."""
    return replace(read_bundle(cubes.model), groups=StationGroups(groups={"pm25": {"traffic": KERB}}))


def test_a_kerb_reads_its_factor_more_and_surely_less_surely(cubes, bundle: Bundle, tmp_path: Path) -> None:
    with CubeSource(cubes.far) as cube:
        export_points(cube, PLACES[["place", "lat", "lon"]], tmp_path / "air.parquet")
        street = street_values(cube, "kerb", bundle)
        export_points(cube, PLACES, tmp_path / "kerb.parquet", street=street)
    air, kerb = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("air", "kerb"))
    scaling = bundle.scaling["pm25"]
    factor = (kerb["value"] + scaling.offset) / (air["value"] + scaling.offset)
    np.testing.assert_allclose(factor[factor.notna()], np.exp(KERB.mean * scaling.std), rtol=1e-4)
    known = air["value"].notna()
    assert known.any() and (kerb["upper"] > air["upper"])[known].all()
    assert (kerb["standard_error"] > air["standard_error"])[known].all()
    assert ((kerb["lower"] < kerb["value"]) & (kerb["value"] < kerb["upper"]))[known].all()
    assert set(kerb["kind"]) == {"traffic"} and set(kerb["place_kind"]) == {"x", "y"}
    assert "kind" not in air


def test_the_expectation_and_the_width_are_those_of_the_site_too() -> None:
    scaling = Scaling(offset=2.0, mean=3.0, std=0.5, typical_error=5.0)
    fields = {name: np.full((1, 1), value, np.float32) for name, value in (("value", 20.0), ("expectation", 21.0))}
    fields |= {name: np.full((1, 1), value, np.float32) for name, value in (("lower", 10.0), ("upper", 38.0))}
    fields["standard_error"] = np.full((1, 1), 7.0, np.float32)
    wide, narrow = (
        StreetValues("traffic", {"pm25": KERB}, {"pm25": scaling}, {"pm25": half}).applied("pm25", fields)
        for half in (1.6449, 0.6745)
    )
    # A log-normal's mean: a mean of logs of 0.5 and a variance of 0.2 more, in units of the scaling's spread.
    grown = (21.0 + 2.0) * np.exp(0.5 * 0.5 + 0.2 * 0.5**2 / 2) - 2.0
    np.testing.assert_allclose(wide["expectation"], grown, rtol=1e-5)
    assert wide["upper"] > narrow["upper"] > fields["upper"] and wide["value"] == narrow["value"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("rural", "the cube is of background air already"),
        ("industrial", "knows nothing of such stations for pm25 .*traffic it does"),
    ],
)
def test_kinds_of_which_nothing_was_learned_are_refused(cubes, bundle: Bundle, kind: str, message: str) -> None:
    with CubeSource(cubes.far) as cube, pytest.raises(OutputError, match=message):
        street_values(cube, kind, bundle)


def test_another_model_than_that_of_the_cube_is_refused(cubes, bundle: Bundle) -> None:
    other = replace(bundle, provenance=bundle.provenance | {"model_digest": "f" * 64})
    with CubeSource(cubes.far) as cube, pytest.raises(OutputError, match="give the model of the cube"):
        street_values(cube, "kerb", other)
