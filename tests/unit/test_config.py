"""Configurations: presets, validation, YAML."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import yaml

from admrl_native.algorithms.settings import TrainingSettings
from admrl_native.configuration.config import Config, available_cpus, make_config
from admrl_native.configuration.options import override
from admrl_native.configuration.presets import PAPER, PAPER_GRADIENT, PRESETS, preset
from admrl_native.families.catalogue import FAMILIES, make_family
from admrl_native.settings import SettingError
from admrl_native.store.provenance import package_version, provenance


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_for_every_family(name: str, family: str) -> None:
    config = make_config(family, preset_name=name)
    assert Config.from_dict(yaml.safe_load(config.to_yaml(provenance()))) == config


@pytest.mark.parametrize(
    ("family", "n_tasks", "n_slbo_first", "step_size"),
    [
        ("Hopper2D", 10, 10, 2.0),
        ("Walker2D", 10, 10, 8.0),
        ("Ant2D", 20, 20, 4.0),
        ("Ant3D", 20, 20, 4.0),
        ("Cheetah-Highdim", 20, 20, 16.0),
    ],
)
def test_the_paper_preset_is_the_published_values(
    family: str, n_tasks: int, n_slbo_first: int, step_size: float
) -> None:
    training = preset("paper", family)
    s = training.schedule
    assert (s.n_tasks, s.n_slbo_first, s.n_slbo) == (n_tasks, n_slbo_first, 3)
    assert (s.n_zeroshot, s.n_inner, s.n_model, s.n_policy) == (40, 20, 100, 20)
    assert (s.n_trpo, s.n_collect, s.n_validation) == (10_000, 10_000, 10_000)
    assert training.task_selection.step_size == step_size
    assert training.networks.dynamics_hidden == (1000, 1000)
    assert training.task_gradient.max_iterations == 200


def test_other_families_get_the_defaults_in_the_paper_preset() -> None:
    assert "Robot" not in PAPER
    paper = preset("paper", "Robot")
    assert paper == override(TrainingSettings(), PAPER_GRADIENT)
    # the authors' estimator and regulariser
    assert (paper.task_gradient.hessian, paper.task_gradient.damping) == ("per-step", 0.1)
    assert paper.task_gradient.gae_lambda == paper.advantage.gae_lambda == 0.95


def test_the_quick_preset_updates_the_task_by_its_gradient_three_times() -> None:
    # At every task but the first, after which it is drawn at random.
    assert preset("quick", "Hopper2D").schedule.n_tasks - 1 >= 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"family": "Hopper"}, "family: expected one of Hopper2D, "),
        (
            {"method": "sac"},
            "method: expected one of admrl, mb-unif, mb-gauss, mt-joint, maml, pearl, maml-mt, "
            "pearl-mt, got 'sac'",
        ),
        ({"preset_name": "big"}, "preset: expected one of quick, small, paper, got 'big'"),
        ({"device": "tpu"}, "device: expected one of auto, cpu, cuda, got 'tpu'"),
        ({"threads": 0}, "threads: expected at least 1, got 0"),
        ({"threads": 2.0}, "threads: expected a whole number, got 2.0"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"seed": True}, "seed: expected a whole number, got True"),
        (
            {"first_psi": (0.0,)},
            "first_psi: expected K=2 numbers (forward velocity, height), got 1",
        ),
        ({"first_psi": (0.0, 3.0)}, "first_psi: expected height in [1.2, 2], got 3"),
        (
            {"first_psi": (math.nan, 1.5)},
            "first_psi: expected forward velocity in [-2, 2], got nan",
        ),
        (
            {"overrides": {"n_trpo": 999, "n_virtual_envs": 10}},
            "n_trpo: expected a multiple of n_virtual_envs (10), got 999",
        ),
        (
            {"overrides": {"gradient_real_samples": 999, "num_envs": 10}},
            "gradient_real_samples: expected a multiple of num_envs (10), got 999",
        ),
        ({"overrides": {"num_envs": 0}}, "num_envs: expected at least 1, got 0"),
        (
            {"first_psi": (0.0, 1.5), "overrides": {"first_u": 0.1}},
            "first_psi: expected no first_u beside it",
        ),
    ],
)
def test_a_wrong_configuration_is_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        make_config(**options)
    assert str(caught.value).startswith(problem)


def test_defaults() -> None:
    config = make_config()
    assert (config.family, config.method, config.preset) == (
        make_family("Hopper2D"),
        "admrl",
        "quick",
    )
    assert config.threads == available_cpus()
    assert config.first_psi is None


def test_yaml_holds_every_value_exactly_and_the_provenance() -> None:
    config = make_config(
        "Ant2D", seed=2**63 - 1, first_psi=(0.1 + 0.2, -3.0), overrides={"gradient_tolerance": 1e-7}
    )
    values = yaml.safe_load(config.to_yaml(provenance()))
    assert Config.from_dict(values) == config
    assert values["versions"]["admrl-native"] == package_version()
    assert set(values["versions"]) >= {"python", "torch", "mujoco-core", "numpy"}
    assert values["machine"]["cpus_available"] == available_cpus()
    assert "commit" in values


@pytest.mark.parametrize("key", ["family_definition", "settings", "seed", "first_psi"])
def test_a_configuration_without_a_key_is_refused(key: str) -> None:
    values = make_config().to_dict()
    del values[key]
    with pytest.raises(SettingError, match=f"^{key}: expected a value, got none"):
        Config.from_dict(values)


def test_configurations_written_when_the_run_said_how_a_model_is_corrected() -> None:
    """They are read as what they were: margins as the run had them, resets beyond the limits."""
    config = make_config("Ant2D")
    for halve in (True, False):
        values = yaml.safe_load(config.to_yaml(provenance()))
        values["settings"]["physics"]["halve_margins"] = halve
        for name in ("halve_margins", "reset_within_limits"):
            del values["family_definition"][name]
        read = Config.from_dict(values)
        assert (read.family.halve_margins, read.family.reset_within_limits) == (halve, False)
        corrections = {"halve_margins": halve, "reset_within_limits": False}
        assert read == dataclasses.replace(
            config, family=dataclasses.replace(config.family, **corrections)
        )
