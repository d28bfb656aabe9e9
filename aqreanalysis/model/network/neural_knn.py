"""The learnable neural kNN: weights over the nearest stations that know how far the stations stand from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aqreanalysis.model.kernels import Array, solve_kriging_batched

_ALL = slice(None)
# Places solved together outside training on a GPU, so that the matrices of a whole tile need not fit at once.
_PLACES_AT_ONCE = 128


@dataclass(frozen=True)
class CovarianceModel:
    """``(1 - long_share) exp(-d / short_km) + long_share exp(-d / long_km)``, and a nugget beside that variance of one.

    Attributes
    ----------
    short_km, long_km : float
        Ranges in km.
    long_share : float
        Of the far part, between 0 and 1.
    nugget : float
        Variance that stations do not share.
    """

    short_km: float
    long_km: float
    long_share: float
    nugget: float


class NeuralKNN(nn.Module):
    """Several learned covariance models, each turned into kriging weights over the k nearest stations.

    A softmax over distances gives three stations side by side three votes. Solving the ordinary-kriging system with a
    learned covariance gives them about one (it declusters), and its weights still come from relative position alone, so
    they are computed once a place. Which model counts at which hour is decided later, from the encoded states.

    The covariance of model m is ``(1 - c) exp(-d/short) + c exp(-d/long)`` plus a nugget, with `d` stretched along a
    learned direction (a field drawn out by the wind correlates farther along it than across).
    """

    def __init__(
        self,
        kernels: int,
        short_km: float = 50.0,
        long_km: float = 800.0,
    ) -> None:
        super().__init__()
        spread = torch.linspace(-1.0, 1.0, kernels) if kernels > 1 else torch.zeros(1)
        self.log_short = nn.Parameter(math.log(short_km) + 0.7 * spread)
        self.log_long = nn.Parameter(math.log(long_km) + 0.4 * spread)
        self.long_share = nn.Parameter(torch.full((kernels,), math.log(0.83 / 0.17)))
        self.log_nugget = nn.Parameter(math.log(0.074) - 0.5 * spread)
        # Stretch matrices start as small deviations from the identity, in different directions.
        angle = math.pi * torch.arange(kernels) / max(kernels, 1)
        self.stretch = nn.Parameter(0.1 * torch.stack((torch.cos(2 * angle), torch.sin(2 * angle)), dim=-1))

    @torch.no_grad()
    def start_from(self, models: Sequence[CovarianceModel]) -> None:
        """Take what each covariance model is to start from; with fewer than there are, they are taken in turn."""
        rows = [models[i % len(models)] for i in range(len(self.log_short))]
        columns = [[m.short_km, m.long_km, m.long_share, m.nugget] for m in rows]
        short, long, share, nugget = torch.tensor(columns, device=self.log_short.device).unbind(dim=-1)
        self.log_short.copy_(short.log())
        self.log_long.copy_(long.log())
        self.long_share.copy_(torch.logit(share))
        self.log_nugget.copy_(nugget.log())

    def _stretched(self, position: Tensor, which: slice) -> Tensor:
        """Return positions (kernel, place, k, 2) in each kernel's own metric, km."""
        a, b = self.stretch[which].unbind(dim=-1)
        metric = torch.stack((torch.stack((1 + a, b), -1), torch.stack((b, 1 - a), -1)), -2)
        return torch.einsum("qki,mij->mqkj", position, metric)

    def _covariance(self, distance: Tensor, which: slice) -> Tensor:
        shape = (-1,) + (1,) * (distance.dim() - 1)
        share = torch.sigmoid(self.long_share[which]).view(shape)
        short = torch.exp(-distance / self.log_short[which].exp().view(shape))
        long = torch.exp(-distance / self.log_long[which].exp().view(shape))
        return (1 - share) * short + share * long

    def forward(self, position: Tensor, reach_km: Tensor, which: slice = _ALL) -> tuple[Tensor, Tensor]:
        """Return weights (kernel, place, k), which sum to one, and kriging variances (kernel, place).

        Parameters
        ----------
        position : Tensor
            East and north of each neighbour in km (place, k, 2).
        reach_km : Tensor
            Where influence ends (place,): weights fade to nothing there, so that the field has no step where the list
            of the nearest stations changes.
        which : slice
            The covariance models that are wanted.
        """
        if not torch.is_grad_enabled() and position.device.type == "cpu" and position.dtype == torch.float32:
            return self._forward_compiled(position, reach_km, which)
        if not torch.is_grad_enabled() and len(position) > _PLACES_AT_ONCE:
            pairs = zip(position.split(_PLACES_AT_ONCE), reach_km.split(_PLACES_AT_ONCE), strict=True)
            parts = [self.forward(*pair, which) for pair in pairs]
            return torch.cat([f[0] for f in parts], dim=1), torch.cat([f[1] for f in parts], dim=1)
        covariance = self.covariance_to_neighbours(position, which)
        ones = torch.ones_like(covariance)
        solved = _solve(self.systems(position, reach_km, which), torch.stack((covariance, ones), dim=-1))
        simple, flat = solved.unbind(dim=-1)
        missing = 1 - simple.sum(dim=-1, keepdim=True)
        weights = simple + flat * missing / flat.sum(dim=-1, keepdim=True)
        variance = 1 - (simple * covariance).sum(dim=-1) + (missing.squeeze(-1) ** 2) / flat.sum(dim=-1)
        return weights, F.relu(variance) + 1e-4

    def _forward_compiled(self, position: Tensor, reach_km: Tensor, which: slice) -> tuple[Tensor, Tensor]:
        """Return the same as `forward` on the CPU, where nothing is learned: a fifteenth of the time."""
        noise = self.noise(position, reach_km, which).contiguous().numpy()
        models, places, k = noise.shape
        solution = np.empty((models, places, k), np.float32), np.empty((models, places), np.float32)
        solve_kriging_batched(position.contiguous().numpy(), noise, *self.tables(which), solution)
        weights, variance = map(torch.from_numpy, solution)
        return weights, variance

    @torch.no_grad()
    def tables(self, which: slice = _ALL) -> tuple[Array, Array]:
        """Return the covariance models as `covariances` reads them: stretches and shapes (kernel, 3)."""
        a, b = self.stretch[which].unbind(dim=-1)
        short, long = self.log_short[which].exp(), self.log_long[which].exp()
        metrics = torch.stack((1 + a, b, 1 - a), dim=-1)
        shapes = torch.stack((1 / short, 1 / long, torch.sigmoid(self.long_share[which])), dim=-1)
        return metrics.numpy(), shapes.numpy()

    def covariance_to_neighbours(self, position: Tensor, which: slice = _ALL) -> Tensor:
        """Return the covariance of each place with its neighbours (kernel, place, k); `position` as of `forward`."""
        east, north = self._stretched(position, which).unbind(dim=-1)
        # The small number keeps the gradient of the root finite for co-located stations.
        return self._covariance(torch.sqrt(east**2 + north**2 + 1e-6), which)

    def systems(self, position: Tensor, reach_km: Tensor, which: slice = _ALL) -> Tensor:
        """Return the covariance of the neighbours with each other, and their noise: (kernel, place, k, k).

        Parameters
        ----------
        position, reach_km, which
            As of `forward`.
        """
        east, north = self._stretched(position, which).unbind(dim=-1)
        # Differences after the stretch, one coordinate at a time: half the time of stretching every difference.
        apart = (east[..., :, None] - east[..., None, :]) ** 2 + (north[..., :, None] - north[..., None, :]) ** 2
        between = self._covariance(torch.sqrt(apart + 1e-6), which)
        return between + torch.diag_embed(self.noise(position, reach_km, which))

    def noise(self, position: Tensor, reach_km: Tensor, which: slice = _ALL) -> Tensor:
        """Return what is added to each neighbour's own variance (kernel, place, k); arguments as of `forward`."""
        # With more stations at one place than neighbours are taken, the reach is zero: nothing fades then.
        share = torch.linalg.vector_norm(position, dim=-1) / reach_km.clamp(min=1e-3)[:, None]
        # A neighbour near the reach is treated as ever noisier: its weight goes to zero continuously.
        # At the eighth power the skill is that of no fading at all, and there is no step far outside the network, where
        # all neighbours stand near the reach. By squares: of a power the last digit depends on the place among others.
        late = share.clamp(max=0.999).square().square().square()
        return self.log_nugget[which].exp().view(-1, 1, 1) + 1e-3 + late / (1 - late)


def _solve(systems: Tensor, right: Tensor) -> Tensor:
    """Return the solutions (..., k, n) of positive definite systems (..., k, k)."""
    if not systems.is_cuda:
        return torch.cholesky_solve(right, torch.linalg.cholesky(systems))
    # A recording can neither be asked whether all went well nor hold what `cholesky_solve` starts there (MAGMA). A
    # system that is not positive definite gives NaN then, and the loss tells.
    check = not torch.cuda.is_current_stream_capturing()
    factor = torch.linalg.cholesky_ex(systems, check_errors=check).L
    half = torch.linalg.solve_triangular(factor, right, upper=False)
    return torch.linalg.solve_triangular(factor.mT, half, upper=True)
