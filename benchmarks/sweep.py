"""The sweep: north China at 0.05 degree (401 x 201), a month, PM2.5 with all its layers, beside writing and others.

    python benchmarks/sweep.py --model outputs/models/north [--data ../shared/data/china_north_2019.parquet] [--short]
    python benchmarks/sweep.py --model outputs/models/north --against ../other-checkout

The second form times the program of another checkout beside this one, the same job in turns (this, other, this, other,
...), each run a process of its own, and nothing else. Rows of the first one's table, in million cell-hours a second:
the sweep from its first finished block to the closed Zarr store; writing that finished cube again from memory with the
same codec and chunks; PyKrige's ordinary kriging (C backend, 16 nearest) of a few hours, the field alone; the
interpolation of the reference implementation as its paper describes it (k nearest stations weighted by inverse
distance, gathered and summed by torch for all hours), the field alone, nothing written. How to make a model: see
benchmarks/producing.py.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from producing import MONTH, SHORT, in_turns, machine, package_tree, parser, produce_timed, record, table, timed

from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.observations import Observations, read_observations, window

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

    values = readings(observations, MONTH[0], hours)
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

    values = readings(observations, MONTH[0], hours)
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


def compare(job: dict[str, Any], work: Path, checkout: Path, repeat: int, short: bool) -> None:
    """Time the job by the program here and by that of another checkout, in turns, and write what came out."""
    tree = package_tree(checkout, work)
    cases = {
        "here": lambda: produce_timed(**job, out=work / "here.zarr"),
        "the other": lambda: produce_timed(tree=tree, **job, out=work / "other.zarr"),
    }
    if not short:  # The first run of each compiles loops and fills caches of the system.
        in_turns(cases, 1)
    runs = in_turns(cases, repeat)
    seconds = {name: median(r.sweep_seconds for r in some) for name, some in runs.items()}
    worked = {name: median(r.processor_seconds for r in some) for name, some in runs.items()}
    whole = {name: median(r.seconds for r in some) for name, some in runs.items()}
    peaks = {name: max(r.peak_bytes for r in some) / 1e9 for name, some in runs.items()}
    rows = [
        (n, seconds[n], runs[n][0].cell_hours / seconds[n] / 1e6, worked[n], whole[n], peaks[n], commit_of(path))
        for n, path in (("here", Path(__file__).parents[1]), ("the other", checkout))
    ]
    ratios = [other.sweep_seconds / here.sweep_seconds for here, other in zip(*runs.values(), strict=True)]
    lines = [
        "# The sweep beside another checkout",
        "",
        f"`benchmarks/sweep.py --against`, {job['grid']}, {job['start']} to {job['end']}, PM2.5; medians of {repeat}, "
        f"in turns. {machine()}.",
        "",
        *table(("program", "seconds", "million cell-hours/s", "processor, s", "process, s", "GB", "commit"), rows),
        "",
        f"Speed here over that of the other: {seconds['the other'] / seconds['here']:.3f} by the medians; turn by turn "
        f"{', '.join(f'{r:.3f}' for r in ratios)}.",
    ]
    figures = {name: [r.sweep_seconds for r in some] for name, some in runs.items()}
    record("sweep_against", lines, figures, short)


def commit_of(checkout: Path) -> str:
    """Return the short commit of a checkout; a dash where git knows none."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "-"


def main() -> None:
    """Run it all."""
    options = parser(__doc__)
    options.add_argument("--grid", default="north-china-0.05")
    options.add_argument("--neighbours", type=int, default=10, help="of the reference's interpolation")
    options.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, timed beside this one")
    asked = options.parse_args()
    work, span = asked.work / "sweep", SHORT if asked.short else MONTH
    grid_name = "north-china-0.1" if asked.short else asked.grid
    repeat, kriged = (1, 1) if asked.short else (asked.repeat, 3)
    work.mkdir(parents=True, exist_ok=True)
    job = {"model": asked.model, "observations": asked.data, "grid": grid_name, "start": span[0], "end": span[1]}
    job |= {"species": ["pm25"], "device": "cpu"}
    if asked.against is not None:
        compare(job, work, asked.against, repeat, asked.short)
        return
    runs = [produce_timed(**job, out=work / "month.zarr") for _ in range(repeat)]
    sweep, cells = median(r.sweep_seconds for r in runs), runs[0].cell_hours
    again = timed(write_again(work / "month.zarr", work / "again.zarr"), repeat)
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
