"""Figure 7: what was learned, as film strips and short videos."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import reason
from ..seeding import derive_seed
from .camera import Camera, Image, NoCameraError
from .collect import ReportedRun
from .episodes import Episode, load_policy, play
from .style import WIDTH, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FRAMES = 8  # of a strip
_VIDEO_FRAMES = 50
_VIDEO_SIZE = (256, 192)  # pixels
_VIDEO_SECONDS = 3.0  # at least; a shorter episode is slowed down


def add_films(family: dict[str, Any], runs: Sequence[ReportedRun], folder: pathlib.Path) -> None:
    """Films the best and the worst task of each method, first seed, fewest real samples.

    Writes the files and adds "films" and "films_missing" to the family.

    Args:
        family: of report.json.
        runs: of the family.
        folder: of the figures.
    """
    family["films"], family["films_missing"] = [], None
    if not family["grids"]:
        family["films_missing"] = "no run was evaluated"
        return
    try:
        camera = Camera(runs[0].config.family)
    except NoCameraError as error:
        family["films_missing"] = (
            f"they need OpenGL without a display, pip install 'admrl-native[films]' and libEGL or "
            f"libOSMesa ({error})"
        )
        return
    try:
        with styled():
            for film in _chosen(family["grids"][0]):
                _shoot(film, family, runs, camera, folder)
    except Exception as error:  # others may be there
        family["films_missing"] = reason(error)
    finally:
        camera.close()


def _chosen(grid: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is filmed: a record of report.json for each film."""
    samples = grid["real_samples"][0]
    for label, method in grid["methods"].items():
        gaps = method["gaps"][str(samples)][0]
        by, places = "gap", method["worst_tasks"][str(samples)]
        if places:
            best, worst = int(np.argmin(gaps)), int(places[0])
        else:  # the gaps are not known
            returns = method["returns"][str(samples)][0]
            by, best, worst = "return", int(np.argmax(returns)), int(np.argmin(returns))
        for kind, task in {"best": best, "worst": worst}.items():
            if kind == "worst" and worst == best:
                continue  # the same film
            yield {
                "label": label,
                "seed": method["seeds"][0],
                "kind": kind,
                "by": by,
                "grid": grid["grid"],
                "task": task,
                "psi": grid["psis"][task],
                "real_samples": samples,
                "gap": gaps[task],
            }


def _shoot(
    film: dict[str, Any],
    family: dict[str, Any],
    runs: Sequence[ReportedRun],
    camera: Camera,
    folder: pathlib.Path,
) -> None:
    run = next(r for r in runs if (r.label, r.config.seed) == (film["label"], film["seed"]))
    path = run.evaluations[film["grid"]].policy(film["task"], film["real_samples"])
    config = run.config
    policy = load_policy(path)
    seed = derive_seed(config.seed, "film", film["task"])
    episode = play(config.family, config.training.physics, policy, tuple(film["psi"]), seed)
    number = family["labels"].index(film["label"]) + 1
    name = f"{family['name'].lower()}-film-{number}-{film['kind']}"
    steps = len(episode.states) - 1
    seconds = steps * episode.step_seconds
    film |= {
        "name": name,
        "return": episode.total_reward,
        "seconds": seconds,
        "ended": "ran to the end of the time" if episode.timed_out else "fell",
        "slowed": max(1.0, _VIDEO_SECONDS / seconds),
    }
    _strip(camera, episode).savefig(folder / f"{name}.png", dpi=150)
    picked = np.linspace(0, steps, min(_VIDEO_FRAMES, steps + 1)).round().astype(int)
    frames = camera.pictures([episode.states[i] for i in picked])
    _save_video(frames, max(seconds, _VIDEO_SECONDS), folder / f"{name}.webp")
    family["films"].append(film)


def _strip(camera: Camera, episode: Episode) -> Figure:
    """Frames at equal distances, each with its time."""
    steps = len(episode.states) - 1
    picked = np.linspace(0, steps, _FRAMES).round().astype(int)
    figure = new_figure(WIDTH, 2.95)
    for axes, step in zip(figure.subplots(2, _FRAMES // 2).ravel(), picked, strict=True):
        axes.imshow(camera.picture(episode.states[step]))
        axes.axis("off")
        axes.text(
            0.03, 0.05, f"{step * episode.step_seconds:.2f} s",
            transform=axes.transAxes, fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
        )  # fmt: skip
    return figure


def _save_video(frames: Sequence[Image], seconds: float, path: pathlib.Path) -> None:
    """An animated WebP that repeats."""
    from PIL import Image as Pictures

    first, *rest = (Pictures.fromarray(f).resize(_VIDEO_SIZE) for f in frames)
    milliseconds = round(1000 * seconds / len(frames))
    first.save(path, save_all=True, append_images=rest, duration=milliseconds, loop=0, quality=60)
