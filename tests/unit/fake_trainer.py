"""A learner that learns nothing, but tells its observer everything a real one would, in order.

Its figures are functions of its one weight and of the transitions it has been given, so that a
resume that forgets either changes them. Run as a script it is the real command line with this
learner in it: `python fake_trainer.py TRAIN-OPTIONS`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import types
from collections.abc import Mapping
from typing import Any

import torch


@dataclasses.dataclass
class Interruption:
    """Ctrl-C comes at this call of the observer; None: never.

    Attributes:
        calls: how many the newest learner has made.
    """

    at_call: int | None = None
    calls: int = 0


INTERRUPTION = Interruption()


class _Interrupting:
    """Passes calls on to the observer, except that one of them is interrupted."""

    def __init__(self, observer: Any) -> None:
        self._observer = observer
        INTERRUPTION.calls = 0

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> None:
            if INTERRUPTION.calls == INTERRUPTION.at_call:
                raise KeyboardInterrupt
            INTERRUPTION.calls += 1
            getattr(self._observer, name)(*arguments, **options)

        return call


class MetaTrainer:
    def __init__(self, setup: Any, selector: Any) -> None:
        self.family, self.settings, self.seed = setup.family, setup.settings, setup.seed
        self.climbs = type(selector).__name__ == "GradientAscent"
        self.observer = _Interrupting(setup.observer)
        self.environments = types.SimpleNamespace(threads=setup.threads, device=setup.device)
        self.first_psi = setup.first_psi
        self.weight = torch.tensor([float(setup.seed)])
        self.moment = torch.zeros(())
        self.data: dict[str, list[torch.Tensor]] = {"train": [], "validation": []}
        self.task = self.stage = 0
        self.zero_shot_done = False

    def load(
        self, state: Mapping[str, Any], transitions: Mapping[str, Mapping[str, torch.Tensor]]
    ) -> None:
        self.weight = state["networks"]["agent.policy"]["weight"]
        self.moment = state["optimisers"]["dynamics"]["step"]
        for name in ("task", "stage", "zero_shot_done"):
            setattr(self, name, state["counters"][name])
        for purpose, stored in transitions.items():
            self.data[purpose] = [stored["obs"]]

    def train(self) -> None:
        schedule = self.settings.schedule
        self.observer.begin({"path": "fake", "precision": "fp32", "where": "nowhere"})
        while self.task < schedule.n_tasks:
            stages = schedule.n_slbo_first if self.task == 0 else schedule.n_slbo
            if self.stage == 0 and not self.zero_shot_done:
                self.observer.phase("random-policy", task=self.task, steps=1)
                self._record("random-policy", psi=self._psi(), return_mean=10.0, return_std=1.0)
            if self.task > 0 and not self.zero_shot_done:
                self._iterate("zero-shot", schedule.n_zeroshot)
                self._record("zero-shot", psi=self._psi(), real_return=300.0, virtual_return=400.0)
                self.zero_shot_done = True
                self._checkpoint()
            while self.stage < stages:
                for purpose in self.data:
                    obs = torch.full((4, 3), self.task + 0.125 * self.stage)
                    self.data[purpose].append(obs)
                    rows = {"obs": obs, "actions": obs[:, :1], "next_obs": obs + 1}
                    self.observer.store(purpose, rows)
                self._iterate(f"slbo {self.stage + 1}/{stages}", schedule.n_inner)
                self._record(
                    "slbo-stage", stage=self.stage, psi=self._psi(), virtual_return=900.0,
                    real_return=800.0 + self._figure() + 20 * self.stage,
                    train_loss=0.2 / (1 + self.stage), validation_loss=float("nan")
                    if self.stage == 1 else 0.3 / (1 + self.stage), **self._samples(),
                )  # fmt: skip
                self.stage += 1
                self._checkpoint()
            k = self.family.task_dim
            if self.climbs and 0 < self.task < schedule.n_tasks - 1:
                self.observer.phase("task-gradient", task=self.task, steps=1)
                solve = {
                    "method": "cgnr", "status": "converged", "iterations": 7,
                    "residual": 0.9, "regularised_residual": 1e-7,
                }  # fmt: skip
                self._record(
                    "task-gradient", psi=self._psi(), u=[0.1] * k, gradient=[0.25] * k,
                    terms={n: [0.5] * k for n in ("at_theta_star", "at_theta_hat", "implicit")},
                    solver=[solve], next_psi=self._psi(self.task + 1),
                    damping={"value": 0.1, "why": "given", "candidates": [], "losses": []},
                    health={
                        "ritz_smallest": -1.0, "ritz_largest": 0.5, "stationarity": 0.1,
                        "stationarity_noise": 0.1, "standard_error": [0.1] * k,
                        "halves": [[0.2] * k, [0.3] * k], "halves_cosine": 1.0,
                        "trusted": [True] * k,
                    },
                    verdict="trusted",
                )  # fmt: skip
            self._record(
                "task", psi=self._psi(), u=[0.1] * k, **self._samples(),
                returns={
                    "random": 10.0,
                    "slbo": [800.0 + self._figure() + 20 * i for i in range(stages)],
                    **({"zero_shot": 300.0} if self.task else {}),
                },
            )  # fmt: skip
            self.task, self.stage, self.zero_shot_done = self.task + 1, 0, False
            self._checkpoint()
        self.observer.record("end", {"tasks": self.task})

    def adapt(self, psi: torch.Tensor, *, real_samples: int, seed: int) -> Any:
        return types.SimpleNamespace(
            policy=self.weight, psi=psi, real_samples=real_samples, seed=seed
        )

    def adapt_zero_shot(self, psis: torch.Tensor, *, seed: int) -> list[Any]:
        return [self.adapt(psi, real_samples=0, seed=seed) for psi in psis]

    def _iterate(self, phase: str, iterations: int) -> None:
        self.observer.phase(phase, task=self.task, steps=iterations)
        for i in range(iterations):
            time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
            self.weight = self.weight * 0.9 + 0.1 * self._figure() + 0.01 * i
            self.moment = self.moment + 1
            figures = {"model_loss": 1 / (1 + self._figure()), "virtual_return": self._figure()}
            figures |= {"kl": 0.005, "entropy": 1.0, "value_loss": 2.0}
            self.observer.step(figures)
            self._record("virtual-iteration", phase=phase, iteration=i, **figures)

    def _figure(self) -> float:
        """Depends on the weight, on the optimiser and on all transitions.

        The transitions are multiples of 1/8: their sum does not depend on how they were stored.
        """
        total = sum(obs.sum().item() for stored in self.data.values() for obs in stored)
        return self.weight.item() + self.moment.item() + 0.001 * total

    def _psi(self, task: int | None = None) -> list[float]:
        if self.task == 0 and self.first_psi is not None:
            return list(self.first_psi)
        part = 0.15 * (1 + (self.task if task is None else task))
        low, high = self.family.task_low, self.family.task_high
        return [float(a + part * (b - a)) for a, b in zip(low, high, strict=True)]

    def _samples(self) -> dict[str, Any]:
        count = sum(map(len, self.data["train"]))
        return {"real_samples": {"train": count, "validation": count}, "virtual_samples": 1000}

    def _record(self, event: str, **values: Any) -> None:
        self.observer.record(event, {"task": self.task, **values})

    def _checkpoint(self) -> None:
        counters = {n: getattr(self, n) for n in ("task", "stage", "zero_shot_done")}
        self.observer.checkpoint(
            {
                # Two names for one tensor: a checkpoint has to cope with shared memory.
                "networks": {"agent.policy": {"weight": self.weight, "same": self.weight}},
                "optimisers": {"dynamics": {"step": self.moment}, "empty": {}},
                "counters": counters,
            }
        )


if __name__ == "__main__":
    sys.modules["admrl_native.algorithms.admrl.learner"] = sys.modules[__name__]
    from admrl_native.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
