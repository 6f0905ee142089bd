"""Real samples by what they are for: methods are compared by those that learning reads."""

from __future__ import annotations

from collections.abc import Mapping

ACCOUNTS = ("training", "gradient", "evaluation")

# Of the purposes that a run counts its samples under; every other is a batch that learning reads.
# The model's held-out samples only measure its error.
_OF = {"task_gradient": "gradient", "evaluation": "evaluation", "validation": "evaluation"}


def accounts(real_samples: Mapping[str, int]) -> dict[str, int]:
    """Samples of each of `ACCOUNTS`.

    "training": what models, policies and value functions learn from. "gradient": what task
    gradients are estimated from. "evaluation": what only measures; nothing depends on it.

    Args:
        real_samples: purpose to count, as metrics.jsonl has it.
    """
    found = dict.fromkeys(ACCOUNTS, 0)
    for purpose, count in real_samples.items():
        found[_OF.get(purpose, "training")] += count
    return found


def in_words(samples: Mapping[str, int]) -> str:
    """Such as "350,000 training, 100,000 gradient and 530,000 evaluation samples"."""
    *most, last = (f"{samples[name]:,} {name}" for name in ACCOUNTS)
    return f"{', '.join(most)} and {last} samples"
