"""Rules of names, units, types and attributes: what clients read before they show a number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import netCDF4
import numpy as np

from aqreanalysis.production.derived_layers import CONCENTRATION
from aqreanalysis.production.layers import CUBE_DIMS, FILL, FLAGS, MAP_DIMS
from aqreanalysis.production.template import VOCABULARY
from aqreanalysis.validation.names import nameless
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.rules import rule

#: Codecs that every client reads in NetCDF.
_CODECS = {"zlib", "shuffle", "fletcher32"}
_HOURS_A_MONTH = 31 * 24


@rule("conventions", "error", "the ACDD check splits Conventions on commas only, and CF-1.12 fails the checker")
def conventions(cube: RawCube) -> Iterator[str]:
    stated = str(cube.raw.attrs.get("Conventions", ""))
    names = [part.strip() for part in stated.split(",")]
    versions = [re.fullmatch(r"CF-1\.(\d+)", name) for name in names]
    minors = [int(match.group(1)) for match in versions if match]
    if not minors or max(minors) > 11 or not any(name.startswith("ACDD-") for name in names):
        yield f"Conventions is {stated!r}; write 'CF-1.11, ACDD-1.3'"


@rule("netcdf4", "error", "an older data model has no chunks, and zstd breaks GDAL, QGIS, CDO, NCO, netCDF-Java and R")
def netcdf4(cube: RawCube) -> Iterator[str]:
    if not cube.is_netcdf or cube.file is None:
        return
    with netCDF4.Dataset(cube.file) as file:
        if not file.data_model.startswith("NETCDF4"):
            yield f"data model is {file.data_model}; write NETCDF4"
            return
        for name in cube.layers:
            filters = file[name].filters() or {}
            alien = [codec for codec, on in filters.items() if on and codec not in {*_CODECS, "complevel"}]
            if alien:
                yield f"{name} is compressed with {', '.join(alien)}; use zlib with shuffle"


@rule("ascii", "error", "a non-ASCII attribute becomes NC_STRING, which breaks NCO, ncdump, ncview and Fortran readers")
def ascii_attributes(cube: RawCube) -> Iterator[str]:
    for owner, attrs in (("global", cube.raw.attrs), *((n, cube.attrs(str(n))) for n in cube.raw.variables)):
        for key, value in attrs.items():
            if isinstance(value, str) and not value.isascii():
                yield f"{owner} attribute {key} holds {next(c for c in value if not c.isascii())!r}"


@rule("long-names", "error", "QGIS mesh names its groups by long_name and merges equal ones")
def long_names(cube: RawCube) -> Iterator[str]:
    names = {name: str(cube.attrs(name).get("long_name", "")) for name in cube.layers}
    for name, text in names.items():
        if not text:
            yield f"{name} has no long_name"
    for text, count in Counter(text for text in names.values() if text).items():
        if count > 1:
            yield f"long_name {text!r} stands at {', '.join(n for n, t in names.items() if t == text)}"


@rule(
    "layer-dimensions", "error", "a further dimension makes CDO drop a layer, rioxarray raise, netCDF-Java show no grid"
)
def layer_dimensions(cube: RawCube) -> Iterator[str]:
    for name in cube.layers:
        dims = cube.raw[name].dims
        if dims not in (CUBE_DIMS, MAP_DIMS):
            yield f"{name} has dimensions ({', '.join(map(str, dims))}); a layer is over (time, lat, lon) or (lat, lon)"


@rule("standard-names", "error", "clients and people find a pollutant by its CF standard name and read its units")
def standard_names(cube: RawCube) -> Iterator[str]:
    for one in cube.quantities:
        # An index and a count have none.
        own = one.standard_name or None
        wanted = {
            one.layer: (own, one.units),
            f"{one.layer}_standard_error": (own and f"{own} standard_error", one.units),
            f"{one.layer}_lower": (None, one.units),
            f"{one.layer}_upper": (None, one.units),
        }
        if cube.attrs(one.layer).get("standard_name") == one.standard_name and cube.is_older:
            wanted |= {f"{one.layer}_{bound}": (one.standard_name, one.units) for bound in ("lower", "upper")}
        for name, (standard, units) in wanted.items():
            if not cube.has(name):
                continue
            attrs = cube.attrs(name)
            if attrs.get("standard_name") != standard:
                yield f"{name} has standard_name {attrs.get('standard_name')!r}; it is {standard!r}"
            if attrs.get("units") != units:
                yield f"{name} is in {attrs.get('units')!r}; {one.title} is in {units!r}"


@rule("invented-names", "error", "a standard name that CF does not have for a quantity says what it is not")
def invented_names(cube: RawCube) -> Iterator[str]:
    for name in cube.layers:
        reason, invented = nameless(name), cube.attrs(name).get("standard_name")
        carried_on = cube.is_older and name.endswith(("_lower", "_upper"))
        if reason is not None and invented is not None and not carried_on:
            yield f"{name} has standard_name {invented!r}; leave it out: CF has none for {reason.what} ({reason.why})"


@rule("units", "error", "a number without units cannot be used")
def units(cube: RawCube) -> Iterator[str]:
    for name in cube.layers:
        attrs = cube.attrs(name)
        if "units" not in attrs and "flag_masks" not in attrs and "flag_values" not in attrs:
            yield f"{name} has no units; write 1 where it has none"


@rule("uncertainty", "error", "an estimate without its error bar is not what this program promises")
def uncertainty(cube: RawCube) -> Iterator[str]:
    for one in cube.species:
        for part in ("standard_error", "lower", "upper"):
            if not cube.has(f"{one.layer}_{part}"):
                yield f"{one.layer} has no {one.layer}_{part}"
        if cube.flag_of(one) is None:
            yield f"{one.layer} has no quality flag"


@rule("ancillary", "error", "ancillary_variables is how a client finds the error bar of an estimate")
def ancillary(cube: RawCube) -> Iterator[str]:
    for one in cube.quantities:
        listed = str(cube.attrs(one.layer).get("ancillary_variables", "")).split()
        for name in listed:
            if not cube.has(name):
                yield f"{one.layer} lists {name} among its ancillary_variables, and it is not there"
        for part in ("standard_error", "lower", "upper"):
            name = f"{one.layer}_{part}"
            if cube.has(name) and name not in listed:
                yield f"{one.layer} does not list {name} among its ancillary_variables"


@rule(
    "cell-methods", "error", "a stamp alone does not say that a value is a mean, and a centre's value is no area mean"
)
def cell_methods(cube: RawCube) -> Iterator[str]:
    maxima = [one.species for one in cube.derived if one.kind == CONCENTRATION]
    for one in (*cube.species, *maxima):
        methods = str(cube.attrs(one.layer).get("cell_methods", ""))
        if not methods.startswith("time: m"):
            yield f"{one.layer} has cell_methods {methods!r}; an hourly mean has 'time: mean'"
        if "area:" in methods:
            yield f"{one.layer} has cell_methods {methods!r}; the estimate is of the cell's centre, so drop 'area:'"


@rule("interval", "error", "bounds without their probability say nothing; CF has no cell method for a quantile")
def interval(cube: RawCube) -> Iterator[str]:
    maxima = [one.species for one in cube.derived if one.kind == CONCENTRATION]
    for one in (*cube.species, *maxima):
        probabilities = {}
        for name in (f"{one.layer}_lower", f"{one.layer}_upper"):
            if not cube.has(name):
                continue
            attrs = cube.attrs(name)
            probability = probabilities[name] = attrs.get("coverage_probability")
            if probability is None or not 0 < float(probability) < 1:
                yield f"{name} has coverage_probability {probability}; give a number between 0 and 1"
        if len({str(p) for p in probabilities.values()}) > 1:
            yield f"coverage_probability differs: {', '.join(f'{n} {p}' for n, p in probabilities.items())}"


@rule("grid-mapping", "error", "without a grid mapping with crs_wkt GDAL and R show no EPSG code and QGIS asks for it")
def grid_mapping(cube: RawCube) -> Iterator[str]:
    for name in cube.layers:
        mapping = cube.attrs(name).get("grid_mapping", cube.raw[name].encoding.get("grid_mapping"))
        if mapping != "crs":
            yield f"{name} has grid_mapping {mapping!r}; it is 'crs'"
    if not cube.has("crs"):
        yield "there is no variable crs"
        return
    for key in ("grid_mapping_name", "semi_major_axis", "inverse_flattening", "crs_wkt", "spatial_ref"):
        if key not in cube.attrs("crs"):
            yield f"crs has no {key}"


@rule("fill", "error", "with another fill clients show it as data: -9999 in NetCDF, NaN in Zarr")
def fill(cube: RawCube) -> Iterator[str]:
    for name in cube.layers:
        layer = cube.raw[name]
        if layer.dtype.kind != "f":
            continue
        if layer.dtype != np.float32:
            yield f"{name} is {layer.dtype}; layers are float32"
        stated = layer.attrs.get("_FillValue", layer.encoding.get("_FillValue"))
        if cube.is_netcdf and (stated is None or float(stated) != FILL):
            yield f"{name} has _FillValue {stated}; in NetCDF it is {FILL:g}"
        if not cube.is_netcdf and stated is not None and not np.isnan(float(stated)):
            yield f"{name} has _FillValue {stated}; in Zarr it is NaN"


@rule("actual-range", "error", "clients take their colours from actual_range, and CF wants it to be that of the data")
def actual_range(cube: RawCube) -> Iterator[str]:
    declared = {n: np.atleast_1d(cube.attrs(n)["actual_range"]) for n in cube.layers if "actual_range" in cube.attrs(n)}
    # What produce writes has none, so that this pass over the values is a rare one.
    ranges: dict[str, tuple[float, float]] = {}
    for slab in cube.slabs() if declared else ():
        for name in declared.keys() & slab.values.keys():
            values = slab.values[name]
            if np.isfinite(values).any():
                low, high = ranges.get(name, (np.inf, -np.inf))
                ranges[name] = (min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values))))
    for name, stated_range in declared.items():
        true = ranges.get(name)
        if true is None or tuple(map(float, stated_range)) != true:
            yield f"{name} has actual_range {stated_range.tolist()}; the data's is {true and list(true)}: leave it out"


@rule("packing", "error", "packed layers lose digits, and several clients forget to unpack them")
def packing(cube: RawCube) -> Iterator[str]:
    for name in map(str, cube.raw.variables):
        for key in ("scale_factor", "add_offset"):
            if key in cube.attrs(name):
                yield f"{name} has {key}; write plain float32"


@rule("flags", "error", "flag values of another type than the variable fail CF; each bit needs its one meaning")
def flags(cube: RawCube) -> Iterator[str]:
    for name in cube.layers:
        attrs = cube.attrs(name)
        meanings = str(attrs.get("flag_meanings", "")).split()
        for key in ("flag_masks", "flag_values"):
            if key not in attrs:
                continue
            values = np.atleast_1d(attrs[key])
            if cube.is_netcdf and values.dtype != cube.raw[name].dtype:
                yield f"{name}: {key} is {values.dtype} and the variable {cube.raw[name].dtype}"
            if len(values) != len(meanings):
                yield f"{name}: {len(values)} {key} and {len(meanings)} flag_meanings"
    for one in cube.species:
        flag = cube.flag_of(one)
        if flag is not None and len(str(cube.attrs(flag).get("flag_meanings", "")).split()) < len(FLAGS):
            yield f"{flag} has fewer than {len(FLAGS)} flag_meanings; see docs/production.md"


@rule("zarr", "error", "without consolidated metadata a client asks for every file, and GDAL before 3.8 needs _CRS")
def zarr(cube: RawCube) -> Iterator[str]:
    if cube.format != "Zarr 2":
        return
    if not cube.is_consolidated:
        yield "there is no consolidated metadata (.zmetadata); run zarr.consolidate_metadata"
    for name in cube.layers:
        if "_CRS" not in cube.attrs(name):
            yield f"{name} has no attribute _CRS"


@rule("zarr-format", "advice", "GDAL reads Zarr 3 from 3.12 on only")
def zarr_format(cube: RawCube) -> Iterator[str]:
    if cube.format == "Zarr 3":
        yield "the store is Zarr 3; for older clients produce it with --zarr-format 2"


@rule("size", "advice", "the mesh of QGIS took 0.9 GB for one month of four layers at 100 x 150 cells")
def size(cube: RawCube) -> Iterator[str]:
    steps = cube.raw.sizes["time"]
    if cube.is_netcdf and steps > _HOURS_A_MONTH:
        yield f"the file holds {steps} steps; 'aqreanalysis export netcdf' cuts it into months"


@rule("vocabulary", "warning", "any other text makes the checker try to download a table")
def vocabulary(cube: RawCube) -> Iterator[str]:
    stated = cube.raw.attrs.get("standard_name_vocabulary")
    if stated != VOCABULARY:
        yield f"standard_name_vocabulary is {stated!r}; write {VOCABULARY!r}"


@rule("vertical", "error", "a vertical extent without a vertical coordinate contradicts itself")
def vertical(cube: RawCube) -> Iterator[str]:
    for key in cube.raw.attrs:
        if str(key).startswith("geospatial_vertical"):
            yield f"there is {key} and no vertical coordinate"
