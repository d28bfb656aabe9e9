"""Places of the stations of many records: ids renamed, placed by rows or list, and those that move split or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.places import JITTER_DEGREES, StationPlaces, places_of_rows
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_metadata import StationList

# An id at more places than this is no station that moved but a vehicle.
MOST_PLACES = 20


@dataclass(frozen=True)
class ResolvedStations:
    """Places, and for each table of places that came in the station of each of its rows (-1 where it has no place)."""

    places: StationPlaces
    index: list[NDArray[np.int32]]


@dataclass(frozen=True)
class StationRules:
    """What is done with ids: see `ColumnsConfig.rename` and `ColumnsConfig.moved_stations`."""

    rename: dict[str, str]
    moved: str = "refuse"


def resolve_stations(
    tables: Sequence[pd.DataFrame], stations: StationList, rules: StationRules, report: QualityReport
) -> ResolvedStations:
    """Return the stations of all `tables` (see `RawRecords.places`; perhaps with ``since``, the first minute of a row).

    Raises
    ------
    ObservationsError
        No station has coordinates, one is out of range, or one stands at several places and that is refused.
    """
    frame = pd.concat(tables, ignore_index=True)
    frame["station"] = _renamed(frame["station"], stations, rules, report)
    listed = stations.places()
    if rules.moved == "split":
        frame["station"] = _split(frame, report)
    # The list places what the rows do not; where both do they must agree, or one of them is of another network.
    unplaced = frame["lat"].isna() | frame["lon"].isna()
    by_rows = set(frame.loc[~unplaced, "station"])
    if rules.moved == "split":
        listed = listed[~listed["station"].isin(by_rows)]
    together = frame.drop(columns="since", errors="ignore")
    if len(listed):
        together = pd.concat([together, listed], ignore_index=True)
    places = places_of_rows(together, report)
    found = pd.Index(places.ids).get_indexer(pd.Index(frame["station"])).astype(np.int32)
    used = np.unique(found[found >= 0])
    report.count("listed_without_rows", len(places.ids) - len(used))
    if len(used) < len(places.ids):
        places = subset_stations(places, used)
        renumber = np.full(int(used.max(initial=-1)) + 2, -1, np.int32)  # the last is what -1 finds
        renumber[used] = np.arange(len(used), dtype=np.int32)
        found = renumber[found]
    cuts = np.cumsum([len(table) for table in tables])[:-1]
    return ResolvedStations(places, [np.asarray(part) for part in np.split(found, cuts)])


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
        own = own.sort_values(["since", "lat", "lon"] if "since" in own else ["lat", "lon"])
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


def subset_stations(places: StationPlaces, keep: NDArray[np.integer]) -> StationPlaces:
    return StationPlaces(
        ids=[places.ids[i] for i in keep],
        lat=places.lat[keep],
        lon=places.lon[keep],
        city=[places.city[i] for i in keep] if places.city is not None else None,
        name=[places.name[i] for i in keep] if places.name is not None else None,
    )
