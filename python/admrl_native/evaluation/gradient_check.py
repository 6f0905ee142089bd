"""The task gradient (Eq. 2) against finite differences of the gap, policies adapted anew for each.

    L(ψ) = η*(θ*(ψ), ψ) − η*(θ̂(ψ), ψ)

θ̂(ψ) is zero-shot adaptation from a meta-trained model, θ*(ψ) what the SLBO stages of a training
task make of it. A finite difference adapts at two tasks ψ ± ε e with the same seeds; the formula
adapts at ψ and never looks at another task.

Unit, everywhere: returns are divided by the horizon, as in `task_gradient`, and derivatives are per
unit of the normalised task u, in which Ψ is [−1, 1]^K.

The work is cut into jobs, each the adaptation at one task in one repeat; `combine` puts them
together. The order in which they run does not matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..algorithms.admrl.adaptation import begin
from ..algorithms.admrl.sampled_gradient import estimate_task_gradient
from ..algorithms.environments import Environments
from ..algorithms.settings import GradientCheckSettings, ScheduleSettings
from ..families.declaration import Family
from ..families.task_space import TaskSpace
from ..networks.policy import GaussianPolicy
from ..seeding import derive_seed
from ..training.advantage import episode_weights
from ..training.learned_dynamics import LearnedDynamics
from .t_interval import Interval, mean_interval

FloatArray = npt.NDArray[np.float64]

PILOT = -1  # the repeat that only says in which direction the others look

_TERMS = ("at_theta_star", "at_theta_hat", "implicit")


@dataclasses.dataclass(frozen=True)
class Job:
    """One adaptation.

    Attributes:
        repeat: 0 to R − 1, or `PILOT`.
        direction: index of the direction e; −1 at ψ itself.
        sign: of the step along e; 0 at ψ itself.
        u: the task (K,), normalised.
    """

    repeat: int
    direction: int
    sign: int
    u: tuple[float, ...]

    @property
    def key(self) -> tuple[int, int, int]:
        """Which job of a check it is."""
        return self.repeat, self.direction, self.sign


# What a finished job found: JSON-able, so that it can be kept in a file.
Figures = Mapping[str, Any]
Finished = Mapping[tuple[int, int, int], Figures]


def centre_jobs(u: Sequence[float], settings: GradientCheckSettings) -> list[Job]:
    """The jobs at the task u (K,) itself: they estimate the gradient."""
    pilot = [PILOT] if settings.along == "gradient" else []
    return [Job(r, -1, 0, tuple(u)) for r in (*pilot, *range(settings.repeats))]


def difference_jobs(
    u: Sequence[float], directions: FloatArray, settings: GradientCheckSettings
) -> list[Job]:
    """The jobs on both sides of the task u (K,), for directions (E, K) of unit length in u."""
    jobs = []
    for repeat in range(settings.repeats):
        for i, e in enumerate(directions):
            for sign in (1, -1):
                moved = np.asarray(u) + sign * settings.epsilon * e
                jobs.append(Job(repeat, i, sign, tuple(moved.tolist())))
    return jobs


def find_directions(
    family: Family, settings: GradientCheckSettings, finished: Finished
) -> FloatArray:
    """Directions (E, K) of unit length in u; one along the estimated gradient needs the pilot.

    Raises:
        ValueError: the pilot's gradient has no direction.
    """
    if settings.along != "gradient":
        return np.eye(family.task_dim)
    gradient = _formula(finished[PILOT, -1, 0])["total"]
    length = float(np.linalg.norm(gradient))
    if not (np.isfinite(length) and length > 0):
        raise ValueError(f"gradient: expected a finite one to look along, got length {length}")
    return (gradient / length)[None]


def direction_names(family: Family, settings: GradientCheckSettings) -> tuple[str, ...]:
    """What the directions are called."""
    if settings.along == "gradient":
        return ("estimated gradient",)
    return family.task_names


def steps_of_job(schedule: ScheduleSettings) -> int:
    """How many times a job calls `after_step`."""
    return schedule.n_zeroshot + schedule.n_slbo * schedule.n_inner


def run_job(
    environments: Environments,
    model: LearnedDynamics,
    job: Job,
    *,
    episodes: int,
    seed: int,
    after_step: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Adapts at the job's task and measures both policies; `model` is left as it is.

    Args:
        environments: of the run; its settings say how the gradient is estimated.
        model: the meta-trained model and its data.
        job: where.
        episodes: real episodes, at full length, for each of the two returns.
        seed: of the check. Jobs of one repeat use the same random numbers.
        after_step: called after every virtual iteration.

    Returns:
        "eta_hat" and "eta_star", the discounted returns per time step; at ψ itself also
        "gradient_u", the three terms of the formula per unit of u, and "estimate", the
        estimator's own report (per unit of ψ).
    """
    schedule, space = environments.settings.schedule, TaskSpace(environments.family)
    repeat_seed = derive_seed(seed, "gradient-check", job.repeat)
    psi = space.from_normalised(_tensor(job.u, space))
    adaptation = begin(
        environments,
        model,
        psi,
        seed=repeat_seed,
        after_iteration=lambda _i, _figures: after_step(),
    )
    hat = environments.copy_agent(adaptation.agent)
    hat_model = adaptation.model.copy(with_data=False)
    for _ in range(schedule.n_slbo):
        adaptation.learn(schedule.n_collect)
    star = adaptation.agent

    def eta(policy: GaussianPolicy) -> float:
        """η* divided by the horizon."""
        horizon = environments.settings.physics.horizon
        t = environments.real_trajectories(
            policy, psi, episodes * horizon, derive_seed(repeat_seed, "evaluate"), "evaluation"
        )
        weights = episode_weights(t, environments.settings.advantage)
        return float((weights * t.rewards.double()).sum()) / horizon

    figures: dict[str, Any] = {"eta_hat": eta(hat.policy), "eta_star": eta(star.policy)}
    if job.sign == 0:
        estimate = estimate_task_gradient(
            environments,
            psi,
            hat,
            star,
            {"zero-shot": hat_model, "latest": adaptation.model},
            seed=repeat_seed,
            path=("task-gradient",),
        )
        figures["gradient_u"] = {
            name: space.gradient_in_u(getattr(estimate, name)).tolist() for name in _TERMS
        }
        figures["estimate"] = estimate.metrics()
    return figures


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One part of dL/du: formula and finite difference, repeat by repeat; per unit of u.

    Attributes:
        name: of the part.
        formula: (R, E) along each direction.
        finite_difference: (R, E) of the same, with the same random numbers.
    """

    name: str
    formula: FloatArray
    finite_difference: FloatArray

    @property
    def difference(self) -> FloatArray:
        """(R, E) formula − finite difference, paired within a repeat."""
        return self.formula - self.finite_difference

    def intervals(self, direction: int) -> tuple[Interval, Interval, Interval]:
        """95 % intervals of formula, finite difference, and the first less the second."""
        figures = (self.formula, self.finite_difference, self.difference)
        formula, finite, difference = (mean_interval(x[:, direction]) for x in figures)
        return formula, finite, difference

    def verdict(self, direction: int) -> str:
        """What can be said: "agree …", "differ" or "undecided: …"."""
        _, finite, difference = self.intervals(direction)
        if not (finite.known and difference.known):
            return "undecided: an interval takes at least two repeats with finite figures"
        if not difference.contains_zero:
            return "differ"
        if finite.contains_zero:
            return "undecided: the interval of the finite difference contains 0"
        if _largest(difference) >= abs(finite.mean):
            return "undecided: the difference may be as large as the finite difference itself"
        return "agree within the interval"

    def lost_in_noise(self) -> bool:
        """Whether no finite difference is known to be other than 0, along any direction."""
        finite = [self.intervals(i)[1] for i in range(self.formula.shape[1])]
        return all(x.contains_zero or not x.known for x in finite)

    def cosine(self) -> float | None:
        """Of the mean formula (E,) and the mean finite difference (E,); None where E = 1."""
        a, b = self.formula.mean(0), self.finite_difference.mean(0)
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        if a.size < 2 or not lengths > 0:
            return None
        return float(a @ b) / lengths


@dataclasses.dataclass(frozen=True)
class GradientCheck:
    """dL/du by the formula of the paper and by finite differences, at one task.

    Returns are discounted and divided by the horizon; derivatives are per unit of u.

    Attributes:
        family: its name.
        psi: (K,) the task, in the family's units.
        u: (K,) the same, normalised.
        epsilon: half the distance of a finite difference, in u.
        episodes: real episodes of each return.
        directions: (E, K) unit vectors in u.
        direction_names: of each.
        eta_hat: (R,) return of θ̂ at the task.
        eta_star: (R,) return of θ* at the task.
        parts: "zero-shot", "zero-shot without implicit", "implicit", "trained", "total".
        estimates: what the estimator of the gradient reports of each repeat, per unit of ψ.
    """

    family: str
    psi: FloatArray
    u: FloatArray
    epsilon: float
    episodes: int
    directions: FloatArray
    direction_names: tuple[str, ...]
    eta_hat: FloatArray
    eta_star: FloatArray
    parts: tuple[Comparison, ...]
    estimates: tuple[Figures, ...]

    @property
    def repeats(self) -> int:
        """R."""
        return self.eta_hat.size

    def part(self, name: str) -> Comparison:
        """A part by its name."""
        return next(p for p in self.parts if p.name == name)

    def table(self) -> str:
        """Markdown: a row per direction and part, with 95 % intervals."""
        rows: list[tuple[str, ...]] = [
            ("direction", "part", "formula", "finite difference", "formula − f.d.", "verdict"),
            ("---",) * 6,
        ]
        for i, name in enumerate(self.direction_names):
            for part in self.parts:
                cells = map(str, part.intervals(i))
                rows.append((name, part.name, *cells, part.verdict(i)))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def conclusion(self) -> str:
        """A few lines: what can be concluded and what cannot."""
        lines = [f"The gap at this task: {mean_interval(self.eta_star - self.eta_hat)}."]
        total, implicit = self.part("total"), self.part("implicit")
        for i, name in enumerate(self.direction_names):
            lines.append(f"dL/du along {name}: {_explained(total, i)}")
            formula, left, _ = implicit.intervals(i)
            lines.append(
                f"  The implicit term is {formula}; the finite difference leaves {left} for it."
            )
        for part in (total, self.part("zero-shot"), self.part("zero-shot without implicit")):
            cosine = part.cosine()
            if cosine is not None:
                worth = (
                    "but every finite difference is within its noise"
                    if part.lost_in_noise()
                    else "without an interval"
                )
                lines.append(
                    f"Cosine of the two mean gradients, {part.name}: {cosine:.2f} ({worth})."
                )
        lines.append(
            f"Intervals: 95 %, Student's t over {self.repeats} repeats, each for itself: of twenty "
            "true agreements about one is called a difference. Few repeats make them wide; more "
            "repeats, more episodes and a larger epsilon make them narrower, but a larger epsilon "
            "also moves the finite difference away from the derivative."
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: every figure, interval and verdict."""
        return {
            "family": self.family,
            "unit": "discounted return per time step of a full episode, per unit of u",
            "psi": self.psi.tolist(),
            "u": self.u.tolist(),
            "epsilon": self.epsilon,
            "episodes": self.episodes,
            "repeats": self.repeats,
            "directions": self.directions.tolist(),
            "direction_names": list(self.direction_names),
            "eta_hat": self.eta_hat.tolist(),
            "eta_star": self.eta_star.tolist(),
            "parts": {part.name: _part_to_dict(part) for part in self.parts},
            "estimates": list(self.estimates),
        }


def combine(
    family: Family,
    u: Sequence[float],
    settings: GradientCheckSettings,
    finished: Finished,
) -> GradientCheck:
    """The check from all its finished jobs.

    Args:
        family: what a task is.
        u: (K,) the task, normalised.
        settings: how it was checked, decided.
        finished: what each job of `centre_jobs` and `difference_jobs` found, by `Job.key`.
    """
    repeats = range(settings.repeats)
    directions = find_directions(family, settings, finished)
    centres = [finished[r, -1, 0] for r in repeats]
    formulas = [_formula(figures) for figures in centres]

    def formula(name: str) -> FloatArray:
        return np.stack([f[name] for f in formulas]) @ directions.T

    def finite(name: str) -> FloatArray:
        """(R, E) central differences of a return."""
        rows = [
            [
                (_figure(finished[r, i, 1][name]) - _figure(finished[r, i, -1][name]))
                / (2 * settings.epsilon)
                for i in range(len(directions))
            ]
            for r in repeats
        ]
        return np.array(rows)

    trained, zero_shot = finite("eta_star"), -finite("eta_hat")
    explicit = -formula("at_theta_hat")
    parts = (
        Comparison("zero-shot", explicit + formula("implicit"), zero_shot),
        Comparison("zero-shot without implicit", explicit, zero_shot),
        Comparison("implicit", formula("implicit"), zero_shot - explicit),
        Comparison("trained", formula("at_theta_star"), trained),
        Comparison("total", formula("total"), trained + zero_shot),
    )
    space = TaskSpace(family)
    return GradientCheck(
        family=family.name,
        psi=space.from_normalised(_tensor(u, space)).numpy(),
        u=np.array(u, dtype=np.float64),
        epsilon=settings.epsilon,
        episodes=settings.episodes,
        directions=directions,
        direction_names=direction_names(family, settings),
        eta_hat=np.array([_figure(c["eta_hat"]) for c in centres]),
        eta_star=np.array([_figure(c["eta_star"]) for c in centres]),
        parts=parts,
        estimates=tuple(c["estimate"] for c in centres),
    )


def _formula(figures: Figures) -> dict[str, FloatArray]:
    """The terms of Eq. 2 (K,) per unit of u, and their sum "total"."""
    terms = {name: np.array(list(map(_figure, figures["gradient_u"][name]))) for name in _TERMS}
    terms["total"] = terms["at_theta_star"] - terms["at_theta_hat"] + terms["implicit"]
    return terms


def _figure(value: float | None) -> float:
    """JSON has no NaN: null stands for it."""
    return np.nan if value is None else value


def _tensor(u: Sequence[float], space: TaskSpace) -> Any:
    return space.low.new_tensor(u)


def _explained(part: Comparison, direction: int) -> str:
    """The verdict, and what it does and does not say."""
    formula, finite, difference = part.intervals(direction)
    verdict = part.verdict(direction)
    text = f"{verdict}. Formula {formula}, finite difference {finite}, difference {difference}."
    if verdict == "differ" or not difference.known:
        return text
    return f"{text} A difference of up to {_largest(difference):.2g} cannot be excluded."


def _largest(interval: Interval) -> float:
    """The largest size of a figure in an interval."""
    return abs(interval.mean) + interval.half_width


def _part_to_dict(part: Comparison) -> dict[str, Any]:
    directions = range(part.formula.shape[1])
    names = ("formula", "finite_difference", "difference")
    intervals = [part.intervals(i) for i in directions]
    return {
        **{name: getattr(part, name).tolist() for name in names},
        "intervals": {
            name: [dataclasses.asdict(row[j]) for row in intervals] for j, name in enumerate(names)
        },
        "verdicts": [part.verdict(i) for i in directions],
        "cosine": part.cosine(),
    }
