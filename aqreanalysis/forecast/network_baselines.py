"""Networks as forecast baselines: an LSTM on each station's own history, and PatchTST from `transformers`.

Both stop early by the last sixth of the hours seen. PatchTST is there where the optional extra ``baselines`` is.
"""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aqreanalysis.common.progress import Progress
from aqreanalysis.forecast.baselines import (
    Array,
    ForecastBaseline,
    Hours,
    PointForecast,
    Records,
    cyclic,
    last_known,
    with_daily,
)

_BATCH, _STEPS, _LOOK_EVERY, _PATIENCE = 128, 800, 50, 3
_PATCH = 6
_AT_ONCE = 512
_TUNING = 1500


class NetworkBaseline(ForecastBaseline):
    """What the two networks share: drawing windows, the loop, early stopping."""

    learning_rate = 1e-3
    seed = 0

    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        seen = records.values[: records.seen]
        raised = self._raise(seen)
        self._mean = np.nanmean(raised, axis=(0, 1))
        self._std = np.nanstd(raised, axis=(0, 1)) + 1e-6
        self._unit = float(np.nanstd(records.target[: records.seen]))
        self._lead = records.lead
        self.network = self.build(seen.shape[2], records)
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.learning_rate, weight_decay=1e-2)
        fit, tune = records.training_origins(1, "fit"), records.training_origins(12, "tune")
        best, best_step, best_weights = np.inf, 0, self._weights()
        for step in range(_STEPS):
            self.network.train()
            loss = self._loss(records, rng.choice(fit, _BATCH), rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimiser.step()
            if (step + 1) % _LOOK_EVERY:
                continue
            score = self._tuning_loss(records, tune)
            if score < best:
                best, best_step, best_weights = score, step + 1, self._weights()
            if progress:
                progress(step + 1, _STEPS, f"{self.title}: {score:.4f}")
            if step + 1 - best_step >= _PATIENCE * _LOOK_EVERY:
                break
        self.network.load_state_dict(best_weights)
        self.network.eval()
        return {"steps": best_step}

    @abstractmethod
    def build(self, inputs: int, records: Records) -> nn.Module:
        """Return the untrained network."""

    @abstractmethod
    def features(self, histories: Array, stamps: Hours) -> tuple[Tensor, ...]:
        """Return the network's inputs from one-station histories (window, hour, input)."""

    @abstractmethod
    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        """Return the training loss of standardised answers against standardised truths (window, lead)."""

    @abstractmethod
    def point(self, answer: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return median and mean in units (window, lead with days)."""

    def predict(self, histories: Array, stamps: Hours) -> PointForecast:
        origins, hours, stations, inputs = histories.shape
        flat = histories.transpose(0, 2, 1, 3).reshape(origins * stations, hours, inputs)
        repeated = np.repeat(stamps, stations)
        parts = []
        for start in range(0, len(flat), _AT_ONCE):
            chosen = slice(start, start + _AT_ONCE)
            with torch.inference_mode():
                parts.append(self.point(self.network(*self.features(flat[chosen], repeated[chosen]))))
        # A station without a reading of the pollutant in its history has no forecast of its own.
        silent = ~np.asarray(np.isfinite(flat[..., 0]).any(axis=1))[:, None]
        median, mean = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
        shape = (origins, stations, -1)
        return PointForecast(
            np.where(silent, np.nan, median).astype(np.float32).reshape(shape),
            np.where(silent, np.nan, mean).astype(np.float32).reshape(shape),
        )

    def _raise(self, values: Array) -> Array:
        return np.log(np.maximum(values, 0) + 0.1 * np.nanmedian(values, axis=(0, 1)))

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def _draw(self, records: Records, origins: Hours, rng: np.random.Generator) -> tuple[Array, Array]:
        stations = rng.integers(records.values.shape[1], size=len(origins))
        before = records.values[origins[:, None] + np.arange(1 - records.history, 1), stations[:, None]]
        after = records.target[origins[:, None] + np.arange(1, records.lead + 1), stations[:, None]]
        return before, after

    def _loss(self, records: Records, origins: Hours, rng: np.random.Generator) -> Tensor:
        before, after = self._draw(records, origins, rng)
        truth = torch.from_numpy(with_daily(after) / self._unit).float()
        return self.loss(self.network(*self.features(before, records.stamps(origins))), truth)

    @torch.no_grad()
    def _tuning_loss(self, records: Records, tune: Hours) -> float:
        self.network.eval()
        rng = np.random.default_rng(1)
        chosen = rng.choice(tune, _TUNING)
        parts = np.array_split(chosen, -(-_TUNING // _AT_ONCE))
        return float(np.mean([float(self._loss(records, part, rng)) for part in parts]))


def known_error(answer: Tensor, truth: Tensor) -> Tensor:
    """Return the errors where the truth is finite; picked before anything is done with them: NaN has no gradient."""
    seen = torch.isfinite(truth)
    return answer[seen] - truth[seen]


class _Lstm(nn.Module):
    def __init__(self, inputs: int, leads: int, width: int = 64) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, width, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(width + 8, 2 * leads)

    def forward(self, steps: Tensor, clock: Tensor) -> Tensor:
        _, (state, _) = self.lstm(steps)
        return self.out(torch.cat((self.drop(state[-1]), clock), dim=-1)).unflatten(-1, (2, -1))


class Lstm(NetworkBaseline):
    """An LSTM over six-hour steps of all pollutants at the station, with the clock; median and mean are learned."""

    name, title = "lstm", "LSTM"

    def build(self, inputs: int, records: Records) -> nn.Module:
        return _Lstm(2 * inputs * _PATCH, records.lead + records.lead // 24)

    def features(self, histories: Array, stamps: Hours) -> tuple[Tensor, ...]:
        scaled = (self._raise_known(histories) - self._mean) / self._std
        seen = np.isfinite(scaled)
        both = np.concatenate([np.where(seen, scaled, 0), seen], axis=-1).astype(np.float32)
        steps = both.reshape(len(both), -1, _PATCH * both.shape[-1])
        return torch.from_numpy(steps), torch.from_numpy(cyclic(stamps).astype(np.float32))

    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        self._offset = 0.1 * np.nanmedian(records.values[: records.seen], axis=(0, 1))
        return super().fit(records, progress)

    def _raise(self, values: Array) -> Array:
        return self._raise_known(values)

    def _raise_known(self, values: Array) -> Array:
        return np.asarray(np.log(np.maximum(values, 0) + self._offset))

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        return known_error(answer[:, 0], truth).abs().mean() + known_error(answer[:, 1], truth).square().mean()

    def point(self, answer: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        units = np.maximum(answer.numpy() * self._unit, 0)
        return units[:, 0], units[:, 1]


class PatchTst(NetworkBaseline):
    """PatchTST (Nie et al. 2023) on the pollutant's own history, its windows standardised each by itself, MAE as loss.

    The daily mean is that of its hours.
    """

    name, title = "patchtst", "PatchTST"
    learning_rate = 5e-4

    @staticmethod
    def missing() -> str | None:
        """Return why there is no PatchTST here, or None where there is one."""
        if importlib.util.find_spec("transformers") is None:
            return "PatchTST was not run: install the optional extra, pip install 'aqreanalysis[baselines]'"
        return None

    def build(self, inputs: int, records: Records) -> nn.Module:
        from transformers import PatchTSTConfig, PatchTSTForPrediction

        config = PatchTSTConfig(
            num_input_channels=1,
            context_length=records.history,
            prediction_length=records.lead,
            patch_length=16,
            patch_stride=8,
            d_model=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            ffn_dim=128,
            attention_dropout=0.2,
            ff_dropout=0.2,
            positional_dropout=0.1,
            head_dropout=0.2,
            scaling="std",
        )
        network = PatchTSTForPrediction(config)

        class Answer(nn.Module):
            """The library's network with the forecast alone as its answer."""

            def __init__(self) -> None:
                super().__init__()
                self.inner = network

            def forward(self, past: Tensor, seen: Tensor) -> Tensor:
                answer: Tensor = self.inner(past_values=past, past_observed_mask=seen).prediction_outputs
                return answer[..., 0]

        return Answer()

    def features(self, histories: Array, stamps: Hours) -> tuple[Tensor, ...]:
        target = histories[..., :1]
        seen = np.isfinite(target)
        filled = np.nan_to_num(last_known(target)) / self._unit
        return torch.from_numpy(filled.astype(np.float32)), torch.from_numpy(seen)

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        hourly = truth[:, : answer.shape[1]]
        return known_error(answer, hourly).abs().mean()

    def point(self, answer: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        units = with_daily(np.maximum(answer.numpy() * self._unit, 0))
        return units, units
