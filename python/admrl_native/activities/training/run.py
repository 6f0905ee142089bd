"""A training from its beginning, or from where it was left, to its end."""

from __future__ import annotations

import pathlib
import shlex
from typing import TextIO

from ...configuration.config import Config
from ...configuration.memory import check_memory
from ...errors import NumericalError, numerical_failures
from ...reporting.run_table import write_summary
from ...show.display import Lines
from ...show.progress import Progress, RunProgress
from ...store import folder as folders
from ...store.files import reading
from ...store.folder import RunFolder
from ...torch_state import own_torch_state
from ..runs import check_simulation, make_learner, resolve_device
from .recorder import Recorder

_WHERE_TO_LOOK = (
    "what was stored stays; every number is derived from the seed, so that --resume would come to "
    "the same: see step sizes, learning rates and the scale of the rewards"
)


def begin(
    config: Config, out: pathlib.Path | None, stream: TextIO | None, go_on: list[str]
) -> tuple[RunFolder, Config]:
    """Trains a new run to its end.

    Args:
        config: the run.
        out: a new or empty folder; None: a new one below ./runs.
        stream: where to show what happens; None: nowhere.
        go_on: gets the command that goes on with the run, as long as there is one.

    Returns:
        The folder, and the configuration as it has it.

    Raises:
        SettingError: what cannot be done here, or a folder that cannot be used.
        NumericalError: the numbers of the run are not finite.
    """
    resolve_device(config.device)
    check_memory(config)
    check_simulation(config)
    made = folders.create(folders.default_path(config) if out is None else out, config)
    folder, config = folders.open_folder(made.path)
    with folders.removed_if_nothing_is_learned(folder, go_on):
        _to_the_end(folder, config, stream, go_on)
    return folder, config


def resume(folder: RunFolder, config: Config, stream: TextIO | None, go_on: list[str]) -> None:
    """Trains a run to its end from its newest checkpoint; see `begin`."""
    folders.check_source(folder)
    _to_the_end(folder, config, stream, go_on)


def _to_the_end(folder: RunFolder, config: Config, stream: TextIO | None, go_on: list[str]) -> None:
    """Trains, and shows what came of it."""

    def say(text: str) -> None:
        if stream is not None:
            Lines(stream).line(text)

    go_on.append(shlex.join(["admrl", "train", "--resume", str(folder.path)]))
    if folders.is_complete(folder):
        say(f"{folder.path} is complete; nothing is left to train")
    else:
        say(f"training in {folder.path}; Ctrl-C leaves a run that --resume continues")
        train(folder, config, RunProgress(config, stream))
    picture = write_summary(folder.path, stream)
    say(f"results in {folder.path}" + ("" if picture is None else f", picture in {picture}"))


@own_torch_state()
def train(folder: RunFolder, config: Config, progress: Progress) -> None:
    """Trains from wherever the folder is to the end."""
    recorder = Recorder(folder, config, progress)
    try:
        learner = make_learner(config, recorder)
        if recorder.resumed_from is not None:
            with reading(folder.checkpoints, "a checkpoint of this run"):
                learner.load(recorder.resumed_from.state, recorder.stored_data())
        learner.train()
    except numerical_failures() as error:
        raise NumericalError(
            f"training in {folder.path} cannot go on: {error}; {_WHERE_TO_LOOK}"
        ) from error
    finally:
        recorder.close()
