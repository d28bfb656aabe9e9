"""What reading a file left out, merged or flagged: counted here, told by `QualityReport.lines`."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field

# What can be counted while reading, and the sentence that tells it; {s} is empty of one.
SENTENCES: dict[str, str] = {
    "broken_lines": "{n} line{s} with a wrong number of fields left out",
    "files_without_line_end": "{n} file{s} without a final line end (the last reading of each may be cut short)",
    "rows_without_time": "{n} row{s} without a readable time left out",
    "rows_off_hour": "{n} row{s} not stamped on a full hour left out",
    "rows_in_clock_change": "{n} row{s} in the hour that a clock change repeats or skips left out",
    "rows_not_hourly": "{n} row{s} of averages longer than an hour left out",
    "rows_of_other_periods": "{n} row{s} of another averaging period than the file's others left out",
    "channels_disagree": "{n} reading{s} of sensors whose two channels disagree flagged as invalid",
    "rows_of_other_pollutants": "{n} row{s} of pollutants that this program does not know left out",
    "rows_without_station": "{n} row{s} without a station id left out",
    "rows_without_place": "{n} row{s} of stations without coordinates left out",
    "text_values": "{n} reading{s} not a number taken as missing",
    "readings_below_limit": "{n} reading{s} written as below a limit (<3) taken as half of it and flagged",
    "readings_marked_invalid": "{n} reading{s} with a sign behind the number (18x, 18*, 18#) flagged as invalid",
    "readings_of_bad_flags": "{n} reading{s} that the file's flag calls bad flagged as invalid",
    "hours_off_utc": "{n} hourly mean{s} ending off the full hours of UTC (a zone with half an hour of offset) put on "
    "the nearest, half past on the next",
    "repeated_rows": "{n} row{s} repeating a station-hour with the same readings merged",
    "rows_reissued": "{n} row{s} replaced by a later issue of the same hour",
    "hours_averaged": "{n} hourly mean{s} made of shorter averages",
    "instruments_beside": "{n} hour{s} of a second instrument at a site left out (the first one has a reading)",
    "gaps_filled_by_second": "{n} hour{s} of a site taken from its second instrument, where the first has none",
    "files_skipped": "{n} file{s} left out that could not be read",
    "hours_without_rows": "{n} hour{s} of the timeline without a row at any station (kept, missing)",
    "stations_jittered": "{n} station{s} with coordinates that differ by rounding only (the median is used)",
    "stations_split": "{n} station id{s} standing at several places made one station a place",
    "stations_renamed": "{n} station id{s} taken as the continuation of another",
    "longitudes_wrapped": "{n} station{s} with a longitude of 180 to 360 brought to -180 to 180",
    "colocated_pairs": "{n} pair{s} of stations within 100 m of each other (both kept)",
    "stations_without_readings": "{n} station{s} without one usable reading (kept)",
    "stations_not_listed": "{n} station column{s} that the station list does not know left out (counted in each file)",
    "listed_without_rows": "{n} station{s} of the station list without a row (left out)",
}


def counted(n: int, sentence: str) -> str:
    """Return a sentence with its ``{n}`` put in, and its ``{s}`` where there is not just one."""
    return sentence.format(n=n, s="" if n == 1 else "s")


@dataclass(frozen=True)
class Where:
    """Where rows stand, for messages: their file, and the number of the first of them in it.

    Attributes
    ----------
    source : str
        Name of the file (of a zip archive: ``archive.zip!member``).
    first : int
        Number of the first row, as an editor or the file's own count gives it.
    word : str
        What is counted: ``line`` of a text, ``row`` of a table, ``record`` of JSON.
    """

    source: str
    first: int = 1
    word: str = "row"

    def at(self, index: int) -> str:
        """Return the name of the row at `index` from the first: ``"a.csv, line 17"``."""
        return f"{self.source}, {self.word} {self.first + index}"


@dataclass
class QualityReport:
    """What was left out, merged or flagged on the way into `Observations`.

    Attributes
    ----------
    source : str
        Name of what was read, for messages.
    rows : int
        Rows read.
    counts : dict of str to int
        How often each case of `SENTENCES` came up; cases that did not are absent.
    flagged : dict of str to dict of str to int
        Pollutant key -> meaning of the quality flag -> readings with it.
    readings : dict of str to int
        Pollutant key -> readings present, usable or not.
    warnings : list of str
        What the reader should look at, one line each.
    notes : list of str
        What was checked, or could not be checked, one line each.
    assumed_units : dict of str to str
        Pollutant key -> the unit that its readings were taken to have, because nothing states it.
    """

    source: str = "observations"
    rows: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    flagged: dict[str, dict[str, int]] = field(default_factory=dict)
    readings: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    assumed_units: dict[str, str] = field(default_factory=dict)

    def count(self, case: str, n: int = 1) -> None:
        """Add `n` to the count of `case`, a key of `SENTENCES`."""
        if case not in SENTENCES:
            raise KeyError(case)
        if n:
            self.counts[case] = self.counts.get(case, 0) + int(n)

    def copy(self) -> QualityReport:
        """Return a copy that later counts do not change."""
        return copy.deepcopy(self)

    def restore(self, before: QualityReport) -> None:
        """Forget what came since `before` was copied: of a file that is left out nothing counts."""
        self.__dict__.update(copy.deepcopy(before.__dict__))

    def note(self, text: str) -> None:
        """Add a note, once however often it comes up."""
        if text not in self.notes:
            self.notes.append(text)

    def warn(self, text: str) -> None:
        """Add a warning, once however often it comes up."""
        if text not in self.warnings:
            self.warnings.append(text)

    def lines(self) -> list[str]:
        """Return the report for people, one sentence a line; warnings come last."""
        out = [f"{self.source}: {counted(self.rows, '{n} row{s} read')}"] if self.rows else [self.source]
        out += [counted(self.counts[case], SENTENCES[case]) for case in SENTENCES if self.counts.get(case)]
        for key, by_meaning in self.flagged.items():
            flagged = sum(by_meaning.values())
            if flagged:
                parts = ", ".join(f"{n} {meaning.replace('_', ' ')}" for meaning, n in by_meaning.items() if n)
                out.append(f"{key}: {flagged} of {self.readings.get(key, 0)} readings flagged and not used ({parts})")
        if self.assumed_units:
            units = ", ".join(f"{key} {unit}" for key, unit in self.assumed_units.items())
            out.append(f"units not stated, taken to be {units} (columns.units)")
        return out + self.notes + [f"warning: {text}" for text in self.warnings]

    def to_json(self) -> str:
        """Return the report as one line of ASCII JSON, for an attribute of a file."""
        return json.dumps(self.__dict__, ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> QualityReport:
        """Return the report that `to_json` wrote.

        Raises
        ------
        ValueError
            If `text` is no such report.
        """
        try:
            raw = json.loads(text)
        except RecursionError:
            raise ValueError("a quality report that is nested too deeply") from None
        if not isinstance(raw, dict) or not set(raw) <= set(cls.__dataclass_fields__):
            raise ValueError("no quality report")
        return cls(**raw)
