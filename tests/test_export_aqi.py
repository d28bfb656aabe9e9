"""The daily index of a cube: the highest sub-index, its bounds, and who leads."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.export.aqi import aqi, aqi_layers, usable_scales
from aqreanalysis.export.aqi_scales import INDICES
from aqreanalysis.export.periods import periods_of
from aqreanalysis.species import SPECIES


@pytest.mark.parametrize("name", ["us", "cn"])
def test_the_index_is_the_highest_sub_index_and_names_its_pollutant(name, cubes):
    index = INDICES[name]
    with CubeSource(cubes.two) as two:
        day = periods_of(two, "day")[1]
        indices = aqi(two, index, day)
        mean = two.read("pm2p5", slice(24, 48)).mean(axis=0)
        layers = {layer.name for layer in aqi_layers(two, index)}
    assert layers == set(indices)
    (scale,) = (s for s in index.scales if (s.key, s.average) == ("pm25", "mean"))
    alone = index.rounded(scale.sub_index(mean))
    known = np.isfinite(indices["aqi"])
    assert known.sum() == 63 - 13 and not known[0, 0]
    assert (indices["aqi"] >= alone)[known].all()
    assert (indices["aqi_lower"] <= indices["aqi"])[known].all() and (indices["aqi"] <= indices["aqi_upper"])[
        known
    ].all()
    leads = indices["aqi_leading_pollutant"]
    pm25 = list(SPECIES).index("pm25") + 1
    assert set(np.unique(leads)) <= {0, pm25, list(SPECIES).index("o3") + 1}
    assert (indices["aqi"] == alone)[leads == pm25].all() and (leads[~known] == 0).all()


def test_what_is_missing_from_an_index_is_said(cubes):
    with CubeSource(cubes.one) as one:
        comment = aqi_layers(one, INDICES["us"])[0].attrs["comment"]
    assert comment.startswith("from PM2.5 24-hour mean; without PM10, SO2, NO2, O3, CO, so it may be higher; ")
    assert "averages of pm2p5 are of hourly medians" in comment


def test_a_cube_without_a_scale_is_refused(cubes):
    with CubeSource(cubes.two, ["o3"]) as two:
        two.bounds = np.stack([two.bounds[:, 1] - np.timedelta64(24, "h"), two.bounds[:, 1]], axis=1)
        with pytest.raises(OutputError, match="none has a scale"):
            usable_scales(two, INDICES["us"])
        two.bounds = np.stack([two.bounds[:, 1] - np.timedelta64(700, "h"), two.bounds[:, 1]], axis=1)
        with pytest.raises(OutputError, match="neither hourly nor daily"):
            usable_scales(two, INDICES["us"])
