"""Generalised advantage estimation (placeholder: settings only)."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class AdvantageSettings(Settings):
    """Source: the authors' code."""

    gamma: float = setting(0.99, "discount γ", minimum=0, maximum=1)
    gae_lambda: float = setting(0.95, "λ of generalised advantage estimation", minimum=0, maximum=1)
