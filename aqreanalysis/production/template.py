"""All metadata of a cube, rendered once: coordinates, grid mapping, discovery attributes, provenance (CF, ACDD)."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from aqreanalysis.common.hours import TIME_UNITS, stamp_text
from aqreanalysis.errors import ConfigError
from aqreanalysis.production.layers import CONVENTIONS_VERSION, CUBE_DIMS, QUANTIZATION, VERSION_ATTRIBUTE, Layer
from aqreanalysis.production.plan.timeline import FREQUENCIES, HOURLY

if TYPE_CHECKING:
    from aqreanalysis.configs import MetadataConfig
    from aqreanalysis.grids import Grid
    from aqreanalysis.model import Predictor
    from aqreanalysis.observations import Observations
    from aqreanalysis.production.plan import Plan
    from aqreanalysis.species import Species

CONVENTIONS = "CF-1.11, ACDD-1.3"
GRID_MAPPING = "crs"
LEAD_TIME = "forecast_lead_time"
# How layers are rounded (CF 1.12, section 8.4).
_ROUNDED = {
    "algorithm": "bitround",
    "comment": "of a layer with n significant bits (quantization_nsb) a value is off by at most 1 part in 2 to the "
    "power of n + 1; the order of values, and so of bounds and estimates, is kept",
}
VOCABULARY = "CF Standard Name Table v93"


@dataclass(frozen=True)
class Coordinate:
    """A coordinate, its bounds or the grid mapping: dimensions, values and attributes."""

    dims: tuple[str, ...]
    values: NDArray[Any]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """The cube without its numbers: what a store or a file is created from."""

    plan: Plan
    attrs: dict[str, Any]
    coordinates: dict[str, Coordinate]
    layers: tuple[Layer, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each dimension."""
        return {"time": self.plan.steps, "lat": self.plan.rows, "lon": self.plan.columns, "bnds": 2}

    def shape(self, layer: Layer) -> tuple[int, ...]:
        """Return the shape of a layer."""
        return tuple(self.sizes[d] for d in layer.dims)

    def chunks(self, layer: Layer) -> tuple[int, ...]:
        """Return the chunk of a layer, of which a block of the plan holds a whole number."""
        return self.plan.chunk[len(self.plan.chunk) - len(layer.dims) :]


@dataclass(frozen=True)
class Provenance:
    """Where a cube comes from.

    Attributes
    ----------
    model, observations : str
        Digests.
    stations : int
        Stations read.
    created : str
        Moment at which the run was begun, ``2026-01-31T12:00:00Z``.
    version : str
        Version of this package.
    libraries : dict
        Versions of the libraries that make the numbers.
    synthetic : str
        What to say of a synthetic origin; empty for real observations.
    product : str
        ``forecast``, where the estimates are no analysis; empty where they are.
    remark : str
        What else is to be said of them, for the comment.
    extra : dict
        Further global attributes, such as the coverage measured at hidden stations.
    last_reading : int, optional
        Stamp of the last reading of what is estimated, hours since 1970-01-01.
    modified : str
        Moment at which the run that made it grow was begun; empty for a cube of one run.
    history : str
        What was done before, and what this run did; empty for a cube of one run.
    """

    model: str
    observations: str
    stations: int
    created: str
    version: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    synthetic: str = ""
    product: str = ""
    remark: str = ""
    extra: Mapping[str, str | float] = field(default_factory=dict)
    last_reading: int | None = None
    modified: str = ""
    history: str = ""


def render_template(
    plan: Plan,
    grid: Grid,
    layers: tuple[Layer, ...],
    species: list[Species],
    metadata: MetadataConfig,
    provenance: Provenance,
) -> Template:
    """Return the template of a cube.

    Parameters
    ----------
    plan : Plan
        Hours and blocks.
    grid : Grid
        Cell centres and bounds.
    layers : tuple of Layer
        Of `cube_layers`.
    species : list of Species
        What is estimated.
    metadata : MetadataConfig
        Discovery attributes of the user; what is unset is left out.
    provenance : Provenance
        Digests, versions, moment.

    Raises
    ------
    ConfigError
        If an attribute is not ASCII: as NC_STRING it breaks NCO, ncdump, ncview and Fortran readers.
    """
    attrs = {
        "Conventions": CONVENTIONS,
        **_description(plan, grid, species, metadata, provenance),
        **_origin(provenance),
        **_extent(plan, grid),
        **provenance.extra,
        "standard_name_vocabulary": VOCABULARY,
        "cdm_data_type": "Grid",
        VERSION_ATTRIBUTE: CONVENTIONS_VERSION,
    }
    known = coordinates(plan, grid)
    if any("quantization" in layer.attrs for layer in layers):
        made_by = {"implementation": f"aqreanalysis {provenance.version}"}
        known[QUANTIZATION] = Coordinate((), np.asarray(np.int32(0)), {**_ROUNDED, **made_by})
    # By xarray's own sign for it these are no data, and get no time axis where files of months are opened together.
    attrs["coordinates"] = " ".join(name for name in known if name not in CUBE_DIMS)
    for key, value in attrs.items():
        if isinstance(value, str) and not value.isascii():
            bad = next(c for c in value if not c.isascii())
            raise ConfigError(
                f"metadata.{key} = {value!r}: {bad!r} is not ASCII, and such an attribute breaks NCO, ncview and "
                "ncdump; write it in plain letters"
            )
    # A cube of analysis hours alone has no use for a lead time.
    last = provenance.last_reading
    ahead = _lead_time(plan, last) if last is not None and plan.bounds_of((0, plan.steps))[1] > last else {}
    # A layer that names no coordinates has those of the file to CF, which are none but to xarray.
    located = {"grid_mapping": GRID_MAPPING, "coordinates": " ".join(("time", *ahead))}
    return Template(plan, attrs, known | ahead, tuple(replace(x, attrs={**x.attrs, **located}) for x in layers))


def coordinates(plan: Plan, grid: Grid) -> dict[str, Coordinate]:
    """Return time, latitude, longitude, their bounds, and the grid mapping."""
    begin, end = plan.bounds.astype(np.float64).T
    time = {"middle": (begin + end) / 2, "start": begin, "end": end}[plan.stamp]
    time_attrs = {
        "standard_name": "time",
        "long_name": f"{plan.stamp} of the averaging {FREQUENCIES[plan.frequency].period}",
        "axis": "T",
        "units": TIME_UNITS,
        "calendar": "standard",
        "units_metadata": "leap_seconds: none",
        "bounds": "time_bnds",
        "coverage_content_type": "coordinate",
    }
    return {
        "time": Coordinate(("time",), time, time_attrs),
        "time_bnds": Coordinate(("time", "bnds"), plan.bounds.astype(np.float64)),
        "lat": Coordinate(("lat",), grid.lat, _axis_attrs("latitude", "degrees_north", "Y", "lat_bnds")),
        "lat_bnds": Coordinate(("lat", "bnds"), grid.lat_bounds),
        "lon": Coordinate(("lon",), grid.lon, _axis_attrs("longitude", "degrees_east", "X", "lon_bnds")),
        "lon_bnds": Coordinate(("lon", "bnds"), grid.lon_bounds),
        GRID_MAPPING: Coordinate((), np.asarray(np.int32(0)), crs_attributes()),
    }


def _lead_time(plan: Plan, last_reading: int) -> dict[str, Coordinate]:
    """Return how far ahead of the last reading each step looks, which is stamped at its end as readings are."""
    lead = np.maximum(plan.bounds[:, 1] - last_reading, 0).astype(np.float32)
    attrs = {
        "standard_name": "forecast_period",
        "long_name": "lead time: hours from the last reading to the end of the step, zero at analysis hours",
        # Spelt "hours", xarray would read it as a timedelta.
        "units": "h",
        "coverage_content_type": "auxiliaryInformation",
    }
    return {LEAD_TIME: Coordinate(("time",), lead, attrs)}


def crs_attributes() -> dict[str, Any]:
    """Return the grid mapping of WGS 84; without the WKT, GDAL and R show no EPSG code."""
    wkt = CRS.from_epsg(4326).to_wkt()
    return {
        "grid_mapping_name": "latitude_longitude",
        "long_name": "coordinate reference system WGS 84",
        "longitude_of_prime_meridian": 0.0,
        "semi_major_axis": 6378137.0,
        "inverse_flattening": 298.257223563,
        "crs_wkt": wkt,
        "spatial_ref": wkt,
    }


def _axis_attrs(name: str, units: str, axis: str, bounds: str) -> dict[str, Any]:
    return {
        "standard_name": name,
        "long_name": f"{name} of the cell centre",
        "units": units,
        "axis": axis,
        "bounds": bounds,
        "coverage_content_type": "coordinate",
    }


def _description(
    plan: Plan, grid: Grid, species: list[Species], metadata: MetadataConfig, provenance: Provenance
) -> dict[str, str]:
    names = ", ".join(s.title for s in species)
    label = "SYNTHETIC: " if provenance.synthetic else ""
    first, last = stamp_text(plan.first_hour - 1), stamp_text(plan.first_hour + plan.hours - 1)
    given = {key: value for key, value in metadata.model_dump().items() if value is not None}
    what = f"{plan.frequency.capitalize()} {names} {provenance.product}".rstrip()
    calibrated = "" if plan.frequency == HOURLY else f" of the {plan.frequency} mean (not an average of hourly bounds)"
    title = given.pop("title", f"{what} on the grid {grid.name}, {first} to {last} UTC")
    summary = given.pop(
        "summary",
        f"{plan.frequency.capitalize()} mean concentration of {names} at the cell centres of a regular "
        f"latitude/longitude grid, {provenance.product or 'estimated'} from the readings of {provenance.stations} "
        "stations by the neural network AQ-Net, with standard error, bounds of the coverage interval"
        f"{calibrated} and quality flag.",
    )
    comment = " ".join(t for t in (provenance.synthetic, provenance.remark, given.pop("comment", "")) if t)
    return {
        "title": label + title,
        "summary": label + summary,
        "keywords": ", ".join(
            ["air quality", provenance.product or "reanalysis", "surface concentration", *(s.title for s in species)]
        ),
        **given,
        **({"comment": comment} if comment else {}),
    }


def _origin(provenance: Provenance) -> dict[str, str]:
    libraries = ", ".join(f"{name} {version}" for name, version in provenance.libraries.items())
    modified = provenance.modified or provenance.created
    return {
        "source": f"AQ-Net (aqreanalysis {provenance.version}), model {provenance.model}, "
        f"observations {provenance.observations} of {provenance.stations} stations; {libraries}",
        "history": provenance.history
        or f"{provenance.created} aqreanalysis {provenance.version}: produced from model "
        f"{provenance.model[:16]} and observations {provenance.observations[:16]}",
        "model_digest": provenance.model,
        "observations_digest": provenance.observations,
        "date_created": provenance.created,
        "date_modified": modified,
        "date_metadata_modified": modified,
        "processing_level": f"gridded {provenance.product or 'estimate'} with uncertainty from station readings",
    }


def _extent(plan: Plan, grid: Grid) -> dict[str, Any]:
    south, north = float(grid.lat_bounds[0, 0]), float(grid.lat_bounds[-1, 1])
    west, east = float(grid.lon_bounds[0, 0]), float(grid.lon_bounds[-1, 1])
    # WKT in the axis order of EPSG:4326, latitude first.
    ring = ((south, west), (south, east), (north, east), (north, west), (south, west))
    step_lat, step_lon = grid.step
    return {
        # Of the cell centres, as the ACDD check compares them; the edges go to geospatial_bounds.
        "geospatial_lat_min": float(grid.lat[0]),
        "geospatial_lat_max": float(grid.lat[-1]),
        "geospatial_lat_units": "degrees_north",
        "geospatial_lat_resolution": f"{step_lat:g} degree",
        "geospatial_lon_min": float(grid.lon[0]),
        "geospatial_lon_max": float(grid.lon[-1]),
        "geospatial_lon_units": "degrees_east",
        "geospatial_lon_resolution": f"{step_lon:g} degree",
        "geospatial_bounds": "POLYGON((" + ", ".join(f"{y:.10g} {x:.10g}" for y, x in ring) + "))",
        "geospatial_bounds_crs": "EPSG:4326",
        "time_coverage_start": stamp_text(plan.first_hour - 1) + ":00Z",
        "time_coverage_end": stamp_text(plan.first_hour + plan.hours - 1) + ":00Z",
        "time_coverage_duration": f"PT{plan.hours}H",
        "time_coverage_resolution": FREQUENCIES[plan.frequency].resolution,
    }


def package_version() -> str:
    """Return the version of this package."""
    return importlib.metadata.version("aqreanalysis")


def synthetic_label(observations: Observations, predictor: Predictor) -> str:
    """Return what to say of a synthetic origin of the readings or of the model's training, or an empty string."""
    parts = []
    label = observations.attributes.get("synthetic", "")
    if label:
        parts.append(f"The observations are synthetic{_said(label)}.")
    trained = predictor.trained_on_synthetic
    if trained:
        parts.append(f"The model was trained on synthetic observations{_said(trained)}.")
    return " ".join(parts)


def _said(label: str) -> str:
    """Return what a label says beyond that there is one."""
    return "" if label.lower() in ("true", "yes", "1") else f": {label}"


def now_text() -> str:
    """Return the present moment as ``2026-01-31T12:00:00Z``; SOURCE_DATE_EPOCH, the usual variable, overrides it.

    Raises
    ------
    ConfigError
        If SOURCE_DATE_EPOCH is no number of seconds.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.now(UTC) if text is None else datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):  # no number, or one beyond the years of a date
        raise ConfigError(f"SOURCE_DATE_EPOCH = {text!r:.60}: give seconds since 1970, or unset it") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
