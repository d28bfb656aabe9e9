"""The layers of a cube: names, types and CF attributes. The one place where they are written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from aqreanalysis.production.plan.timeline import HOURLY

if TYPE_CHECKING:
    from aqreanalysis.species import Species

#: Of the cubes that this program writes; those of 1, which do not say it, stamp a step at its end.
CONVENTIONS_VERSION = "2"
VERSION_ATTRIBUTE = "aqreanalysis_conventions"
CUBE_DIMS = ("time", "lat", "lon")
MAP_DIMS = ("lat", "lon")
# NetCDF's fill for floats; in Zarr it is NaN, because Zarr 3 keeps any other as an attribute that clients do not read.
FILL = -9999.0
DISTANCE = "nearest_station_distance"

# Conditions that can hold together, so they are bits (flag_masks) and not classes; 0 is an estimate without reserve.
FLAGS = {
    "forecast_hour": 1,
    "hour_without_observation": 2,
    "extrapolated_beyond_network": 4,
    "few_neighbours": 8,
    "masked": 16,
}
# A bit of cubes that leave cells far from every station blank, of hours and of means.
LEFT_BLANK = {"left_blank": 32}
# The same bits, as far as they speak of the hours of a mean.
MEAN_FLAGS = {
    "contains_forecast_hours": 1,
    "few_hours_with_observations": 2,
    "extrapolated_beyond_network": 4,
    "few_neighbours": 8,
    "masked": 16,
}


#: The variable that says how layers were rounded, as of CF 1.12.
QUANTIZATION = "quantization_info"
#: What holds the checksums of a finished cube's chunks: a group of a store, a variable of a file; no layer.
CHUNK_DIGESTS = "chunk_digests"
# What can be asked for beside the layers of every cube of hours.
ADDED_LAYERS = ("mean",)
#: First words of the comment by which an estimate says which statistic it is.
MEDIAN, EXPECTATION = "median", "expectation"
_OF_HOURS = (
    f"{MEDIAN} of the distribution of the hourly mean, half of which lies on either side; averages over hours or cells "
    "are to be made of expectations, which are higher where the distribution is skewed"
)


# CF has no standard name for the distance to a station, and none is invented. It changes with time because stations
# fall silent: the interval is read by it.
_DISTANCE_ATTRS = {
    "units": "km",
    "comment": "Stations with a reading of the pollutant at the hour; at an hour at which none has one, those with one "
    "in the hours that its estimate reads; missing where there is none in them either.",
    "coverage_content_type": "auxiliaryInformation",
}


@dataclass(frozen=True)
class Layer:
    """One variable of the cube.

    Attributes
    ----------
    name : str
        Name of the variable.
    dtype : str
        NumPy type.
    fill : float, int or None
        Missing value in NetCDF; None where nothing can be missing.
    attrs : dict
        CF attributes, without fill, grid mapping and coordinates.
    dims : tuple of str
        ``CUBE_DIMS`` or ``MAP_DIMS``.
    """

    name: str
    dtype: str
    fill: float | int | None
    attrs: dict[str, Any] = field(default_factory=dict)
    dims: tuple[str, ...] = CUBE_DIMS


@dataclass(frozen=True)
class Extrapolation:
    """Where a pollutant is extrapolated: beyond a distance to every station that reports it.

    Attributes
    ----------
    km : float
        Cells farther than this are flagged.
    source : str
        What the distance is.
    blank_km : float or None
        Cells farther than this are left blank; None leaves none blank.
    """

    km: float
    source: str
    blank_km: float | None = None


@dataclass(frozen=True)
class LayerNames:
    """Names of the layers of one pollutant."""

    best: str
    standard_error: str
    lower: str
    upper: str
    flag: str
    used: str
    exceedance: tuple[str, ...]
    hours: str
    distance: str
    mean: str


def layer_names(species: Species, several: bool, thresholds: Sequence[float] = ()) -> LayerNames:
    """Return the names of the layers of `species`.

    Parameters
    ----------
    species : Species
        The pollutant.
    several : bool
        Whether the cube holds more than one: then flag and count carry its name, since stations that miss one
        pollutant measure another.
    thresholds : sequence of float
        Concentrations in the species' units for which an exceedance probability is wanted.
    """
    layer = species.layer
    own = f"{layer}_" if several else ""
    return LayerNames(
        layer,
        f"{layer}_standard_error",
        f"{layer}_lower",
        f"{layer}_upper",
        f"{own}quality_flag",
        f"{own}observations_used",
        tuple(f"{layer}_exceedance_{_plain(t)}" for t in thresholds),
        f"{own}hours_observed",
        f"{own}{DISTANCE}",
        f"{layer}_mean",
    )


@dataclass(frozen=True)
class CubeKind:
    """What the layers of a cube are of, beside their pollutants.

    Attributes
    ----------
    coverage : float
        Probability of the interval.
    frequency : str
        Of the steps.
    notes : mapping
        Species key -> what the interval of a mean rests on.
    counted : str
        Which neighbouring stations an hour's number of observations counts.
    extrapolation : mapping
        Species key -> where it is extrapolated; what is not there is said nothing of.
    added : tuple of str
        Layers beside those of every cube, of `ADDED_LAYERS`; of hours alone.
    keepbits : int
        Bits of the mantissa that float layers are rounded to; 0 keeps them all.
    """

    coverage: float
    frequency: str = HOURLY
    notes: Mapping[str, str] = field(default_factory=dict)
    counted: str = "observed at the hour"
    extrapolation: Mapping[str, Extrapolation] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    keepbits: int = 0

    @property
    def mean(self) -> str:
        """``daily mean`` and the like; empty for hours."""
        return "" if self.frequency == HOURLY else f"{self.frequency} mean"


def species_layers(species: Species, several: bool, kind: CubeKind, thresholds: Sequence[float] = ()) -> list[Layer]:
    """Return the layers of one pollutant, the best estimate first."""
    names = layer_names(species, several, thresholds)
    of = f" of {species.title}" if several else ""
    beyond = kind.extrapolation.get(species.key)
    counts = [_flag_layer(names.flag, of, kind, beyond), _used_layer(names.used, of, kind)]
    if kind.mean:
        counts.append(_hours_layer(names.hours, of))
    over = f", mean of the {kind.mean.removesuffix(' mean')} hours" if kind.mean else ""
    far = {"long_name": f"nearest station that reports {species.title}, great-circle distance{over}", **_DISTANCE_ATTRS}
    counts.append(Layer(names.distance, "float32", FILL, far))
    added = [names.mean] if "mean" in kind.added and not kind.mean else []
    ancillary = [names.standard_error, names.lower, names.upper, *added, *(x.name for x in counts), *names.exceedance]
    best = {
        "standard_name": species.standard_name,
        "long_name": f"{kind.mean} of {species.title} mass concentration"
        if kind.mean
        else f"{species.title} mass concentration",
        "units": species.units,
        "cell_methods": "time: mean (interval: 1 hour)" if kind.mean else "time: mean",
        "comment": f"{EXPECTATION} of the {kind.mean}: mean over its hours of their expectations"
        if kind.mean
        else f"{_OF_HOURS}: the expectation {'is in the layer _mean' if added else 'was not asked for'}",
        "ancillary_variables": " ".join(ancillary),
        "coverage_content_type": "modelResult",
    }
    methods = {"cell_methods": best["cell_methods"]}
    note = {"comment": kind.notes[species.key]} if species.key in kind.notes else {}
    error = {
        "standard_name": f"{species.standard_name} standard_error",
        "long_name": f"standard error of {_quantity(species, kind)}",
        "units": species.units,
        **methods,
        "coverage_content_type": "qualityInformation",
        **note,
    }
    layers = [
        Layer(names.best, "float32", FILL, best),
        Layer(names.standard_error, "float32", FILL, error),
        *(
            Layer(name, "float32", FILL, {**interval_attrs(species, kind, bound), **methods, **note})
            for name, bound in ((names.lower, "lower"), (names.upper, "upper"))
        ),
    ]
    layers += [
        Layer(name, "float32", FILL, _exceedance_attrs(species, kind, threshold))
        for name, threshold in zip(names.exceedance, thresholds, strict=True)
    ]
    layers += [Layer(name, "float32", FILL, _mean_attrs(species)) for name in added]
    if beyond is not None and beyond.blank_km is not None:
        for layer in layers:
            layer.attrs["blank_beyond_km"] = float(beyond.blank_km)
    return [*layers, *counts]


def _mean_attrs(species: Species) -> dict[str, Any]:
    """Return the attributes of the expectation beside a median: no standard name, which is the estimate's alone."""
    return {
        "long_name": f"expectation of {species.title} mass concentration",
        "units": species.units,
        "cell_methods": "time: mean",
        "comment": f"{EXPECTATION} of the distribution of the hourly mean, from which averages over hours or cells are "
        "made",
        "coverage_content_type": "modelResult",
    }


def interval_attrs(species: Species, kind: CubeKind, bound: str) -> dict[str, Any]:
    """Return the attributes of one bound of the coverage interval.

    CF has neither a cell method for quantiles nor an agreed way to mark intervals (cf-conventions pull request 661 is
    open), so everything that may have to change when it has is here. The standard name is the estimate's alone.
    """
    return {
        "long_name": f"{bound} bound of the {100 * kind.coverage:g} % coverage interval of {_quantity(species, kind)}",
        "units": species.units,
        "coverage_probability": float(kind.coverage),
        "coverage_content_type": "qualityInformation",
    }


def cube_layers(
    species: Sequence[Species], kind: CubeKind | float, thresholds: Mapping[str, Sequence[float]] | None = None
) -> tuple[Layer, ...]:
    """Return all layers of a cube, in the order in which they are written; of an hourly one the coverage is enough."""
    kind = kind if isinstance(kind, CubeKind) else CubeKind(kind)
    several = len(species) > 1
    layers: list[Layer] = []
    for one in species:
        layers += species_layers(one, several, kind, (thresholds or {}).get(one.key, ()))
    for layer in layers if kind.keepbits else ():
        if layer.dtype == "float32":
            layer.attrs.update({"quantization": QUANTIZATION, "quantization_nsb": np.int32(kind.keepbits)})
    return tuple(layers)


def statistic_of(attrs: Mapping[str, Any], hourly: bool) -> str:
    """Return which statistic an estimate is, ``median`` or ``expectation``, from its attributes.

    Cubes that do not say it were written before estimates did: of hours they hold medians, of means expectations.
    """
    said = str(attrs.get("comment", "")).split(" ")[0]
    return said if said in (MEDIAN, EXPECTATION) else (MEDIAN if hourly else EXPECTATION)


def value_bytes(layers: Iterable[Layer]) -> int:
    """Return the bytes a cell and step of the layers that change with time."""
    return sum(np.dtype(layer.dtype).itemsize for layer in layers if layer.dims == CUBE_DIMS)


def _plain(threshold: float) -> str:
    return f"{threshold:g}".replace(".", "p")


def _quantity(species: Species, kind: CubeKind) -> str:
    return f"the {kind.mean} of {species.title}" if kind.mean else species.title


def _exceedance_attrs(species: Species, kind: CubeKind, threshold: float) -> dict[str, Any]:
    return {
        "long_name": f"probability that {_quantity(species, kind)} is above {threshold:g} {species.units}",
        "units": "1",
        "threshold": float(threshold),
        "threshold_units": species.units,
        "coverage_content_type": "modelResult",
    }


def _flag_layer(name: str, of: str, kind: CubeKind, beyond: Extrapolation | None) -> Layer:
    flags = (MEAN_FLAGS if kind.mean else FLAGS) | (LEFT_BLANK if beyond is not None and beyond.blank_km else {})
    attrs: dict[str, Any] = {
        "standard_name": "quality_flag",
        "long_name": f"quality flag{of}",
        "flag_masks": np.array(list(flags.values()), dtype=np.int8),
        "flag_meanings": " ".join(flags),
        "coverage_content_type": "qualityInformation",
    }
    if beyond is not None:
        far = f"extrapolated_beyond_network: farther than {beyond.km:.4g} km from every station that reports, which is "
        blank = f"; left_blank: farther than {beyond.blank_km:.4g} km, no value is given" if beyond.blank_km else ""
        attrs |= {"extrapolation_km": float(beyond.km), "comment": f"{far}{beyond.source}{blank}"}
    return Layer(name, "int8", None, attrs)


def _used_layer(name: str, of: str, kind: CubeKind) -> Layer:
    long_name = (
        f"number of hourly readings of neighbouring stations{of} used"
        if kind.mean
        else f"number of neighbouring stations{of} {kind.counted} and used"
    )
    attrs: dict[str, Any] = {
        "standard_name": "number_of_observations",
        "long_name": long_name,
        "units": "1",
        "coverage_content_type": "qualityInformation",
    }
    return Layer(name, "int32" if kind.mean else "int16", -1, attrs)


def _hours_layer(name: str, of: str) -> Layer:
    attrs: dict[str, Any] = {
        # An hourly value of the network is one of the discrete observations that the mean is derived from.
        "standard_name": "number_of_observations",
        "long_name": f"number of hours of the mean at which a neighbouring station{of} was observed",
        "units": "1",
        "comment": "An hour counts as one observation, however many stations were observed at it. The mean is over all "
        "hours between its time bounds; at the others the estimate had no reading.",
        "coverage_content_type": "qualityInformation",
    }
    return Layer(name, "int16", -1, attrs)
