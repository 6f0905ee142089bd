"""Policies from their tensors alone: the sizes are read off the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .conditioned import BasePolicy, ConditionedPolicy, Policy
from .policy import GaussianPolicy
from .settings import NetworkSettings
from .squashed_policy import SquashedGaussianPolicy

_INNER = "policy."  # what a ConditionedPolicy puts before the names of its network


def policy_of(tensors: Mapping[str, Tensor]) -> Policy:
    """The policy whose `state_dict()` this is.

    Raises:
        ValueError: the tensors are not those of a policy.
    """
    if "context_mean" not in tensors:
        return _base_policy_of(tensors)
    inner = {k.removeprefix(_INNER): v for k, v in tensors.items() if k.startswith(_INNER)}
    return ConditionedPolicy(
        _base_policy_of(inner),
        tensors["context_mean"],
        tensors["context_std"],
        deterministic=bool(tensors["acts_by_mean"]),
    )


def _base_policy_of(tensors: Mapping[str, Tensor]) -> BasePolicy:
    try:
        policy: BasePolicy
        generator = torch.Generator()
        if "log_std" in tensors:
            obs_dim, *hidden, act_dim = _sizes(tensors, "mean.layers")
            settings = NetworkSettings(policy_hidden=tuple(hidden))
            policy = GaussianPolicy(obs_dim, act_dim, settings, generator)
        else:
            obs_dim, *hidden, twice_act_dim = _sizes(tensors, "net.layers")
            policy = SquashedGaussianPolicy(obs_dim, twice_act_dim // 2, hidden, generator)
        policy.load_state_dict(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ValueError(f"expected the tensors of a policy: {reason}") from None
    return policy


def _sizes(tensors: Mapping[str, Tensor], prefix: str) -> Sequence[int]:
    """Input, hidden and output sizes of an `Mlp`."""
    weights: list[Tensor] = []
    while (name := f"{prefix}.{len(weights)}.weight") in tensors:
        weights.append(tensors[name])
    if not weights:
        raise ValueError(f"no {prefix}.0.weight among {', '.join(sorted(tensors))}")
    return [weights[0].shape[1], *(w.shape[0] for w in weights)]
