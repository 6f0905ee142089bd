"""What every command line of the package shares: one-line errors, Ctrl-C, options of settings."""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import NumericalError, in_one_line
from .interrupt import interruptible
from .interrupt import status as interrupted_status
from .settings import SettingError
from .terminal import lasting_output

if TYPE_CHECKING:
    from .configuration.options import Option
    from .evaluation.settings import OracleSettings

_USAGE, _FAILED = 2, 1
_ORACLE = "oracle_"  # before the names of its options
_NEGATIVE = re.compile(r"^-((\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)$", re.IGNORECASE)


def run(name: str, body: Callable[[list[str]], int], positional: tuple[str, ...] = ()) -> int:
    """Runs a command; returns its exit status, or 1, 2 (usage), 130 (Ctrl-C) or 143 (SIGTERM).

    Args:
        name: of the command, such as "train".
        body: gets an empty list, to which it appends the command line that goes on with its work
            once there is some; returns the exit status.
        positional: arguments that are not flags, for the messages of errors.
    """
    go_on: list[str] = []
    received: list[int] = []

    saying = threading.RLock()
    said: list[str] = []

    def last_words() -> None:
        with saying:  # the watcher of signals may come to say them at the same moment
            if not said:
                said.append("interrupted" + (f"; go on with: {go_on[0]}" if go_on else ""))
                print(said[0], file=sys.stderr, flush=True)

    def failed(problem: str, status: int) -> int:
        print(f"admrl {name}: error: {_in_one_line(problem)}", file=sys.stderr)
        return status

    with lasting_output():
        try:
            with interruptible(received, last_words):
                return body(go_on)
        except KeyboardInterrupt:
            last_words()
            return interrupted_status(received)
        except Exception as error:
            match in_one_line(error):
                case SettingError(name=setting, problem=problem):
                    label = setting.upper() if setting in positional else flag(setting)
                    return failed(f"{label}: {problem}" if setting else problem, _USAGE)
                case NumericalError() as told:
                    return failed(str(told), _FAILED)
                case OSError(filename=path, strerror=reason) as told:
                    problem = ("" if path is None else f"{path}: ") + (reason or str(told))
                case MemoryError() as told:
                    problem = str(told)
                case _:
                    raise
            return failed(problem + (f"; go on with: {go_on[0]}" if go_on else ""), _FAILED)


class Parser(argparse.ArgumentParser):
    """Reports an error in one line; an option that is not given is absent from the result."""

    def __init__(self, name: str, arguments: str, description: str) -> None:
        super().__init__(
            prog=f"admrl {name}",
            usage=f"admrl {name} {arguments}",
            description=description,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
            formatter_class=_wide,
        )

        # argparse's own pattern does not know exponents, and takes -1e-3 for a flag.
        self._negative_number_matcher = _NEGATIVE

    def parse_args(self, args: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """As argparse does, which fails at an option whose value is "--".

        What no command line can hold, but Python text can, is no name of a file either.
        """
        for word in args:
            try:
                os.fsencode(word)
            except UnicodeEncodeError:
                self.error(f"expected text that the file system takes, got {word!a}")
            if word.startswith("--") and word.endswith("=--"):
                self.error(f"{word.removesuffix('=--')}: expected a value, got '--'")
        return super().parse_args(args)

    def error(self, message: str) -> NoReturn:
        # argparse names the option itself: "argument --seed: ..."
        raise SettingError("", message.removeprefix("argument "))

    def add_settings(self, options: Iterable[Option], default: Callable[[Option], str]) -> None:
        """One flag for every option, in a group of help for every group of options.

        Args:
            options: what can be set.
            default: the text in brackets behind the help of an option.
        """
        groups: dict[str, Any] = {}
        for option in options:
            if option.group not in groups:
                groups[option.group] = self.add_argument_group(option.group.replace("_", " "))
            choices = f": {', '.join(option.choices)}" if option.choices else ""
            text = f"{option.help}{choices} {default(option)}".replace("%", "%%")
            if option.item is bool:
                groups[option.group].add_argument(
                    flag(option.name), action=argparse.BooleanOptionalAction, help=text
                )
                continue
            groups[option.group].add_argument(
                flag(option.name),
                type=real_or(option.words)
                if option.words
                else {int: integer, float: real, str: str}[option.item],
                metavar={int: "N", float: "X", str: "NAME"}[option.item],
                help=text,
                **({"nargs": "+"} if option.many else {}),
            )


def add_executor(group: Any) -> None:
    """The flags that say who does the jobs of a command.

    Args:
        group: of arguments.
    """
    from .jobs.executor import EXECUTORS

    group.add_argument(
        "--executor",
        metavar="NAME",
        help=f"{', '.join(EXECUTORS)}: processes on this machine, or Ray (default: local)",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of a running Ray cluster: auto or HOST:PORT (default: Ray is started here)",
    )


def add_oracle(parser: Parser) -> None:
    """The flags of the learner that stands for A*; `take_oracle` reads them."""
    from .configuration.options import options_of
    from .evaluation.settings import OracleSettings

    defaults = OracleSettings()
    parser.add_settings(
        options_of(OracleSettings, "oracle", _ORACLE),
        lambda option: (
            f"(default: {shown(getattr(defaults, option.field))} {option.unit}".rstrip() + ")"
        ),
    )
    parser.add_argument(
        "--no-oracle",
        dest="oracle",
        action="store_false",
        help="no learner for each task: gaps to the run's own best policies, no model errors",
    )


def take_oracle(given: dict[str, Any]) -> OracleSettings | None:
    """What `add_oracle`'s flags ask for, taken out of the options that are given.

    Raises:
        SettingError: a value that cannot be taken, or one beside --no-oracle.
    """
    from .evaluation.settings import OracleSettings

    wanted = given.pop("oracle", True)
    names = [name for name in given if name.startswith(_ORACLE) and name != "oracle_cache"]
    changes = {name.removeprefix(_ORACLE): given.pop(name) for name in names}
    if not wanted:
        if changes:
            raise SettingError("oracle", "expected no settings of the oracle beside --no-oracle")
        return None
    try:
        return OracleSettings(**changes)
    except SettingError as error:
        raise SettingError(_ORACLE + error.name, error.problem) from None


def integer(text: str) -> int:
    """A whole number of the command line."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def real(text: str) -> float:
    """A number of the command line."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None


def real_or(words: tuple[str, ...]) -> Callable[[str], float | str]:
    """A number of the command line, or one of these words."""
    return lambda text: text if text in words else real(text)


def flag(name: str) -> str:
    """The flag of an option: "--n-tasks" of n_tasks."""
    return "--" + name.replace("_", "-")


def shown(value: Any) -> str:
    """A value as it is written on a command line."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _wide(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=34)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
