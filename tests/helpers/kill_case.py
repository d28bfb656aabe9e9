"""Commands that are killed at a random moment, and what must hold of what they leave; see `Job` and `kill_once`.

Each runs in a fork of a process that has imported everything, so that a moment is drawn from its work and not from the
start of an interpreter.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from attack_case import Assets
from s3_case import ServerProcess

GRID, SPAN = "116,39,118,40.5@0.25", ("2019-01-03", "2019-01-07")
#: Blocks of three rows, four columns and a day: 36 of them in the four days above.
BLOCKS = [f"--set=production.{key}" for key in ("tile_rows=3", "tile_columns=4", "block_days=1")]
#: A network of some thousand weights and a training of seconds.
SMALL = [
    *(f"--set=model.{key}" for key in ("neighbours=8", "kernels=2", "state_width=8", "attention_heads=2")),
    *("--set=model.channels=2", "--set=model.head_width=8", "--set=training.epochs=2", "--set=species=[pm25]"),
    *("--set=training.steps_per_epoch=6", "--set=split.unseen_time=0.1"),
]
# How long processes that a killed one has started may live on, and a command may take.
GRACE_SECONDS, LONGEST_SECONDS = 20.0, 240.0


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes
    ----------
    name : str
        For people.
    arguments : callable
        Of the assets: what stands behind ``aqreanalysis``; paths are relative to its folder.
    outputs : tuple of str
        What it makes.
    before : callable or None
        Makes what must be there before, in a folder: a cube that grows, an output that is replaced.
    same : callable or None
        What of an output must be the same bytes whoever was killed: name -> digest; None for all of it.
    environment : callable or None
        Variables that the command has.
    bring : callable or None
        Brings outputs that lie elsewhere into a folder, to be looked at.
    """

    name: str
    arguments: Callable[[Assets], list[str]]
    outputs: tuple[str, ...]
    before: Callable[[Assets, Path], None] | None = None
    same: Callable[[Path], dict[str, str]] | None = None
    environment: Callable[[], dict[str, str]] | None = None
    bring: Callable[[Path], None] | None = None


@dataclass
class Whole:
    """What a job comes to when nobody kills it: its outputs, what lay there before, and how long it takes."""

    folder: Path
    digests: dict[str, dict[str, str]]
    older: dict[str, dict[str, str]]
    names: list[str]
    seconds: float
    tried: int = 0
    faults: list[str] = field(default_factory=list)


def digests(path: Path) -> dict[str, str]:
    """Return the sha256 of each file of an output."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(f.relative_to(path.parent)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def numbers_of_model(path: Path) -> dict[str, str]:
    """Return the digest of a bundle's numbers: its record holds moments and durations too. It must be readable."""
    from aqreanalysis.model import read_bundle

    return {"numbers": read_bundle(path).digest}


def scores_of(path: Path) -> dict[str, str]:
    """Return the digest of the scores of an evaluation, and the names of its files; nothing where it is not whole."""
    if not (path / "metrics.json").exists():  # written last
        return {}
    metrics = json.loads((path / "metrics.json").read_text())
    scores = json.dumps(metrics.get("species", {}), sort_keys=True)
    return {
        "scores": hashlib.sha256(scores.encode()).hexdigest(),
        "names": " ".join(sorted(p.name for p in path.iterdir())),
    }


def run_job(
    job: Job, assets: Assets, place: Path, kill_after: float | None = None, limit: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run a job in a folder; see `run`."""
    variables = {} if job.environment is None else job.environment()

    def begin() -> None:
        os.environ.update(variables)
        if limit is not None:
            limit()

    return run(job.arguments(assets), place, kill_after, begin)


def run(
    arguments: list[str], cwd: Path, kill_after: float | None = None, limit: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run the program in a fork; kill it, and nothing that it started, after some seconds. Return status and stderr.

    `limit` is called in the fork before anything else: it may take away what a command needs.
    """
    note = cwd.parent / f"{cwd.name}.err"
    child = os.fork()
    if child == 0:
        _become(arguments, cwd, note, limit)
    ends = time.monotonic() + (LONGEST_SECONDS if kill_after is None else kill_after)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= ends:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.002)
    text = note.read_text(errors="replace") if note.exists() else ""
    left = _left_running(child)
    for process in left:
        process.kill()
    if left:
        text += f"\nprocesses left: {[p.pid for p in left]}"
        return 99, text
    return os.waitstatus_to_exitcode(status), text


def _left_running(session: int) -> list[psutil.Process]:
    """Return what still runs of the session of a process that is gone, after a while."""
    ends = time.monotonic() + GRACE_SECONDS
    while True:
        left = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(process)
            except (ProcessLookupError, psutil.Error):
                continue
        if not left or time.monotonic() > ends:
            return left
        time.sleep(0.1)


def _become(arguments: list[str], cwd: Path, note: Path, limit: Callable[[], None] | None) -> None:
    """Be the program, in a session of its own."""
    status = 70
    try:
        os.setsid()
        os.chdir(cwd)
        os.environ["TMPDIR"] = str(cwd.parent / "tmp")
        out = os.open(note, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        from aqreanalysis.cli import main

        if limit is not None:
            limit()
        main(arguments, prog_name="aqreanalysis")
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    finally:
        os._exit(status)


def make_whole(job: Job, assets: Assets, folder: Path) -> Whole:
    """Run a job to its end and note what it comes to.

    Raises
    ------
    AssertionError
        If it fails.
    """
    place = prepared(job, assets, folder / "whole")
    older = outputs(job, place)
    begun = time.monotonic()
    status, text = run_job(job, assets, place)
    seconds = time.monotonic() - begun
    assert status == 0, f"{job.name}: {text[-800:]}"
    return Whole(folder, outputs(job, place), older, names(place), seconds)


def kill_once(job: Job, assets: Assets, whole: Whole, draw: random.Random) -> str:
    """Kill a job at a moment of its work, look at what it left, and let it go on; return what is wrong, or nothing."""
    whole.tried += 1
    place = prepared(job, assets, whole.folder / f"{whole.tried}")
    moment = draw.uniform(0, whole.seconds)
    try:
        status, text = run_job(job, assets, place, moment)
        if status == 99:
            return f"after {moment:.2f} s: {text[-200:]}"
        for name, found in outputs(job, place).items():
            if found and found not in (whole.digests[name], whole.older.get(name)):
                return f"killed after {moment:.2f} s: {name} looks whole and is not"
        # Killed after it named its output it may have left the folder of its work: the next run takes that away.
        if outputs(job, place) != whole.digests or set(names(place)) - set(whole.names):
            status, text = run_job(job, assets, place)
            if status != 0:
                return f"killed after {moment:.2f} s: going on ended with {status}: {text[-300:]}"
        if outputs(job, place) != whole.digests:
            return f"killed after {moment:.2f} s: other bytes than of a run that nobody killed"
        if left := sorted(set(names(place)) - set(whole.names)):
            return f"killed after {moment:.2f} s: left behind {left[:4]}"
        return ""
    finally:
        shutil.rmtree(place, ignore_errors=True)


def prepared(job: Job, assets: Assets, place: Path) -> Path:
    """Return a fresh folder with what a job finds."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place.parent / "tmp").mkdir(exist_ok=True)
    if job.before is not None:
        job.before(assets, place)
    return place


def outputs(job: Job, place: Path) -> dict[str, dict[str, str]]:
    """Return the digests of the outputs that are there."""
    if job.bring is not None:
        job.bring(place)
    look = job.same or digests
    found = {}
    for name in job.outputs:
        try:
            found[name] = look(place / name) if (place / name).exists() else {}
        except Exception as error:
            found[name] = {"unreadable": repr(error)[:200]}
    return found


def names(place: Path) -> list[str]:
    """Return what stands in a folder, folders of outputs not looked into."""
    return sorted(p.name for p in place.iterdir())


def _produce(assets: Assets, out: str, *more: str, end: str = SPAN[1]) -> list[str]:
    start = [] if "--append" in more else ["--start", SPAN[0]]
    return [
        *("produce", "--model", str(assets.model), "--observations", str(assets.parquet), "--grid", GRID),
        *(*start, "--end", end, "--out", out, *BLOCKS, *more),
    ]


def _shorter(out: str, *more: str) -> Callable[[Assets, Path], None]:
    """Return what makes a cube of two days, that grows or is replaced."""

    def make(assets: Assets, place: Path) -> None:
        kept = place.parent / f"older-{out}"
        if not kept.exists():
            kept.mkdir()
            status, text = run(_produce(assets, out, *more, end="2019-01-05"), kept)
            assert status == 0, text
        for one in kept.iterdir():
            (shutil.copytree if one.is_dir() else shutil.copy)(one, place / one.name)

    return make


def _train(assets: Assets) -> list[str]:
    return ["train", "--observations", str(assets.parquet), "--out", "m", "--device", "cpu", *SMALL]


def _trained(assets: Assets, place: Path) -> None:
    """Put a model beside, which knows what its training saw."""
    made = place.parent / "trained"
    if not made.exists():
        made.mkdir()
        status, text = run(_train(assets), made)
        assert status == 0, text
    shutil.copytree(made / "m", place / "m")


def _listed(assets: Assets, place: Path) -> None:
    (place / "places.csv").write_text("place,lat,lon\na,39.5,117\nb,40,116.5\n")


def cube_in_bucket(path: Path) -> dict[str, str]:
    """Return the digests of what is in a bucket, if a reader finds a cube there: by the metadata that comes last."""
    return digests(path) if (path / "some" / "x.zarr" / ".zmetadata").exists() else {}


_SERVER = ServerProcess()
_EXPORTS: dict[str, tuple[list[str], str]] = {
    "points": (["--places", "places.csv", "--out", "t.csv"], "t.csv"),
    "netcdf": (["--out", "files"], "files"),
    "cog": (["--out", "maps"], "maps"),
    "aggregate": (["--statistic", "aqi", "--out", "a.nc"], "a.nc"),
    "grib": (["--species", "pm25", "--out", "g.grib2"], "g.grib2"),
    "stac": (["--out", "c"], "c"),
}
JOBS: list[Job] = [
    Job("training", _train, ("m",), same=numbers_of_model),
    Job(
        "calibration",
        lambda a: ["calibrate", "--model", str(a.model), "--observations", str(a.parquet), "--out", "c"],
        ("c",),
        same=numbers_of_model,
    ),
    Job("produce zarr", lambda a: _produce(a, "x.zarr"), ("x.zarr",)),
    Job("produce zarr 3", lambda a: _produce(a, "x.zarr", "--zarr-format", "3", "--shards"), ("x.zarr",)),
    Job("produce netcdf", lambda a: _produce(a, "x.nc"), ("x.nc",)),
    Job("produce --workers", lambda a: _produce(a, "x.zarr", "--workers", "2"), ("x.zarr",)),
    Job(
        "produce two frequencies",
        lambda a: _produce(a, "x.nc", "--frequency", "hourly,daily"),
        ("x_hourly.nc", "x_daily.nc"),
    ),
    Job("produce --split", lambda a: _produce(a, "x.nc", "--split", "month"), ("x_201901.nc",)),
    Job("produce --append zarr", lambda a: _produce(a, "x.zarr", "--append"), ("x.zarr",), _shorter("x.zarr")),
    Job("produce --append netcdf", lambda a: _produce(a, "x.nc", "--append"), ("x.nc",), _shorter("x.nc")),
    Job("produce --overwrite zarr", lambda a: _produce(a, "x.zarr", "--overwrite"), ("x.zarr",), _shorter("x.zarr")),
    Job("produce --overwrite netcdf", lambda a: _produce(a, "x.nc", "--overwrite"), ("x.nc",), _shorter("x.nc")),
    Job(
        "produce s3",
        lambda a: _produce(a, "s3://cubes/some/x.zarr"),
        ("bucket",),
        lambda _, place: _SERVER.empty(),
        cube_in_bucket,
        _SERVER.environment,
        _SERVER.bring,
    ),
    Job("import", lambda a: ["observations", "import", str(a.csv), "--out", "o.nc"], ("o.nc",)),
    Job(
        "evaluate",
        lambda a: ["evaluate", "--model", "m", "--observations", str(a.parquet), "--out", "e", "--device", "cpu"],
        ("e",),
        _trained,
        same=scores_of,
    ),
    *(
        Job(f"export {kind}", lambda a, k=kind, m=more: ["export", k, str(a.netcdf), *m], (out,), _listed)
        for kind, (more, out) in _EXPORTS.items()
    ),
]


def jobs(wanted: str = "") -> Iterator[Job]:
    """Yield the jobs whose names hold a text."""
    yield from (job for job in JOBS if wanted in job.name)
