"""The `admrl` command: one name for the commands of the package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

_COMMANDS = {
    "train": "train one run: AdMRL or a baseline",
    "evaluate": "adapt a run to test tasks and measure the gap to the best known return",
    "sweep": "train and evaluate many runs, on several processes or machines",
    "check-gradient": "compare the task gradient of a run with finite differences",
    "report": "compare runs on one page: worst cases, figures, films",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `admrl COMMAND ...`; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from . import __version__

        print(f"admrl {__version__}")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in _COMMANDS:
        expected = ", ".join(_COMMANDS)
        print(f"admrl: error: expected a command ({expected}), got {command!r}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"admrl_native.{command.replace('-', '_')}")
    status: int = module.main(rest)
    return status


def _help() -> str:
    lines = [f"  {name:<14} {text}" for name, text in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: admrl COMMAND [options]",
            "",
            *lines,
            "",
            "admrl COMMAND --help: its options",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
