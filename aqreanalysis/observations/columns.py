"""Which column of a table is what: the configured names first, then the usual names of the pollutants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.species import SPECIES, get_species


@dataclass(frozen=True)
class TableColumns:
    """Columns of one table. `lat` and `lon` are None where a station list gives the places."""

    station: str
    time: str
    lat: str | None
    lon: str | None
    city: str | None
    name: str | None
    species: Mapping[str, str] = field(default_factory=dict)

    def needed(self) -> list[str]:
        """Return the columns to read, each once."""
        fixed = (self.station, self.time, self.lat, self.lon, self.city, self.name)
        return list(dict.fromkeys([c for c in fixed if c is not None] + list(self.species.values())))


def find_columns(names: Sequence[str], columns: ColumnsConfig, source: str, places_given: bool = False) -> TableColumns:
    """Return which of the columns `names` of a table of readings is what.

    Parameters
    ----------
    names : sequence of str
        Columns that the table has.
    columns : ColumnsConfig
        Configured names. A pollutant that it does not name is found by its key, its layer or a usual alias.
    source : str
        Name of the table, for messages.
    places_given : bool
        Whether latitude and longitude come from a station list.

    Raises
    ------
    ObservationsError
        A column is missing (the nearest that is there is named), two columns claim one pollutant, or none is known.
    """
    for role in ("station", "time"):
        _require(getattr(columns, role), role, names, source)
    here = {role: getattr(columns, role) in names for role in ("lat", "lon")}
    if not places_given or any(here.values()):
        for role in ("lat", "lon"):
            _require(getattr(columns, role), role, names, source)
    if columns.city is not None and not places_given:
        _require(columns.city, "city", names, source)
    city = columns.city or "city"
    return TableColumns(
        station=columns.station,
        time=columns.time,
        lat=columns.lat if here["lat"] else None,
        lon=columns.lon if here["lon"] else None,
        city=city if city in names else None,
        name="name" if "name" in names else None,
        species=_find_species(names, columns, source),
    )


def _require(name: str, role: str, names: Sequence[str], source: str) -> None:
    if name not in names:
        raise ObservationsError(
            f"{source}: no column {name!r} for {role}{nearest_hint(name, names)} (there are: {_listed(names)}); "
            f"set columns.{role} to the right one"
        )


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:30])
    return text if len(names) <= 30 and len(text) <= 300 else f"{text:.300}, ... ({len(names)} in all)"


def _find_species(names: Sequence[str], columns: ColumnsConfig, source: str) -> dict[str, str]:
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
    for name in names:
        try:
            key = get_species(name).key
        except ObservationsError:
            continue
        if key in configured or name in taken:
            continue
        if key in species:
            raise ObservationsError(
                f"{source}: columns {species[key]!r} and {name!r} are both {key}; say which with columns.species.{key}"
            )
        species[key] = name
    if not species:
        raise ObservationsError(
            f"{source}: none of the columns {_listed(names)} is a known pollutant ({', '.join(SPECIES)}); "
            "name one with columns.species, for example columns.species.pm25=PM2.5_ugm3"
        )
    return {key: species[key] for key in SPECIES if key in species}
