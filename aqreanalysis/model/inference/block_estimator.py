"""The estimate on a dense grid, patch by patch: the same head as `AQNet.estimate_at`, in compiled loops."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aqreanalysis.model.device import as_array
from aqreanalysis.model.inference.cell_covariates import CellCovariates, SurroundingsHead
from aqreanalysis.model.inference.lattice import WeightBlock
from aqreanalysis.model.kernels import Array, describe_geometry, estimate_block, mix_kernels, multiply
from aqreanalysis.model.network.aqnet import FAR_KM, MIDDLE_KM, MIXTURES, NEAR_KM, AQNet, StationStates, layer_of
from aqreanalysis.model.network.temporal_filters import BANDS


@dataclass(frozen=True)
class _Head:
    """A target's head with what is linear folded together.

    Attributes
    ----------
    first, static, clock, inner, last : float32
        `first` reads the kriged bands by mixture, the disagreement and what is learned; `clock` is what the hours add
        (width, hour); `inner` and `last` have the bias as a last column; `last` gives the lean of each band to its
        first mixture, the gains, the correction and the log scale.
    """

    first: Array
    static: Array
    clock: Array
    inner: Array
    last: Array


def _fold(network: AQNet, target: int, clock: Tensor) -> _Head:
    dynamic, static, timing, inner, out = (
        layer_of(layers, target)
        for layers in (
            network.head_dynamic,
            network.head_static,
            network.head_clock,
            network.head_inner,
            network.head_out,
        )
    )
    whole, differences, rest = dynamic.weight.split((BANDS, BANDS, dynamic.weight.shape[1] - 2 * BANDS), dim=1)
    # The first feature is the sum of the bands, the others are bands: each mixture has half of its band.
    halves = 0.5 * torch.cat((whole[:, :1], whole[:, :1] + whole[:, 1:]), dim=1)
    mixtures = torch.stack((halves + differences, halves - differences), dim=2).flatten(1)
    shares, others = out.weight.split((BANDS * MIXTURES, BANDS + 1), dim=0)
    share_bias, other_bias = out.bias.split((BANDS * MIXTURES, BANDS + 1))
    leans = shares.view(BANDS, MIXTURES, -1)
    lean_bias = share_bias.view(BANDS, MIXTURES)
    timed = timing(clock) + dynamic.bias + static.bias
    last = torch.cat((leans[:, 0] - leans[:, 1], others))
    last_bias = torch.cat((lean_bias[:, 0] - lean_bias[:, 1], other_bias))
    return _Head(
        as_array(torch.cat((mixtures, rest), dim=1)),
        as_array(static.weight),
        as_array(timed.T),
        as_array(torch.cat((inner.weight, inner.bias[:, None]), dim=1)),
        as_array(torch.cat((last, last_bias[:, None]), dim=1)),
    )


class BlockEstimator:
    """One member's estimate of one target over a block of hours: the same for all tiles, and for threads side by side.

    Parameters
    ----------
    network : AQNet
        The member, on the CPU.
    states : StationStates
        Of the block.
    target : int
        Which of the network's targets.
    """

    def __init__(self, network: AQNet, states: StationStates, target: int) -> None:
        self.network, self.target = network, target
        bands = states.bands[:, :, target]  # (hour, station, band)
        value = bands.sum(dim=-1, keepdim=True)
        observed = states.observed[:, :, target, None]
        parts = (bands, value, value**2, observed, states.trends[:, :, target], states.channels)
        self._fields = as_array(torch.cat(parts, dim=-1).permute(2, 1, 0))  # (field, station, hour)
        self._head = _fold(network, target, states.clock)
        self._surroundings: SurroundingsHead | None = None
        if network.surroundings is not None and states.fields is not None:
            self._surroundings = SurroundingsHead(network.surroundings, states.fields, target)
            self._fields = np.concatenate((self._fields, self._surroundings.station_fields))
            head = self._head
            last = np.concatenate((head.last, self._surroundings.share))
            self._head = replace(head, clock=head.clock + self._surroundings.bias[:, None], last=last)
        mixture = torch.softmax(network.mixture[target], dim=-1)  # (band, mixture, kernel)
        self._mixture, self._shares = as_array(mixture.flatten(0, 1)), as_array(mixture.mean(dim=1))

    def workspace(self, blocks: list[WeightBlock]) -> Array:
        """Return what `estimate` needs as `room` for any of some patches."""
        fields, _, hours = self._fields.shape
        return np.empty(fields * hours * max(len(block.stations) for block in blocks), np.float32)

    def estimate(
        self, block: WeightBlock, nearest_km: Tensor, room: Array, out: Array, cells: CellCovariates | None = None
    ) -> None:
        """Write location, scale and the number of neighbours that reported into `out` (3, place, hour).

        Parameters
        ----------
        block : WeightBlock
            The places.
        nearest_km : Tensor
            Distance of every place to the nearest station; the patch's own are read.
        room : float32
            From `workspace`, for one thread.
        out : float32
            Of every place; the patch's own rows are written.
        cells : CellCovariates, optional
            Covariates of every place, for a model that has any.
        """
        head, places = self._head, block.places.numpy()
        near = as_array(nearest_km[block.places]), as_array(block.distances)
        logs = np.log(as_array(block.variance))
        described = describe_geometry(logs, self._shares, near, (NEAR_KM, MIDDLE_KM, FAR_KM))
        static = np.empty((len(head.static), len(block.places)), np.float32)
        multiply(head.static, described[:-1], static)
        kernels, stations = as_array(block.kernels), block.stations.numpy()
        mixed = mix_kernels(kernels, self._mixture, self.network.whole.start, stations, self._fields, room)
        first, beside = head.first, (np.empty((0, len(places), out.shape[2]), np.float32), np.empty(0, np.float32))
        if self._surroundings is not None and cells is not None:
            first = self._surroundings.first_layer(head.first, cells.missing)
            static += self._surroundings.static_part(cells.static[places], stations, mixed[1])
            beside = self._surroundings.beside(cells, places)
        given = static, described[-1], as_array(block.count)
        estimates = np.empty((3, len(block.places), out.shape[2]), np.float32)
        estimate_block(mixed, given, head.clock, (first, head.inner, head.last), beside, tuple(estimates))
        if self._surroundings is not None and cells is not None:
            self._surroundings.add_drift(cells, places, estimates[0])
        out[:, places] = estimates


def estimate_blocks(
    sweep: BlockEstimator,
    blocks: list[WeightBlock],
    nearest_km: Tensor,
    hours: int,
    cells: CellCovariates | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return location, scale and how many neighbours reported (place, hour), as `AQNet.estimate_at` does."""
    out = np.empty((3, len(nearest_km), hours), np.float32)
    room = sweep.workspace(blocks)
    for block in blocks:
        sweep.estimate(block, nearest_km, room, out, cells)
    location, scale, reporting = torch.from_numpy(out)
    return location, scale, reporting
