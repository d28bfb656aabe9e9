"""The model bundle: a directory of plain files, each with its digest on record. No pickle anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aqreanalysis.common.fingerprint import json_digest
from aqreanalysis.configs import Config, load_config
from aqreanalysis.errors import ModelError
from aqreanalysis.model.distribution.crowding import Crowding
from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.model.distribution.hourly import Calibration
from aqreanalysis.model.distribution.period_means import MeansCalibration
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
_NUMERIC = ("config.yaml", "scaling.json", "calibration.json", _MEANS, _FIELDS, _DRIFT, _CROWDING)
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
        save_file(tensors, path / _weights_name(i, len(bundle.members)))
    _dump(path / "scaling.json", {k: v.to_dict() for k, v in bundle.scaling.items()})
    _dump(path / "calibration.json", {k: v.to_dict() for k, v in bundle.calibration.items()})
    _dump(path / _MEANS, {k: v.to_dict() for k, v in bundle.calibration_means.items()})
    if bundle.fields is not None:
        _dump(path / _FIELDS, bundle.fields.to_dict())
    if bundle.drift is not None:
        _dump(path / _DRIFT, bundle.drift.to_dict())
    if bundle.crowding is not None:
        _dump(path / _CROWDING, bundle.crowding.to_dict())
    bundle.stations.to_parquet(path / "stations.parquet", index=False)
    _dump(path / "metrics.json", bundle.metrics)
    (path / "MODEL_CARD.md").write_text(bundle.card, encoding="utf-8")
    weights = [_weights_name(i, len(bundle.members)) for i in range(len(bundle.members))]
    parts = (_FIELDS, bundle.fields), (_DRIFT, bundle.drift), (_CROWDING, bundle.crowding)
    absent = {name for name, part in parts if part is None}
    numeric = [n for n in _NUMERIC if n not in absent]
    digests = {n: _sha256(path / n) for n in (*numeric, *weights, "stations.parquet")}
    bundle.provenance |= {
        "files_sha256": digests,
        "model_digest": _model_digest(digests),
        "numerics": NUMERICS,
    }
    # Last: a directory without it is an unfinished bundle.
    _dump(path / _PROVENANCE, bundle.provenance)
    return path


def read_bundle(path: str | Path) -> Bundle:
    """Return the bundle in directory `path`, every file checked against its digest.

    Raises
    ------
    ModelError
        If there is no bundle, a file is missing or altered, or a newer version wrote it.
    """
    if not isinstance(path, str | PathLike):
        raise ModelError(f"model {path!r}: give the folder of a bundle, or what load_predictor returned")
    path = Path(path)
    if not path.is_dir():
        raise ModelError(f"no model at {path}: train one with 'aqreanalysis train --out {path}'")
    provenance = _load(path / _PROVENANCE, path)
    digests = provenance.get("files_sha256") if isinstance(provenance, dict) else None
    if not isinstance(digests, dict):
        raise ModelError(f"model {path}: {_PROVENANCE} does not list the model's files; restore it or train again")
    for name, digest in digests.items():
        if not (path / name).is_file():
            raise ModelError(f"model {path}: {name} is missing; restore it or train the model again")
        if _sha256(path / name) != digest:
            raise ModelError(f"model {path}: {name} was altered after training (sha256 differs); restore or retrain")
    if provenance.get("numerics") != NUMERICS:
        raise ModelError(
            f"model {path}: trained with numerics version {provenance.get('numerics')}, this program has {NUMERICS}; "
            "train it again or install the version that trained it"
        )
    if provenance.get("model_digest") != _model_digest(digests):
        raise ModelError(f"model {path}: {_PROVENANCE} was altered after training; restore it or train again")
    try:
        members = [load_file(path / n) for n in digests if n.endswith(".safetensors")]
    except SafetensorError as error:
        raise ModelError(f"model {path}: weights cannot be read: {error}") from None
    card = path / "MODEL_CARD.md"
    means = _load(path / _MEANS, path) if _MEANS in digests else {}
    return Bundle(
        config=load_config(path / "config.yaml"),
        members=members,
        scaling={k: Scaling(**v) for k, v in _load(path / "scaling.json", path).items()},
        calibration={k: Calibration.from_dict(v) for k, v in _load(path / "calibration.json", path).items()},
        stations=pd.read_parquet(path / "stations.parquet"),
        metrics=_load(path / "metrics.json", path) if (path / "metrics.json").is_file() else {},
        provenance=provenance,
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        calibration_means={k: MeansCalibration.from_dict(v) for k, v in means.items()},
        fields=FieldScaling.from_dict(_load(path / _FIELDS, path)) if _FIELDS in digests else None,
        drift=Drift.from_dict(_load(path / _DRIFT, path)) if _DRIFT in digests else None,
        crowding=Crowding(**_load(path / _CROWDING, path)) if _CROWDING in digests else None,
    )


def _model_digest(digests: dict[str, str]) -> str:
    """Return the digest over the files that decide numbers; a file that is not listed counts as empty."""
    weights = [n for n in digests if n.endswith(".safetensors")]
    numeric = "".join(str(digests.get(n, "")) for n in (*_NUMERIC, *weights)) + str(NUMERICS)
    return hashlib.sha256(numeric.encode()).hexdigest()


def _weights_name(member: int, members: int) -> str:
    return "weights.safetensors" if members == 1 else f"weights-{member}.safetensors"


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _load(path: Path, bundle: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"{bundle} is no finished model: {path.name} is missing")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ModelError(f"model {bundle}: {path.name} is not JSON; restore it or train the model again") from None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measured_coverage(bundle_metrics: Mapping[str, Any]) -> str:
    """Return in one ASCII sentence what the interval covered where it was measured; empty before any evaluation."""
    metrics = bundle_metrics.get("evaluation")
    if not metrics:
        return ""
    parts = [
        f"{SPECIES[key].title} {scores['methods'][MODEL]['overall']['coverage']:.3f} "
        f"({name}, {scores['stations']} stations)"
        for key, protocols in metrics["species"].items()
        for name, scores in protocols.items()
    ]
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
        raise ModelError(f"the weights do not fit the config of the model: {str(error).splitlines()[0]}") from None
    return network.to(device).eval()
