"""What a run needs no longer is not kept: the readings, once they are staged."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest
from production_case import END, GRID, START, TILES, make_bundle, make_observations

from aqreanalysis.production import ProduceOptions, produce_cubes
from aqreanalysis.production.execute.memory import outline


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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
def test_what_lies_freed_below_what_is_in_use_is_given_back():
    code = (
        "import psutil\n"
        "from aqreanalysis.production.execute.memory import give_back\n"
        "pieces = [bytes(1000) for _ in range(200_000)]\n"
        "last = bytes(1000)\n"
        "del pieces\n"
        "before = psutil.Process().memory_info().rss\n"
        "give_back()\n"
        "print(before - psutil.Process().memory_info().rss)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert int(told) > 100_000_000
