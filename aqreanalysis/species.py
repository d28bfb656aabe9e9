"""The six pollutants: key, name of the layer, CF standard name, units, plausible range.

The key (``pm25``) is what users type and what station files call a column; the layer (``pm2p5``) is what the variable
is called in a cube, after the CF standard name.

>>> from aqreanalysis import SPECIES
>>> SPECIES["pm25"].layer, SPECIES["pm25"].units
('pm2p5', 'ug m-3')
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aqreanalysis.errors import ObservationsError, nearest_hint, wrong_type


@dataclass(frozen=True)
class Species:
    """One pollutant.

    Attributes
    ----------
    key : str
        Short name in files, options and configs.
    layer : str
        Name of the variable in a cube.
    standard_name : str
        CF standard name of the mass concentration.
    title : str
        Name for people.
    units : str
        UDUNITS string, ASCII. All concentrations are ``ug m-3`` but CO, which is ``mg m-3``.
    plausible_max : float
        Hourly means above it are taken for faults, in `units`.
    molar_mass : float or None
        g mol-1, for conversion from a mixing ratio; None for particles.
    """

    key: str
    layer: str
    standard_name: str
    title: str
    units: str
    plausible_max: float
    molar_mass: float | None = None


def _particles(size: str) -> str:
    return f"mass_concentration_of_{size}_ambient_aerosol_particles_in_air"


def _gas(name: str) -> str:
    return f"mass_concentration_of_{name}_in_air"


# Upper limits: a little above the ranges of the instruments in routine networks (beta attenuation monitors end at
# 1000 ug/m3 or, in dust regions, at 10000), so that a real dust storm passes and a telemetry fault does not.
SPECIES: dict[str, Species] = {
    s.key: s
    for s in (
        Species("pm25", "pm2p5", _particles("pm2p5"), "PM2.5", "ug m-3", 2000.0),
        Species("pm10", "pm10", _particles("pm10"), "PM10", "ug m-3", 10000.0),
        Species("so2", "so2", _gas("sulfur_dioxide"), "SO2", "ug m-3", 3000.0, 64.066),
        Species("no2", "no2", _gas("nitrogen_dioxide"), "NO2", "ug m-3", 1500.0, 46.006),
        Species("o3", "o3", _gas("ozone"), "O3", "ug m-3", 1200.0, 47.998),
        Species("co", "co", _gas("carbon_monoxide"), "CO", "mg m-3", 100.0, 28.010),
    )
}

_ALIASES = {"pm2p5": "pm25", "pm2.5": "pm25", "pm2_5": "pm25", "ozone": "o3"}


def get_species(name: str) -> Species:
    """Return the pollutant called `name` (its key, layer or a usual alias, in any case).

    Raises
    ------
    ObservationsError
        If the name is none of the six.
    """
    if not isinstance(name, str):
        raise wrong_type("pollutant", name, f"one of {', '.join(SPECIES)}", ObservationsError)
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key not in SPECIES:
        hint = nearest_hint(key, SPECIES)
        raise ObservationsError(f"unknown pollutant {name!r}: known are {', '.join(SPECIES)}{hint}")
    return SPECIES[key]


def in_order(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the known keys among `keys` in the order of `SPECIES`, each once."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise wrong_type("species", keys, f"a list of {', '.join(SPECIES)}", ObservationsError)
    wanted = {get_species(k).key for k in keys}
    return tuple(k for k in SPECIES if k in wanted)
