"""A record as background air: readings of kerbs, works and cheap sensors as a background station would have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from aqreanalysis.background_air.groups import background_only, groups_of
from aqreanalysis.background_air.kriging import air_covariance, distances, noise_covariance, smooth
from aqreanalysis.background_air.learning import from_background, lasting_differences
from aqreanalysis.common.geodesy import distance_km
from aqreanalysis.common.hours import even_step
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.station_groups import AirCovariance, GroupErrors, StationGroups
from aqreanalysis.observations import Observations, window
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.places import StationPlaces
from aqreanalysis.observations.schema import station_dataset
from aqreanalysis.splits import Split

Floats = NDArray[np.floating[Any]]

# A station that stands farther from where it stood is another one of the same name.
_SAME_PLACE_KM = 1.0
# Stations that are smoothed together, and background stations round them: a system grows with their cube.
_TOGETHER, _ROUND = 64, 64
# Hours whose systems are solved at once.
_AT_ONCE = 48
# Hours that the lasting difference of a station that training did not know is told from.
_MOST_HOURS = 480


def as_background(observations: Observations, known: StationGroups | None, scaling: dict[str, Scaling]) -> Observations:
    """Return a record whose readings are all of background air; the record itself where they are so already.

    A reading of a kerb, a works or a cheap sensor becomes what a background station would most likely have read there:
    its lasting difference is taken off, and it is weighed against what all stations round it read in that hour, by its
    noise. A pollutant of a group that did not help background stations left out is missing there.

    Parameters
    ----------
    observations : Observations
        Stations that a model may read. An hour's equivalents are made of that hour's readings alone.
    known : StationGroups or None
        What the model knows of groups; None leaves background stations alone. The lasting difference of a station that
        it does not know is told from this record.
    scaling : dict
        Pollutant -> its scaling, of the model.
    """
    group = groups_of(observations)
    if (group == "").all():
        return observations
    if known is None or not any(one.helps for some in known.groups.values() for one in some.values()):
        return background_only(observations)
    km = distances(observations.lat, observations.lon)
    values = {}
    with threadpool_limits(1, user_api="blas"):  # else bits depend on how many threads share a system
        for key in observations.species:
            readings = observations.values(key).copy()
            others = np.flatnonzero(group != "")
            if key in known.air and key in scaling:
                readings[:, others] = _equivalents(observations, key, known, scaling[key], group, km)[:, others]
            else:
                readings[:, others] = np.nan
            values[key] = readings
    return _with_values(observations, group, values)


def knows_all(observations: Observations, known: StationGroups | None) -> bool:
    """Return whether the lasting differences of all stations that are not of background air are known."""
    if known is None:
        return True
    some = np.flatnonzero(groups_of(observations) != "")
    return all(_is_known(observations, int(i), known) for i in some)


def _is_known(observations: Observations, at: int, known: StationGroups) -> bool:
    place = known.places.get(observations.stations[at])
    return place is not None and bool(distance_km(observations.lat[at], observations.lon[at], *place) <= _SAME_PLACE_KM)


def _equivalents(
    observations: Observations,
    key: str,
    known: StationGroups,
    scaling: Scaling,
    group: NDArray[np.str_],
    km: Floats,
) -> NDArray[np.float32]:
    """Return the equivalents of one pollutant at all stations (hour, station), NaN where there are none."""
    helping = {name: one for name, one in known.groups[key].items() if one.helps}
    enters = np.isin(group, [*helping, ""])
    z = np.where(enters, scaling.forward(observations.values(key)), np.nan).astype(np.float64)
    z -= _lasting(observations, key, known, z, group, km)
    clusters = list(_clusters(observations.lat, observations.lon, np.flatnonzero(enters & (group != ""))))
    return scaling.backward(_smoothed(z, km, known.air[key], group, helping, clusters))


def _smoothed(
    z: Floats,
    km: Floats,
    air: AirCovariance,
    group: NDArray[np.str_],
    helping: Mapping[str, GroupErrors],
    clusters: Sequence[NDArray[np.intp]],
) -> Floats:
    """Return equivalents of readings less lasting differences (hour, station), at the stations of the clusters."""
    out = np.full(z.shape, np.nan)
    background = np.flatnonzero(group == "")
    for part in clusters:
        near = background[np.argsort(km[np.ix_(part, background)].min(axis=0), kind="stable")[:_ROUND]]
        there = np.concatenate([near, part])
        among = km[np.ix_(there, there)]
        noise = noise_covariance(group[there], helping, among)
        targets = np.arange(len(near), len(there))
        for begin in range(0, len(z), _AT_ONCE):
            rows = slice(begin, begin + _AT_ONCE)
            out[rows, part] = smooth(z[rows][:, there], air_covariance(air, among), noise, targets)
    out[~np.isfinite(z)] = np.nan
    return out


@dataclass(frozen=True)
class Informing:
    """Stations that inform a model without being of background air, beside stations some of which are hidden in turn.

    Attributes
    ----------
    lat, lon : ndarray, shape (station,)
        Degrees.
    z : ndarray, shape (hour, station, input)
        Standardised readings less lasting differences, NaN where the group does not help.
    group : ndarray of str
        Of the background stations (empty), then of these.
    km : ndarray
        Distances among all of them.
    known : StationGroups
    scaling : dict
        Of the inputs, in their order.
    """

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    z: Floats
    group: NDArray[np.str_]
    km: Floats
    known: StationGroups
    scaling: dict[str, Scaling]

    @classmethod
    def of(
        cls, record: Observations, split: Split, known: StationGroups, scaling: dict[str, Scaling], hours: range
    ) -> Informing | None:
        """Return those of a record beside the stations of a split, in some hours; None where none helps."""
        helping = {name for some in known.groups.values() for name, one in some.items() if one.helps}
        chosen = np.flatnonzero(np.isin(groups_of(record), list(helping)))
        if len(chosen) == 0:
            return None
        some = record.select(stations=np.array(record.stations)[chosen].tolist())
        group, values = groups_of(some), window(some, list(scaling), hours[0], len(hours))[0]
        z = np.full(values.shape, np.nan)
        for i, (key, one) in enumerate(scaling.items()):
            helps = [name for name, errors in known.groups.get(key, {}).items() if errors.helps]
            offsets = known.offsets.get(key, {})
            lasting = [offsets.get(station, np.nan) for station in some.stations]
            z[:, :, i] = np.where(np.isin(group, helps), one.forward(values[:, :, i]) - np.array(lasting), np.nan)
        km = distances(np.append(split.lat, some.lat), np.append(split.lon, some.lon))
        every = np.append(np.full(len(split.lat), ""), group)
        return cls(some.lat, some.lon, z, every, km, known, scaling)

    def readings(self, values: NDArray[np.float32], steps: slice) -> NDArray[np.float32]:
        """Return their equivalents (hour, station, input) by what background stations read, NaN where hidden.

        In hours in which no background station reads anything these are silent too.
        """
        count = values.shape[1]
        out = np.full((len(values), len(self.lat), len(self.scaling)), np.nan, np.float32)
        silent = ~np.isfinite(values).any(axis=(1, 2))
        clusters = [count + part for part in _clusters(self.lat, self.lon, np.arange(len(self.lat)))]
        for i, (key, one) in enumerate(self.scaling.items()):
            if key not in self.known.air:
                continue
            z = np.concatenate([one.forward(values[:, :, i]), self.z[steps, :, i]], axis=1).astype(np.float64)
            z[silent] = np.nan
            helping = {name: errors for name, errors in self.known.groups[key].items() if errors.helps}
            smoothed = _smoothed(z, self.km, self.known.air[key], self.group, helping, clusters)
            out[:, :, i] = one.backward(smoothed[:, count:])
        return out


def _lasting(
    observations: Observations,
    key: str,
    known: StationGroups,
    z: Floats,
    group: NDArray[np.str_],
    km: Floats,
) -> Floats:
    """Return the lasting difference of each station (station,), zero for background."""
    out = np.zeros(len(group))
    stride = even_step(-(-len(z) // _MOST_HOURS))
    background = np.flatnonzero(group == "")
    for name, one in known.groups[key].items():
        some = np.flatnonzero(group == name)
        offsets = known.offsets[key]
        new = [i for i in some if not (observations.stations[i] in offsets and _is_known(observations, int(i), known))]
        out[some] = [offsets.get(observations.stations[i], one.mean) for i in some]
        if new and one.helps:
            at = np.array(new)
            apart = from_background(z[::stride], km, known.air[key], background, at)
            out[at] = lasting_differences(*apart, known.air[key], one, float(stride))[1]
    return out


def _clusters(lat: Floats, lon: Floats, some: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield stations that stand together, at most `_TOGETHER`: halved along their longer side until they are so few."""
    if len(some) <= _TOGETHER:
        if len(some):
            yield some
        return
    north, east = lat[some], lon[some] * np.cos(np.radians(lat[some].mean()))
    along = north if np.ptp(north) >= np.ptp(east) else east
    order = np.argsort(along, kind="stable")
    half = len(some) // 2
    yield from _clusters(lat, lon, some[np.sort(order[:half])])
    yield from _clusters(lat, lon, some[np.sort(order[half:])])


def _with_values(
    observations: Observations, group: NDArray[np.str_], values: dict[str, NDArray[np.float32]]
) -> Observations:
    """Return the record with other readings at stations that are not of background air, without labels of kinds."""
    places = StationPlaces(observations.stations, observations.lat, observations.lon, observations.city)
    flags = {}
    for key, readings in values.items():
        made = np.where(np.isfinite(readings), Flag.GOOD, Flag.MISSING).astype(np.int8)
        flags[key] = np.where(group == "", observations.flags(key), made)
        original = observations.dataset[key].values
        values[key] = np.where(group == "", original, readings).astype(np.float32)
    dataset = station_dataset(observations.times, places, values, flags, observations.attributes)
    record = Observations(dataset)
    record.full_span = observations.full_span
    return record
