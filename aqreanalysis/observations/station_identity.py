"""Which station each place of the raw records is: ids renamed, placed by rows or list, moving ones split or refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.places import JITTER_DEGREES, StationPlaces, places_of_rows
from aqreanalysis.observations.raw_records import NEVER
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_metadata import StationList

# Ids that found no place are named, at most so many.
NAMED = 10
# An id at more places than this is no station that moved but a vehicle.
MOST_PLACES = 20


@dataclass(frozen=True)
class ResolvedStations:
    """Stations that have rows, sorted by id, and which of them each code is: -1 for none, and last for code -1."""

    places: StationPlaces
    index: NDArray[np.int32]


@dataclass(frozen=True)
class StationRules:
    """What is done with ids: see `ColumnsConfig.rename` and `ColumnsConfig.moved_stations`."""

    rename: dict[str, str]
    moved: str = "refuse"


def resolve_stations(
    table: pd.DataFrame, stations: StationList, rules: StationRules, report: QualityReport
) -> ResolvedStations:
    """Return the stations of a table of places.

    Parameters
    ----------
    table : DataFrame
        One row a station code, as `TimePartitions.station_table` returns it: ``station``, ``lat``, ``lon``, ``since``
        and perhaps ``city`` and ``name``.
    stations : StationList
        Places that the table does not give.
    rules : StationRules
        What is done with ids.
    report : QualityReport
        Where stations are counted.

    Raises
    ------
    ObservationsError
        No station has coordinates, one is out of range, or one stands at several places and that is refused.
    """
    frame = table.assign(station=_renamed(table["station"], stations, rules, report))
    listed = stations.places()
    if rules.moved == "split":
        frame["station"] = _split(frame, report)
        placed = frame["lat"].notna() & frame["lon"].notna()
        listed = listed[~listed["station"].isin(set(frame.loc[placed, "station"]))]
    # The list places what the rows do not; where both do they must agree, or one of them is of another network.
    together = frame.drop(columns="since")
    if len(listed):
        together = pd.concat([together, listed], ignore_index=True)
    places = places_of_rows(together, report)
    _name_unplaced(frame, places, report)
    index = pd.Index(places.ids).get_indexer(pd.Index(frame["station"]))
    used = np.unique(index[(index >= 0) & (frame["since"] < NEVER).to_numpy()])
    report.count("listed_without_rows", len(places.ids) - len(used))
    renumber = np.full(len(places.ids) + 1, -1, np.int32)
    renumber[used] = np.arange(len(used), dtype=np.int32)
    return ResolvedStations(places.subset(used), renumber[np.append(index, -1)])


def _renamed(ids: pd.Series, stations: StationList, rules: StationRules, report: QualityReport) -> pd.Series:
    """Return the ids under the names to use: a sampling point's station, a station's later name."""
    known = stations.stations()
    out = ids.map(lambda text: known.get(text, text), na_action="ignore") if known else ids
    if rules.rename:
        unknown = sorted(set(rules.rename) - set(out))
        if unknown:
            report.warnings.append(f"columns.rename names {unknown[0]!r}, and no station is called so")
        report.count("stations_renamed", len(set(rules.rename) & set(out)))
        out = out.map(lambda text: rules.rename.get(text, text), na_action="ignore")
    return out


def _split(frame: pd.DataFrame, report: QualityReport) -> pd.Series:
    """Return ids, a station's second place under ``id-2`` and so on, in the order in which it stood there."""
    ids = frame["station"].copy()
    placed = frame[frame["lat"].notna() & frame["lon"].notna()]
    by_station = placed.groupby("station")[["lat", "lon"]]
    spread = by_station.max() - by_station.min()
    moving = spread.index[(spread > JITTER_DEGREES).any(axis=1)]
    for station in moving:
        own = placed[placed["station"] == station]
        own = own.sort_values(["since", "lat", "lon"])
        centres: list[tuple[float, float]] = []
        for row, lat, lon in zip(own.index, own["lat"], own["lon"], strict=True):
            near = [i for i, (a, b) in enumerate(centres) if max(abs(a - lat), abs(b - lon)) <= JITTER_DEGREES]
            if not near:
                centres.append((lat, lon))
            place = near[0] if near else len(centres) - 1
            ids[row] = station if place == 0 else f"{station}-{place + 1}"
        if len(centres) > MOST_PLACES:
            raise ObservationsError(
                f"{report.source}: station {station!r} stands at {len(centres)} places: it is no fixed station; leave "
                "it out"
            )
    report.count("stations_split", len(moving))
    return ids


def _name_unplaced(frame: pd.DataFrame, places: StationPlaces, report: QualityReport) -> None:
    """Name the ids with rows that found no place: a list in another encoding or of another network leaves some out."""
    with_rows = frame.loc[(frame["since"] < NEVER) & frame["station"].notna(), "station"]
    lost = sorted(set(with_rows.astype(str)) - set(places.ids))
    if lost:
        # An id may be any text of a file.
        named = ", ".join(f"{name:.24}" for name in lost[:NAMED])
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        report.warnings.append(f"no coordinates for {len(lost)} station ids, whose rows are left out: {named}{more}")
