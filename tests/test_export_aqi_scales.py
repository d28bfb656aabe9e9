"""The indices at the concentrations of their own tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.export.aqi_scales import CN_2012, MOLAR_VOLUME, US_2024
from aqreanalysis.species import SPECIES

INDICES = (US_2024, CN_2012)


def value(index, key, average, concentration, least=0.0):
    (scale,) = (s for s in index.scales if (s.key, s.average) == (key, average))
    return float(index.rounded(scale.sub_index(np.array([concentration], np.float32)))[0])


# EPA-454/B-24-002 and the table of 40 CFR 58 appendix G: ends of classes, and points within.
@pytest.mark.parametrize(
    ("concentration", "wanted"),
    [
        (0, 0),
        (9.0, 50),
        (9.1, 51),
        (35.4, 100),
        (35.5, 101),
        (55.4, 150),
        (125.5, 201),
        (225.4, 300),
        (325.4, 500),
        (35.9, 102),
    ],
)
def test_us_pm25(concentration, wanted):
    assert value(US_2024, "pm25", "mean", concentration) == wanted


def test_the_us_index_goes_on_beyond_500():
    assert value(US_2024, "pm25", "mean", 400.0) > 500


def test_us_concentrations_are_cut_and_not_rounded():
    assert value(US_2024, "pm25", "mean", 35.49) == 100
    assert value(US_2024, "pm10", "mean", 154.9) == 100


# Table 1 of HJ 633-2012.
@pytest.mark.parametrize(
    ("key", "average", "concentration", "wanted"),
    [
        ("pm25", "mean", 35, 50),
        ("pm25", "mean", 75, 100),
        ("pm25", "mean", 95, 125),
        ("pm25", "mean", 500, 500),
        ("pm25", "mean", 900, 500),
        ("pm10", "mean", 350, 200),
        ("so2", "mean", 150, 100),
        ("no2", "mean", 80, 100),
        ("co", "mean", 4, 100),
        ("o3", "max8", 160, 100),
        ("o3", "max8", 215, 150),
        ("o3", "max1", 200, 100),
    ],
)
def test_the_chinese_index(key, average, concentration, wanted):
    assert value(CN_2012, key, average, concentration) == wanted


def test_the_chinese_index_is_rounded_up():
    assert value(CN_2012, "pm25", "mean", 36) == 52  # 51.25


def test_gases_are_converted_at_25_degrees():
    ozone = 70.5e-3 * SPECIES["o3"].molar_mass / MOLAR_VOLUME * 1000  # 70.5 ppb in ug m-3: 0.070 ppm when cut
    assert value(US_2024, "o3", "max8", ozone) == 100
    no2 = 100.4 * SPECIES["no2"].molar_mass / MOLAR_VOLUME
    assert value(US_2024, "no2", "max1", no2) == 100
    co = 9.45 * SPECIES["co"].molar_mass / MOLAR_VOLUME  # mg m-3
    assert value(US_2024, "co", "max8", co) == 100


def test_where_a_scale_ends_another_average_takes_over():
    high = 850.0
    assert np.isnan(value(CN_2012, "o3", "max8", high)) and value(CN_2012, "o3", "max1", high) == 325
    sulfur = 304.5 * SPECIES["so2"].molar_mass / MOLAR_VOLUME
    assert value(US_2024, "so2", "max1", sulfur) == 200
    assert np.isnan(value(US_2024, "so2", "mean", sulfur))
    assert value(US_2024, "so2", "mean", 305.5 * SPECIES["so2"].molar_mass / MOLAR_VOLUME) == 201


@settings(deadline=None)
@given(st.sampled_from([s for i in INDICES for s in i.scales]), st.floats(0, 3000), st.floats(0, 3000))
def test_a_sub_index_never_falls_with_the_concentration(scale, one, other):
    low, high = sorted((one, other))
    a, b = scale.sub_index(np.array([low, high], np.float32))
    assert np.isnan(a) or np.isnan(b) or a <= b


@pytest.mark.parametrize("index", INDICES, ids=lambda i: i.name)
def test_classes_follow_each_other_without_gap_or_overlap(index):
    for scale in index.scales:
        assert len(scale.low) == len(scale.high) == len(scale.index)
        step = 0 if index is CN_2012 else 10.0**-scale.digits
        for high, low in zip(scale.high[:-1], scale.low[1:], strict=True):
            assert low == pytest.approx(high + step)
