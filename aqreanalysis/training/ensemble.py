"""The members of a model: trained one after the other, and on a GPU step by step in turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from aqreanalysis.common.progress import Progress
from aqreanalysis.training.trainer import Trainer


def side_by_side(device: torch.device) -> bool:
    """Return whether members are trained in turns: one alone leaves most of a GPU's multiprocessors idle."""
    return device.type == "cuda"


def run_members(
    trainers: Sequence[Trainer], part: Path, progress: Progress | None, resume: bool
) -> list[dict[str, Tensor]]:
    """Train all to their ends and return the best weights of each.

    Parameters
    ----------
    trainers : sequence of Trainer
        On one device.
    part : Path
        Folder of the checkpoints, each member's in ``member-<i>``.
    progress : callable, optional
        ``progress(done, total, note)`` over all members.
    resume : bool
        Whether checkpoints that are there are gone on from.
    """
    shared = _Shared(progress, len(trainers)) if progress is not None and len(trainers) > 1 else None
    reports = [progress if shared is None else shared.part(i) for i in range(len(trainers))]
    runs = [t.steps(part / f"member-{i}", reports[i], resume) for i, t in enumerate(trainers)]
    if not side_by_side(trainers[0].device):
        for run in runs:
            for _ in run:
                pass
        return [trainer.best for trainer in trainers]
    device = trainers[0].device
    # A stream each, so that what one asks of the GPU runs beside what the others ask.
    torch.cuda.synchronize(device)
    left = [(run, torch.cuda.Stream(device)) for run in runs]
    while left:
        for turn in list(left):
            run, stream = turn
            with torch.cuda.stream(stream):
                if next(run, left) is left:
                    left.remove(turn)
    torch.cuda.synchronize(device)
    return [trainer.best for trainer in trainers]


class _Shared:
    """Steps done by several members, counted as one."""

    def __init__(self, progress: Progress, members: int) -> None:
        self._progress, self._done = progress, [0] * members

    def part(self, member: int) -> Progress:
        """Return what a member calls with its own count."""

        def report(done: int, total: int, note: str) -> None:
            self._done[member] = done
            members = len(self._done)
            self._progress(sum(self._done), members * total, f"member {member + 1} of {members}: {note}")

        return report
