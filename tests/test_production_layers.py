"""The layers: names, types and attributes as the conventions want them."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.production.layers import (
    CUBE_DIMS,
    FLAGS,
    MAP_DIMS,
    CubeKind,
    Extrapolation,
    Layer,
    cube_layers,
    layer_names,
    statistic_of,
    value_bytes,
)
from aqreanalysis.species import SPECIES

ALL = list(SPECIES.values())


def test_one_species_has_the_plain_names():
    assert [x.name for x in cube_layers([SPECIES["pm25"]], 0.9)] == [
        "pm2p5",
        "pm2p5_standard_error",
        "pm2p5_lower",
        "pm2p5_upper",
        "quality_flag",
        "observations_used",
        "nearest_station_distance",
    ]


def test_all_six_species_have_layers_with_different_names_and_long_names():
    layers = cube_layers(ALL, 0.9, {"pm25": (35.0, 75.0), "co": (4.5,)})
    assert len({x.name for x in layers}) == len(layers) == 6 * 7 + 3
    assert len({x.attrs["long_name"] for x in layers}) == len(layers)


@pytest.mark.parametrize("species", ALL, ids=lambda s: s.key)
def test_the_best_estimate_names_ancillaries_that_exist(species):
    layers = {x.name: x for x in cube_layers(ALL, 0.95, {species.key: (1.5,)})}
    names = layer_names(species, True, (1.5,))
    best = layers[names.best]
    assert set(best.attrs["ancillary_variables"].split()) <= set(layers)
    assert best.attrs["cell_methods"] == "time: mean" and best.attrs["units"] == species.units
    assert layers[names.standard_error].attrs["standard_name"] == f"{species.standard_name} standard_error"
    for bound in (names.lower, names.upper):
        attrs = layers[bound].attrs
        assert attrs["coverage_probability"] == 0.95 and attrs["cell_methods"] == "time: mean"
        assert "standard_name" not in attrs  # the estimate's alone
        assert "95 % coverage interval" in layers[bound].attrs["long_name"]
    assert names.exceedance == (f"{species.layer}_exceedance_1p5",)


def test_an_estimate_says_which_statistic_it_is():
    hourly, daily = (cube_layers([SPECIES["pm25"]], CubeKind(0.9, f))[0] for f in ("hourly", "daily"))
    assert statistic_of(hourly.attrs, True) == "median" and "expectation was not asked for" in hourly.attrs["comment"]
    assert statistic_of(daily.attrs, False) == "expectation"
    # Cubes of before held the same and did not say it.
    assert (statistic_of({}, True), statistic_of({"comment": "of 3 stations"}, False)) == ("median", "expectation")


def test_the_expectation_is_an_ancillary_layer_of_hours_without_the_standard_name():
    layers = {x.name: x for x in cube_layers(ALL, CubeKind(0.9, added=("mean",)))}
    means = [name for name in layers if name.endswith("_mean")]
    assert len(means) == 6 and len({x.attrs["long_name"] for x in layers.values()}) == len(layers) == 6 * 8
    mean = layers["o3_mean"].attrs
    assert "standard_name" not in mean and mean["units"] == "ug m-3" and mean["cell_methods"] == "time: mean"
    assert statistic_of(mean, True) == "expectation"
    assert "o3_mean" in layers["o3"].attrs["ancillary_variables"].split()
    assert "layer _mean" in layers["o3"].attrs["comment"]
    of_days = cube_layers(ALL, CubeKind(0.9, "daily", added=("mean",)))
    assert not any(x.name.endswith("_mean") for x in of_days)


def test_flags_are_bits_of_the_variables_own_type():
    flag = next(x for x in cube_layers([SPECIES["o3"]], 0.9) if x.name == "quality_flag")
    masks = flag.attrs["flag_masks"]
    assert masks.dtype == np.int8 == np.dtype(flag.dtype) and flag.fill is None
    assert len(masks) == len(flag.attrs["flag_meanings"].split()) == len(FLAGS)
    assert all(bin(m).count("1") == 1 for m in masks.tolist()) and masks.sum() == np.bitwise_or.reduce(masks)


def test_only_layers_in_time_count_towards_the_bytes_of_a_cell_and_hour():
    layers = cube_layers([SPECIES["pm25"]], 0.9)
    assert value_bytes(layers) == 5 * 4 + 1 + 2
    assert all(x.dims == CUBE_DIMS for x in layers)
    height = Layer("height", "float32", None, {}, MAP_DIMS)
    assert value_bytes([*layers, height]) == value_bytes(layers)


def test_the_distance_is_that_of_a_pollutants_own_stations():
    names = {x.name: x.attrs["long_name"] for x in cube_layers(ALL, 0.9) if "distance" in x.name}
    assert len(names) == 6
    assert names["o3_nearest_station_distance"] == "nearest station that reports O3, great-circle distance"


@pytest.mark.parametrize("frequency", ["hourly", "daily"])
def test_the_flag_says_from_which_distance_on_an_estimate_is_extrapolated_and_what_that_rests_on(frequency):
    far = {"o3": Extrapolation(63.25, "how far the intervals were calibrated")}
    flag = {x.name: x.attrs for x in cube_layers(ALL, CubeKind(0.9, frequency, extrapolation=far))}
    assert flag["o3_quality_flag"]["extrapolation_km"] == 63.25
    assert "63.25 km" in flag["o3_quality_flag"]["comment"] and "calibrated" in flag["o3_quality_flag"]["comment"]
    assert "left_blank" not in flag["o3_quality_flag"]["flag_meanings"] and "blank_beyond_km" not in flag["o3"]
    assert "extrapolation_km" not in flag["pm2p5_quality_flag"]


@pytest.mark.parametrize("frequency", ["hourly", "daily"])
def test_layers_that_are_left_blank_say_beyond_which_distance(frequency):
    far = {key: Extrapolation(63.0, "a default", 80.0) for key in SPECIES}
    layers = {x.name: x.attrs for x in cube_layers(ALL, CubeKind(0.9, frequency, extrapolation=far), {"o3": (120.0,)})}
    blank = {name for name, attrs in layers.items() if attrs.get("blank_beyond_km") == 80.0}
    values = {f"{s.layer}{part}" for s in ALL for part in ("", "_standard_error", "_lower", "_upper")}
    assert blank == {*values, "o3_exceedance_120"}
    flag = layers["o3_quality_flag"]
    bits = dict(zip(flag["flag_meanings"].split(), flag["flag_masks"].tolist(), strict=True))
    assert bits["left_blank"] == 32 and "80 km" in flag["comment"]
    assert flag["flag_masks"].dtype == np.int8 and len(set(bits.values())) == len(bits)
