"""How a pollutant, a reader, an export and a grid are added: the additions of docs/architecture.md, done.

A store is added in tests/test_production_stores_outputs.py, a baseline in tests/test_evaluation_protocols.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from production_case import END, GRID, START, make_bundle, make_frame, tiled

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError
from aqreanalysis.export import CubeSource
from aqreanalysis.export.files import whole_file
from aqreanalysis.grids import load_grid
from aqreanalysis.observations import from_frame, list_formats, read_observations
from aqreanalysis.observations.flags import LIMITS, Limits
from aqreanalysis.observations.formats import registry
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.production import produce
from aqreanalysis.species import SPECIES, Species, get_species


def test_a_pollutant_is_two_lines_and_ends_in_a_cube(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match="unknown pollutant 'no'"):
        get_species("no")
    name = "mass_concentration_of_nitrogen_monoxide_in_air"
    monkeypatch.setitem(SPECIES, "no", Species("no", "no", name, "NO", "ug m-3", 2000.0, 30.006))
    monkeypatch.setitem(LIMITS, "no", Limits(stuck_hours=24, plateau=10.0, plateau_hours=72, spike=400.0))
    observations = from_frame(make_frame().rename(columns={"o3": "no"}))
    assert observations.species == ("pm25", "no")
    model = make_bundle(tmp_path / "model", ("no",), inputs=("pm25", "no"))
    with produce(model, observations, GRID, START, END, tmp_path / "cube.nc", tiled()) as cube:
        assert cube.no.attrs["standard_name"] == name and cube.no.attrs["units"] == "ug m-3"
        assert np.isfinite(cube.no.values).all()


def test_a_reader_is_one_decorated_function_and_its_files_are_known_by_their_columns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = registry.find_format("table")  # Every format that is there is loaded by now.
    monkeypatch.setattr(registry, "_FORMATS", dict(registry._FORMATS))
    monkeypatch.setattr(registry, "_load", lambda: registry._FORMATS)

    @station_format(
        name="towers",
        title="CSV of the towers",
        document="https://example.org/towers",
        columns=("tower", "hour_ending", "north", "east"),
    )
    def read_towers(context: ReadContext) -> Iterator[RawRecords]:
        own = {"station": "tower", "time": "hour_ending", "lat": "north", "lon": "east"}
        context.columns = context.columns.model_copy(update=own)
        return table.read(context)

    frame = make_frame().rename(columns={"station_id": "tower", "time": "hour_ending", "lat": "north", "lon": "east"})
    frame.to_csv(tmp_path / "towers.csv", index=False)
    assert "towers" in [one.name for one in list_formats()]
    observations = read_observations(tmp_path / "towers.csv")
    assert observations.digest() == from_frame(make_frame()).digest()


def export_hourly_means(
    source: CubeSource, out: Path, overwrite: bool = False, progress: Progress | None = None
) -> Path:
    """Write a line a step: its end and the mean of the first pollutant over the cube's cells."""
    layer = next(iter(source.species.values())).best
    with whole_file(out, (".txt",), overwrite) as part, part.open("w") as file:
        for steps in source.slabs():
            for stamp, field in zip(source.dataset.time.values[steps], source.read(layer, steps), strict=True):
                file.write(f"{stamp:.19} {np.nanmean(field):.3f}\n")
            if progress is not None:
                progress(steps.stop, source.dataset.sizes["time"], "means")
    return out


def test_an_export_is_one_function_on_a_cube_source(cubes, tmp_path: Path) -> None:
    out = export_hourly_means(CubeSource(cubes.one), tmp_path / "means.txt")
    lines = out.read_text().splitlines()
    with CubeSource(cubes.one).dataset as cube:
        assert len(lines) == cube.sizes["time"] == 72
        assert float(lines[5].split()[1]) == pytest.approx(float(cube.pm2p5[5].mean()), abs=1e-3)


def test_a_grid_is_one_file(production_files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "bohai.yaml").write_text("west: 116\nsouth: 39\neast: 118\nnorth: 40\nstep: 0.5\ntitle: Bohai\n")
    assert load_grid(tmp_path / "bohai.yaml").name == "bohai"
    with produce(*production_files, tmp_path / "bohai.yaml", START, END, tmp_path / "cube.zarr", tiled()) as cube:
        assert dict(cube.sizes)["lat"] == 3 and cube.lon.values.tolist() == [116, 116.5, 117, 117.5, 118]
