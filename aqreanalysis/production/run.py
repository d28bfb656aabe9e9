"""`produce`: prepare, create, sweep, finalise; what was done before is kept, and nothing is overwritten unasked."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from aqreanalysis.errors import OutputError
from aqreanalysis.grids import Grid
from aqreanalysis.observations import Observations
from aqreanalysis.production import engine
from aqreanalysis.production.cube import SUFFIXES, open_cube
from aqreanalysis.production.finalise import finalise_zarr, rename_file, write_netcdf
from aqreanalysis.production.inputs import StagedWindow, stage_readings
from aqreanalysis.production.interrupt import Stop, output_errors, stop_on_signals
from aqreanalysis.production.ledger import Fingerprint, Ledger, Lock, differences
from aqreanalysis.production.options import ProduceOptions, Progress
from aqreanalysis.production.plan import Moment, Plan, check_disk, check_memory
from aqreanalysis.production.prepare import Prepared, plain, prepare
from aqreanalysis.production.store import create_store, discard_partial_files, forget, quiet_codecs
from aqreanalysis.production.template import Template


def produce(
    model: Any,
    observations: Observations | str | Path,
    grid: Grid | str | Path,
    start: Moment,
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
        UTC; the hours that lie between them.
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
    target = Target.of(out)
    if target.out.exists() and not options.overwrite and not target.part.exists():
        raise OutputError(_exists(target))
    prepared = prepare(model, observations, grid, (start, end), options)
    check_memory(prepared.plan, options.workers or options.threads or engine.default_threads())
    with output_errors(target.part), stop_on_signals() as stop:
        target.out.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(target.part, target.out)
        try:
            _fill_and_finish(prepared, target, options, stop)
        finally:
            _tidy(target.part)
            lock.release()
    return open_cube(target.out)


@dataclass(frozen=True)
class Target:
    """Where a run writes: the output, and beside it the folder of what is unfinished."""

    out: Path
    part: Path

    @classmethod
    def of(cls, out: str | Path) -> Target:
        """Return the target of an output path, refusing a wrong suffix."""
        path = Path(out)
        if path.suffix not in SUFFIXES or not path.stem:
            raise OutputError(f"output {str(out)!r} must end in {' or '.join(SUFFIXES)}; the ending chooses the format")
        if path.suffix == ".nc" and path.is_dir():
            raise OutputError(f"output {path} is a folder; choose another name")
        return cls(path, path.with_name(path.name + ".part"))

    @property
    def store(self) -> Path:
        """The staging store."""
        return self.part / "store.zarr"

    @property
    def readings(self) -> Path:
        """The readings that the workers map."""
        return self.part / "readings.npy"

    @property
    def ledger(self) -> Path:
        """The finished blocks."""
        return self.part / "ledger.jsonl"

    @property
    def file(self) -> Path:
        """The NetCDF file while it is written."""
        return self.part / "cube.nc"

    @property
    def is_netcdf(self) -> bool:
        """Whether the output is one file."""
        return self.out.suffix == ".nc"

    @property
    def ready(self) -> Path:
        """What gets its final name at the end."""
        return self.file if self.is_netcdf else self.store


def _fill_and_finish(prepared: Prepared, target: Target, options: ProduceOptions, stop: Stop) -> None:
    """Bring the output from whatever state it is in to the finished one."""
    ledger = Ledger(target.ledger)
    fingerprint = plain({**prepared.fingerprint, "output": _kind(target, options)})
    same = _is_same_run(ledger, fingerprint, target, options.overwrite)
    if same and ledger.ready and not target.ready.exists() and target.out.exists():
        shutil.rmtree(target.part)  # it was killed after the last rename
        return
    if target.out.exists() and not options.overwrite:
        raise OutputError(_exists(target))
    header = ledger.header if same and ledger.header else {"fingerprint": fingerprint, "facts": prepared.facts()}
    template = prepared.template(header["facts"])
    quiet_codecs()
    try:
        if not ledger.ready:
            window = _stage(prepared, target, template, options, (ledger, header))
            _sweep(prepared, target, options, stop, ledger, window)
            if target.is_netcdf:
                _write_file(prepared, target, template, options, stop)
            ledger.note_ready()
        if target.is_netcdf:
            rename_file(target.file, target.out)
        else:
            finalise_zarr(target.store, target.out, target.part / "replaced")
    finally:
        ledger.close()
        forget()
    shutil.rmtree(target.part)


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


def _stage(
    prepared: Prepared,
    target: Target,
    template: Template,
    options: ProduceOptions,
    entry: tuple[Ledger, dict[str, Any]],
) -> StagedWindow:
    """Return the window on the staged readings; create them, the empty store and the ledger where there is none."""
    ledger, header = entry
    inputs = tuple(prepared.predictor.inputs)
    if ledger.header is None or not target.store.exists():
        for leftover in (target.store, target.part / "replaced"):
            shutil.rmtree(leftover, ignore_errors=True)
        target.readings.unlink(missing_ok=True)
        window = stage_readings(prepared.observations, inputs, prepared.span, target.readings)
        create_store(target.store, template, prepared.production.compression_level, options.zarr_format)
        ledger.begin(header)
        return window
    discard_partial_files(target.store)
    return stage_readings(prepared.observations, inputs, prepared.span, target.readings)


def _sweep(
    prepared: Prepared, target: Target, options: ProduceOptions, stop: Stop, ledger: Ledger, window: StagedWindow
) -> None:
    """Compute what is left to do."""
    plan = prepared.plan
    left = plan.blocks - len(ledger.done)
    if not left:
        return
    check_disk(plan, target.part, 2 if target.is_netcdf else 1, share=left / plan.blocks)
    meter = Meter(plan, ledger, options.progress)
    if options.workers is None and options.scheduler is None:
        job = engine.make_job(prepared, window, target.store, None, options.device)
        engine.run_in_threads(job, ledger.done, options.threads or engine.default_threads(), meter, stop.event)
    else:
        job = engine.make_job(prepared, window, target.store, prepared.model_path, options.device)
        with engine.cluster_client(options.workers, options.scheduler) as client:
            engine.run_on_cluster(job, ledger.done, client, meter, stop.event)
    stop.check(target.part, f"{len(ledger.done)} of {plan.blocks} blocks are done")
    if len(ledger.done) != plan.blocks:
        raise AssertionError(f"{plan.blocks - len(ledger.done)} blocks were neither computed nor refused")


def _write_file(prepared: Prepared, target: Target, template: Template, options: ProduceOptions, stop: Stop) -> None:
    def step(done: int, total: int, note: str) -> None:
        stop.check(target.part, "all blocks are computed, the NetCDF file is not written")
        if options.progress is not None:
            options.progress(done, total, note)

    write_netcdf(target.store, template, target.file, prepared.production.compression_level, step)


class Meter:
    """Records finished blocks in the ledger and tells the progress."""

    def __init__(self, plan: Plan, ledger: Ledger, progress: Progress | None) -> None:
        self.plan, self.ledger, self.progress = plan, ledger, progress
        self.begun = time.perf_counter()
        self.cells = self.bytes = self.here = 0

    def __call__(self, done: engine.BlockDone | None) -> None:
        """Note one block; None is a block that was not begun because the run is stopping."""
        if done is None:
            return
        self.ledger.record(done.number)
        self.cells, self.bytes, self.here = self.cells + done.cells, self.bytes + done.raw_bytes, self.here + 1
        if self.progress is not None:
            seconds = time.perf_counter() - self.begun
            left = seconds / self.here * (self.plan.blocks - len(self.ledger.done))
            note = (
                f"{self.cells / seconds / 1e6:.2f} million cell-hours/s, {self.bytes / 1e6:.0f} MB, {left:.0f} s left"
            )
            self.progress(len(self.ledger.done), self.plan.blocks, note)


def _kind(target: Target, options: ProduceOptions) -> str:
    return "NetCDF" if target.is_netcdf else f"Zarr {options.zarr_format}"


def _exists(target: Target) -> str:
    return f"output {target.out} exists; choose another --out or replace it with --overwrite"


def _tidy(part: Path) -> None:
    """Remove the folder of a run that failed before it had begun its ledger: nothing half-written stays."""
    if part.exists() and not (part / "ledger.jsonl").exists():
        shutil.rmtree(part)
