"""The end of the page: configuration and versions of every run, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from .markup import Markup, badge, element, paragraph, table
from .numbers import Numbers
from .style import looks


def origins(report: Mapping[str, Any], numbers: Numbers) -> Markup:
    """What each run was made with."""
    parts: list[str] = [
        element("h2", "Runs and versions", id="runs"),
        paragraph(
            "Runs of one method differ by their seed alone; where an option differs, it is part "
            "of the method's name. Everything needed to repeat a run is in its config.yaml."
        ),
    ]
    for i, family in enumerate(report["families"]):
        style = looks(family["labels"])
        parts.append(element("h3", family["name"]))
        parts.append(_differences(family, i, numbers))
        rows = []
        for k, run in enumerate(family["runs"]):

            def show(*path: str | int, i: int = i, k: int = k) -> Markup:
                return Markup(numbers.show("families", i, "runs", k, *path))

            packages = [
                "–"
                if not run["versions"] or name not in run["versions"]
                else show("versions", name)
                for name in ("admrl-native", "torch", "mujoco-core", "python")
            ]
            rows.append(
                [
                    show("path"),
                    badge(run["label"], style[run["label"]]),
                    show("machine", "processor") if run["machine"] else "–",
                    show("seed"),
                    show("complete"),
                    *packages,
                    show("commit"),
                    show("robot"),
                ]
            )
        head = ["folder", "method", "processor", "seed", "complete", "admrl_native", "torch"]
        parts.append(table([*head, "mujoco", "python", "commit", "robot"], rows, words=(0, 1, 2)))
        parts += [_settings(family, label) for label in family["labels"]]
    return element("section", *parts)


def _differences(family: Mapping[str, Any], i: int, numbers: Numbers) -> Markup:
    names = list(next(iter(family["varied"].values())))
    if not names:
        return paragraph("Apart from method and seed, all runs have the same options.")
    rows = [
        [label, *(Markup(numbers.show("families", i, "varied", label, name)) for name in names)]
        for label in family["labels"]
    ]
    return table(["method", *names], rows)


def _settings(family: Mapping[str, Any], label: str) -> Markup:
    run = next(r for r in family["runs"] if r["label"] == label)
    text = yaml.safe_dump(run["settings"], sort_keys=False, default_flow_style=None)
    return element("details", element("summary", f"All options of {label}"), element("pre", text))
