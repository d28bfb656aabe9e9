"""What ``aqreanalysis produce --dry-run`` prints: blocks, chunks, bytes, and by a trial time and memory."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aqreanalysis.production.dry_run.estimate import Estimate, MeasuredRates, Workers
    from aqreanalysis.production.options import ProduceOptions
    from aqreanalysis.production.plan.prepare import Prepared
    from aqreanalysis.production.stores.outputs import Outputs


def show_plan(prepared: Prepared, options: ProduceOptions, out: str, calibrate: bool, as_json: bool) -> None:
    """Print what a prepared run would do; nothing of it stays on the disk.

    Raises
    ------
    OutputError
        After printing, if it does not fit memory or disk.
    """
    from aqreanalysis.cli.printing import print_json, print_pairs
    from aqreanalysis.production.dry_run.estimate import workers_of
    from aqreanalysis.production.dry_run.limits import check_estimate, estimate_run
    from aqreanalysis.production.stores.outputs import Outputs

    outputs = Outputs.of(out, tuple(prepared.cubes))
    stores = outputs.open(options, prepared.production.compression_level)
    measured = estimate_run(prepared, options, stores, seconds_of_process()) if calibrate else None
    if as_json:
        print_json(describe(prepared, outputs, measured))
    else:
        pairs = _sweep_pairs(prepared) + _cube_pairs(prepared, outputs, measured)
        crew = workers_of(options)
        print_pairs(pairs + (_trial_pairs(prepared, crew, *measured) if measured else _size_pairs(prepared)))
    if measured is not None:
        check_estimate(measured[0], workers_of(options), stores)


def seconds_of_process() -> float:
    """Return how long this process has been running: what reading and loading took."""
    import psutil

    return max(time.time() - psutil.Process().create_time(), 0.0)


def describe(prepared: Prepared, outputs: Outputs, measured: tuple[Estimate, MeasuredRates] | None) -> dict[str, Any]:
    """Return the plan for ``--json``."""
    plan = prepared.plan
    cubes = {
        name: {
            "path": str(outputs.cubes[name]),
            "steps": cube.plan.steps,
            "layers": [layer.name for layer in cube.layers],
            "layer_bytes": {layer.name: _raw_bytes(cube, layer) for layer in cube.layers},
            "block": cube.plan.block,
            "chunk": cube.plan.chunk,
            "blocks": cube.plan.blocks,
            "raw_bytes": cube.plan.raw_bytes,
        }
        for name, cube in prepared.cubes.items()
    }
    described = {
        "hours": plan.hours,
        "rows": plan.rows,
        "columns": plan.columns,
        "species": prepared.species,
        "blocks": prepared.blocks,
        "block": plan.block,
        "raw_bytes": sum(cube.plan.raw_bytes for cube in prepared.cubes.values()),
        "sums_bytes": prepared.sums_bytes,
        "block_working_bytes": prepared.working.working_bytes,
        "cubes": cubes,
    }
    if measured is not None:
        estimate, rates = measured
        totals = {name: getattr(estimate, name) for name in ("seconds", "cube_bytes", "memory_bytes")}
        described |= {"estimate": asdict(estimate) | totals, "trial": asdict(rates)}
    return described


def _raw_bytes(cube: Any, layer: Any) -> int:
    import numpy as np

    steps = cube.plan.steps if "time" in layer.dims else 1
    return int(steps * cube.plan.rows * cube.plan.columns * np.dtype(layer.dtype).itemsize)


def _sweep_pairs(prepared: Prepared) -> list[tuple[str, str]]:
    from aqreanalysis.common.hours import stamp_text

    plan = prepared.plan
    hours, rows, columns = plan.block
    first = f"the first from {stamp_text(plan.first_hour - 1)}"
    return [
        ("sweep", f"{plan.hours} hours x {plan.rows} x {plan.columns} cells, {first}"),
        ("blocks", f"{plan.blocks}, of {hours} hours x {rows} x {columns} cells each at most"),
    ]


def _cube_pairs(
    prepared: Prepared, outputs: Outputs, measured: tuple[Estimate, MeasuredRates] | None
) -> list[tuple[str, str]]:
    from aqreanalysis.cli.printing import human_size
    from aqreanalysis.production.plan.timeline import FREQUENCIES, HOURLY

    pairs = []
    for name, cube in prepared.cubes.items():
        period, (steps, rows, columns) = FREQUENCIES[name].period, cube.plan.chunk
        joined = "" if name == HOURLY else f", joined in {cube.plan.blocks} blocks"
        pairs += [
            (
                name,
                f"{outputs.cubes[name]}: {cube.plan.steps} {period}s, {human_size(cube.plan.raw_bytes)} before "
                "compression",
            ),
            ("", f"chunks of {steps} {period}s x {rows} x {columns} cells{joined}"),
        ]
        stored = measured[0].stored_bytes[name] if measured else {}
        for layer in cube.layers:
            size = f", about {human_size(stored[layer.name])} compressed" if stored else ""
            pairs.append(("", f"{layer.name}: {human_size(_raw_bytes(cube, layer))}{size}"))
    if prepared.sums_bytes:
        pairs.append(("sums", f"{human_size(prepared.sums_bytes)} of sums of days, until the means are joined"))
    return pairs


def _size_pairs(prepared: Prepared) -> list[tuple[str, str]]:
    from aqreanalysis.cli.printing import human_size

    return [
        ("size", f"{human_size(sum(cube.plan.raw_bytes for cube in prepared.cubes.values()))} before compression"),
        ("memory", f"about {human_size(prepared.working.working_bytes)} a block in hand"),
    ]


def _trial_pairs(prepared: Prepared, crew: Workers, estimate: Estimate, rates: MeasuredRates) -> list[tuple[str, str]]:
    from aqreanalysis.cli.printing import human_size, human_time

    raw = sum(cube.plan.raw_bytes for cube in prepared.cubes.values())
    who = f"{crew.processes} worker processes" if crew.workers else f"{crew.concurrency} threads"
    each = "a worker" if crew.workers else "the process"
    speed = prepared.plan.hours * prepared.plan.rows * prepared.plan.columns / estimate.sweep_seconds / 1e6
    return [
        ("size", f"{human_size(raw)} before compression, about {human_size(estimate.cube_bytes)} compressed"),
        ("disk", f"about {human_size(estimate.disk_bytes)} at the fullest moment"),
        (
            "memory",
            f"about {human_size(estimate.worker_bytes)} {each}, {human_size(estimate.memory_bytes)} on this machine",
        ),
        (
            "time",
            f"about {human_time(estimate.seconds)}: {human_time(estimate.start_seconds)} to begin, "
            f"{human_time(estimate.sweep_seconds)} of sweep ({speed:.3g} million cell-hours a second with {who}, "
            f"{estimate.processor_seconds / 3600:.3g} processor hours), "
            f"{human_time(estimate.finish_seconds)} to finish",
        ),
        (
            "trial",
            f"{human_time(rates.seconds)}: {rates.encode_seconds:.3g} s for the station states of a time block, "
            f"{1e6 * rates.geometry_seconds:.3g} us for the geometry of a cell, {1e9 * rates.sweep_seconds:.3g} ns a "
            f"cell and hour in each of {rates.concurrency} threads, disk "
            f"{human_size(rates.disk_bytes_a_second)} a second",
        ),
    ]
