"""Units as files write them -> those of a field, by UDUNITS. What cannot be converted is refused, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aqreanalysis.common.units import linear_conversion
from aqreanalysis.covariates.fields import Field
from aqreanalysis.errors import CovariatesError

#: Of dry air, J kg-1 K-1.
GAS_CONSTANT = 287.05
#: kg m-3 at 20 degrees C and 1013.25 hPa: what a mixing ratio is turned to mass with where no pressure is at hand.
STANDARD_DENSITY = 101325.0 / (GAS_CONSTANT * 293.15)


@dataclass(frozen=True)
class Conversion:
    """``value * factor + offset`` is in the field's units; `mixing_ratio`: then times the density of air, kg m-3;
    `rate`: the values are amounts in a time, and no sums over one."""

    factor: float = 1.0
    offset: float = 0.0
    mixing_ratio: bool = False
    rate: bool = False


#: Units of a field -> units that its files may have, each with what turns it into the field's; one kilogram of water on
#: a square metre is one millimetre, and a sum is that of its hour.
_TARGETS = {
    "m s-1": {"m s-1": 1.0},
    "K": {"K": 1.0},
    "Pa": {"Pa": 1.0},
    "mm h-1": {"mm": 1.0, "kg m-2": 1.0, "mm h-1": 1.0, "kg m-2 h-1": 1.0},
    "m": {"m": 1.0},
    "ug m-3": {"ug m-3": 1.0, "kg kg-1": 1e9},
    "mg m-3": {"mg m-3": 1.0, "kg kg-1": 1e6},
}
_RATES = {"mm h-1", "kg m-2 h-1"}
#: What files write and UDUNITS does not know or takes for another thing (millibarn, kiloton, speed of light).
_SPELLINGS = {
    "k": "K",
    "c": "degC",
    "degc": "degC",
    "celsius": "degC",
    "degrees_celsius": "degC",
    "deg_c": "degC",
    "pa": "Pa",
    "hpa": "hPa",
    "kpa": "kPa",
    "mb": "mbar",
    "knots": "knot",
    "kt": "knot",
    "m of water equivalent": "m",
}
_MASS_RATIO = re.compile(r"[a-z]*g [a-z]*g-1")


def normal(units: str) -> str:
    """Return a unit in one spelling: ``m s**-1``, ``m/s`` and ``m.s^-1`` all become ``m s-1``."""
    text = units.strip().lower().replace("µ", "u").replace("μ", "u").replace("°", "deg")
    text = re.sub(r"\*\*|\^", "", text).replace(".", " ").replace("*", " ")
    parts = text.split("/")
    if len(parts) > 1:
        below = [re.sub(r"^([a-z]+)(\d*)$", lambda m: f"{m[1]}-{m[2] or 1}", part.strip()) for part in parts[1:]]
        text = " ".join([parts[0].strip(), *below])
    return re.sub(r"\s+", " ", text).strip()


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
        If the unit is none that this variable can have.
    """
    plain, targets = normal(units), _TARGETS[field.units]
    for written in dict.fromkeys((_SPELLINGS.get(plain, units.strip()), plain)):
        for target, scale in targets.items():
            ratio = target == "kg kg-1"
            if ratio and not _MASS_RATIO.fullmatch(plain):
                continue  # without its units a ratio may be one of volumes, as ppb is
            linear = linear_conversion(written, target) if written else None
            if linear is not None:
                return Conversion(linear[0] * scale, linear[1], ratio, target in _RATES)
    named = f"in {units!r}" if units.strip() else "without units"
    raise CovariatesError(
        f"{where}: {field.key} ({field.title}) is {named}; {' or '.join(targets)}, or what converts to it, is needed: "
        "correct the units attribute of the file"
    )
