"""What stands around the loop of every training: its working folder, the scalings, the bundle put in its place."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from aqreanalysis.common.files import write_json
from aqreanalysis.common.fingerprint import check_fingerprint
from aqreanalysis.common.hours import even_step
from aqreanalysis.common.publish import publish_folder
from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.configs import Config
from aqreanalysis.errors import ObservationsError, OutputError, already_exists
from aqreanalysis.model import Bundle, Calibration, Scaling, training_fingerprint, write_bundle
from aqreanalysis.model.bundle import OFFERED
from aqreanalysis.observations import Observations
from aqreanalysis.species import get_species, in_order
from aqreanalysis.splits import Split

if TYPE_CHECKING:
    from aqreanalysis.covariates import Covariates, StaticFields
    from aqreanalysis.model.network.scaling import Paths


_RECORD = "fingerprint.json"
# In the working folder: which folder was on its way to its name, and what stood under that name before.
_PUBLISHING, _REPLACED = "publishing", "replaced"
_READINGS_TO_FIT = 20_000_000


@dataclass(frozen=True)
class TrainOptions:
    """What to do with what is there.

    Attributes
    ----------
    resume : bool
        Go on with an interrupted training of the same observations and config; its result is that of an uninterrupted
        one. Without it, begin anew.
    overwrite : bool
        Replace a bundle that is there.
    covariates : Covariates or paths, optional
        Meteorology and rasters to learn from beside the readings; files are read as the config says.
    static : StaticFields or paths, optional
        Rasters and tables of points to try in the external drift.
    start : Bundle, optional
        A model to go on from: what was learned is kept only where left-out stations are sure that it is better.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> aq.TrainOptions(overwrite=True).resume
    True
    """

    resume: bool = True
    overwrite: bool = False
    covariates: Covariates | Paths | None = None
    static: StaticFields | Paths | None = None
    start: Bundle | None = None

    def opened(self, config: Config, trained: bool = False) -> TrainOptions:
        """Return the options with their files opened, of a model that is to be `trained` or is."""
        if self.covariates is None and self.static is None:
            return self
        from aqreanalysis.covariates.given import as_covariates, as_static

        covariates = as_covariates(self.covariates, config.covariates, trained)
        return replace(self, covariates=covariates, static=as_static(self.static, config.drift, trained))

    @property
    def field_source(self) -> Covariates | None:
        """The covariates, after `opened`."""
        return cast("Covariates | None", self.covariates)

    @property
    def static_source(self) -> StaticFields | None:
        """The static fields, after `opened`."""
        return cast("StaticFields | None", self.static)


@dataclass(frozen=True)
class Trained:
    """What the loop leaves: the weights of each member, the bundle's metrics, the type of device."""

    members: list[dict[str, Tensor]]
    metrics: dict[str, Any]
    device: str


def resolve_species(config: Config, observations: Observations) -> Config:
    """Return `config` with its pollutants checked against the observations and its inputs filled in.

    Raises
    ------
    ObservationsError
        If a pollutant to estimate or to read is not in the observations.
    """
    species = in_order(config.species)
    inputs = in_order(config.inputs) if config.inputs else observations.species
    for key in (*species, *inputs):
        if key not in observations.species:
            have = ", ".join(observations.species)
            raise ObservationsError(f"no {get_species(key).title} ({key}) in the observations, which hold {have}")
    inputs = in_order((*species, *inputs))
    return config.model_copy(update={"species": list(species), "inputs": list(inputs)})


def check_out(out: Path, options: TrainOptions) -> None:
    """Refuse, before any work, to write where a bundle is; see `claimed` for one that is being written."""
    if re.match(r"\w+:/", str(out)):
        raise OutputError("a model is written to a folder of this machine: give its path as --out, no URL")
    if out.exists() and not options.overwrite and not working_folder(out).exists():
        raise already_exists(out)


@contextmanager
def claimed(out: Path, options: TrainOptions, mine: bool = True) -> Iterator[None]:
    """Hold the right to write the bundle `out` meanwhile.

    What a process that was killed at its last step left to do is done first: a bundle that was put aside gets its name
    back, and the working folder of one that is whole goes.

    Parameters
    ----------
    out : Path
        Directory of the bundle.
    options : TrainOptions
        Whether a bundle that is there is replaced.
    mine : bool
        Whether this process writes it: of several that train one network the first.

    Raises
    ------
    OutputError
        If another process holds it, or a bundle is there.
    """
    if not mine:
        yield
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}; choose another --out") from None
    with sole_writer(out):
        part = working_folder(out)
        whole = part / _PUBLISHING
        if out.exists() and whole.is_file() and whole.read_text(encoding="ascii") == str(out.stat().st_ino):
            shutil.rmtree(part, ignore_errors=True)
        elif not out.exists() and (part / _REPLACED).exists():
            (part / _REPLACED).rename(out)
        if out.exists() and not options.overwrite:
            raise already_exists(out)
        yield


def fit_scalings(values: NDArray[np.float32], inputs: Sequence[str]) -> dict[str, Scaling]:
    """Return the scaling of each input, fitted to `values` (hour, station, input) in their units.

    Raises
    ------
    ObservationsError
        If a pollutant has no two different readings.
    """
    scalings = {}
    for i, key in enumerate(inputs):
        try:
            scalings[key] = Scaling.fit(values[..., i])
        except ValueError:
            raise ObservationsError(
                f"{get_species(key).title} has no two different readings at the training stations in the hours that "
                "training may see: leave it out of 'inputs' and 'species', or bring more data"
            ) from None
    return scalings


def fit_present_scalings(
    values: NDArray[np.float32], inputs: Sequence[str], otherwise: Mapping[str, Scaling] | None = None
) -> dict[str, Scaling]:
    """Return the scaling of each input, as `fit_scalings`; one without two different readings takes the other one.

    Where none is given it is that of a unit, which no reading will ever meet.
    """
    scalings = {}
    for i, key in enumerate(inputs):
        try:
            scalings[key] = Scaling.fit(values[..., i])
        except ValueError:
            scalings[key] = Scaling(1.0, 0.0, 1.0, 1.0) if otherwise is None else otherwise[key]
    return scalings


def subsample_stride(shape: tuple[int, int]) -> int:
    """Return of how many hours one is enough to fit scalings, for records of `shape` (hour, station).

    All of them up to `_READINGS_TO_FIT` readings a pollutant: more tell nothing new, and would all be in memory. The
    number shares no factor with the hours of a week, so that every hour of the day and day of the week is among them.
    """
    return even_step(-(-shape[0] * shape[1] // _READINGS_TO_FIT), 24 * 7)


def working_folder(out: Path) -> Path:
    """Return where the checkpoints of the bundle `out` lie while it is trained."""
    return out.with_name(out.name + ".part")


def check_no_training(out: Path) -> None:
    """Refuse to write, without a training, a bundle of which one is unfinished: its checkpoints would go.

    Raises
    ------
    OutputError
        If so.
    """
    part = working_folder(out)
    if (part / _RECORD).exists():
        raise OutputError(
            f"{part} holds an unfinished training of {out}: go on with it, remove it, or choose another --out"
        )


def open_run_folder(
    out: Path, observations: Observations, config: Config, options: TrainOptions, processes: int = 1
) -> Path:
    """Return the working folder of the bundle `out`: new, or that of this very training when it was interrupted.

    The number of processes is part of what a training is: each draws days of its own.

    Raises
    ------
    OutputError
        If the folder is of a training with other observations or another config, cannot be read or not be written.
    """
    part = working_folder(out)
    mine = training_fingerprint(observations.digest(), config)
    if processes > 1:
        mine["processes"] = processes
    if options.field_source is not None:
        mine["covariates"] = options.field_source.digest()
    if options.static_source is not None:
        mine["static fields"] = options.static_source.digest()
    if options.start is not None:
        mine["went on from"] = options.start.digest
    record = part / _RECORD
    try:
        if part.exists() and not options.resume:
            shutil.rmtree(part)
        if record.is_file():
            check_fingerprint(record, mine, "an interrupted training", "begin anew with --fresh")
            return part
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{part} cannot be written: {error.strerror or error}; choose another --out") from None
    write_json(mine, record)
    return part


def make_bundle(
    observations: Observations, config: Config, split: Split, scaling: dict[str, Scaling], trained: Trained
) -> Bundle:
    """Return the bundle of what was trained, its intervals those of a normal distribution, its card not yet written."""
    return Bundle(
        config=config,
        members=trained.members,
        scaling=scaling,
        calibration={s: Calibration.normal() for s in config.species},
        stations=split.to_frame(),
        metrics=trained.metrics,
        provenance=provenance_of(observations, split, trained.device),
    )


def provenance_of(observations: Observations, split: Split, device: str) -> dict[str, Any]:
    """Return what a bundle says of its records, of what in them was hidden, and of what made it."""
    from aqreanalysis import __version__

    return {
        "program": f"aqreanalysis {__version__}",
        "torch": torch.__version__,
        "device": device,
        "observations_digest": observations.digest(),
        **({"synthetic": observations.attributes["synthetic"]} if "synthetic" in observations.attributes else {}),
        "observations_attributes": {k: str(v) for k, v in observations.attributes.items()},
        "time_coverage_start": str(observations.times[0]),
        "time_coverage_end": str(observations.times[-1]),
        "unseen_from": str(split.unseen_from),
        "cluster_km": split.cluster_km,
        "stations_by_role": split.counts(),
    }


def offered(static: StaticFields | None) -> dict[str, dict[str, str]]:
    """Return what a bundle says of the static fields that its drift had to choose from; nothing without any."""
    return {} if static is None else {OFFERED: {one.name: one.source for one in static.fields}}


def publish_bundle(bundle: Bundle, part: Path, out: Path) -> Path:
    """Write the bundle into its working folder, move it to `out` whole, and return `out`.

    Raises
    ------
    OutputError
        If it cannot be written. What was there before stays, and so do the checkpoints.
    """
    whole = part / "bundle"
    try:
        shutil.rmtree(whole, ignore_errors=True)
        write_bundle(bundle, whole)
        identity = whole.stat().st_ino
        (part / _PUBLISHING).write_text(str(identity), encoding="ascii")
        publish_folder(whole, out, part / _REPLACED, identity)
        shutil.rmtree(part)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        checkpoints = f"the training is kept in {part}: " if (part / _RECORD).exists() else ""
        raise OutputError(
            f"the model cannot be written to {out}: {reason}; {checkpoints}mend it and run the same command again"
        ) from None
    return out
