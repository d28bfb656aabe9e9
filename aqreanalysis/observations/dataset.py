"""`Observations`: hourly station records as one xarray Dataset (time, station), and windows of their hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.described import Described, few
from aqreanalysis.common.hours import hours_since_epoch, times_from_hours
from aqreanalysis.common.memory import zeros_mapped
from aqreanalysis.errors import ObservationsError, nearest_hint
from aqreanalysis.observations.backing import BLOCK_HOURS, Backing, FileBacking, HourlyBlock, MemoryBacking
from aqreanalysis.observations.digest import IncrementalDigest, RunningStats, count_flags, flag_totals, mask_unusable
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.places import StationPlaces, check_range
from aqreanalysis.observations.quality import Screening, flag_readings
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.schema import KEPT_ATTRIBUTES, check_readings, station_dataset, validated
from aqreanalysis.species import SPECIES, in_order


class Observations(Described):
    """Hourly station records: readings as they were reported, a quality flag beside each, and where the stations are.

    The readings lie in memory or, of a long record, in their file (see `backing`): there `hours_slice`, `iter_blocks`
    and what is made of them (`digest`, `summary`, `window`) read what they need; `values`, `flags`, `to_array` and
    `dataset` give all hours at once, in files that the system maps where they are large.

    Parameters
    ----------
    dataset : xarray.Dataset
        See `dataset`.
    report : QualityReport, optional
        See `report`.

    Attributes
    ----------
    dataset : xarray.Dataset
        Dimensions ``(time, station)``. A float32 variable a pollutant under its key (``pm25``, ...), in the units of
        `SPECIES`, NaN where missing; an int8 ``<key>_flag`` beside it (see `Flag`); coordinates ``time``
        (datetime64[ns], naive UTC, every hour, stamped at the END of the averaging hour), ``station`` (string ids,
        sorted), ``lat``, ``lon`` (float64 degrees), and where known ``city``, ``name``, ``kind`` and ``network``.
    report : QualityReport
        What was dropped or flagged on the way here, counted.
    tells_kinds : bool
        Whether the kind or the network of any station is known.
    full_span : dict of str to (int, int), or None
        Where these are some hours of a longer record: pollutant -> first and last stamp (hours since 1970-01-01) at
        which the whole of it has a usable reading.

    Raises
    ------
    ObservationsError
        Where it is built: a rule above is broken; the message names the value, the rule and the way out.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> observations = aq.read_observations("obs.parquet")
    >>> observations.species, observations.values("pm25").shape
    (('pm25', 'o3'), (240, 36))
    >>> observations.select(stations=observations.stations[:5], end="2021-03-02").values("o3").shape
    (24, 5)
    """

    def __init__(self, dataset: xr.Dataset, report: QualityReport | None = None) -> None:
        checked = validated(dataset)
        self._begin(MemoryBacking(checked), checked, report)

    @classmethod
    def from_file(cls, file: FileBacking, axes: xr.Dataset, report: QualityReport) -> Observations:
        """Return observations whose readings stay in `file`; they are looked through once, here.

        Parameters
        ----------
        file : FileBacking
            The readings.
        axes : Dataset
            Coordinates and attributes as `dataset` has them, for the rows that count.
        report : QualityReport
            Of the reading.

        Raises
        ------
        ObservationsError
            The file is damaged, a flag is none, or a reading that is not there is flagged good.
        """
        out = cls.__new__(cls)
        out._begin(file, axes, report)
        return out

    def _begin(self, backing: Backing, axes: xr.Dataset, report: QualityReport | None) -> None:
        self._backing, self._axes = backing, axes
        self.tells_kinds = "kind" in axes.coords or "network" in axes.coords
        self.report = report if report is not None else QualityReport()
        self.full_span: dict[str, tuple[int, int]] | None = None
        self._usable: dict[str, NDArray[np.float32]] = {}
        self._arrays: dict[tuple[str, ...], NDArray[np.float32]] = {}
        self._digest: str | None = None
        self._span: dict[str, tuple[int, int]] | None = None
        # Check and count all readings; of those in a file take digest and span along, in the one pass.
        digest = IncrementalDigest(self.stations, self.lat, self.lon, self.hours)
        spans: dict[str, tuple[int, int]] = {}
        counts = {}
        for key in self.species:
            digest.begin(key)
            counts[key] = np.zeros(len(Flag), np.int64)
            for begin in range(0, len(self.times), BLOCK_HOURS):
                readings, flags = self._backing.read(key, begin, begin + BLOCK_HOURS)
                check_readings(key, readings, flags)
                counts[key] += flag_totals(flags)
                if not self._backing.in_memory:
                    usable = mask_unusable(readings, flags)
                    digest.add(usable)
                    _extend_span(spans, key, usable, self.first_hour + begin)
        if not self._backing.in_memory:
            self._digest, self._span = digest.hexdigest(), spans
        count_flags(counts, self.report)

    @classmethod
    def from_arrays(
        cls,
        times: pd.DatetimeIndex,
        places: StationPlaces,
        values: Mapping[str, NDArray[np.float32]],
        attributes: Mapping[str, Any] | None = None,
        report: QualityReport | None = None,
        screening: Screening | None = None,
    ) -> Observations:
        """Return observations of readings in memory, after quality control.

        Parameters
        ----------
        times : DatetimeIndex
            Every hour, naive UTC, end of the averaging hour.
        places : StationPlaces
            The stations, in any order.
        values : mapping of str to ndarray
            Pollutant key -> float32 (time, station), in the units of `SPECIES`, NaN where missing.
        attributes : mapping, optional
            Attributes to keep, of `KEPT_ATTRIBUTES`.
        report : QualityReport, optional
            Report to continue.
        screening : Screening, optional
            Tests of quality control, and what the network says of its readings.
        """
        screening = screening or Screening()
        known = {key: np.asarray(values[key], dtype=np.float32) for key in in_order(values)}
        for key, readings in known.items():
            if readings.shape != (len(times), len(places.ids)):
                raise ObservationsError(
                    f"{key} has shape {readings.shape}, expected (time, station) = {(len(times), len(places.ids))}"
                )
        order = np.argsort(np.array(places.ids, dtype=object), kind="stable")
        source_flags = dict(screening.source_flags or {})
        if not np.array_equal(order, np.arange(len(order))):
            places = places.subset(order)
            known = {key: np.ascontiguousarray(readings[:, order]) for key, readings in known.items()}
            source_flags = {key: flags[:, order] for key, flags in source_flags.items()}
        frame = pd.DataFrame({"station": np.array(places.ids, dtype=object), "lat": places.lat, "lon": places.lon})
        check_range(frame, "observations")
        flags = flag_readings(known, places.lat, places.lon, screening.quality, source_flags)
        return cls(station_dataset(times, places, known, flags, attributes or {}), report)

    @classmethod
    def from_block(
        cls, block: HourlyBlock, places: StationPlaces, attributes: Mapping[str, object], report: QualityReport
    ) -> Observations:
        """Return the observations of a screened block, at stations sorted by id; its arrays become theirs."""
        times = times_from_hours(block.hours)
        out = cls(station_dataset(times, places, block.values, block.flags, attributes), report)
        for key, usable in block.usable.items():
            usable.flags.writeable = False
            out._usable[key] = usable
        return out

    @property
    def in_memory(self) -> bool:
        """Whether the readings are in memory; else they stay in their file."""
        return self._backing.in_memory

    @cached_property
    def dataset(self) -> xr.Dataset:
        """All readings and flags; see the class."""
        return self._backing.whole(self._axes)

    @property
    def times(self) -> pd.DatetimeIndex:
        """Naive UTC stamps, every hour, END of the averaging hour."""
        return pd.DatetimeIndex(self._axes.indexes["time"])

    @property
    def hours(self) -> NDArray[np.int64]:
        """Hours since 1970-01-01 00:00 UTC of each stamp, int64 (time,)."""
        return hours_since_epoch(self.times)

    @property
    def first_hour(self) -> int:
        """Hours since 1970-01-01 00:00 UTC of the first stamp."""
        return int(hours_since_epoch(self.times[:1])[0])

    @property
    def stations(self) -> list[str]:
        """Station ids, sorted."""
        return [str(s) for s in self._axes["station"].values]

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitude in degrees north, float64 (station,)."""
        return np.asarray(self._axes["lat"].values)

    @property
    def lon(self) -> NDArray[np.float64]:
        """Longitude in degrees east, -180..180, float64 (station,)."""
        return np.asarray(self._axes["lon"].values)

    @property
    def city(self) -> list[str] | None:
        """City of each station (an empty string where unknown), or None where the source names none."""
        return self._label("city")

    @property
    def names(self) -> list[str] | None:
        """Name of each station, or None where the source gives none."""
        return self._label("name")

    @property
    def kinds(self) -> list[str] | None:
        """Kind of each station, of `station_kinds.KINDS` (an empty string where unknown); None where none is known."""
        return self._label("kind")

    @property
    def networks(self) -> list[str] | None:
        """Network of each station (an empty string where unknown), or None where the source names none."""
        return self._label("network")

    def _label(self, label: str) -> list[str] | None:
        return [str(text) for text in self._axes[label].values] if label in self._axes.coords else None

    @property
    def species(self) -> tuple[str, ...]:
        """Keys of the pollutants, in the order of `SPECIES`."""
        return self._backing.species

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the source that files made from these observations keep."""
        return {name: self._axes.attrs[name] for name in KEPT_ATTRIBUTES if name in self._axes.attrs}

    def values(self, key: str) -> NDArray[np.float32]:
        """Return usable readings, float32 (time, station), NaN where missing or flagged; read-only, in `SPECIES` units.

        Raises
        ------
        ObservationsError
            If the pollutant is not among `species`.
        """
        self._require(key)
        if key not in self._usable:
            if self._backing.in_memory:
                usable = mask_unusable(*self._backing.read(key, 0, len(self.times)))
            else:
                usable = zeros_mapped((len(self.times), len(self.stations)), np.float32)
                for at, (part, _) in enumerate(self.iter_blocks(key)):
                    usable[at * BLOCK_HOURS : (at + 1) * BLOCK_HOURS] = part
            usable.flags.writeable = False
            self._usable[key] = usable
        return self._usable[key]

    def flags(self, key: str) -> NDArray[np.int8]:
        """Return the quality flags (see `Flag`) of a pollutant, int8 (time, station).

        Raises
        ------
        ObservationsError
            If the pollutant is not among `species`.
        """
        self._require(key)
        return np.asarray(self.dataset[f"{key}_flag"].values)

    def hours_slice(self, inputs: Sequence[str], begin: int, end: int) -> NDArray[np.float32]:
        """Return rows ``begin`` to ``end - 1`` of `to_array`; the others are not laid out."""
        if tuple(inputs) in self._arrays:
            return self._arrays[tuple(inputs)][begin:end]
        out = np.full((end - begin, len(self.stations), len(inputs)), np.nan, np.float32)
        for i, key in enumerate(inputs):
            if key in self.species:
                out[:, :, i] = self._part(key, begin, end)[0]
        return out

    def _part(self, key: str, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return usable readings and flags of the rows ``begin`` to ``end - 1``, cached by nobody."""
        readings, flags = self._backing.read(key, begin, end)
        return self._usable[key][begin:end] if key in self._usable else mask_unusable(readings, flags), flags

    def iter_blocks(self, key: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int8]]]:
        """Yield usable readings and flags of a pollutant, `BLOCK_HOURS` at a time, (time, station) each.

        Raises
        ------
        ObservationsError
            If the pollutant is not among `species`.
        """
        self._require(key)
        for begin in range(0, len(self.times), BLOCK_HOURS):
            yield self._part(key, begin, begin + BLOCK_HOURS)

    def held_bytes(self) -> int:
        """Return the memory that the readings take, with what was laid out of them; 0 where they stay in their file."""
        if not self._backing.in_memory:
            return 0
        return int(self.dataset.nbytes + sum(a.nbytes for a in (*self._usable.values(), *self._arrays.values())))

    def flag_counts(self, key: str) -> NDArray[np.int64]:
        """Return how many readings of each station have each flag, int64 (flag, station)."""
        counts = np.zeros((len(Flag), len(self.stations)), np.int64)
        for _, flags in self.iter_blocks(key):
            for flag in np.flatnonzero(np.bincount(flags.ravel())):  # few of them occur
                counts[flag] += np.count_nonzero(flags == flag, axis=0)
        return counts

    def observed_span(self) -> dict[str, tuple[int, int]]:
        """Return pollutant -> first and last stamp (hours since 1970-01-01) at which any station has a usable reading.

        Of a part of a longer record they are those of the whole. A pollutant without any reading is not there.
        """
        if self.full_span is not None:
            return dict(self.full_span)
        if self._span is None:
            self._span = {}
            for key in self.species:
                for at, (usable, _) in enumerate(self.iter_blocks(key)):
                    _extend_span(self._span, key, usable, self.first_hour + at * BLOCK_HOURS)
        return dict(self._span)

    def to_array(self, inputs: Sequence[str]) -> NDArray[np.float32]:
        """Return usable readings float32 (time, station, input), NaN for a pollutant that is not there; read-only."""
        wanted = tuple(inputs)
        if wanted not in self._arrays:
            out = zeros_mapped((len(self.times), len(self.stations), len(wanted)), np.float32)
            for i, key in enumerate(wanted):
                out[:, :, i] = self.values(key) if key in self.species else np.nan
            out.flags.writeable = False
            self._arrays = {wanted: out}  # one is enough: a run asks for one list of inputs
        return self._arrays[wanted]

    def select(
        self,
        stations: Sequence[str] | None = None,
        start: str | pd.Timestamp | None = None,
        end: str | pd.Timestamp | None = None,
    ) -> Observations:
        """Return the observations of some stations, or of the hours between two UTC times.

        Hours lie between `start` and `end` when their averaging hour does: the first is stamped an hour after `start`,
        the last at `end`. Flags stay as they are.

        Raises
        ------
        ObservationsError
            An unknown station, or nothing left.
        """
        chosen = self.dataset
        if stations is not None:
            wanted = {str(s) for s in stations}
            unknown = sorted(wanted - set(self.stations))
            if unknown:
                hint = nearest_hint(unknown[0], self.stations)
                raise ObservationsError(f"no station {unknown[0]!r} among the {len(self.stations)} stations{hint}")
            chosen = chosen.isel(station=[i for i, s in enumerate(self.stations) if s in wanted])
        times = self.times
        keep = np.ones(len(times), dtype=bool)
        if start is not None:
            keep &= times > _utc(start)
        if end is not None:
            keep &= times <= _utc(end)
        if not keep.any() or chosen.sizes["station"] == 0:
            raise ObservationsError(
                f"nothing lies between {start} and {end} at {chosen.sizes['station']} stations: these observations "
                f"run from {times[0]} to {times[-1]} at {len(self.stations)} stations"
            )
        first, last = np.flatnonzero(keep)[[0, -1]]
        report = QualityReport(source=f"{self.report.source} (a selection)", warnings=list(self.report.warnings))
        return Observations(chosen.isel(time=slice(first, last + 1)), report)

    def digest(self) -> str:
        """Return a sha256 (hex) over stations, their coordinates, the hours and the usable readings.

        It depends neither on the order of rows or stations in a file nor on its format. City and name are labels and
        do not count.
        """
        if self._digest is None:
            digest = IncrementalDigest(self.stations, self.lat, self.lon, self.hours)
            for key in self.species:
                digest.begin(key)
                for usable, _ in self.iter_blocks(key):
                    digest.add(usable)
            self._digest = digest.hexdigest()
        return self._digest

    def summary(self) -> dict[str, Any]:
        """Return what `aqreanalysis info` prints: span, stations, box, and per pollutant counts, flags and levels."""
        per_species: dict[str, Any] = {}
        for key in self.species:
            stats = RunningStats(len(self.stations))
            for usable, _ in self.iter_blocks(key):
                stats.add(usable)
            cells = len(self.times) * len(self.stations)
            per_species[key] = {
                "units": SPECIES[key].units,
                "usable": stats.count,
                "missing_percent": round(100.0 * (1 - self.report.readings[key] / cells), 2),
                "flagged": dict(self.report.flagged[key]),
                "stations": int(stats.observed.sum()),
                "mean": round(stats.total / stats.count, 3) if stats.count else None,
                "max": round(stats.most, 3) if stats.count else None,
            }
        times = self.times
        return {
            "kind": "observations",
            "stations": len(self.stations),
            "cities": len(set(self.city) - {""}) if self.city is not None else None,
            **{name: dict(Counter(sorted(known))) for name in ("kinds", "networks") if (known := getattr(self, name))},
            "hours": len(times),
            "first": times[0].isoformat(),
            "last": times[-1].isoformat(),
            "box": {
                "west": float(self.lon.min()),
                "south": float(self.lat.min()),
                "east": float(self.lon.max()),
                "north": float(self.lat.max()),
            },
            "species": per_species,
            "attributes": self.attributes,
            "digest": self.digest(),
        }

    def to_netcdf(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a CF-1.11 discrete-sampling file (featureType timeSeries) and return its path; `read_observations`
        reads it back to observations with the same digest.

        Raises
        ------
        OutputError
            If the file exists and `overwrite` is not set, or cannot be written.
        """
        from aqreanalysis.observations.netcdf_writer import write_netcdf  # here, because it takes netCDF4 along

        return write_netcdf(self, Path(path), overwrite)

    def facts(self) -> tuple[str, list[tuple[str, str]]]:
        """Return what they are, and stations, hours, box and readings a pollutant."""
        times, title = self.times, f"Observations {', '.join(self.species)}"
        box = (self.lat.min(), self.lat.max(), self.lon.min(), self.lon.max())
        pairs = [
            ("stations", f"{len(self.stations)}: {few(self.stations, 5)}"),
            ("hours", f"{len(times)}, stamped {times[0]} .. {times[-1]} UTC at their end"),
            ("box", "{:.4g} .. {:.4g} N, {:.4g} .. {:.4g} E".format(*box)),
        ]
        for key in self.species:
            flagged = sum(self.report.flagged[key].values())
            pairs.append(
                (key, f"{self.report.readings[key]} readings in {SPECIES[key].units}, {flagged} of them flagged")
            )
        return title, pairs

    def _require(self, key: str) -> None:
        if key not in self.species:
            raise ObservationsError(f"these observations hold no {key!r}: they hold {', '.join(self.species)}")


def window(
    observations: Observations, inputs: Sequence[str], first_hour: int, hours: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the usable readings of some hours, and their stamps.

    Parameters
    ----------
    observations : Observations
        Where the readings come from.
    inputs : sequence of str
        Pollutant keys; one that the observations lack is NaN throughout.
    first_hour : int
        Stamp of the first hour, in hours since 1970-01-01 00:00 UTC.
    hours : int
        How many hours.

    Returns
    -------
    values : ndarray
        float32 (hours, station, input), in the units of `SPECIES`; NaN where missing, flagged, or outside the span of
        the observations. A copy, free to change; a very long one is a mapped file (see `zeros_mapped`).
    stamps : ndarray
        int64 (hours,), hours since 1970-01-01 00:00 UTC.

    Raises
    ------
    ObservationsError
        If `hours` is not positive.
    """
    if hours < 1:
        raise ObservationsError(f"a window of {hours} hours: it needs at least one")
    begin = int(first_hour) - observations.first_hour
    out = zeros_mapped((hours, len(observations.stations), len(inputs)), np.float32)
    lo, hi = max(begin, 0), min(begin + hours, len(observations.times))
    if lo >= hi:
        out[:] = np.nan
    else:
        out[: lo - begin] = np.nan
        out[hi - begin :] = np.nan
        for row in range(lo, hi, BLOCK_HOURS):
            end = min(row + BLOCK_HOURS, hi)
            out[row - begin : end - begin] = observations.hours_slice(inputs, row, end)
    return out, np.arange(first_hour, first_hour + hours, dtype=np.int64)


def _utc(time: str | pd.Timestamp) -> pd.Timestamp:
    try:
        stamp = pd.Timestamp(time)
    except ValueError:
        raise ObservationsError(f"{time!r} is no time: write 2019-01-31 or 2019-01-31T13:00 (UTC)") from None
    return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo is not None else stamp


def _extend_span(spans: dict[str, tuple[int, int]], key: str, usable: NDArray[np.float32], first_hour: int) -> None:
    """Let the first and last stamp with a usable reading reach over the hours of `usable`, which come in order."""
    at = first_hour + np.flatnonzero(np.isfinite(usable).any(axis=1))
    if at.size:
        spans[key] = (spans.get(key, (int(at[0]), 0))[0], int(at[-1]))
