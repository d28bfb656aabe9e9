"""Classes begin where guidelines and indices say, in the cube's units."""

import numpy as np
import pytest

from aqreanalysis.errors import ConfigError
from aqreanalysis.pictures.colours import PALETTES, class_colours, even_colours, round_up
from aqreanalysis.species import SPECIES


@pytest.mark.parametrize(
    ("palette", "key", "edges"),
    [
        ("who", "pm25", (15, 25, 37.5, 50, 75)),
        ("cn", "pm25", (35, 75, 115, 150, 250)),
        ("us", "pm25", (9.1, 35.5, 55.5, 125.5, 225.5)),
    ],
)
def test_classes_of_fine_particles_begin_at_the_published_levels(palette, key, edges):
    assert class_colours(palette, SPECIES[key]).edges == pytest.approx(edges)


def test_levels_in_parts_per_million_become_the_units_of_the_cube():
    # 0.055 ppm of ozone at 25 degrees Celsius: 55 ppb x 47.998 g mol-1 / 24.45 l mol-1.
    assert class_colours("us", SPECIES["o3"]).edges[0] == pytest.approx(107.97, abs=0.01)
    # 4.5 ppm of carbon monoxide, 5.155 mg m-3.
    assert class_colours("us", SPECIES["co"]).edges[0] == pytest.approx(5.155, abs=0.001)


@pytest.mark.parametrize("palette", [p for p in PALETTES if p != "even"])
@pytest.mark.parametrize("key", list(SPECIES))
def test_every_pollutant_has_a_colour_and_a_name_a_class(palette, key):
    colours = class_colours(palette, SPECIES[key])
    assert len(colours.hexes) == len(colours.names) == len(colours.edges) + 1
    assert len(set(colours.hexes)) == len(colours.hexes) and list(colours.edges) == sorted(set(colours.edges))
    assert "mean" in colours.title


def test_the_norm_puts_values_into_their_classes():
    colours = class_colours("who", SPECIES["pm25"])
    assert colours.norm(np.array([0.0, 14.9, 20.0, 80.0, 9999.0])).tolist() == [0, 0, 1, 5, 5]


def test_an_even_scale_ends_at_a_round_number_above_nearly_all_values():
    assert even_colours("concentration", np.array([np.nan, *np.arange(100.0)])).high == 100
    assert even_colours("concentration", np.array([np.nan])).high == 1
    assert [round_up(x) for x in (0.0, 0.13, 7.0, 10.0, 101.0)] == [1.0, 0.15, 8.0, 10.0, 150.0]


def test_a_field_far_above_zero_is_no_dark_sheet():
    colours = even_colours("concentration", np.linspace(17.0, 20.0, 50))
    assert (colours.low, colours.high) == (17.0, 20.0)
    assert even_colours("spread", np.linspace(3.1, 3.4, 50)).low == pytest.approx(3.1)
    flat = even_colours("concentration", np.full(9, 18.0))
    assert flat.low < 18.0 < flat.high
    assert (
        even_colours("concentration", np.arange(9.0), 2.0, 5.0).low,
        even_colours("share", np.arange(9.0)).high,
    ) == (
        2.0,
        100.0,
    )
    with pytest.raises(ConfigError, match="below its end"):
        even_colours("concentration", np.arange(9.0), 50.0, 5.0)


def test_a_scale_holds_its_values_in_few_round_steps_wherever_they_lie():
    rng = np.random.default_rng(0)
    for _ in range(300):
        least, width = 10 ** rng.uniform(-3, 3), rng.uniform(1e-3, 1.9)
        colours = even_colours("concentration", np.linspace(least, least * (1 + width), 201))
        low, high = np.quantile(np.linspace(least, least * (1 + width), 201), (0.01, 0.99))
        room = high - low
        assert low - 0.6 * room <= colours.low <= low + 0.02 * room and high - 0.02 * room <= colours.high, (low, high)
        assert colours.high <= high + 0.6 * room


def test_the_levels_of_the_who_are_those_of_the_average_that_is_shown():
    def of(key, hours):
        colours = class_colours("who", SPECIES[key], hours)
        return colours.edges, colours.title.removeprefix("WHO 2021 levels of the ")

    assert of("no2", 1.0) == ((200.0,), "hourly mean")
    assert of("no2", 24.0) == ((25.0, 50.0, 120.0), "24-hour mean")
    assert of("no2", 8760.0) == ((10.0, 20.0, 30.0, 40.0), "annual mean")
    assert of("pm25", 8784.0) == ((5.0, 10.0, 15.0, 25.0, 35.0), "annual mean")
    # There is no level of an hour, a week or a month: what is shown is said.
    assert of("pm25", 1.0) == ((15.0, 25.0, 37.5, 50.0, 75.0), "24-hour mean (shown: an hour)")
    assert of("pm25", 168.0)[1] == "24-hour mean (shown: 7 days)"
    assert of("pm25", 744.0) == ((5.0, 10.0, 15.0, 25.0, 35.0), "annual mean (shown: 31 days)")
    assert class_colours("us", SPECIES["pm25"], 1.0).title.endswith("24-hour mean (shown: an hour)")


# What the three kinds of colour-blindness see of linear RGB, at full severity: Machado, Oliveira and Fernandes (2009).
SEEN = {
    "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    "all cones": np.eye(3).tolist(),
}
# sRGB to XYZ (IEC 61966-2-1), by the white of D65.
_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
# Smaller differences of CIELAB are hard to tell apart on paper where they do not touch.
APART = 9.0


def least_difference(hexes, kind):
    """Return the least CIELAB difference of two colours as one kind of reader sees them."""
    rgb = np.array([[int(one[i : i + 2], 16) / 255 for i in (1, 3, 5)] for one in hexes])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(SEEN[kind]).T, 0, 1) @ _XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    return float(apart[np.triu_indices(len(hexes), 1)].min())


@pytest.mark.parametrize("kind", SEEN)
def test_colour_blind_readers_tell_the_classes_apart(kind):
    for key in SPECIES:
        for hours in (1.0, 24.0, 8760.0):
            assert least_difference(class_colours("who", SPECIES[key], hours).hexes, kind) > APART
        for palette in ("us", "cn"):
            assert least_difference(class_colours(palette, SPECIES[key], plain=True).hexes, kind) > APART


@pytest.mark.parametrize("kind", SEEN)
def test_colour_blind_readers_see_an_even_scale_go_from_light_to_dark(kind):
    for layer in ("concentration", "spread", "share", "probability", "count"):
        picked = even_colours(layer, np.arange(100.0)).hexes[:: 255 // 8]
        assert least_difference(picked, kind) > APART / 2


def test_the_agencies_green_and_orange_are_one_to_who_lacks_the_green_cones():
    # Why there are plain shades.
    assert least_difference(class_colours("us", SPECIES["pm25"]).hexes, "no green cones") < APART


def test_ranges_of_classes_are_said_in_words():
    assert class_colours("who", SPECIES["no2"], 24.0).ranges == ("< 25", "25 to 50", "50 to 120", "≥ 120")
    assert even_colours("count", np.arange(9.0)).ranges == ()


def test_an_unknown_palette_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="who"):
        class_colours("woh", SPECIES["pm25"])
