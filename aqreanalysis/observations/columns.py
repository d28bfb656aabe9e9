"""Which column of a table is what: the configured names first, then the usual names of the pollutants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.column_names import (
    USUAL_NAMES,
    configured_or_usual,
    plain,
    pollutant_and_unit,
    usual_time,
)
from aqreanalysis.species import SPECIES, get_species

# Ends of the names of columns that hold years, as `plain` writes them.
_YEAR = re.compile(r"(?:year|annee|jahr)$")


@dataclass(frozen=True)
class TableColumns:
    """Columns of one table.

    Attributes
    ----------
    station : str or None
        Ids of stations; None where the table is of one station, `ColumnsConfig.place`.
    time : tuple of str
        The columns that make a stamp.
    lat, lon : str or None
        None where a station list, or `ColumnsConfig.place`, gives the places.
    labels : mapping
        What else is known of a station, of `places.LABELS` -> its column.
    species : mapping
        Pollutant -> its column.
    units : mapping
        Pollutant -> the unit that the name of its column states.
    flags : mapping
        Pollutant -> the column of its flags.
    """

    station: str | None
    time: tuple[str, ...]
    lat: str | None
    lon: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    species: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)

    def needed(self) -> list[str]:
        """Return the columns to read, each once."""
        fixed = (self.station, *self.time, self.lat, self.lon, *self.labels.values())
        return list(dict.fromkeys([c for c in fixed if c is not None] + [*self.species.values(), *self.flags.values()]))


@dataclass(frozen=True)
class RowPlaces:
    """Which columns of a table name the station, the time and the place of its rows; as of `TableColumns`."""

    station: str | None
    time: tuple[str, ...]
    lat: str | None
    lon: str | None
    labels: Mapping[str, str] = field(default_factory=dict)


def find_row_places(names: Sequence[str], columns: ColumnsConfig, source: str, places_given: bool) -> RowPlaces:
    """Return which columns tell where and when the rows of a table are of: the configured ones, or the usual ones.

    Raises
    ------
    ObservationsError
        One is missing; all that are missing are named, with the nearest that is there.
    """
    chosen = {role: configured_or_usual(role, names, columns) for role in ("station", "lat", "lon")}
    if columns.place is not None:
        chosen = dict.fromkeys(chosen)
    time = time_columns(names, columns)
    years = next((name for name in names if _YEAR.search(plain(name)) and "time" not in name.lower()), None)
    if years is not None and not set(time) <= set(names) and columns.place is None:
        raise ObservationsError(
            f"{source}: its only time is the column {years!r}: means of years; hourly means are needed (columns.time "
            "names a column of stamps)"
        )
    there = {role: column in names for role, column in chosen.items()}
    wanted = {"time": next((name for name in time if name not in names), None)}
    if columns.place is None:
        wanted["station"] = None if there["station"] else chosen["station"] or columns.station
        placed = places_given and not (there["lat"] or there["lon"])
        wanted |= {role: None if there[role] or placed else getattr(columns, role) for role in ("lat", "lon")}
    missing = {role: name for role, name in wanted.items() if name is not None}
    if missing:
        raise ObservationsError(_missing(missing, names, source))
    lat, lon = (chosen[role] if there[role] else None for role in ("lat", "lon"))
    return RowPlaces(chosen["station"], time, lat, lon, _labels(names, columns, chosen["station"], source))


def time_columns(names: Sequence[str], columns: ColumnsConfig) -> tuple[str, ...]:
    """Return the columns that make a stamp: the configured or else the usual ones; they may not be there."""
    configured = columns.time_columns
    default = type(columns).model_fields["time"].default
    if columns.time != default or (default in names and "date" not in names):
        return configured
    usual = usual_time(names)
    return configured if usual is None else usual


def _labels(names: Sequence[str], columns: ColumnsConfig, station: str | None, source: str) -> dict[str, str]:
    """Return which columns say what else is known of a station: its name, its kind, its network.

    Raises
    ------
    ObservationsError
        A configured one is missing.
    """
    title = "name" if "name" in names else None
    if title is None and station is not None:
        usual = next((n for n in names if plain(n) in ("stationname", "sitename", "locationname")), None)
        title = usual if usual != station else None
    labels = {"name": title}
    for role in ("kind", "network"):
        labels[role] = configured_or_usual(role, names, columns)
        if labels[role] is not None and labels[role] not in names:
            raise ObservationsError(_missing({role: str(labels[role])}, names, source))
    return {role: column for role, column in labels.items() if column is not None and column != station}


def _missing(missing: Mapping[str, str], names: Sequence[str], source: str) -> str:
    """Return what is said of columns that are not there: all of them at once."""
    of_others = {usual for role in USUAL_NAMES if role not in missing for usual in USUAL_NAMES[role]}
    free = [name for name in names if plain(name) not in of_others]  # a date is no latitude, however near its name
    parts = [f"no column {name!r} for {role}{nearest_hint(name, free)}" for role, name in missing.items()]
    ways = ", ".join(f"columns.{role}" for role in missing)
    alone = "; a file of one station: columns.place={station: A, lat: 51.5, lon: -0.1}" if "station" in missing else ""
    return f"{source}: {', '.join(parts)} (there are: {_listed(names)}); set {ways} to the right one{alone}"


def find_columns(names: Sequence[str], columns: ColumnsConfig, source: str, places_given: bool = False) -> TableColumns:
    """Return which of the columns `names` of a table of readings is what.

    Parameters
    ----------
    names : sequence of str
        Columns that the table has.
    columns : ColumnsConfig
        Configured names. What it does not name is found by its usual names, a pollutant with a unit behind it too.
    source : str
        Name of the table, for messages.
    places_given : bool
        Whether latitude and longitude come from a station list.

    Raises
    ------
    ObservationsError
        A column is missing (the nearest that is there is named), two columns claim one pollutant, or none is known.
    """
    rows = find_row_places(names, columns, source, places_given)
    if columns.city is not None and not places_given and columns.city not in names:
        raise ObservationsError(_missing({"city": columns.city}, names, source))
    city = columns.city or "city"
    species, units = _find_species(names, columns, source)
    flags = {get_species(written).key: column for written, column in columns.flags.items()}
    lost = {f"flags.{key}": column for key, column in flags.items() if column not in names}
    if lost:
        raise ObservationsError(_missing(lost, names, source))
    return TableColumns(
        station=rows.station,
        time=rows.time,
        lat=rows.lat,
        lon=rows.lon,
        labels=({"city": city} if city in names else {}) | dict(rows.labels),
        species=species,
        units=units,
        flags={key: column for key, column in flags.items() if key in species},
    )


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:30])
    return text if len(names) <= 30 and len(text) <= 300 else f"{text:.300}, ... ({len(names)} in all)"


def _find_species(names: Sequence[str], columns: ColumnsConfig, source: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return pollutant -> column, and pollutant -> the unit that the column's name states."""
    species: dict[str, str] = {}
    for written, column in columns.species.items():
        key = get_species(written).key
        if column not in names:
            raise ObservationsError(
                f"{source}: no column {column!r} for {key}{nearest_hint(column, names)}; set columns.species.{key}"
            )
        species[key] = column
    configured = set(species)
    taken = set(species.values())
    units: dict[str, str] = {}
    for name in names:
        pollutant, unit = pollutant_and_unit(name)
        if pollutant is not None and unit is not None and species.get(pollutant, name) == name:
            units[pollutant] = unit
        if pollutant is None or pollutant in configured or name in taken:
            continue
        if pollutant in species:
            raise ObservationsError(
                f"{source}: columns {species[pollutant]!r} and {name!r} are both {pollutant}; say which with "
                f"columns.species.{pollutant}"
            )
        species[pollutant] = name
    if not species:
        raise ObservationsError(
            f"{source}: none of the columns {_listed(names)} is a known pollutant ({', '.join(SPECIES)}); "
            "name one with columns.species, for example columns.species.pm25=PM2.5_ugm3"
        )
    return {key: species[key] for key in SPECIES if key in species}, units
