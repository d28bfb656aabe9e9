"""What a run needs no longer is not kept: the readings, once they are staged."""

from __future__ import annotations

import gc
import weakref

from production_case import END, GRID, START, TILES, make_bundle, make_observations

from aqreanalysis.production import ProduceOptions, produce_cubes
from aqreanalysis.production.run.memory import give_back, outline


def test_an_outline_keeps_stations_and_attributes_and_none_of_the_readings():
    whole = make_observations()
    part = outline(whole)
    assert part.stations == whole.stations and part.species == whole.species
    assert part.attributes == whole.attributes and len(part.times) == 1
    assert all(variable.values.base is None for variable in part.dataset.data_vars.values())


def test_readings_that_only_the_run_holds_are_gone_while_it_sweeps(tmp_path):
    alive: list[bool] = []
    held = [make_observations()]
    seen = weakref.ref(held[0])

    def progress(done: int, total: int, note: str) -> None:
        if not alive:  # once is enough, and takes a fifth of a second
            gc.collect()
            alive.append(seen() is not None)

    options = ProduceOptions(production=TILES, threads=1, progress=progress)
    model = make_bundle(tmp_path / "bundle")
    (cube,) = produce_cubes(model, held.pop(), GRID, (START, END), tmp_path / "x.nc", options).values()
    cube.close()
    assert alive == [False]


def test_giving_back_is_harmless():
    give_back()
