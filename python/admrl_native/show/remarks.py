"""What has to be known beside a run's figures: samples left out, a model that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# How many times its scale a return in the model may be away from the real one. In 309 stages and
# zero-shot adaptations of runs on Ant2D and Hopper2D it was at most half of it; of 30 on
# Cheetah-Highdim (preset quick), whose rewards have no bound, seven were farther away than this.
_FAR = 5.0

EXCLUDED = "real samples excluded, the simulation blew up"
EXPLOITED = "the policy exploits the model's errors"
SKIPPED = "policy updates skipped, the samples of the model were not finite"
LOST = "the model is wrong where the policy goes"


def of_model(values: Mapping[str, Any], offset: float) -> str | None:
    """What to say of the return in the model beside the real one; None: nothing.

    The scale of a return, of either sign, is its size or its standard deviation over episodes, the
    larger of both, and what the reward's constant part adds up to.

    Args:
        values: of a record, with real_return, real_return_std and virtual_return.
        offset: |bonus| · horizon of the family.
    """
    real, virtual = values.get("real_return"), values.get("virtual_return")
    if real is None or virtual is None:
        return None
    scale = max(abs(real), values.get("real_return_std") or 0.0) + offset
    if abs(virtual - real) <= _FAR * scale:
        return None
    return EXPLOITED if virtual > real else LOST


def of_excluded(values: Mapping[str, Any]) -> str | None:
    """What to say of the real samples excluded so far; None: there are none."""
    excluded = values.get("excluded") or {}
    if not excluded:
        return None
    by_purpose = ", ".join(f"{purpose} {count:,}" for purpose, count in excluded.items())
    return f"{sum(excluded.values()):,} {EXCLUDED} ({by_purpose})"


def of_run(records: Sequence[Mapping[str, Any]], offset: float) -> list[str]:
    """The remarks on a whole run, a line each.

    Args:
        records: of metrics.jsonl.
        offset: as of `of_model`.
    """
    lines = []
    counted = [r for r in records if "excluded" in r]
    excluded = of_excluded(counted[-1]) if counted else None
    if excluded is not None:
        lines.append(f"{excluded}; nothing was learned from them")
    skipped = max((r.get("skipped_updates", 0) for r in records), default=0)
    if skipped:
        lines.append(f"{skipped:,} {SKIPPED}")
    drawn = [r["reason"] for r in records if r.get("event") == "uniform-task"]
    if drawn:
        why = "; ".join(dict.fromkeys(drawn))
        lines.append(
            f"{len(drawn)} of the next tasks were drawn uniformly for want of a guide: {why}"
        )
    for remark in (EXPLOITED, LOST):
        tasks = {r["task"] + 1 for r in records if "task" in r and of_model(r, offset) == remark}
        if tasks:
            named = ", ".join(map(str, sorted(tasks)))
            lines.append(
                f"task {named}: the return in the model was more than {_FAR:g} times as far from "
                f"the real one as that is large; {remark}"
            )
    return lines
