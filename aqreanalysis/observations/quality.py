"""Quality control: a list of tests, each with its own flag. A reading that fails keeps its value beside its flag.

The tests of `quality_tests.TESTS` that the config names run in that order; a reading carries the flag of the first one
that it fails. None deletes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import points_within
from aqreanalysis.configs import QualityConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import CONFIRM_KM, SPIKE_HOURS, USABLE, Flag, Series, limits_of
from aqreanalysis.observations.quality_tests import CODE_HOURS, TESTS
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.species import SPECIES


@dataclass(frozen=True)
class Screening:
    """How readings in memory are screened.

    Attributes
    ----------
    quality : QualityConfig, optional
        Which tests run, with which thresholds.
    source_flags : mapping, optional
        Pollutant key -> int8 (time, station), what the network says of its readings; see `Flag`.
    """

    quality: QualityConfig | None = None
    source_flags: Mapping[str, NDArray[np.int8]] | None = None


# Median of CO above which a file is taken to be in ug m-3 (the most polluted cities have hourly medians near 5 mg m-3),
# and median of the others below which it is taken to be in mg m-3.
CO_MEDIAN_MAX = 20.0
CO_CLEANEST_UG = 80.0
MEDIAN_MIN = 0.3


def flag_readings(
    values: dict[str, NDArray[np.float32]],
    lat: NDArray[np.float64],
    lon: NDArray[np.float64],
    quality: QualityConfig | None = None,
    source_flags: Mapping[str, NDArray[np.int8]] | None = None,
) -> dict[str, NDArray[np.int8]]:
    """Return the flag of each reading, int8 (time, station) a pollutant; see `Flag`.

    Parameters
    ----------
    values : dict of str to ndarray
        Pollutant key -> float32 (time, station) in the units of `SPECIES`, NaN where missing, hours without holes.
    lat, lon : ndarray
        Degrees, float64 (station,).
    quality : QualityConfig, optional
        Which tests run, with which thresholds.
    source_flags : mapping, optional
        Pollutant key -> int8 (time, station), what the network says of its readings (`Flag.GOOD` where nothing).

    Raises
    ------
    ConfigError
        If `quality` names an unknown pollutant or threshold.
    """
    chosen = quality or QualityConfig()
    limits = limits_of(chosen)
    neighbours = points_within(lat, lon, CONFIRM_KM)
    flags = {}
    remaining = {}
    for key, readings in values.items():
        flags[key] = np.isnan(readings).astype(np.int8)  # Flag.GOOD is 0, Flag.MISSING is 1
        remaining[key] = readings
        if source_flags is not None and key in source_flags:
            by_source = (source_flags[key] != Flag.GOOD) & (flags[key] == Flag.GOOD)
            flags[key][by_source] = source_flags[key][by_source]
            remaining[key] = _without(readings, by_source & ~np.isin(source_flags[key], list(USABLE)))
    for flag, test in TESTS:
        if flag.name.lower() not in chosen.tests:
            continue
        # All pollutants before any is marked: a test that compares two of them must see both.
        failures = {key: test(Series(key, remaining[key], neighbours, limits[key], remaining)) for key in values}
        for key, failed in failures.items():
            if failed.any():
                flags[key][failed] = flag
                if flag not in USABLE:
                    # What one test has found must not mislead the next: a fault of 9999 is nobody's neighbour.
                    remaining[key] = _without(remaining[key], failed)
    return flags


def _without(readings: NDArray[np.float32], bad: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(bad, np.float32(np.nan), readings)


def reach_hours(quality: QualityConfig | None = None) -> int:
    """Return how many hours before and after a reading its flag may depend on, for work in blocks of time.

    What one test takes out another no longer sees, so that the reaches of the tests add up.
    """
    chosen = quality or QualityConfig()
    longest = max(int(max(each.plateau_hours, each.stuck_hours)) for each in limits_of(chosen).values())
    reach = {"missing_code": CODE_HOURS, "stuck": longest, "spike_in_time": SPIKE_HOURS + 1}
    reach |= {"spike_against_neighbours": 3, "step_change": 24 * 40, "too_little_data": 12}
    return sum(reach.get(name, 0) for name in chosen.tests)


def check_units(values: dict[str, NDArray[np.float32]], report: QualityReport) -> None:
    """Refuse or warn where the level of a pollutant only makes sense in another unit.

    Raises
    ------
    ObservationsError
        If the median of CO lies above `CO_MEDIAN_MAX` mg m-3, or that of ozone below `MEDIAN_MIN` ug m-3.
    """
    for key, readings in values.items():
        # A median of some hundred thousand readings tells a factor of a thousand as well as one of millions.
        sample = readings.ravel()[:: max(readings.size // 200_000, 1)]
        present = sample[np.isfinite(sample) & (sample >= 0)]
        if present.size < 24:
            continue
        median = float(np.median(present))
        if key == "co" and median > CO_MEDIAN_MAX:
            # The cleanest air holds some 0.1 mg m-3; Hong Kong counts tens of ug m-3.
            unit = "ug m-3" if median >= CO_CLEANEST_UG else "10 ug m-3"
            raise ObservationsError(
                f"{report.source}: the median of co is {median:g} mg m-3, above {CO_MEDIAN_MAX:g}: "
                f"it looks like {unit}; set columns.units.co to '{unit}'"
            )
        if key != "co" and 0 < median < MEDIAN_MIN:
            gas = SPECIES[key].molar_mass is not None
            likely = "ppm (or in mg m-3)" if gas else "mg m-3"
            text = f"the median of {key} is {median:g} ug m-3, below {MEDIAN_MIN:g}: if the file is in {likely}, set "
            text += f"columns.units.{key} to '{'ppm' if gas else 'mg m-3'}'"
            if key == "o3":
                raise ObservationsError(f"{report.source}: {text}; no air has so little ozone")
            report.warnings.append(text)
