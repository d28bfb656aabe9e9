"""On which grid a NetCDF variable lies: by latitudes and longitudes along or over two dimensions, or a projection."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.units import linear_conversion
from aqreanalysis.covariates.curvilinear import CurvilinearGrid
from aqreanalysis.covariates.interpolation import Axes, Floats, HorizontalGrid
from aqreanalysis.errors import CovariatesError
from aqreanalysis.grids.files import coordinates_of

_X = ("projection_x_coordinate", "grid_longitude")
_Y = ("projection_y_coordinate", "grid_latitude")

Place = tuple[Hashable, Hashable]


class Grids:
    """The grids of one file, each made once.

    Parameters
    ----------
    dataset : Dataset
    where : str
        The file, for messages.
    """

    def __init__(self, dataset: xr.Dataset, where: str) -> None:
        self._dataset, self._where = dataset, where
        self._latitudes, self._longitudes = (coordinates_of(dataset, kind) for kind in ("latitude", "longitude"))
        self._made: dict[Place, HorizontalGrid] = {}

    @property
    def any(self) -> bool:
        """Whether the file has latitudes and longitudes, or has shown a grid without."""
        return bool(self._made) or bool(self._latitudes and self._longitudes)

    def of(self, name: str) -> tuple[Place, HorizontalGrid] | str:
        """Return the dimensions of rows and columns of a variable, and its grid; in words why it has none.

        Raises
        ------
        CovariatesError
            If its coordinates are no places on the Earth.
        """
        array = self._dataset[name]
        for lat_name in self._latitudes:
            for lon_name in self._longitudes:
                lat, lon = (self._without_time(one) for one in (lat_name, lon_name))
                if not {*lat.dims, *lon.dims} <= set(array.dims):
                    continue
                if lat.ndim == lon.ndim == 1 and lat.dims != lon.dims:
                    place = lat.dims[0], lon.dims[0]
                    if place not in self._made:
                        self._made[place] = Axes.checked(lat.values, lon.values, self._where)
                    return place, self._made[place]
                if lat.ndim == lon.ndim == 2 and set(lat.dims) == set(lon.dims):
                    place = lat.dims[0], lat.dims[1]
                    if place not in self._made:
                        places = [np.asarray(one.transpose(*lat.dims).values, np.float64) for one in (lat, lon)]
                        self._made[place] = self._bent(places[0], places[1])
                    return place, self._made[place]
        projected = self._projected(array)
        dims = ", ".join(map(str, array.dims)) or "none"
        return projected or f"is on no grid of latitudes and longitudes (dimensions: {dims})"

    def _without_time(self, name: Hashable) -> xr.DataArray:
        """Return a coordinate; one of WRF that has a time too at its first, if it stands still."""
        coordinate = self._dataset[name]
        if coordinate.ndim != 3:
            return coordinate
        first, last = (np.asarray(coordinate[at].values) for at in (0, -1))
        if not np.array_equal(first, last):
            raise CovariatesError(f"{self._where}: {name} moves with {coordinate.dims[0]}; a grid that stays is needed")
        return coordinate[0]

    def _bent(self, lat: Floats, lon: Floats) -> HorizontalGrid:
        """Return the grid of places by row and column; one that is regular for all that as such."""
        if (lat == lat[:, :1]).all() and (lon == lon[:1]).all():
            return Axes.checked(lat[:, 0], lon[0], self._where)
        return CurvilinearGrid.checked(lat, lon, self._where)

    def _projected(self, array: xr.DataArray) -> tuple[Place, HorizontalGrid] | None:
        """Return place and grid of a variable whose axes are those of a projection that the file names."""
        mapping = self._dataset.variables.get(str(array.attrs.get("grid_mapping", "")).split(":")[0])
        y, x = (self._axis(array, names, letter) for names, letter in ((_Y, "Y"), (_X, "X")))
        if mapping is None or x is None or y is None:
            return None
        place = y.dims[0], x.dims[0]
        if place not in self._made:
            from pyproj import CRS, Transformer
            from pyproj.exceptions import ProjError

            try:
                back = Transformer.from_crs(CRS.from_cf(mapping.attrs), "EPSG:4326", always_xy=True).transform
                lon, lat = back(*np.meshgrid(_metres(x), _metres(y)))
            except (ProjError, KeyError) as error:
                raise CovariatesError(
                    f"{self._where}: the projection of {array.attrs['grid_mapping']!r} is not understood ({error}); "
                    "latitude and longitude of each point in two dimensions do as well"
                ) from None
            self._made[place] = self._bent(np.asarray(lat), np.asarray(lon))
        return place, self._made[place]

    def _axis(self, array: xr.DataArray, names: tuple[str, ...], letter: str) -> xr.DataArray | None:
        axes = [self._dataset[dim] for dim in array.dims if dim in self._dataset.variables]
        return next(
            (one for one in axes if one.attrs.get("standard_name") in names),
            next((one for one in axes if one.attrs.get("axis") == letter), None),
        )


def _metres(axis: xr.DataArray) -> NDArray[np.float64]:
    """Return the values of an axis of a projection in metres, of a rotated pole in degrees."""
    linear = linear_conversion(str(axis.attrs.get("units", "m")), "m")
    return np.asarray(axis.values, np.float64) * (1.0 if linear is None else linear[0])
