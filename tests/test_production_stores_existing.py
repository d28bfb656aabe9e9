"""What a finished cube says of itself, where it can say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aqreanalysis.errors import CubeError
from aqreanalysis.production.stores.existing import ExistingCube


@pytest.mark.parametrize("error", [OSError("truncated"), RuntimeError("NetCDF: HDF error"), KeyError("time_bnds")])
def test_a_cube_that_its_library_cannot_read_is_refused_by_name(error):
    def read_header():
        raise error

    with pytest.raises(CubeError, match=r"x\.nc cannot be read as a cube: .*(truncated|HDF error|time_bnds)"):
        ExistingCube.read(Path("x.nc"), True, read_header)
