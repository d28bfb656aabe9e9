"""Training by several processes that ``torchrun`` started: the same network in each, other days, gradients averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from aqreanalysis.errors import ConfigError

# What torchrun sets for each process; without all of it there is one.
_TORCHRUN_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# The first process calibrates alone, which may take long; one that dies is noticed by torchrun, not by this.
_PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them. Every method but `is_first` must be called in all of them.

    Attributes
    ----------
    device : torch.device
        Where this process computes.
    rank, count : int
        Its number from zero, and how many there are.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.rank == 0

    def seed(self, *parts: int) -> tuple[int, ...]:
        """Return the seed that `parts` make, another one in each process; alone it is `parts`."""
        return parts if self.is_first else (*parts, self.rank)

    def average_gradients(self, network: nn.Module, loss: Tensor, known: bool) -> Tensor | None:
        """Average the gradients over the processes in which a target was `known`, and return their mean loss; None if
        there was none in any."""
        if self.count == 1:
            return loss.detach() if known else None
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
        message = torch.stack((loss.detach().float(), torch.full_like(loss.detach(), known, dtype=torch.float32)))
        # All at once: one message, however many parameters there are.
        flat = torch.cat([*(g.flatten() for g in own), message])
        dist.all_reduce(flat)
        if not flat[-1]:
            return None
        flat /= flat[-1].clone()
        parts = flat[:-2].split([g.numel() for g in own])
        for parameter, gradient in zip(network.parameters(), parts, strict=True):
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(gradient.view_as(parameter))  # in place: a recorded step writes where it did before
        return flat[-2]

    def total(self, *values: float) -> list[float]:
        """Return the sums of each of `values` over the processes."""
        if self.count == 1:
            return list(values)
        message = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(message)
        return [float(v) for v in message]

    def of_first(self, value: float) -> float:
        """Return the first process's `value`, so that all decide alike."""
        if self.count == 1:
            return value
        message = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(message, src=0)
        return float(message)

    def wait(self) -> None:
        """Wait until all have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Yield the processes that ``torchrun`` started with this one, or this one alone; on CUDA each has its own device.

    They leave together: what the first has finished when it leaves is finished for all.

    Raises
    ------
    ConfigError
        If there are more processes than CUDA devices.
    """
    if not all(name in os.environ for name in _TORCHRUN_VARIABLES):
        yield Processes(device)
        return
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"torchrun started process {local + 1} on a machine with {torch.cuda.device_count()} CUDA device(s): "
                "lower --nproc-per-node, or train with --device cpu"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    processes = Processes(device, dist.get_rank(), dist.get_world_size())
    try:
        yield processes
        processes.wait()  # nobody takes the group down while another is still in its last exchange
    finally:
        dist.destroy_process_group()


def is_launched() -> bool:
    """Return whether ``torchrun`` started this process with others beside it."""
    return all(name in os.environ for name in _TORCHRUN_VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1
