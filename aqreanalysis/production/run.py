"""`produce`: prepare, create, sweep, finalise; what was done before is kept, and nothing is overwritten unasked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from aqreanalysis.errors import ConfigError, CubeError, OutputError
from aqreanalysis.grids import Grid
from aqreanalysis.model import Predictor
from aqreanalysis.observations import Observations
from aqreanalysis.production.cube import open_cube
from aqreanalysis.production.dry_run.limits import check_fit
from aqreanalysis.production.execute import dask_workers as workers
from aqreanalysis.production.execute import worker as engine
from aqreanalysis.production.execute.dask_cluster import cluster_client, prepare_workers
from aqreanalysis.production.execute.memory import give_back, outline
from aqreanalysis.production.execute.warming import make_ready
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.period_means import sums_name, sums_width
from aqreanalysis.production.plan import Moment
from aqreanalysis.production.plan.inputs import StagedWindow, stage_readings
from aqreanalysis.production.plan.prepare import Prepared, plain, prepare
from aqreanalysis.production.plan.timeline import check_frequencies
from aqreanalysis.production.resume.append import Append, make_append, resolve_timeline
from aqreanalysis.production.resume.ledger import Fingerprint, Ledger, Lock, differences
from aqreanalysis.production.resume.meter import Meter
from aqreanalysis.production.resume.signals import Stop, output_errors, stop_on_signals
from aqreanalysis.production.stores import chunks
from aqreanalysis.production.stores.bucket import Owner, Place, chunk_place, clear, point, publish
from aqreanalysis.production.stores.netcdf import rename_file, write_netcdf
from aqreanalysis.production.stores.outputs import Target
from aqreanalysis.production.stores.publish import identify, publish_zarr
from aqreanalysis.production.stores.split import parts_of
from aqreanalysis.production.stores.zarr import (
    StoreForm,
    create_store,
    create_sums,
    discard_partial_files,
    forget,
    quiet_codecs,
)
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
    target = Target.of(out, check_frequencies(options.frequencies))
    with output_errors(target.part):
        if options.split == "none":
            _check_free(target, options)
    if options.workers is not None:
        prepare_workers()
    prepared = prepare(model, observations, grid, resolve_timeline(out, timeline, options), options)
    del observations  # once they are staged nobody needs them, if the caller does not
    if options.split != "none":
        plans = {name: cube.plan for name, cube in prepared.cubes.items()}
        offset = options.utc_offset_hours
        target = target.split({name: list(parts_of(plan, options.split, offset)) for name, plan in plans.items()})
        _check_free(target, options)
    check_fit(prepared, options, str(out), target.part)
    with output_errors(target.part), stop_on_signals() as stop:
        target.part.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(target.part, target.out)
        try:
            run = _Run(prepared, target, options, stop, Ledger(target.ledger))
            del prepared
            run.own()
            try:
                _fill_and_finish(run)
            finally:
                if run.owner is not None and not target.ledger.exists():  # it has never begun
                    run.owner.release()
        finally:
            _tidy(target.part)
            lock.release()
    return {name: open_cube(str(output.path)) for name, output in target.outputs.items()}


@dataclass
class _Run:
    """One call of `produce_cubes`: what is made, where, how, and how far it got."""

    prepared: Prepared
    target: Target
    options: ProduceOptions
    stop: Stop
    ledger: Ledger
    owner: Owner | None = None
    append: Append | None = None

    def told(self, done: int, total: int, note: str) -> None:
        """Pass progress on."""
        if self.options.progress is not None:
            self.options.progress(done, total, note)

    def own(self) -> None:
        """Take the right to write to a bucket, if it is one."""
        target, ledger = self.target, self.ledger
        if isinstance(target.out, Place):
            unpublished = not ledger.ready or any(target.ready(name).exists() for name in target.outputs)
            resumes = ledger.header is not None and unpublished
            self.owner = Owner(target.out, target.part, resumes, self.options.overwrite)

    @property
    def progress_line(self) -> str:
        """How far it got."""
        return f"{len(self.ledger.done)} of {self.prepared.blocks} blocks are done"


def _fill_and_finish(run: _Run) -> None:
    """Bring the outputs from whatever state they are in to the finished ones."""
    fingerprint = _fingerprint(run)
    ledger, target, outputs = run.ledger, run.target, run.target.outputs
    if run.append is not None and run.append.growth.is_nothing and ledger.header is None:
        _say(run)
        return
    same = _is_same_run(ledger, fingerprint, target, run.options.overwrite)
    if same and ledger.ready and not all(target.ready(n).exists() or o.path.exists() for n, o in outputs.items()):
        ledger.drop()  # what was finished has been taken away since
        same = False
    waiting = [name for name in outputs if not (same and ledger.ready) or target.ready(name).exists()]
    if not waiting and len(target.existing()) == len(outputs):
        shutil.rmtree(target.part)  # it was killed after the last rename
        return
    header = ledger.header if same and ledger.header else _header(run, fingerprint)
    replacing = run.options.overwrite or run.options.append
    # In a bucket the chunks of an unfinished cube may lie under its own name.
    others = [name for name in waiting if not target.is_remote or header["replaces"]]
    if any(outputs[name].path.exists() for name in others) and not replacing:
        raise OutputError(_exists(target))
    quiet_codecs()
    try:
        if not ledger.ready:
            _fill(run, header)
        for name in waiting:
            _publish(run, name)
    finally:
        ledger.close()
        forget()
    shutil.rmtree(target.part)


def _header(run: _Run, fingerprint: Fingerprint) -> dict[str, Any]:
    """Return how the ledger of a run begins."""
    replaces = run.target.is_remote and bool(run.target.existing())
    return {"fingerprint": fingerprint, "facts": (run.append or run.prepared).facts(), "replaces": replaces}


def _publish(run: _Run, name: str) -> None:
    """Give a finished output its name."""
    ready, goal = run.target.ready(name), run.target.outputs[name].path
    if isinstance(goal, Place):
        if run.owner is not None:
            run.owner.check()
        publish(ready, goal, grows=run.options.append)
        shutil.rmtree(ready)
    elif run.target.is_netcdf:
        rename_file(ready, goal)
    else:
        publish_zarr(ready, goal, run.target.trash, run.ledger.identities[name])


def _fingerprint(run: _Run) -> Fingerprint:
    """Return what decides the bytes of the outputs; of a run that continues cubes, find out what it does to them."""
    fingerprint = {**run.prepared.fingerprint, "output": _kind(run.target, run.options)}
    if run.options.append:
        if run.ledger.ready and run.ledger.header is not None:  # what was continued may have its new name already
            fingerprint["continued"] = run.ledger.header["fingerprint"].get("continued")
        else:
            run.append = make_append(run.prepared, run.target, run.options)
            run.prepared, run.target = run.append.prepared, run.append.target
            fingerprint["continued"] = run.append.identities
    return plain(fingerprint)


def _fill(run: _Run, header: dict[str, Any]) -> None:
    """Compute what is left to compute, until the outputs lack nothing but their names."""
    facts = header["facts"]
    templates = {name: run.prepared.template(facts, name) for name in run.target.stores}
    if run.append is not None:
        run.append.check(templates)
        _say(run)
    window = _stage(run, templates, header)
    run.prepared = replace(run.prepared, observations=outline(run.prepared.observations))
    if run.append is not None:
        run.append = replace(run.append, prepared=run.prepared)
    give_back()
    if run.append is not None:

        def step(done: int, total: int, note: str) -> None:
            run.stop.check(run.target.part, run.progress_line)
            run.told(done, total, note)

        try:
            run.append.take_over(run.target, templates, run.ledger, step)
        except (CubeError, OutputError):
            if not run.ledger.done:
                run.ledger.drop()  # refused before it did anything: the right command must not find it in its way
            raise
    make_ready(run.prepared.predictor)
    _sweep(run, window)
    if run.target.is_netcdf:
        _write_files(run, facts)
        run.ledger.note_ready(files=[run.target.ready(name) for name in run.target.outputs])
        return
    for store in run.target.stores.values():
        discard_partial_files(store)  # of this run before it was killed, or of a worker that was
    run.ledger.note_ready({name: identify(run.target.ready(name)) for name in run.target.outputs})


def _say(run: _Run) -> None:
    """Tell what is done to the cubes that are continued."""
    if run.append is not None and run.options.say is not None:
        for line in run.append.lines():
            run.options.say(line)


def _is_same_run(ledger: Ledger, fingerprint: Fingerprint, target: Target, overwrite: bool) -> bool:
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
        f"{target.part} holds an unfinished run of another kind: {unlike[0]}{more}; "
        "repeat that run, choose another --out, or drop it with --overwrite"
    )


def _stage(run: _Run, templates: dict[str, Template], header: dict[str, Any]) -> StagedWindow:
    """Return the window on the staged readings; create them, the empty stores and the ledger where there are none."""
    prepared, target, ledger = run.prepared, run.target, run.ledger
    staging = prepared.observations, tuple(prepared.predictor.inputs), prepared.span, target.readings
    means, level = prepared.means(), prepared.production.compression_level
    stores = [*target.stores.values(), *([target.sums] if means else [])]
    if ledger.header is not None and all(store.exists() for store in stores):
        return stage_readings(*staging)
    for leftover in target.leftovers():
        shutil.rmtree(leftover, ignore_errors=True)
    target.readings.unlink(missing_ok=True)
    window = stage_readings(*staging)
    for name, store in target.stores.items():
        if target.is_netcdf:
            chunks.create_chunks(store, templates[name], level)
        else:
            create_store(store, templates[name], level, StoreForm(run.options.zarr_format, run.options.shards))
            _point(target.outputs[name].path, store, header["replaces"])
    if means is not None:
        widths = {sums_name(key): sums_width(c.memory) for key, c in means.calibrations.items()}
        create_sums(target.sums, prepared.plan, widths, level)
    ledger.begin(header)
    return window


def _point(place: Path | Place, store: Path, replaces: bool) -> None:
    """Let the chunks of a store go to its bucket, if it is for one."""
    if isinstance(place, Place):
        url = chunk_place(place, replaces)
        if replaces:
            clear(url)  # what a run that was dropped left there
        point(store, url)


def _sweep(run: _Run, window: StagedWindow) -> None:
    """Compute what is left to do."""
    prepared, target, options, ledger = run.prepared, run.target, run.options, run.ledger
    if len(ledger.done) == prepared.blocks:
        return
    meter = Meter(prepared.blocks, ledger, options.progress)
    stores = {**target.stores, **({engine.SUMS: target.sums} if prepared.means() else {}), engine.STATES: target.states}
    if options.workers is None and options.scheduler is None:
        job = engine.make_job(prepared, window, stores, None, options.device)
        engine.run_in_threads(job, ledger.done, options.threads or engine.default_threads(), meter, run.stop.event)
    else:
        job = engine.make_job(prepared, window, stores, prepared.model_path, options.device)
        with cluster_client(options.workers, options.scheduler, options.say) as client:
            workers.run_on_cluster(job, ledger.done, client, meter, run.stop.event)
    run.stop.check(target.part, run.progress_line)
    if len(ledger.done) != prepared.blocks:
        raise AssertionError(f"{prepared.blocks - len(ledger.done)} blocks were neither computed nor refused")


def _write_files(run: _Run, facts: dict[str, Any]) -> None:
    """Write each NetCDF file under the name that it has until all are whole; those from before a crash anew."""

    def step(done: int, total: int, note: str) -> None:
        run.stop.check(run.target.part, "all blocks are computed, the NetCDF file is not written")
        run.told(done, total, note)

    for name, output in run.target.outputs.items():
        template = run.prepared.template(facts, output.frequency, (name, output.steps) if output.steps else None)
        first = output.steps[0] if output.steps else 0
        write_netcdf(run.target.store(output.frequency), template, run.target.file(name), step, first)


def _kind(target: Target, options: ProduceOptions) -> str:
    if target.is_netcdf:
        return "NetCDF" if options.split == "none" else f"NetCDF, a file a {options.split}"
    return f"Zarr {options.zarr_format}{', shards' * options.shards}"


def _check_free(target: Target, options: ProduceOptions) -> None:
    """Refuse an output that is there, unless it is to be replaced, to grow, or an unfinished run's own."""
    if target.existing() and not (options.overwrite or options.append or target.part.exists()):
        raise OutputError(_exists(target))


def _exists(target: Target) -> str:
    return (
        f"output {target.existing()[0]} exists; choose another --out, let it grow with --append or replace it with "
        "--overwrite"
    )


def _tidy(part: Path) -> None:
    """Remove the folder of a run that failed before it had begun its ledger: nothing half-written stays."""
    if part.exists() and not (part / "ledger.jsonl").exists():
        shutil.rmtree(part)
