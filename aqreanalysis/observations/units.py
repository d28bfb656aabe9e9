"""Units as networks write them -> the mass concentrations of `SPECIES`.

A mixing ratio x (mol/mol) becomes mass per volume by the ideal gas law, rho = x M p / (R T), at a stated temperature
and pressure: networks that report ppb do not say the air's own, and laws fix one instead (20 degC and 1013.25 hPa in
Directive 2008/50/EC, Annex VI; 25 degC for US EPA, 40 CFR part 50, and for China since September 2018, in the
amendment to GB 3095-2012).
"""

from __future__ import annotations

import re

from aqreanalysis.common.units import linear_conversion
from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.species import SPECIES, get_species

GAS_CONSTANT = 8.314462618  # J mol-1 K-1, CODATA 2018
ZERO_CELSIUS_K = 273.15

# What is left of a unit when blanks, dots, carets and signs are taken out -> what it is.
_SPELLINGS = {
    "ug m-3": {"ugm3", "ug/m3", "microgram/m3", "micrograms/m3", "microgrampercubicmeter", "microgramspercubicmeter"}
    | {"micrograms/cubicmeter", "micrograms/cubicmeterlc", "micrograms/cubicmeter25c", "ug/cubicmeter"},
    "mg m-3": {"mgm3", "mg/m3", "milligrams/m3", "milligramspercubicmeter", "milligrams/cubicmeter"},
    "ng m-3": {"ngm3", "ng/m3", "nanograms/cubicmeter"},
    "ug Nm-3": {"ugnm3", "ug/nm3", "ug/m3n", "ugm3n", "ug/ncubicmeter"},
    "mg Nm-3": {"mgnm3", "mg/nm3", "mg/m3n", "mgm3n"},
    "ppb": {"ppb", "ppbv", "partsperbillion", "nmolmol1", "nmol/mol"},
    "pphm": {"pphm", "partsperhundredmillion"},
    "ppm": {"ppm", "ppmv", "partspermillion", "umolmol1", "umol/mol"},
}
_KNOWN = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}
_MASS_UG = {"ug m-3": 1.0, "mg m-3": 1000.0, "ng m-3": 0.001, "ug Nm-3": 1.0, "mg Nm-3": 1000.0}
# A normal cubic metre holds the air of 0 degC and 1013.25 hPa.
_NORMAL = {"ug Nm-3", "mg Nm-3"}
_NORMAL_HPA = 1013.25
# Temperature at which mixing ratios become mass where neither the user nor the network says.
TEMPERATURE_CELSIUS = 20.0
_MIXING_RATIO = {"ppb": 1e-9, "pphm": 1e-8, "ppm": 1e-6}


def read_unit(text: str) -> str | None:
    """Return which key of the known units (``ug m-3``, ``ug Nm-3``, ``ppb`` ...) a `text` means, None if none.

    Of an address of the EEA's vocabulary (``.../uom/concentration/ug.m-3``) its end counts.
    """
    plain = text.strip().rpartition("/")[2] if text.strip().startswith("http") else text.strip()
    plain = plain.lower().replace("µ", "u").replace("μ", "u").replace("³", "3").replace("metre", "meter")
    plain = plain.replace("㎍", "ug").replace("㎎", "mg").replace("㎥", "m3").replace("m₃", "m3")
    plain = re.sub(r"\(fidas\)|\(teom\)|\(ref\.?eq\)", "", plain)
    return _KNOWN.get(re.sub(r"[\s.^()*-]", "", plain))


def _micrograms(text: str) -> float | None:
    """Return what a unit that no network's table holds has in ug m-3, if it is a mass in a volume."""
    conversion = linear_conversion(text.strip(), "ug m-3") if text.strip() else None
    return None if conversion is None else conversion[0]


def conversion(key: str, text: str, columns: ColumnsConfig, where: str) -> float:
    """Return the factor from the unit called `text` to the units of `SPECIES` for the pollutant `key`.

    Parameters
    ----------
    key : str
        Key of `SPECIES`.
    text : str
        The unit as it is written.
    columns : ColumnsConfig
        Temperature and pressure at which mixing ratios become mass.
    where : str
        Place of the unit, for the message.

    Raises
    ------
    ObservationsError
        If the unit is unknown, or is a mixing ratio of particles.
    """
    unit, species = read_unit(text), SPECIES[key]
    mass = _MASS_UG.get(unit) if unit else _micrograms(text)
    if mass is None and unit is None:
        raise ObservationsError(
            f"{where}: unit {text!r:.40} of {key} is unknown: expected one of {', '.join(_SPELLINGS)}, or what UDUNITS "
            "makes of a mass in a volume"
        )
    kelvin = temperature_celsius(columns) + ZERO_CELSIUS_K
    if mass is not None:
        # Particles and gases alike: what a normal cubic metre holds takes more room where it is warmer.
        normal = ZERO_CELSIUS_K / kelvin * columns.pressure_hpa / _NORMAL_HPA
        micrograms = mass * normal if unit in _NORMAL else mass
    elif species.molar_mass is None:
        raise ObservationsError(
            f"{where}: {key} in {text!r}: particles have a mass, not a mixing ratio; correct the unit"
        )
    else:
        grams = species.molar_mass * columns.pressure_hpa * 100.0 / (GAS_CONSTANT * kelvin)  # of the pure gas, per m3
        micrograms = _MIXING_RATIO[str(unit)] * grams * 1e6
    # The one factor is 1 and not 0.999...: what is in the right unit already must stay the same to the last bit.
    return micrograms if species.units == "ug m-3" else micrograms / 1000.0


def temperature_celsius(columns: ColumnsConfig) -> float:
    """Return the temperature at which mixing ratios become mass: what the user or the format says, else the EU's."""
    return TEMPERATURE_CELSIUS if columns.temperature_celsius is None else columns.temperature_celsius


def configured_units(columns: ColumnsConfig) -> dict[str, str]:
    """Return the units that the user says, by the key of the pollutant.

    Raises
    ------
    ObservationsError
        A key of ``columns.units`` is no pollutant.
    """
    return {get_species(name).key: unit for name, unit in columns.units.items()}


def factor_of(key: str, stated: str | None, columns: ColumnsConfig, report: QualityReport, where: str) -> float:
    """Return by what readings of a pollutant are multiplied, and note what was made of them or assumed.

    Parameters
    ----------
    key : str
        Key of `SPECIES`.
    stated : str or None
        The unit that the file states, None or empty where it states none. What ``columns.units`` says counts more.
    columns : ColumnsConfig
        Units, temperature and pressure.
    report : QualityReport
        Where it is noted.
    where : str
        Place of the unit, for the message.

    Raises
    ------
    ObservationsError
        As `conversion`.
    """
    configured = configured_units(columns).get(key)
    if configured is None and not (stated and stated.strip()):
        report.assumed_units.setdefault(key, SPECIES[key].units)
        return 1.0
    unit = configured or str(stated)
    factor = conversion(key, unit, columns, f"columns.units.{key}" if configured else where)
    known = read_unit(unit)
    if known in _MIXING_RATIO or known in _NORMAL:
        report.note(
            f"{key}: {unit} made {SPECIES[key].units} at {temperature_celsius(columns):g} degC and "
            f"{columns.pressure_hpa:g} hPa (columns.temperature_celsius, columns.pressure_hpa)"
        )
    elif factor != 1.0:
        report.note(f"{key}: {unit} made {SPECIES[key].units}")
    if configured and stated and stated.strip() and read_unit(stated) != known:
        report.note(f"{key}: the file says {stated.strip()}, columns.units says {configured}, which counts")
    return factor
