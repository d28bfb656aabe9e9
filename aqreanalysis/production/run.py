"""`produce`: prepare, create, sweep, finalise; what was done before is kept, and nothing is overwritten unasked."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.grids import Grid
from aqreanalysis.observations import Observations
from aqreanalysis.production import chunks, engine
from aqreanalysis.production.cube import SUFFIXES, open_cube
from aqreanalysis.production.finalise import finalise_zarr, rename_file, write_netcdf
from aqreanalysis.production.frequency import HOURLY, check_frequencies, outputs_of
from aqreanalysis.production.inputs import StagedWindow, stage_readings
from aqreanalysis.production.interrupt import Stop, output_errors, stop_on_signals
from aqreanalysis.production.ledger import Fingerprint, Ledger, Lock, differences
from aqreanalysis.production.means import sums_name, sums_width
from aqreanalysis.production.options import ProduceOptions, Progress
from aqreanalysis.production.plan import Moment, check_disk, check_memory
from aqreanalysis.production.prepare import Prepared, plain, prepare
from aqreanalysis.production.store import create_store, create_sums, discard_partial_files, forget, quiet_codecs
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
    if len(set(options.frequencies)) > 1:
        raise ConfigError(f"produce gives one cube, not {', '.join(options.frequencies)}: call produce_cubes")
    (cube,) = produce_cubes(model, observations, grid, (start, end), out, options).values()
    return cube


def produce_cubes(
    model: Any,
    observations: Observations | str | Path,
    grid: Grid | str | Path,
    timeline: tuple[Moment, Moment],
    out: str | Path,
    options: ProduceOptions,
) -> dict[str, xr.Dataset]:
    """Return the cube of each frequency in `options`, out of one sweep.

    A single one is written to `out` itself, several to siblings: ``x_hourly.nc`` and ``x_daily.nc`` for ``x.nc``. They
    come to their names together, at the end of the run.

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
    if target.existing() and not options.overwrite and not target.part.exists():
        raise OutputError(_exists(target))
    prepared = prepare(model, observations, grid, timeline, options)
    check_memory(prepared.working, options.workers or options.threads or engine.default_threads())
    with output_errors(target.part), stop_on_signals() as stop:
        target.out.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(target.part, target.out)
        try:
            _fill_and_finish(prepared, target, options, stop)
        finally:
            _tidy(target.part)
            lock.release()
    return {name: open_cube(path) for name, path in target.outs.items()}


@dataclass(frozen=True)
class Target:
    """Where a run writes: the outputs by frequency, and beside them the folder of what is unfinished."""

    out: Path
    part: Path
    outs: dict[str, Path]

    @classmethod
    def of(cls, out: str | Path, frequencies: tuple[str, ...] = (HOURLY,)) -> Target:
        """Return the target of an output path, refusing a wrong suffix."""
        path = Path(out)
        if path.suffix not in SUFFIXES or not path.stem:
            raise OutputError(f"output {str(out)!r} must end in {' or '.join(SUFFIXES)}; the ending chooses the format")
        if path.suffix == ".nc" and path.is_dir():
            raise OutputError(f"output {path} is a folder; choose another name")
        return cls(path, path.with_name(path.name + ".part"), outputs_of(path, frequencies))

    def store(self, frequency: str) -> Path:
        """The staging store of a frequency; of a NetCDF file the folder of its chunks."""
        suffix = chunks.SUFFIX if self.is_netcdf else ".zarr"
        return self.part / f"{'store' if frequency == HOURLY else frequency}{suffix}"

    def stores(self, prepared: Prepared) -> dict[str, Path]:
        """All stores that the workers write."""
        sums = {engine.SUMS: self.part / "sums.zarr"} if prepared.means() else {}
        return {**{name: self.store(name) for name in self.outs}, **sums}

    @property
    def readings(self) -> Path:
        """The readings that the workers map."""
        return self.part / "readings.npy"

    @property
    def ledger(self) -> Path:
        """The finished blocks."""
        return self.part / "ledger.jsonl"

    def file(self, frequency: str) -> Path:
        """The NetCDF file while it is written."""
        return self.part / ("cube.nc" if frequency == HOURLY else f"{frequency}.nc")

    @property
    def is_netcdf(self) -> bool:
        """Whether each output is one file."""
        return self.out.suffix == ".nc"

    def ready(self, frequency: str) -> Path:
        """What gets its final name at the end."""
        return self.file(frequency) if self.is_netcdf else self.store(frequency)

    def existing(self) -> list[Path]:
        """The outputs that are there."""
        return [path for path in self.outs.values() if path.exists()]


def _fill_and_finish(prepared: Prepared, target: Target, options: ProduceOptions, stop: Stop) -> None:
    """Bring the outputs from whatever state they are in to the finished ones."""
    ledger = Ledger(target.ledger)
    fingerprint = plain({**prepared.fingerprint, "output": _kind(target, options)})
    same = _is_same_run(ledger, fingerprint, target, options.overwrite)
    if same and ledger.ready and not all(target.ready(n).exists() or o.exists() for n, o in target.outs.items()):
        ledger.drop()  # what was finished has been taken away since
        same = False
    waiting = [name for name in target.outs if not (same and ledger.ready) or target.ready(name).exists()]
    if not waiting and len(target.existing()) == len(target.outs):
        shutil.rmtree(target.part)  # it was killed after the last rename
        return
    taken = [target.outs[name] for name in waiting if target.outs[name].exists()]
    if taken and not options.overwrite:
        raise OutputError(_exists(target))
    header = ledger.header if same and ledger.header else {"fingerprint": fingerprint, "facts": prepared.facts()}
    templates = {name: prepared.template(header["facts"], name) for name in target.outs}
    quiet_codecs()
    try:
        if not ledger.ready:
            window = _stage(prepared, target, templates, options, (ledger, header))
            _sweep(prepared, target, options, stop, ledger, window)
            if target.is_netcdf:
                _write_files(prepared, target, templates, options, stop)
            ledger.note_ready()
        for name in waiting:
            if target.is_netcdf:
                rename_file(target.file(name), target.outs[name])
            else:
                finalise_zarr(target.store(name), target.outs[name], target.part / "replaced")
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
    templates: dict[str, Template],
    options: ProduceOptions,
    entry: tuple[Ledger, dict[str, Any]],
) -> StagedWindow:
    """Return the window on the staged readings; create them, the empty stores and the ledger where there are none."""
    ledger, header = entry
    inputs = tuple(prepared.predictor.inputs)
    stores, level = target.stores(prepared), prepared.production.compression_level
    if ledger.header is None or not all(store.exists() for store in stores.values()):
        for leftover in (*target.part.glob("*.zarr"), *target.part.glob(f"*{chunks.SUFFIX}"), target.part / "replaced"):
            shutil.rmtree(leftover, ignore_errors=True)
        target.readings.unlink(missing_ok=True)
        window = stage_readings(prepared.observations, inputs, prepared.span, target.readings)
        for name, template in templates.items():
            if target.is_netcdf:
                chunks.create_chunks(stores[name], template, level)
            else:
                create_store(stores[name], template, level, options.zarr_format)
        if (means := prepared.means()) is not None:
            widths = {sums_name(key): sums_width(c.memory) for key, c in means.calibrations.items()}
            create_sums(stores[engine.SUMS], prepared.plan, widths, level)
        ledger.begin(header)
        return window
    for store in stores.values():
        discard_partial_files(store)
    return stage_readings(prepared.observations, inputs, prepared.span, target.readings)


def _sweep(
    prepared: Prepared, target: Target, options: ProduceOptions, stop: Stop, ledger: Ledger, window: StagedWindow
) -> None:
    """Compute what is left to do."""
    left = prepared.blocks - len(ledger.done)
    if not left:
        return
    raw = prepared.sums_bytes + sum(cube.raw_bytes for cube in prepared.cubes.values())
    check_disk(raw, target.part, 2 if target.is_netcdf else 1, share=left / prepared.blocks)
    meter = Meter(prepared.blocks, ledger, options.progress)
    stores = target.stores(prepared)
    if options.workers is None and options.scheduler is None:
        job = engine.make_job(prepared, window, stores, None, options.device)
        engine.run_in_threads(job, ledger.done, options.threads or engine.default_threads(), meter, stop.event)
    else:
        job = engine.make_job(prepared, window, stores, prepared.model_path, options.device)
        with engine.cluster_client(options.workers, options.scheduler) as client:
            engine.run_on_cluster(job, ledger.done, client, meter, stop.event)
    stop.check(target.part, f"{len(ledger.done)} of {prepared.blocks} blocks are done")
    if len(ledger.done) != prepared.blocks:
        raise AssertionError(f"{prepared.blocks - len(ledger.done)} blocks were neither computed nor refused")


def _write_files(
    prepared: Prepared, target: Target, templates: dict[str, Template], options: ProduceOptions, stop: Stop
) -> None:
    def step(done: int, total: int, note: str) -> None:
        stop.check(target.part, "all blocks are computed, the NetCDF file is not written")
        if options.progress is not None:
            options.progress(done, total, note)

    for name, template in templates.items():
        write_netcdf(target.store(name), template, target.file(name), step)


class Meter:
    """Records finished blocks in the ledger and tells the progress."""

    def __init__(self, blocks: int, ledger: Ledger, progress: Progress | None) -> None:
        self.blocks, self.ledger, self.progress = blocks, ledger, progress
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
            left = seconds / self.here * (self.blocks - len(self.ledger.done))
            note = (
                f"{self.cells / seconds / 1e6:.2f} million cell-hours/s, {self.bytes / 1e6:.0f} MB, {left:.0f} s left"
            )
            self.progress(len(self.ledger.done), self.blocks, note)


def _kind(target: Target, options: ProduceOptions) -> str:
    return "NetCDF" if target.is_netcdf else f"Zarr {options.zarr_format}"


def _exists(target: Target) -> str:
    return f"output {target.existing()[0]} exists; choose another --out or replace it with --overwrite"


def _tidy(part: Path) -> None:
    """Remove the folder of a run that failed before it had begun its ledger: nothing half-written stays."""
    if part.exists() and not (part / "ledger.jsonl").exists():
        shutil.rmtree(part)
