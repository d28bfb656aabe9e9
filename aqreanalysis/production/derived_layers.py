"""Quantities that are derived from a cube's pollutants: what files of indices, daily maxima and counts hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from aqreanalysis.production.layers import CUBE_DIMS
from aqreanalysis.species import SPECIES, Species

CONCENTRATION, INDEX, COUNT = "concentration", "index", "count"
#: Name of the air quality index, and the layer of its leading pollutant.
AQI, LEADING = "aqi", "aqi_leading_pollutant"
_MDA8 = re.compile(r"(?P<layer>\w+)_mda8")
_COUNTS = re.compile(r"(?P<layer>\w+?)_(?P<of>mda8_)?(?P<unit>hour|day|step)s_above_(?P<limit>[0-9]+(p[0-9]+)?)")


@dataclass(frozen=True)
class DerivedQuantity:
    """What a layer holds that is no plain pollutant.

    Attributes
    ----------
    species : Species
        The quantity as others take it: key and layer are the variable's name.
    kind : str
        ``concentration`` (a maximum), ``index`` or ``count``.
    of : str or None
        Key of the pollutant; None of an index.
    beside : tuple of str
        Endings of layers of it, beside error bars.
    """

    species: Species
    kind: str
    of: str | None
    beside: tuple[str, ...] = ()


def derived_quantity(name: str, attrs: Mapping[str, Any]) -> DerivedQuantity | None:
    """Return what a variable holds, by its name and attributes; None if it is no derived quantity's estimate."""
    if name == AQI:
        return DerivedQuantity(Species(AQI, AQI, "", "AQI", "1", math.inf), INDEX, None, (LEADING.removeprefix(AQI),))
    if match := _COUNTS.fullmatch(name):
        species = _pollutant(match["layer"])
        if species is not None:
            title = str(attrs.get("long_name", name)).removesuffix(", by the best estimate")
            counted = Species(name, name, "", title, "1", math.inf)
            return DerivedQuantity(counted, COUNT, species.key, ("_expected", "_probability"))
    if match := _MDA8.fullmatch(name):
        species = _pollutant(match["layer"])
        if species is not None:
            title = f"{species.title}, maximum daily 8-hour mean"
            maximum = Species(
                name, name, species.standard_name, title, species.units, species.plausible_max, species.molar_mass
            )
            return DerivedQuantity(maximum, CONCENTRATION, species.key)
    return None


def derived_quantities(dataset: xr.Dataset) -> dict[str, DerivedQuantity]:
    """Return the derived quantities of a cube, by their keys, in the order of its variables."""
    held = {str(name): v.attrs for name, v in dataset.data_vars.items() if set(CUBE_DIMS) == set(map(str, v.dims))}
    known = ((name, derived_quantity(name, attrs)) for name, attrs in held.items())
    return {name: quantity for name, quantity in known if quantity is not None}


def quantities_of(dataset: xr.Dataset) -> list[str]:
    """Return the keys of what a cube holds: pollutants in the order of `SPECIES`, then what is derived from them."""
    return [s.key for s in SPECIES.values() if s.layer in dataset.data_vars] + list(derived_quantities(dataset))


def held_beside(best: str, endings: Iterable[str], dataset: xr.Dataset) -> tuple[str, ...]:
    """Return the layers over time that are named `best` with one of `endings` and are there."""
    names = (f"{best}{ending}" for ending in endings)
    return tuple(n for n in names if n in dataset.data_vars and set(CUBE_DIMS) == set(dataset[n].dims))


def _pollutant(layer: str) -> Species | None:
    return next((s for s in SPECIES.values() if s.layer == layer), None)
