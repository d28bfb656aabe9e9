"""The model bundle: a directory of plain files, each with its digest on record. No pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from aqreanalysis.common.files import plain, replacing
from aqreanalysis.common.fingerprint import json_digest
from aqreanalysis.configs import Config, load_config
from aqreanalysis.errors import ModelError, in_one_line, wrong_type
from aqreanalysis.model.distribution.crowding import Crowding
from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.model.distribution.hourly import Calibration
from aqreanalysis.model.distribution.period_means import MeansCalibration
from aqreanalysis.model.distribution.station_groups import StationGroups
from aqreanalysis.model.network.scaling import FieldScaling, Scaling
from aqreanalysis.species import SPECIES

#: What the model is called among the methods of an evaluation: in ``metrics.json``, and for people.
MODEL, MODEL_TITLE = "aq-net", "AQ-Net"
#: Where the scores stand in the model card, before `evaluate` and after.
MEASURED_HEADING = "## Measured at hidden stations"
#: Entry of the provenance: the static fields that a training was offered, by name, with their files.
OFFERED = "static_fields_offered"
#: Entry of the provenance of a model that was calibrated on another network than that of its training: of which model
#: it was made, what that one learned from, and ``remark``, a sentence for card and cube.
CALIBRATED_FROM = "calibrated_from"
#: Key of the provenance: that a calibration had too few stations to hide any.
NONE_HIDDEN = "none_hidden"
# Version of the numerics: raise it when the same weights would give other numbers.
NUMERICS = 1

_PROVENANCE = "provenance.json"
# What decides the numbers of a cube; the card and the scores may be rewritten without making another model.
_MEANS = "calibration_means.json"
# There where the model was trained with covariates, and only there.
_FIELDS = "covariates.json"
# There where the ground was found to tell something: height, population, static fields.
_DRIFT = "drift.json"
# There where the closeness of stations was found to tell something.
_CROWDING = "crowding.json"
# There where the record had stations that are not of background air.
_GROUPS = "station_groups.json"
_NUMERIC = ("config.yaml", "scaling.json", "calibration.json", _MEANS, _FIELDS, _DRIFT, _CROWDING, _GROUPS)
_STATIONS, _CARD, _METRICS = "stations.parquet", "MODEL_CARD.md", "metrics.json"
_WEIGHTS = re.compile(r"weights(-\d{1,3})?\.safetensors")
_ALWAYS = ("config.yaml", "scaling.json", "calibration.json", _STATIONS)
_DESCRIPTIVE = (_METRICS, _CARD)
# The largest file that a bundle may have, by its ending: a file says its size before a byte of it is read.
_LARGEST = {".yaml": 1 << 20, ".md": 1 << 24, ".json": 1 << 27, ".parquet": 1 << 28, ".safetensors": 1 << 31}
N = TypeVar("N", bound=nn.Module)


@dataclass
class Bundle:
    """A trained model as it lies on disk.

    Attributes
    ----------
    config : Config
        With `species` and `inputs` as they were resolved in training.
    members : list of dict
        Weights of each ensemble member.
    scaling, calibration : dict
        By pollutant key; every input has a scaling, every target a calibration.
    stations : DataFrame
        Columns station, lat, lon, city, role: what training saw and what it did not.
    metrics : dict
        Scores, as `evaluate` or training left them.
    provenance : dict
        Versions, digest of the observations, time span, hours unseen.
    card : str
        The model card, Markdown.
    calibration_means : dict
        By pollutant key, of daily, monthly and annual means; empty where none was made.
    fields : FieldScaling or None
        Covariates: order, units, how they are standardised; None where the model was trained without.
    drift : Drift or None
        What height, population and static fields say of a place; None where they say nothing.
    crowding : Crowding or None
        What the closeness of stations says of a place; None where it says nothing.
    groups : StationGroups or None
        What kerbs, works and cheap sensors differ by from background air; None where the record had none.
    """

    config: Config
    members: list[dict[str, Tensor]]
    scaling: dict[str, Scaling]
    calibration: dict[str, Calibration]
    stations: pd.DataFrame
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    card: str = ""
    calibration_means: dict[str, MeansCalibration] = field(default_factory=dict)
    fields: FieldScaling | None = None
    drift: Drift | None = None
    crowding: Crowding | None = None
    groups: StationGroups | None = None

    @property
    def digest(self) -> str:
        """The model's digest: sha256 over everything that decides the numbers of a cube; empty until it is written."""
        return str(self.provenance.get("model_digest", ""))


def training_fingerprint(observations: str, config: Config) -> dict[str, Any]:
    """Return what decides the weights that a training ends with.

    Parameters
    ----------
    observations : str
        Their digest.
    config : Config
        All of it counts but the metadata and what only production reads.
    """
    described = config.model_dump(mode="json", exclude={"metadata", "production"})
    return {"observations": observations, "config": json_digest(described), "numerics": NUMERICS}


def write_bundle(bundle: Bundle, path: Path) -> Path:
    """Write `bundle` into the existing or new directory `path` and return it; digests go into ``provenance.json``."""
    path.mkdir(parents=True, exist_ok=True)
    config = bundle.config.model_dump(mode="json")
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    for i, member in enumerate(bundle.members):
        tensors = {k: v.detach().cpu().contiguous() for k, v in member.items()}
        # As all others: safetensors' own `save_file` lets nobody but its owner read it, whatever the umask.
        (path / _weights_name(i, len(bundle.members))).write_bytes(save(tensors))
    _dump(path / "scaling.json", {k: v.to_dict() for k, v in bundle.scaling.items()})
    _dump(path / "calibration.json", {k: v.to_dict() for k, v in bundle.calibration.items()})
    _dump(path / _MEANS, {k: v.to_dict() for k, v in bundle.calibration_means.items()})
    if bundle.fields is not None:
        _dump(path / _FIELDS, bundle.fields.to_dict())
    if bundle.drift is not None:
        _dump(path / _DRIFT, bundle.drift.to_dict())
    if bundle.crowding is not None:
        _dump(path / _CROWDING, bundle.crowding.to_dict())
    if bundle.groups is not None:
        _dump(path / _GROUPS, bundle.groups.to_dict())
    bundle.stations.to_parquet(path / _STATIONS, index=False)
    weights = [_weights_name(i, len(bundle.members)) for i in range(len(bundle.members))]
    parts = (_FIELDS, bundle.fields), (_DRIFT, bundle.drift), (_CROWDING, bundle.crowding), (_GROUPS, bundle.groups)
    absent = {name for name, part in parts if part is None}
    numeric = [n for n in _NUMERIC if n not in absent]
    digests = {n: _sha256(path / n) for n in (*numeric, *weights, _STATIONS)}
    bundle.provenance |= {"files_sha256": digests, "model_digest": _model_digest(digests), "numerics": NUMERICS}
    write_description(bundle, path)
    return path


def write_description(bundle: Bundle, path: Path) -> None:
    """Write what decides no number of a cube, metrics and model card, into the bundle in `path`, with their digests.

    Where they are there already the provenance first lists those of before beside the new ones: whenever this is cut
    short, the bundle can be read.
    """
    texts = {_METRICS: _json(plain(bundle.metrics)), _CARD: bundle.card}
    digests = bundle.provenance["files_sha256"]
    before = {n: str(digests[n]) for n in _DESCRIPTIVE if n in digests}
    after = {n: hashlib.sha256(text.encode()).hexdigest() for n, text in texts.items()}
    if before:
        digests |= {n: f"{before[n].split()[-1]} {after[n]}" for n in before}
        _replace(path / _PROVENANCE, _json(plain(bundle.provenance)))
    for name, text in texts.items():
        _replace(path / name, text)
    digests |= after
    # Last: a directory without it is an unfinished bundle.
    _replace(path / _PROVENANCE, _json(plain(bundle.provenance)))


def read_bundle(path: str | Path) -> Bundle:
    """Return the bundle in directory `path`, every file checked against its digest.

    Whoever made the folder may be a stranger: files have the names that a bundle's have and no others, none is a link,
    none is larger than a bundle's, and no weight, scaling or calibration is anything but a finite number.

    Raises
    ------
    ModelError
        If there is no bundle, a file is missing, altered or not what a bundle holds, or a newer version wrote it.
    """
    if not isinstance(path, str | PathLike):
        raise wrong_type("model", path, "the folder of a bundle, or what load_predictor returned", ModelError)
    path = Path(path)
    if not path.is_dir():
        raise ModelError(f"no model at {path}: train one with 'aqreanalysis train --out {path}'")
    _check_plain(path, _PROVENANCE)
    provenance = _load(path / _PROVENANCE, path)
    digests = provenance.get("files_sha256") if isinstance(provenance, dict) else None
    if not isinstance(digests, dict):
        raise ModelError(f"model {path}: {_PROVENANCE} does not list the model's files; restore it or train again")
    _check_files(path, digests)
    if provenance.get("numerics") != NUMERICS:
        raise ModelError(
            f"model {path}: trained with numerics version {provenance.get('numerics')}, this program has {NUMERICS}; "
            "train it again or install the version that trained it"
        )
    if provenance.get("model_digest") != _model_digest(digests):
        raise ModelError(f"model {path}: {_PROVENANCE} was altered after training; restore it or train again")
    with _as_model_error(path):
        members = [load((path / n).read_bytes()) for n in digests if _WEIGHTS.fullmatch(n)]
        if not all(bool(torch.isfinite(w).all()) for member in members for w in member.values()):
            raise ModelError(f"model {path}: a weight is not a finite number; restore the model or train it again")
        content = {n: _load(path / n, path) for n in digests if n.endswith(".json")}
        if any(not isinstance(one, dict) for one in content.values()):
            raise TypeError("a JSON that is no object")
        return Bundle(
            config=load_config(path / "config.yaml"),
            members=members,
            scaling={k: Scaling(**v) for k, v in content["scaling.json"].items()},
            calibration={k: Calibration.from_dict(v) for k, v in content["calibration.json"].items()},
            stations=pd.read_parquet(path / _STATIONS),
            # Bundles of before do not list the two.
            metrics=content[_METRICS] if _METRICS in content else _load_if_there(path, _METRICS),
            provenance=provenance,
            card=(path / _CARD).read_text(encoding="utf-8") if (path / _CARD).is_file() else "",
            calibration_means={k: MeansCalibration.from_dict(v) for k, v in content.get(_MEANS, {}).items()},
            fields=FieldScaling.from_dict(content[_FIELDS]) if _FIELDS in content else None,
            drift=Drift.from_dict(content[_DRIFT]) if _DRIFT in content else None,
            crowding=Crowding(**content[_CROWDING]) if _CROWDING in content else None,
            groups=StationGroups.from_dict(content[_GROUPS]) if _GROUPS in content else None,
        )


def bundle_config(path: str | Path) -> Config:
    """Return the config in the bundle at `path`, without its weights; what is wrong with the rest `read_bundle` says.

    Raises
    ------
    ModelError
        If there is no bundle.
    """
    config = Path(path) / "config.yaml"
    if not config.is_file():
        raise ModelError(f"no model at {path}: train one with 'aqreanalysis train --out {path}'")
    return load_config(config)


def _check_files(path: Path, digests: Mapping[str, Any]) -> None:
    """Refuse a list of files that is not a bundle's, and files that are not those of the list."""
    known = {*_ALWAYS, *_NUMERIC, *_DESCRIPTIVE}
    for name in digests:
        if name not in known and not _WEIGHTS.fullmatch(name):
            raise ModelError(
                f"model {path}: {_PROVENANCE} lists {name[:60]!r}, which is no file of a model; restore it"
            )
    lacking = [name for name in _ALWAYS if name not in digests]
    if lacking or not any(_WEIGHTS.fullmatch(name) for name in digests):
        raise ModelError(
            f"model {path}: {_PROVENANCE} was altered after training: it does not list "
            f"{lacking[0] if lacking else 'weights'}; restore it or train again"
        )
    for name in dict.fromkeys((*digests, *(n for n in _DESCRIPTIVE if (path / n).exists()))):
        _check_plain(path, name)
        if name in digests and _sha256(path / name) not in str(digests[name]).split():
            raise ModelError(f"model {path}: {name} was altered after training (sha256 differs); restore or retrain")


def _check_plain(path: Path, name: str) -> None:
    """Refuse a file that is missing, a link, or larger than a bundle's can be."""
    file = path / name
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise ModelError(f"model {path}: {name} is no plain file; a model's files lie in its folder: restore it")
    if not file.exists():
        unfinished = f"{path} is no finished model: {name} is missing"
        raise ModelError(
            unfinished
            if name == _PROVENANCE
            else f"model {path}: {name} is missing; restore it or train the model again"
        )
    if (size := file.stat().st_size) > _LARGEST[file.suffix]:
        raise ModelError(f"model {path}: {name} has {size} bytes, a model's has at most {_LARGEST[file.suffix]}")


@contextmanager
def _as_model_error(path: Path) -> Iterator[None]:
    """Turn what readers say of files that do not hold what a bundle's do into one line.

    Raises
    ------
    ModelError
        If they do.
    """
    try:
        yield
    except SafetensorError as error:
        raise ModelError(f"model {path}: weights cannot be read: {str(error)[:200]}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ModelError(
            f"model {path}: a file does not hold what a model's does ({reason}); restore it or train the model again"
        ) from None


def _load_if_there(path: Path, name: str) -> Any:
    return _load(path / name, path) if (path / name).is_file() else {}


def _model_digest(digests: dict[str, str]) -> str:
    """Return the digest over the files that decide numbers; a file that is not listed counts as empty."""
    weights = [n for n in digests if _WEIGHTS.fullmatch(n)]
    numeric = "".join(str(digests.get(n, "")) for n in (*_NUMERIC, *weights)) + str(NUMERICS)
    return hashlib.sha256(numeric.encode()).hexdigest()


def _weights_name(member: int, members: int) -> str:
    return "weights.safetensors" if members == 1 else f"weights-{member}.safetensors"


def _dump(path: Path, content: Any) -> None:
    path.write_text(_json(content), encoding="utf-8")


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def _replace(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _load(path: Path, bundle: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_constant, parse_float=_finite)
    except RecursionError:
        raise ModelError(f"model {bundle}: {path.name} is nested too deeply; restore it or train again") from None
    except ValueError:
        raise ModelError(
            f"model {bundle}: {path.name} is not JSON of finite numbers; restore it or train the model again"
        ) from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _constant(text: str) -> float:
    # What JSON does not know and Python writes: only an error that never fades has an infinite lifetime.
    if text != "Infinity":
        raise ValueError(text)
    return math.inf


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measured_coverage(bundle_metrics: Mapping[str, Any]) -> str:
    """Return in one ASCII sentence what the interval covered where it was measured; empty before any evaluation."""
    metrics = bundle_metrics.get("evaluation")
    if not metrics:
        return ""
    shares = [
        (key, name, scores["methods"][MODEL]["overall"]["coverage"], scores["stations"])
        for key, protocols in metrics["species"].items()
        for name, scores in protocols.items()
    ]
    # Without a reading there is no share.
    parts = [
        f"{SPECIES[key].title} {share:.3f} ({name}, {n} stations)"
        for key, name, share, n in shares
        if share is not None
    ]
    if not parts:
        return ""
    hours = metrics["hours"]
    return (
        f"share of readings inside the {metrics['coverage']:.0%} interval at stations hidden from the model, "
        f"{hours['choice']} hours from {hours['first']} to {hours['last']}: {', '.join(parts)}"
    )


def static_fields_lines(bundle: Bundle) -> list[str]:
    """Return in sentences without a full stop which static fields a model was offered, which its drift uses, and what
    they explained; none for a model that was offered none."""
    offered = bundle.provenance.get(OFFERED)
    if not offered:
        return []
    drift = bundle.drift
    used = {one.name: one for one in drift.static} if drift is not None else {}
    lines = [
        f"Static field {name} ({one.source}) enters the drift, averaged over "
        f"{', '.join(f'{w:g}' for w in one.windows_km)} km; --static {name}=PATH is needed wherever the model runs"
        for name, one in used.items()
    ]
    unused = [f"{name} ({source})" for name, source in offered.items() if name not in used]
    if unused:
        lines.append(f"Static fields without which towns left out are told no worse, so not used: {', '.join(unused)}")
    for key, shares in (drift.explained if drift is not None else {}).items():
        if shares:
            beside = ", ".join(f"{name} {x:.3f}" for name, x in shares.items() if name not in ("all", "built-in"))
            lines.append(
                f"Of what kriging lastingly misses of {SPECIES[key].title} at towns left out the drift explains "
                f"{shares['all']:.3f}, height and population alone {shares['built-in']:.3f}"
                + (f"; without a field it explains less by: {beside}" if beside else "")
            )
    return lines


def load_member(network: N, weights: Mapping[str, Tensor], device: torch.device) -> N:
    """Return `network` with `weights` in it, on `device` and ready to compute.

    Raises
    ------
    ModelError
        If the weights are those of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights do not fit the config of the model: {in_one_line(error, 200)}") from None
    return network.to(device).eval()
