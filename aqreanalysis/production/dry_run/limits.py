"""Whether a run fits memory and disk: by arithmetic where that leaves no doubt, else by a trial."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from aqreanalysis.errors import OutputError
from aqreanalysis.production.dry_run.estimate import Crew, Estimate, Rates, crew_of, estimate
from aqreanalysis.production.dry_run.trial import Trial, measure_rates, trial_folder
from aqreanalysis.production.execute.worker import default_threads
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.blocks import available_memory, check_memory, size_text
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.stores.zarr import StoreForm

# Beyond what `Plan.working_bytes` counts: memory of a process that has loaded its libraries, readings and model.
PROCESS_BYTES = 1_000_000_000
# How far that count may be off.
DOUBT = 2


def foresee(
    prepared: Prepared, options: ProduceOptions, out: str, start_seconds: float = 0.0
) -> tuple[Estimate, Rates]:
    """Return what a run will take, after a trial of it on this machine, and what the trial measured.

    Parameters
    ----------
    prepared : Prepared
        The run.
    options : ProduceOptions
        Of the run.
    out : str
        Its output; the trial writes a temporary folder beside it.
    start_seconds : float
        That reading and loading have taken.

    Raises
    ------
    OutputError
        If the trial cannot be written, or the scheduler does not answer.
    """
    crew, netcdf = crew_of(options), out.endswith(".nc")
    folder = local_folder(out) or Path(tempfile.gettempdir())
    lanes = max(1, min(Crew(crew.lanes).running, prepared.plan.blocks))
    rates = measure_rates(
        Trial(prepared, netcdf, StoreForm(options.zarr_format, options.shards), lanes, folder, crew.workers)
    )
    return estimate(prepared, rates, crew, netcdf, start_seconds), rates


def refuse(found: Estimate, crew: Crew, out: str, present_bytes: int = 0) -> None:
    """Refuse a run that does not fit.

    Parameters
    ----------
    found : Estimate
        Of the run.
    crew : Crew
        Who computes.
    out : str
        Its output.
    present_bytes : int
        Of the run on the disk already.

    Raises
    ------
    OutputError
        With the settings to change.
    """
    free = available_memory()
    if found.memory_bytes > free:
        what = f"{crew.processes} worker processes" if crew.workers else f"{crew.lanes} threads"
        fewer = "--workers, " if crew.workers else ""
        raise OutputError(
            f"{what} need about {size_text(found.memory_bytes)} of memory by a trial, {size_text(free)} are free; "
            f"lower {fewer}production.tile_rows, production.tile_columns or production.block_days"
        )
    folder = local_folder(out)
    if folder is None:
        return
    free = shutil.disk_usage(folder).free
    need = found.disk_bytes - present_bytes
    if need > free:
        staging = ", with the chunks that the NetCDF file is made of" if out.endswith(".nc") else ""
        raise OutputError(
            f"the cube needs about {size_text(need)} under {folder} by a trial{staging}; {size_text(free)} are free; "
            "free some, write elsewhere, or take fewer hours, species or cells"
        )


def check_fit(prepared: Prepared, options: ProduceOptions, out: str, part: Path) -> None:
    """Refuse a run that does not fit memory or disk; try it only where arithmetic leaves a doubt.

    Parameters
    ----------
    prepared, options, out
        As of `foresee`.
    part : Path
        Its folder of what is unfinished; what is there already needs no more room.

    Raises
    ------
    OutputError
        With the settings to change.
    """
    crew = Crew(
        options.workers or options.threads or default_threads(), options.workers or 1, options.workers is not None
    )
    free, need = available_memory(), 0
    if options.scheduler is None:
        check_memory(prepared.working, crew.lanes, free)
        need = DOUBT * prepared.working.working_bytes * crew.lanes + PROCESS_BYTES * crew.processes
    raw_bytes = sum(cube.raw_bytes for cube in prepared.cubes.values()) * (2 if out.endswith(".nc") else 1)
    folder = local_folder(out)
    room = shutil.disk_usage(folder).free if folder else None
    if need <= free and (room is None or raw_bytes + prepared.sums_bytes <= room):
        return
    present = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
    refuse(foresee(prepared, options, out)[0], crew, out, present)


def local_folder(out: str) -> Path | None:
    """Return the folder on this machine's disks that an output goes to, or the next one above that is there."""
    return None if "://" in out else trial_folder(Path(out))
