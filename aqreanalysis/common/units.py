"""Units as CF writes them, through UDUNITS (cf-units): by what a number is multiplied, and what is added to it."""

from __future__ import annotations

from functools import cache


@cache
def linear_conversion(units: str, target: str) -> tuple[float, float] | None:
    """Return factor and offset that make values in `units` values in `target`; None if UDUNITS knows no way.

    Examples
    --------
    >>> linear_conversion("hectopascal", "Pa")
    (100.0, 0.0)
    """
    from cf_units import Unit  # not paid by who reads no units, or only those of a table

    try:
        source, wanted = Unit(units), Unit(target)
    except ValueError:
        return None
    if source.is_unknown() or source.is_no_unit() or not source.is_convertible(wanted):
        return None
    offset = float(source.convert(0.0, wanted))
    return _tidy(float(source.convert(1.0, wanted)) - offset), _tidy(offset)


def _tidy(number: float) -> float:
    """Return the plain number that UDUNITS' arithmetic missed by its rounding: 1e9, not 999999999.9999999."""
    plain = float(f"{number:.12g}")
    return plain if abs(plain - number) <= 5e-16 * abs(number) + 1e-300 else number
