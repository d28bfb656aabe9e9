"""Whether a run fits memory and disk: by arithmetic where that leaves no doubt, else by a trial."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aqreanalysis.common.memory import available_memory
from aqreanalysis.errors import OutputError
from aqreanalysis.production.dry_run.estimate import Estimate, MeasuredRates, Workers, estimate, workers_of
from aqreanalysis.production.dry_run.trial import measure_rates
from aqreanalysis.production.execute.schedule import default_threads
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import Plan
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import FREQUENCIES
from aqreanalysis.production.stores.store import Store
from aqreanalysis.production.sweep import GEOMETRY_BYTES

# Beyond what `Plan.working_bytes` counts: memory of a process that has loaded its libraries, readings and model.
PROCESS_BYTES = 1_000_000_000
Stores = Mapping[str, Store]
# How far that count may be off.
DOUBT = 2


def estimate_run(
    prepared: Prepared, options: ProduceOptions, stores: Stores, start_seconds: float = 0.0
) -> tuple[Estimate, MeasuredRates]:
    """Return what a run will take, after a trial of it on this machine, and what the trial measured.

    Parameters
    ----------
    prepared : Prepared
        The run.
    options : ProduceOptions
        Of the run.
    stores : mapping
        Frequency -> its store; the trial writes a temporary folder beside their outputs.
    start_seconds : float
        That reading and loading have taken.

    Raises
    ------
    OutputError
        If the trial cannot be written, or the scheduler does not answer.
    """
    crew = workers_of(options)
    folder = local_folder(stores) or Path(tempfile.gettempdir())
    concurrency = max(1, min(Workers(crew.concurrency).running, prepared.plan.blocks))
    rates = measure_rates(prepared, stores, folder, concurrency, crew.workers)
    return estimate(prepared, rates, crew, any(store.copies for store in stores.values()), start_seconds), rates


def check_estimate(estimated: Estimate, crew: Workers, stores: Stores, present_bytes: int = 0) -> None:
    """Refuse a run that does not fit.

    Parameters
    ----------
    estimated : Estimate
        Of the run.
    crew : Workers
        Who computes.
    stores : mapping
        Frequency -> its store.
    present_bytes : int
        Of the run on the disk already.

    Raises
    ------
    OutputError
        With the settings to change.
    """
    free = available_memory()
    if estimated.memory_bytes > free:
        what = f"{crew.processes} worker processes" if crew.workers else f"{crew.concurrency} threads"
        fewer = "--workers, " if crew.workers else ""
        raise OutputError(
            f"{what} need about {size_text(estimated.memory_bytes)} of memory by a trial, {size_text(free)} are free; "
            f"lower {fewer}production.tile_rows, production.tile_columns or production.block_days"
        )
    folder = local_folder(stores)
    if folder is None:
        return
    free = shutil.disk_usage(folder).free
    need = estimated.disk_bytes - present_bytes
    if need > free:
        copies = any(store.copies for store in stores.values())
        staging = ", with the chunks that the NetCDF file is made of" if copies else ""
        raise OutputError(
            f"the cube needs about {size_text(need)} under {folder} by a trial{staging}; {size_text(free)} are free; "
            "free some, write elsewhere, or take fewer hours, species or cells"
        )


def check_limits(prepared: Prepared, options: ProduceOptions, stores: Stores, part: Path) -> None:
    """Refuse a run that does not fit memory or disk; try it only where arithmetic leaves a doubt.

    Parameters
    ----------
    prepared, options, stores
        As of `estimate_run`.
    part : Path
        Its folder of what is unfinished; what is there already needs no more room.

    Raises
    ------
    OutputError
        With the settings to change.
    """
    crew = Workers(
        options.workers or options.threads or default_threads(), options.workers or 1, options.workers is not None
    )
    free, need = available_memory(), 0
    if options.scheduler is None:
        check_memory(prepared.working, crew.concurrency, free)
        need = DOUBT * prepared.working.working_bytes * crew.concurrency + PROCESS_BYTES * crew.processes
    most = prepared.sums_bytes + (GEOMETRY_BYTES if prepared.plan.counts[0] > 1 and not crew.workers else 0)
    for name, cube in prepared.cubes.items():
        most += cube.plan.raw_bytes * (2 if stores[name].copies else 1)
    folder = local_folder(stores)
    if need <= free and (folder is None or most <= shutil.disk_usage(folder).free):
        return
    present = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
    check_estimate(estimate_run(prepared, options, stores)[0], crew, stores, present)


def check_memory(plan: Plan, at_once: int, free: int) -> None:
    """Refuse a plan whose blocks in hand do not fit the memory.

    Parameters
    ----------
    plan : Plan
        The plan.
    at_once : int
        Blocks computed at the same time on this machine.
    free : int
        Bytes of memory.

    Raises
    ------
    OutputError
        With the settings to change.
    """
    need = plan.working_bytes * at_once
    if need > free:
        steps, rows, columns = plan.block
        period = FREQUENCIES[plan.frequency].period
        raise OutputError(
            f"blocks of {steps} {period}s x {rows} x {columns} cells, {at_once} at once, need about {size_text(need)} "
            f"of memory, {size_text(free)} are free; lower production.tile_rows, production.tile_columns or "
            "production.block_days"
        )


def local_folder(stores: Stores) -> Path | None:
    """Return the folder on this machine's disks that outputs go to, or the next one above that is there.

    That of temporary files where it cannot be written; None where the outputs go elsewhere.
    """
    folder = next(iter(stores.values())).disk
    if folder is None:
        return None
    for above in (folder, *folder.parents):
        if above.is_dir():
            return above if os.access(above, os.W_OK) else Path(tempfile.gettempdir())
    return Path(tempfile.gettempdir())


def size_text(count: float) -> str:
    """Return bytes as people write them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
