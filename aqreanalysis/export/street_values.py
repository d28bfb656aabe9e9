"""What a street, a works or a cheap sensor would read at a place: background air of the cube and a kind's difference.

The difference is the mean of the kind's group, as the model of the cube learned it; what its stations and hours differ
by from that makes the bounds wider. It says what such a site usually is, not what this street is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from aqreanalysis.errors import OutputError, nearest_hint
from aqreanalysis.export.source import CubeSource
from aqreanalysis.export.tidy_tables import EXPECTATION_COLUMN
from aqreanalysis.model import Bundle, Scaling, read_bundle
from aqreanalysis.model.distribution.station_groups import GroupErrors
from aqreanalysis.observations.station_kinds import BACKGROUND, kind_of

_BOUNDS = ("lower", "upper")


@dataclass(frozen=True)
class StreetValues:
    """A kind of site, and by pollutant what it differs by and in which scale.

    Attributes
    ----------
    kind : str
        As of `station_kinds`, or a network of cheap sensors.
    errors : dict
        Pollutant -> errors of its group.
    scaling : dict
        Pollutant -> scaling of the model.
    half_width : dict
        Pollutant -> half-width of the cube's interval, in standard deviations.
    """

    kind: str
    errors: dict[str, GroupErrors]
    scaling: dict[str, Scaling]
    half_width: dict[str, float]

    def applied(self, key: str, fields: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the columns of a table (time, place) of background air as those of such a site."""
        scaling, group = self.scaling[key], self.errors[key]
        variance = group.spread + group.shared + group.noise
        best = scaling.forward(fields["value"]).astype(np.float64)
        there = best + group.mean
        out = dict(fields, value=scaling.backward(there))
        for name, sign in zip(_BOUNDS, (-1.0, 1.0), strict=True):
            apart = scaling.forward(fields[name]) - best
            wide = np.hypot(apart, self.half_width[key] * np.sqrt(variance))
            out[name] = scaling.backward(there + sign * wide)
        if EXPECTATION_COLUMN in fields:  # of a log-normal with so much more variance
            more = scaling.std * group.mean + scaling.std**2 * variance / 2
            out[EXPECTATION_COLUMN] = (
                (fields[EXPECTATION_COLUMN] + scaling.offset) * np.exp(more) - scaling.offset
            ).astype(np.float32)
        # A standard error in the units of the cube grows as the value does, and by what such sites differ by.
        factor = np.exp(group.mean * scaling.std)
        added = (out["value"] + scaling.offset) * np.sqrt(variance) * scaling.std
        out["standard_error"] = np.hypot(factor * fields["standard_error"], added).astype(np.float32)
        return out


def street_values(source: CubeSource, kind: str, model: str | Path | Bundle) -> StreetValues:
    """Return what a kind of site differs by from the background air of a cube.

    Parameters
    ----------
    source : CubeSource
        The cube.
    kind : str
        A word for a kind (kerb, traffic, industrial ...), or a network of cheap sensors.
    model : str, Path or Bundle
        The model that the cube was made with.

    Raises
    ------
    OutputError
        If it is background, the cube is of another model, or the model learned nothing of the kind for a pollutant.
    """
    bundle = model if isinstance(model, Bundle) else read_bundle(model)
    made_with = str(source.dataset.attrs.get("model_digest", ""))
    if made_with != bundle.digest:
        raise OutputError(
            f"the cube was made with model {made_with[:12] or 'unknown'}, and --model is {bundle.digest[:12]}: give "
            "the model of the cube"
        )
    groups = bundle.groups.groups if bundle.groups is not None else {}
    learned = sorted({name for some in groups.values() for name in some})
    wanted = kind if kind in learned else kind_of(kind) or kind
    if wanted == BACKGROUND:
        raise OutputError(f"--kind {kind}: the cube is of background air already; leave it out")
    lacking = [key for key in source.species if wanted not in groups.get(key, {})]
    if lacking:
        raise OutputError(
            f"--kind {kind}: the model knows nothing of such stations for {', '.join(lacking)} (of "
            f"{', '.join(learned) or 'none'} it does){nearest_hint(kind, learned)}: train it on a record with some"
        )
    errors = {key: groups[key][wanted] for key in source.species}
    half = {key: float(ndtri((1 + source.coverage(one)) / 2)) for key, one in source.species.items()}
    return StreetValues(wanted, errors, dict(bundle.scaling), half)
