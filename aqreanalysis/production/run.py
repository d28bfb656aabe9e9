"""`produce`: prepare, create, sweep, finalise; what was done before is kept, and nothing is overwritten unasked."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from aqreanalysis.errors import ConfigError, wrong_type
from aqreanalysis.grids import Grid
from aqreanalysis.model import Predictor
from aqreanalysis.observations import Observations
from aqreanalysis.production.cube import open_cube
from aqreanalysis.production.dry_run.limits import check_limits
from aqreanalysis.production.execute.dask_cluster import prepare_workers
from aqreanalysis.production.execute.executors import open_executor, start_gpu_warmup
from aqreanalysis.production.execute.worker import JobStores, make_job
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import Moment
from aqreanalysis.production.plan.block_keys import as_stored
from aqreanalysis.production.plan.blocks import parts_of
from aqreanalysis.production.plan.inputs import StagedWindow
from aqreanalysis.production.plan.prepare import Prepared, prepare
from aqreanalysis.production.plan.timeline import check_frequencies
from aqreanalysis.production.resume.append import AppendPlan, plan_append, resolve_timeline
from aqreanalysis.production.resume.ledger import BlockProgress
from aqreanalysis.production.resume.work import Work, check_free, open_work
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.production.stores.zarr import DaySums

_LOG = logging.getLogger(__name__)


def produce(
    model: str | Path | Predictor,
    observations: Observations | str | Path,
    grid: Grid | str | Path,
    start: Moment | None,
    end: Moment,
    out: str | Path,
    options: ProduceOptions | None = None,
) -> xr.Dataset:
    """Return the cube of estimates on `grid` for the hours between `start` and `end`, written to `out`.

    A run that was killed goes on where it was when it is called again with the same arguments, and ends with the same
    bytes. Meanwhile its blocks are in ``<out>.part``.

    Parameters
    ----------
    model : str, Path or Predictor
        A model bundle, or a predictor already loaded.
    observations : Observations, str or Path
        Station records.
    grid : Grid, str or Path
        As of `load_grid`.
    start, end : str or datetime
        UTC; the hours that lie between them. A cube that grows has its start: None will do.
    out : str or Path
        Ends in ``.nc`` or ``.zarr``.
    options : ProduceOptions or None
        Everything else.

    Returns
    -------
    xarray.Dataset
        The finished cube, opened lazily.

    Raises
    ------
    AqreanalysisError
        One of its children, with one line that says what to change: see the errors of the steps.
    Interrupted
        After SIGINT or SIGTERM, with the finished blocks kept; `exit_code` is 130 or 143.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> cube = aq.produce("models/north", "obs.parquet", "110,35,111,36@0.25", "2021-03-03", "2021-03-04", "day.nc")
    >>> cube["pm2p5"].dims, cube["pm2p5"].shape, cube["pm2p5"].attrs["units"]
    (('time', 'lat', 'lon'), (24, 5, 5), 'ug m-3')
    """
    options = ProduceOptions() if options is None else options
    if not isinstance(options, ProduceOptions):
        raise wrong_type("options", options, "ProduceOptions(...)")
    if len(set(options.frequencies)) > 1 or options.split != "none":
        several = f"one a {options.split}" if options.split != "none" else ", ".join(options.frequencies)
        raise ConfigError(f"produce gives one cube, not {several}: call produce_cubes")
    (cube,) = produce_cubes(model, observations, grid, (start, end), out, options).values()
    return cube


def produce_cubes(
    model: str | Path | Predictor,
    observations: Observations | str | Path,
    grid: Grid | str | Path,
    timeline: tuple[Moment | None, Moment],
    out: str | Path,
    options: ProduceOptions,
) -> dict[str, xr.Dataset]:
    """Return the cube of each frequency in `options`, out of one sweep; where they are split, of each file.

    A single one is written to `out` itself, several to siblings: ``x_hourly.nc`` and ``x_daily.nc`` for ``x.nc``, and
    where they are split ``x_201901.nc`` and so on. They come to their names together, at the end of the run.

    Parameters
    ----------
    model, observations, grid, out, options
        As of `produce`.
    timeline : tuple
        Its start and end.

    Raises
    ------
    AqreanalysisError
        As of `produce`.
    """
    outputs = Outputs.of(out, check_frequencies(options.frequencies))
    if options.split == "none":
        check_free(outputs, options)
    if options.workers is not None:
        prepare_workers()
    if options.append:
        timeline = resolve_timeline(out, timeline, options)
    warm_up = partial(start_gpu_warmup, options=options)
    prepared = prepare(model, observations, grid, timeline, options, warm_up)
    if options.split != "none":
        offset = options.utc_offset_hours
        outputs = outputs.split({n: list(parts_of(c.plan, options.split, offset)) for n, c in prepared.cubes.items()})
        check_free(outputs, options)
    stores = outputs.open(options, prepared.production.compression_level)
    check_limits(prepared, options, stores, outputs.part)
    with open_work(outputs, stores, options, prepared.blocks) as work:
        _produce(prepared, work)
    return {output.name: open_cube(str(output.path)) for output in outputs.all}


def _produce(prepared: Prepared, work: Work) -> None:
    """Bring the outputs from whatever state they are in to the finished ones."""
    options, ledger, append = work.options, work.ledger, None
    fingerprint = {**prepared.fingerprint, "output": next(iter(work.stores.values())).layout}
    if options.append and ledger.ready and ledger.header is not None:
        # What was continued may have its new name already.
        fingerprint["continued"] = ledger.header["fingerprint"].get("continued")
    elif options.append:
        append = plan_append(prepared, work.stores, options.repair)
        prepared, work.stores = append.prepared, append.stores
        fingerprint["continued"] = append.identities
        if append.is_nothing and ledger.header is None:
            append.tell(options.say)
            return
    fingerprint = as_stored(fingerprint)
    waiting = work.waiting(fingerprint)
    if waiting and not ledger.ready:
        header = ledger.header or {"fingerprint": fingerprint, "facts": (append or prepared).facts()}
        _fill(prepared, append, work, header)
    work.finish(waiting)


def _fill(prepared: Prepared, append: AppendPlan | None, work: Work, header: dict[str, Any]) -> None:
    """Create what is not there and compute what is left, until the outputs lack nothing but their names."""
    facts = header["facts"]
    templates = {name: prepared.template(facts, name) for name, store in work.stores.items() if store.outputs}
    if append is not None:
        append.check(templates)
        append.tell(work.options.say)
    window, sums = work.stage(prepared, templates, header)
    if append is not None:
        append.adopt_blocks(templates, work.ledger, work.watched())
    if len(work.ledger.done) < prepared.blocks:
        _sweep(prepared, work, window, sums)
    for name, store in work.stores.items():
        parts = {o.name: prepared.template(facts, name, (o.name, o.steps) if o.steps else None) for o in store.outputs}
        blocks = prepared.keys.of_cube(name, work.ledger.checksums)
        store.complete(parts, blocks, work.watched("all blocks are computed, the NetCDF file is not written"))
    work.ledger.note_ready()


def _sweep(prepared: Prepared, work: Work, window: StagedWindow, sums: DaySums | None) -> None:
    """Compute the blocks that are not done."""
    options, done = work.options, work.ledger.done
    _LOG.info("sweep: %d blocks, %d of them done before", prepared.blocks, len(done))
    on_done = BlockProgress(prepared.blocks, prepared.keys, work.ledger, options.progress)
    elsewhere = options.workers is not None or options.scheduler is not None
    model = prepared.model_path if elsewhere else None, options.device
    # A run of one time block asks for no geometry twice, and workers of a cluster would save a disk full.
    saves = prepared.plan.counts[0] > 1 and not elsewhere
    job = make_job(prepared, window, JobStores(work.stores, sums), model, saves)
    with open_executor(job.inputs, options) as executor:
        executor.run(job, done, on_done, work.stop.event)
    work.check_stop()
    if len(done) != prepared.blocks:
        raise AssertionError(f"{prepared.blocks - len(done)} blocks were neither computed nor refused")
