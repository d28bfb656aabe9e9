"""What the tests of growing cubes share: readings up to a moment, a grown cube beside one of a single run, a kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import xarray as xr

from aqreanalysis.observations import Observations, from_frame

# What tells a grown cube from one of a single run: when it was made and what was done.
OWN = ("history", "date_created", "date_modified", "date_metadata_modified")


def read(frame: pd.DataFrame, end: str) -> Observations:
    """Return what had been observed by a moment."""
    return from_frame(frame[frame["time"] <= pd.Timestamp(end)])


def same(grown: xr.Dataset, whole: xr.Dataset) -> None:
    """Check that a grown cube is that of one run, but for what its own attributes say of its making."""
    for name in OWN:
        grown.attrs.pop(name), whole.attrs.pop(name, None)
    xr.testing.assert_identical(grown, whole)


class Killed(BaseException):
    """What stands for `kill -9`: nothing of the program catches it."""


def dying(real: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """Return a function that is `real` for some calls and then raises `Killed`."""
    left = [calls]

    def dies(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return real(*given, **named)

    return dies
