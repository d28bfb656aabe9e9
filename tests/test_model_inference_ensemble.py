"""Members of a bundle: their weights, what they read, and the distribution that they make together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from aqreanalysis.errors import ModelError
from aqreanalysis.model import Scaling
from aqreanalysis.model.inference.ensemble import load_member, mix_members, scale_inputs

locations = st.lists(st.floats(-5, 5), min_size=1, max_size=6)


def test_weights_of_another_network_are_refused_by_name():
    with pytest.raises(ModelError, match="do not fit the config"):
        load_member(nn.Linear(3, 2), nn.Linear(2, 2).state_dict(), torch.device("cpu"))


def test_a_loaded_member_computes_with_its_own_weights_and_without_dropout():
    first = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    second = load_member(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)), first.state_dict(), torch.device("cpu"))
    asked = torch.arange(3.0)
    assert torch.equal(second(asked), first.eval()(asked))


@given(locations, st.floats(0.1, 2))
def test_the_mixture_has_the_mean_and_the_variance_of_draws_from_every_member(at, scale):
    location, mixed = mix_members([torch.tensor([a]) for a in at], [torch.full((1,), scale * (1 + a * a)) for a in at])
    own = np.array([scale * (1 + a * a) for a in at])
    second_moment = np.mean(own**2 + np.array(at) ** 2)
    assert float(location) == pytest.approx(np.mean(at), abs=1e-5)
    assert float(mixed) ** 2 == pytest.approx(second_moment - np.mean(at) ** 2, rel=1e-3, abs=1e-4)


def test_one_member_speaks_as_it_is():
    location, scale = torch.randn(4, 3), torch.rand(4, 3)
    mixed = mix_members([location], [scale])
    assert mixed[0] is location and mixed[1] is scale


def test_each_input_is_scaled_by_its_own_pollutants_readings():
    scaling = {"pm25": Scaling(1.0, 2.0, 0.5, 10.0), "o3": Scaling(5.0, 4.0, 0.7, 20.0)}
    values = np.array([[[12.0, 80.0], [np.nan, 40.0]]], np.float32)
    scaled = scale_inputs(values, ("pm25", "o3"), scaling)
    assert scaled.shape == values.shape and np.isnan(scaled[0, 1, 0])
    assert scaled[0, 0, 1] == pytest.approx((np.log(85.0) - 4.0) / 0.7, rel=1e-5)
