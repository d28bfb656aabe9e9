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


def test_an_unknown_palette_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="who"):
        class_colours("woh", SPECIES["pm25"])
