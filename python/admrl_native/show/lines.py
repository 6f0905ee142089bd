"""What a record of metrics.jsonl says, as a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import remarks
from .words import number, plus_minus, psi_text


def line(
    event: str, values: Mapping[str, Any], n_tasks: int, n_stages: int, offset: float = 0.0
) -> str | None:
    """The plain line of a metrics record; None for the events that are too many to show.

    Args:
        event: of the record.
        values: of the record.
        n_tasks: of the run.
        n_stages: of the task.
        offset: of a return, see `remarks.of_model`.
    """
    head = f"task {values.get('task', 0) + 1}/{n_tasks}"
    get = values.get
    remark = remarks.of_model(values, offset)
    in_model = f"in the model {number(get('virtual_return'))}{f': {remark}' if remark else ''}"
    if event == "compute":
        return computed("virtual training", values)
    if event == "random-policy":
        psi, value = psi_text(get("psi")), number(get("return_mean"))
        return f"{head}  psi {psi}  random policy: return {value}"
    if event == "zero-shot":
        return f"{head}  zero-shot: return {number(get('real_return'))} ({in_model})"
    if event == "slbo-stage":
        return (
            f"{head}  stage {get('stage', 0) + 1}/{n_stages}: return {number(get('real_return'))} "
            f"({in_model}), "
            f"model error {number(get('validation_loss'))}"
        )
    if event == "uniform-task":
        psi = psi_text(get("next_psi"))
        return f"{head}  the next task is drawn uniformly: {get('reason')}; next psi {psi}"
    if event == "task-gradient":
        return _gradient_lines(head, values)
    return None


def computed(what: str, values: Mapping[str, Any]) -> str:
    """What computes, as `Compute.describe` has it."""
    return f"{what}: {values.get('path')}, {values.get('precision')}, {values.get('where')}"


def _gradient_lines(head: str, values: Mapping[str, Any]) -> str:
    """The gradient with its errors, its terms, and its health, indented below the first line."""
    get, health, terms = values.get, values.get("health", {}), values.get("terms", {})
    gradient = plus_minus(get("gradient"), health.get("standard_error"))
    rows = [
        f"{head}  gradient {gradient}: {get('verdict', '-')}  next psi {psi_text(get('next_psi'))}"
    ]
    rows.append(
        f"terms: {psi_text(terms.get('at_theta_star'))} at theta*, "
        f"minus {psi_text(terms.get('at_theta_hat'))} at theta^, "
        f"plus {psi_text(terms.get('implicit'))} implicit"
    )
    for s in get("solver", [])[:1]:
        rows.append(
            f"solve: {s['method']} {s['status']}, {s['iterations']} iterations, "
            f"residual {number(s['residual'])}, damping {number(get('damping', {}).get('value'))}, "
            f"Ritz values {number(health.get('ritz_smallest'))} "
            f"to {number(health.get('ritz_largest'))}"
        )
    rows.append(
        f"theta^ stationary to {number(health.get('stationarity'))} "
        f"({number(health.get('stationarity_noise'))} is noise), "
        f"cosine between halves of the data {number(health.get('halves_cosine'))}"
    )
    return ("\n" + " " * (len(head) + 2)).join(rows)
