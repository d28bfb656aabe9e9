"""Units as files write them -> those of a field. What is not in the table is refused, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aqreanalysis.covariates.fields import Field
from aqreanalysis.errors import CovariatesError

#: Of dry air, J kg-1 K-1.
GAS_CONSTANT = 287.05
#: kg m-3 at 20 degrees C and 1013.25 hPa: what a mixing ratio is turned to mass with where no pressure is at hand.
STANDARD_DENSITY = 101325.0 / (GAS_CONSTANT * 293.15)


@dataclass(frozen=True)
class Conversion:
    """``value * factor + offset`` is in the field's units; `mixing_ratio`: then times the density of air, kg m-3."""

    factor: float = 1.0
    offset: float = 0.0
    mixing_ratio: bool = False


_SPEED = {"m s-1": Conversion(), "km h-1": Conversion(1 / 3.6), "knot": Conversion(0.514444)}
_TEMPERATURE = {"k": Conversion(), "degc": Conversion(1.0, 273.15)}
_PRESSURE = {"pa": Conversion(), "hpa": Conversion(100.0), "kpa": Conversion(1000.0)}
# One kilogram of water on a square metre is one millimetre.
_WATER = {
    "m": Conversion(1000.0),
    "mm": Conversion(),
    "kg m-2": Conversion(),
    "mm h-1": Conversion(),
    "kg m-2 s-1": Conversion(3600.0),
    "m s-1": Conversion(3.6e6),
}
_HEIGHT = {"m": Conversion(), "km": Conversion(1000.0)}
_MASS = {
    "kg m-3": Conversion(1e9),
    "g m-3": Conversion(1e6),
    "mg m-3": Conversion(1e3),
    "ug m-3": Conversion(),
    "kg kg-1": Conversion(1e9, mixing_ratio=True),
}
_BY_FIELD_UNITS = {
    "m s-1": _SPEED,
    "K": _TEMPERATURE,
    "Pa": _PRESSURE,
    "mm h-1": _WATER,
    "m": _HEIGHT,
    "ug m-3": _MASS,
    "mg m-3": {k: Conversion(c.factor * 1e-3, c.offset, c.mixing_ratio) for k, c in _MASS.items()},
}
_SAME = {
    "kelvin": "k",
    "c": "degc",
    "celsius": "degc",
    "degree_celsius": "degc",
    "degrees_celsius": "degc",
    "deg_c": "degc",
    "mbar": "hpa",
    "millibar": "hpa",
    "mb": "hpa",
    "pascal": "pa",
    "metre": "m",
    "meter": "m",
    "metres": "m",
    "meters": "m",
    "knots": "knot",
    "kt": "knot",
    "m of water equivalent": "m",
    "km hour-1": "km h-1",
    "mm hour-1": "mm h-1",
    "mm hr-1": "mm h-1",
    "kg m-2 h-1": "mm h-1",
}


def normal(units: str) -> str:
    """Return a unit in one spelling: ``m s**-1``, ``m/s`` and ``m.s^-1`` all become ``m s-1``."""
    text = units.strip().lower().replace("µ", "u").replace("μ", "u").replace("°", "deg")
    text = re.sub(r"\*\*|\^", "", text).replace(".", " ").replace("*", " ")
    parts = text.split("/")
    if len(parts) > 1:
        below = [re.sub(r"^([a-z]+)(\d*)$", lambda m: f"{m[1]}-{m[2] or 1}", part.strip()) for part in parts[1:]]
        text = " ".join([parts[0].strip(), *below])
    text = re.sub(r"\s+", " ", text).strip()
    return _SAME.get(text, text)


def conversion(units: str, field: Field, where: str) -> Conversion:
    """Return how values in `units` become those of `field`.

    Parameters
    ----------
    units : str
        As the file says.
    field : Field
    where : str
        File and message or variable, for the error.

    Raises
    ------
    CovariatesError
        If the unit is none that this quantity can have.
    """
    known = _BY_FIELD_UNITS[field.units]
    found = known.get(normal(units))
    if found is None:
        told = f"in {units!r}" if units.strip() else "without units"
        raise CovariatesError(
            f"{where}: {field.key} ({field.title}) is {told}; one of {', '.join(known)} is needed: "
            "correct the units attribute of the file"
        )
    return found
