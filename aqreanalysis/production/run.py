"""`produce`: prepare, create, sweep, finalise; what was done before is kept, and nothing is overwritten unasked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ConfigError, CubeError, OutputError
from aqreanalysis.grids import Grid
from aqreanalysis.model import Predictor
from aqreanalysis.observations import Observations
from aqreanalysis.production.cube import open_cube
from aqreanalysis.production.dry_run.limits import check_limits
from aqreanalysis.production.execute.dask_cluster import prepare_workers
from aqreanalysis.production.execute.executors import open_executor, start_gpu_warmup
from aqreanalysis.production.execute.worker import JobStores, make_job
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.period_means import sums_name, sums_width
from aqreanalysis.production.plan import Moment, Plan
from aqreanalysis.production.plan.block_keys import Fingerprint, as_stored, differences
from aqreanalysis.production.plan.blocks import parts_of
from aqreanalysis.production.plan.inputs import StagedWindow, stage_readings
from aqreanalysis.production.plan.prepare import Prepared, prepare
from aqreanalysis.production.plan.timeline import check_frequencies
from aqreanalysis.production.resume.append import AppendPlan, plan_append, resolve_timeline
from aqreanalysis.production.resume.ledger import LEDGER, BlockProgress, Ledger, Lock
from aqreanalysis.production.resume.signals import Stop, output_errors, stop_on_signals
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.production.stores.store import Output, Store
from aqreanalysis.production.stores.zarr import DaySums
from aqreanalysis.production.template import Template


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
    options = options or ProduceOptions()
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
    with output_errors(outputs.part):
        if options.split == "none":
            _check_free(outputs, options)
    if options.workers is not None:
        prepare_workers()

    def warm_up(predictor: Predictor, grid: Grid, plan: Plan) -> None:
        start_gpu_warmup(predictor, grid, plan, options)

    prepared = prepare(model, observations, grid, resolve_timeline(out, timeline, options), options, warm_up)
    del observations  # once they are staged nobody needs them, if the caller does not
    if options.split != "none":
        plans = {name: cube.plan for name, cube in prepared.cubes.items()}
        offset = options.utc_offset_hours
        outputs = outputs.split({name: list(parts_of(plan, options.split, offset)) for name, plan in plans.items()})
        _check_free(outputs, options)
    stores = outputs.open(options, prepared.production.compression_level)
    check_limits(prepared, options, stores, outputs.part)
    with output_errors(outputs.part), stop_on_signals() as stop:
        outputs.part.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(outputs.part, outputs.out)
        try:
            run = _Run(prepared, outputs, stores, options, stop, Ledger(outputs.part / LEDGER))
            del prepared
            run.acquire_ownership()
            try:
                _fill_and_finish(run)
            finally:
                if not run.ledger.path.exists():  # it has never begun, or has ended
                    for store in stores.values():
                        store.release_ownership()
        finally:
            _tidy(outputs.part)
            lock.release()
    return {output.name: open_cube(str(output.path)) for output in outputs.all}


@dataclass
class _Run:
    """One call of `produce_cubes`: what is made, where, how, and how far it got."""

    prepared: Prepared
    outputs: Outputs
    stores: dict[str, Store]
    options: ProduceOptions
    stop: Stop
    ledger: Ledger
    append: AppendPlan | None = None

    @property
    def part(self) -> Path:
        """The folder of what is unfinished."""
        return self.outputs.part

    @property
    def sums(self) -> DaySums | None:
        """The sums of days, where means are joined from them."""
        return DaySums(self.part.resolve() / "sums.zarr") if self.prepared.means() else None

    @property
    def written(self) -> list[tuple[Store, Output]]:
        """What of the outputs is written, each with its store."""
        return [(store, output) for store in self.stores.values() for output in store.outputs]

    def acquire_ownership(self) -> None:
        """Take the right to write where others may write too."""
        unpublished = not self.ledger.ready or any(store.is_staged(output) for store, output in self.written)
        for store in self.stores.values():
            store.acquire_ownership(self.ledger.header is not None and unpublished, self.options.overwrite)

    def watched(self, kept: str | None = None) -> Progress:
        """Return what passes progress on and ends the work if that is wished; `kept` says how far the run got."""

        def step(done: int, total: int, note: str) -> None:
            self.stop.check(self.part, kept or self.progress_line)
            if self.options.progress is not None:
                self.options.progress(done, total, note)

        return step

    @property
    def progress_line(self) -> str:
        """How far it got."""
        return f"{len(self.ledger.done)} of {self.prepared.blocks} blocks are done"


def _fill_and_finish(run: _Run) -> None:
    """Bring the outputs from whatever state they are in to the finished ones."""
    fingerprint = _fingerprint(run)
    ledger = run.ledger
    if run.append is not None and run.append.is_nothing and ledger.header is None:
        _say(run)
        return
    same = _is_same_run(ledger, fingerprint, run.part, run.options.overwrite)
    if same and ledger.ready and not all(store.is_staged(o) or o.path.exists() for store, o in run.written):
        ledger.drop()  # what was finished has been taken away since
        same = False
    waiting = [(store, o) for store, o in run.written if not (same and ledger.ready) or store.is_staged(o)]
    if not waiting and len(run.outputs.existing()) == len(run.outputs.all):
        shutil.rmtree(run.part)  # it was killed after the last rename
        return
    if any(store.is_taken(o) for store, o in waiting) and not (run.options.overwrite or run.options.append):
        raise OutputError(_exists(run.outputs))
    header = ledger.header if same and ledger.header else _header(run, fingerprint)
    try:
        if not ledger.ready:
            _fill(run, header)
        for store, output in waiting:
            store.finalise(output)
    finally:
        ledger.close()
    shutil.rmtree(run.part)


def _header(run: _Run, fingerprint: Fingerprint) -> dict[str, Any]:
    """Return how the ledger of a run begins."""
    return {"fingerprint": fingerprint, "facts": (run.append or run.prepared).facts()}


def _fingerprint(run: _Run) -> Fingerprint:
    """Return what decides the bytes of the outputs; of a run that continues cubes, find out what it does to them."""
    layout = next(iter(run.stores.values())).layout
    fingerprint = {**run.prepared.fingerprint, "output": layout}
    if run.options.append:
        if run.ledger.ready and run.ledger.header is not None:  # what was continued may have its new name already
            fingerprint["continued"] = run.ledger.header["fingerprint"].get("continued")
        else:
            run.append = plan_append(run.prepared, run.stores)
            run.prepared, run.stores = run.append.prepared, run.append.stores
            fingerprint["continued"] = run.append.identities
    return as_stored(fingerprint)


def _fill(run: _Run, header: dict[str, Any]) -> None:
    """Compute what is left to compute, until the outputs lack nothing but their names."""
    facts = header["facts"]
    templates = {name: run.prepared.template(facts, name) for name, store in run.stores.items() if store.outputs}
    if run.append is not None:
        run.append.check(templates)
        _say(run)
    window = _stage(run, templates, header)
    if run.append is not None:
        try:
            run.append.adopt_blocks(templates, run.ledger, run.watched())
        except (CubeError, OutputError):
            if not run.ledger.done:
                run.ledger.drop()  # refused before it did anything: the right command must not find it in its way
            raise
    _sweep(run, window)
    for name, store in run.stores.items():
        parts = {
            o.name: run.prepared.template(facts, name, (o.name, o.steps) if o.steps else None) for o in store.outputs
        }
        store.complete(parts, run.watched("all blocks are computed, the NetCDF file is not written"))
    run.ledger.note_ready()


def _say(run: _Run) -> None:
    """Tell what is done to the cubes that are continued."""
    if run.append is not None and run.options.say is not None:
        for line in run.append.lines():
            run.options.say(line)


def _is_same_run(ledger: Ledger, fingerprint: Fingerprint, part: Path, overwrite: bool) -> bool:
    """Tell whether the ledger is of this run; drop another run's if told to overwrite, refuse otherwise."""
    if ledger.header is None:
        return False
    unlike = differences(fingerprint, ledger.header.get("fingerprint", {}))
    if not unlike:
        return True
    if overwrite:
        ledger.drop()
        return False
    more = f" (and {len(unlike) - 1} more)" if len(unlike) > 1 else ""
    raise OutputError(
        f"{part} holds an unfinished run of another kind: {unlike[0]}{more}; "
        "repeat that run, choose another --out, or drop it with --overwrite"
    )


def _stage(run: _Run, templates: dict[str, Template], header: dict[str, Any]) -> StagedWindow:
    """Return the window on the staged readings; create them, the empty stores and the ledger where there are none."""
    prepared, ledger, sums, readings = run.prepared, run.ledger, run.sums, run.part / "readings.npy"
    staging = prepared.observations, tuple(prepared.predictor.inputs), prepared.span, readings
    created = all(run.stores[name].is_created() for name in templates) and (sums is None or sums.is_created())
    if ledger.header is not None and created:
        ledger.keep(prepared.keys)
        return stage_readings(*staging)
    readings.unlink(missing_ok=True)
    window = stage_readings(*staging)
    for name, template in templates.items():
        run.stores[name].create(template)
    means = prepared.means()
    if sums is not None and means is not None:
        widths = {sums_name(key): sums_width(c.autocovariance) for key, c in means.calibrations.items()}
        sums.create(prepared.plan, widths, prepared.production.compression_level)
    ledger.begin(header)
    return window


def _sweep(run: _Run, window: StagedWindow) -> None:
    """Compute what is left to do."""
    prepared, options, ledger = run.prepared, run.options, run.ledger
    if len(ledger.done) == prepared.blocks:
        return
    on_done = BlockProgress(prepared.blocks, prepared.keys, ledger, options.progress)
    elsewhere = options.workers is not None or options.scheduler is not None
    model = prepared.model_path if elsewhere else None, options.device
    job = make_job(prepared, window, JobStores(run.stores, run.sums), model)
    with open_executor(job.inputs, options) as executor:
        executor.run(job, ledger.done, on_done, run.stop.event)
    run.stop.check(run.part, run.progress_line)
    if len(ledger.done) != prepared.blocks:
        raise AssertionError(f"{prepared.blocks - len(ledger.done)} blocks were neither computed nor refused")


def _check_free(outputs: Outputs, options: ProduceOptions) -> None:
    """Refuse an output that is there, unless it is to be replaced, to grow, or an unfinished run's own."""
    if outputs.existing() and not (options.overwrite or options.append or outputs.part.exists()):
        raise OutputError(_exists(outputs))


def _exists(outputs: Outputs) -> str:
    return (
        f"output {outputs.existing()[0]} exists; choose another --out, let it grow with --append or replace it with "
        "--overwrite"
    )


def _tidy(part: Path) -> None:
    """Remove the folder of a run that failed before it had begun its ledger: nothing half-written stays."""
    if part.exists() and not (part / LEDGER).exists():
        shutil.rmtree(part)
