"""Between the nodes of a table."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.model.distribution.smoothstep import smoothstep_weights, smoothstep_weights_f64


@settings(deadline=None)
@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=6, unique=True).filter(
        lambda x: np.diff(sorted(x)).min(initial=1) > 1e-3
    ),
    st.lists(st.floats(-100, 100), min_size=1, max_size=9),
)
def test_weights_between_nodes_are_a_partition_of_unity_and_interpolate(nodes, x):
    nodes = torch.tensor(sorted(nodes), dtype=torch.float64)
    x = torch.tensor(x, dtype=torch.float64)
    weights = smoothstep_weights(x, nodes)
    assert (weights >= -1e-9).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(len(x), dtype=torch.float64))
    torch.testing.assert_close(smoothstep_weights(nodes, nodes), torch.eye(len(nodes), dtype=torch.float64))
    ordered = torch.sort(x).values
    between = smoothstep_weights(ordered, nodes) @ nodes
    assert (torch.diff(between) >= -1e-9).all()  # from node to node without going back


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 300), min_size=1, max_size=5, unique=True).filter(
        lambda x: np.diff(sorted(x)).min(initial=1) > 1e-2
    ),
    st.lists(st.floats(-10, 400), min_size=1, max_size=9),
)
def test_weights_that_a_table_is_fitted_and_read_by_are_the_same(nodes, x):
    nodes, x = np.array(sorted(nodes)), np.array(x)
    read = smoothstep_weights(torch.from_numpy(x), torch.from_numpy(nodes)).numpy()
    np.testing.assert_allclose(read, smoothstep_weights_f64(x, nodes), atol=1e-9)
