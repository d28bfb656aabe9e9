"""The sweep: north China at 0.05 degree (401 x 201), a week, PM2.5 with all its layers, beside writing and others.

    python benchmarks/sweep.py --model outputs/models/north [--data ../shared/data/china_north_2019.parquet] [--short]

Rows of the table, in million cell-hours a second: the sweep from its first block to the closed Zarr store; writing that
finished cube again from memory with the same codec and chunks; PyKrige's ordinary kriging (C backend, 16 nearest) of a
few hours, the field alone; the interpolation of the reference implementation as its paper describes it (k nearest
stations weighted by inverse distance, gathered and summed by torch for all hours), the field alone, nothing written.
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from producing import machine, parser, produce_timed, record, table, timed

from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.observations import Observations, read_observations, window

WEEK, SHORT = ("2019-01-07", "2019-01-14"), ("2019-01-07", "2019-01-08")
KRIGING_NEIGHBOURS = 16


def write_again(cube: Path, out: Path) -> Any:
    """Return the call that writes the arrays of a finished Zarr cube from memory with its codec and chunks."""
    source = zarr.open_group(cube, mode="r")
    arrays = {name: (array, array[...]) for name, array in source.arrays()}

    def write() -> None:
        shutil.rmtree(out, ignore_errors=True)
        group = zarr.open_group(out, mode="w", zarr_format=2)
        for name, (array, values) in arrays.items():
            form = {"chunks": array.chunks, "compressors": array.compressors} if values.ndim else {}
            group.create_array(name, shape=values.shape, dtype=values.dtype, fill_value=array.fill_value, **form)
            group[name][...] = values

    return write


def kriging_seconds(observations: Observations, grid: Grid, hours: int) -> float:
    """Return the median seconds of an hour of PyKrige's ordinary kriging on the grid, with its variogram fitted."""
    from pykrige.ok import OrdinaryKriging

    values = readings(observations, WEEK[0], hours)
    middle = np.cos(np.radians(grid.lat.mean())) * 111.2
    seconds = []
    for one in values:
        seen = np.isfinite(one)
        place = observations.lon[seen] * middle, observations.lat[seen] * 111.2
        began = time.perf_counter()
        kriging = OrdinaryKriging(*place, one[seen].astype(float), variogram_model="exponential")
        kriging.execute("grid", grid.lon * middle, grid.lat * 111.2, backend="C", n_closest_points=KRIGING_NEIGHBOURS)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def reference_knn(observations: Observations, grid: Grid, hours: int, neighbours: int) -> Any:
    """Return the call that interpolates all hours by inverse distance to the nearest stations, as a batch in torch.

    The published method takes the stations' series as complete; gaps are filled with the hour's mean before the clock
    starts. Weights are those of a place and made inside, as the reference makes them in every forward pass.
    """
    import torch

    values = readings(observations, WEEK[0], hours)
    values = np.where(np.isfinite(values), values, np.nanmean(values, axis=1, keepdims=True))
    series = torch.from_numpy(np.ascontiguousarray(values.T))  # station, hour
    stations = torch.tensor(np.column_stack((observations.lat, observations.lon)), dtype=torch.float32)
    lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
    places = torch.tensor(np.column_stack((lat.ravel(), lon.ravel())), dtype=torch.float32)

    @torch.inference_mode()
    def interpolate() -> None:
        for some in places.split(4096):
            distance, index = torch.cdist(some, stations).topk(neighbours, largest=False)
            weights = 1 / (distance + 1e-6)
            weights = weights / weights.sum(dim=1, keepdim=True)
            torch.einsum("pk,pkt->pt", weights, series[index])

    return interpolate


def readings(observations: Observations, start: str, hours: int) -> NDArray[np.float32]:
    """Return PM2.5 (hour, station) from `start` on."""
    first = int(np.datetime64(start, "h").astype(int)) + 1
    return window(observations, ("pm25",), first, hours)[0][:, :, 0]


def main() -> None:
    """Run it all."""
    options = parser(__doc__)
    options.add_argument("--grid", default="north-china-0.05")
    options.add_argument("--neighbours", type=int, default=10, help="of the reference's interpolation")
    asked = options.parse_args()
    work, span = asked.work / "sweep", SHORT if asked.short else WEEK
    grid_name = "north-china-0.1" if asked.short else asked.grid
    repeat, kriged = (1, 1) if asked.short else (asked.repeat, 3)
    work.mkdir(parents=True, exist_ok=True)
    job = {"model": asked.model, "observations": asked.data, "grid": grid_name, "start": span[0], "end": span[1]}
    runs = [produce_timed(**job, out=work / "week.zarr", species=["pm25"], device="cpu") for _ in range(repeat)]
    sweep, cells = median(r.sweep_seconds for r in runs), runs[0].cell_hours
    again = timed(write_again(work / "week.zarr", work / "again.zarr"), repeat)
    observations, grid = read_observations(asked.data), load_grid(grid_name)
    hours = cells // grid.size
    kriging = kriging_seconds(observations, grid, kriged) * hours
    reference = timed(reference_knn(observations, grid, hours, asked.neighbours), repeat)
    rates = {name: cells / s / 1e6 for name, s in (("sweep", sweep), ("kriging", kriging), ("reference", reference))}
    rows = [
        ("the sweep, all layers, written", sweep, rates["sweep"], "", "3 million, aim 10"),
        ("that cube written again from memory", again, cells / again / 1e6, sweep / again, "at most 4, aim 1.5"),
        (f"PyKrige, {KRIGING_NEIGHBOURS} nearest, field", kriging, rates["kriging"], kriging / sweep, "10, aim 50"),
        (
            f"reference kNN, {asked.neighbours} nearest, field",
            reference,
            rates["reference"],
            reference / sweep,
            "1, aim 3",
        ),
    ]
    lines = [
        "# The sweep",
        "",
        f"`benchmarks/sweep.py`, {grid_name}, {hours} h, {len(observations.stations)} stations, PM2.5; medians of "
        f"{repeat}, kriging of {kriged} hours taken for {hours}. {machine()}.",
        "",
        *table(("what", "seconds", "million cell-hours/s", "ratio", "bar"), rows),
        "",
        "Ratio: time of the sweep over writing; time of the other method over the sweep.",
    ]
    record("sweep", lines, {"seconds": sweep, "cell_hours": cells, "write_seconds": again, "rates": rates}, asked.short)


if __name__ == "__main__":
    main()
