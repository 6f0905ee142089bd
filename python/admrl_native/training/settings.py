"""Constants of the advantages, the value fit and the dynamics fit."""

from __future__ import annotations

import dataclasses

from ..settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ComputeSettings(Settings):
    """How virtual training is computed, which changes its rounding errors and its speed."""

    compute: str = setting(
        "auto",
        "what computes: the native core (CPU), or plain torch; auto: native on the CPU",
        choices=("auto", "native", "torch"),
    )
    precision: str = setting(
        "fp32",
        "products of the dynamics model; bf16: faster, on processors with AVX-512 BF16",
        choices=("fp32", "bf16"),
    )


@dataclasses.dataclass(frozen=True)
class AdvantageSettings(Settings):
    """Source: the authors' code."""

    gamma: float = setting(0.99, "discount γ", minimum=0, maximum=1)
    gae_lambda: float = setting(0.95, "λ of generalised advantage estimation", minimum=0, maximum=1)


@dataclasses.dataclass(frozen=True)
class ValueFitSettings(Settings):
    """Source: the authors' code."""

    learning_rate: float = setting(1e-3, "Adam step size of the value fit", above=0)
    epochs: int = setting(5, "passes over the samples per policy update", minimum=1)
    minibatch: int = setting(64, "samples per value gradient step", minimum=1)
    normalise_targets: bool = setting(
        False, "learn the value in units of its targets' mean and standard deviation"
    )


@dataclasses.dataclass(frozen=True)
class DynamicsFitSettings(Settings):
    """Source: the authors' code."""

    learning_rate: float = setting(1e-3, "Adam step size of the dynamics fit", above=0)
    weight_decay: float = setting(
        1e-5, "coefficient of half the squared norm of the weights", minimum=0
    )
    batch_size: int = setting(256, "transitions per dynamics gradient step", minimum=1)
    max_grad_norm: float = setting(2.0, "gradient norm is clipped at this value", above=0)
    state_clip: float = setting(
        100.0, "predicted states are clipped to ± this", unit="standard deviations", above=0
    )
