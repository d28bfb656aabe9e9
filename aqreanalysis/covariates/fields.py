"""The fields that are known: keys (as cfgrib names ERA5's), standard names, units, ranges, and how files call them.

GRIB parameters: ECMWF parameter database (https://codes.ecmwf.int/grib/param-db/). Gases and particles of the CAMS
European ensemble come as GRIB2 mass densities whose constituent is told by `constituentType`, which ecCodes gives no
short name; see `BY_CONSTITUENT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aqreanalysis.errors import CovariatesError, nearest_hint
from aqreanalysis.species import SPECIES


@dataclass(frozen=True)
class Field:
    """One variable that changes from hour to hour.

    Attributes
    ----------
    key : str
        Name in configs, bundles and arrays.
    title : str
        Name for people.
    standard_name : str
        CF standard name.
    units : str
        Units of what `Covariates` returns; see `units.py` for what is converted.
    plausible : tuple of float
        Lowest and highest value in `units` that is believed; anything else is an error, never passed on.
    param_ids : tuple of int
        ECMWF parameters that are this variable.
    names : tuple of str
        Names of variables in NetCDF files, in any case.
    accumulated : bool
        Whether files hold sums over a period; the value is then that of one hour.
    """

    key: str
    title: str
    standard_name: str
    units: str
    plausible: tuple[float, float]
    param_ids: tuple[int, ...]
    names: tuple[str, ...]
    accumulated: bool = False


_MASS = {"ug m-3": 1.0, "mg m-3": 1e-3}


def _background(key: str, param_ids: tuple[int, ...], *names: str) -> Field:
    species = SPECIES[key]
    # A model's cell can hold more than an instrument ever reads (a fire), so the limit is ten times as far.
    plausible = (-1.0 * _MASS[species.units], 10.0 * species.plausible_max)
    title = f"{species.title} of an atmospheric model (background)"
    return Field(f"{key}_background", title, species.standard_name, species.units, plausible, param_ids, names)


# What NetCDF files call the fields: ECMWF (CDS, ADS, cfgrib), ARCO and WeatherBench2, MERRA-2, CMIP and CORDEX, WRF,
# COSMO, and wgrib2's names of NCEP's models.
_U10 = ("u10", "10u", "10m_u_component_of_wind", "u10m", "uas", "u_10m", "ugrd_10maboveground")
_V10 = ("v10", "10v", "10m_v_component_of_wind", "v10m", "vas", "v_10m", "vgrd_10maboveground")
_T2M = ("t2m", "2t", "2m_temperature", "tas", "t2", "t_2m", "tmp_2maboveground")
_D2M = ("d2m", "2d", "2m_dewpoint_temperature", "t2mdew", "tdps", "td_2m", "dpt_2maboveground")
_SP = ("sp", "surface_pressure", "ps", "psfc", "pres_surface")
_TP = (
    *("tp", "total_precipitation", "total_precipitation_1hr", "total_precipitation_6hr", "prectotcorr", "prectot"),
    *("pr", "tot_prec", "apcp_surface", "mtpr", "avg_tprate", "tprate"),
)
_BLH = ("blh", "boundary_layer_height", "pblh", "zmla", "hpbl_surface", "hpbl")

FIELDS: dict[str, Field] = {
    f.key: f
    for f in (
        Field("u10", "eastward wind at 10 m", "eastward_wind", "m s-1", (-110.0, 110.0), (165,), _U10),
        Field("v10", "northward wind at 10 m", "northward_wind", "m s-1", (-110.0, 110.0), (166,), _V10),
        Field("t2m", "temperature at 2 m", "air_temperature", "K", (180.0, 340.0), (167,), _T2M),
        Field("d2m", "dew point at 2 m", "dew_point_temperature", "K", (150.0, 320.0), (168,), _D2M),
        Field("sp", "pressure at the surface", "surface_air_pressure", "Pa", (45e3, 112e3), (134,), _SP),
        Field(
            "tp",
            "precipitation of the hour",
            "lwe_precipitation_rate",
            "mm h-1",
            (-0.05, 400.0),
            (228, 228228, 235055),
            _TP,
            accumulated=True,
        ),
        Field(
            "blh",
            "height of the boundary layer",
            "atmosphere_boundary_layer_thickness",
            "m",
            (0.0, 12e3),
            (159,),
            _BLH,
        ),
        _background("pm25", (210073,), "pm2p5", "pm2p5_conc"),
        _background("pm10", (210074,), "pm10", "pm10_conc"),
        _background("so2", (210122,), "so2", "so2_conc"),
        _background("no2", (210121,), "no2", "no2_conc"),
        _background("o3", (210203,), "go3", "o3_conc"),
        _background("co", (210123,), "co", "co_conc"),
    )
}

BY_PARAM_ID = {param_id: f for f in FIELDS.values() for param_id in f.param_ids}
BY_NAME = {name: f for f in FIELDS.values() for name in f.names}
#: Not by standard name alone where it says no height: an air temperature at 850 hPa has the same name as at 2 m.
BY_STANDARD_NAME = {
    f.standard_name: f for f in FIELDS.values() if f.key.endswith("_background") or f.key in {"sp", "blh"}
}
#: Constituents of GRIB2 mass densities (discipline 0, category 20, number 0): tables 4.230 and 4.233 of the WMO, and
#: the particle classes of local numbers that the CAMS European ensemble uses.
BY_CONSTITUENT = {
    0: FIELDS["o3_background"],
    4: FIELDS["co_background"],
    5: FIELDS["no2_background"],
    8: FIELDS["so2_background"],
    40008: FIELDS["pm10_background"],
    40009: FIELDS["pm25_background"],
}


def field_of_variable(name: str, attrs: Mapping[str, object], names: Mapping[str, str]) -> Field | None:
    """Return the field that a variable of a NetCDF file is, None if it is none.

    Parameters
    ----------
    name : str
    attrs : mapping
        Its attributes: a short name (of ARCO, or cfgrib's) counts as a name, a parameter number of GRIB too.
    names : mapping
        Field -> name, as people set it; a field that is set goes by no other name.

    Raises
    ------
    CovariatesError
        If a name is set for a field that is not known.
    """
    for key, chosen in names.items():
        field = get_field(key)
        if chosen == name:
            return field
    called = (name, attrs.get("short_name"), attrs.get("GRIB_shortName"))
    guess = next((BY_NAME[str(one).lower()] for one in called if str(one).lower() in BY_NAME), None)
    number = str(attrs.get("GRIB_paramId", ""))
    guess = guess or (BY_PARAM_ID.get(int(number)) if number.isdigit() else None)
    guess = guess or BY_STANDARD_NAME.get(str(attrs.get("standard_name", "")))
    return None if guess is not None and guess.key in names else guess


def get_field(key: str) -> Field:
    """Return the field of a key.

    Raises
    ------
    CovariatesError
        If there is none of that name.
    """
    if key not in FIELDS:
        raise CovariatesError(f"unknown field {key!r}: known are {', '.join(FIELDS)}{nearest_hint(key, FIELDS)}")
    return FIELDS[key]
