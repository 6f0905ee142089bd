"""What every method without a model has to do: train, resume, adapt, be evaluated, refuse."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import admrl_native as admrl
from admrl_native import cli
from admrl_native.activities.evaluating.run import evaluate_run
from admrl_native.algorithms.methods import METHODS
from admrl_native.configuration.cells import Sweep
from admrl_native.configuration.config import Config, make_config
from admrl_native.configuration.options import options
from admrl_native.configuration.presets import PRESETS
from admrl_native.families.catalogue import FAMILIES
from admrl_native.networks.conditioned import ConditionedPolicy
from admrl_native.networks.stored_policy import policy_of
from admrl_native.settings import SettingError
from admrl_native.store.metrics import read_metrics
from model_free import MODEL_FREE, make_learner, tiny_options
from toy import Memory

every_method = pytest.mark.parametrize("method", MODEL_FREE)
TASK = torch.tensor([0.5, 1.5], dtype=torch.float64)


def _flags(method: str, **changes: Any) -> list[str]:
    words = ["--method", method]
    for name, value in {**tiny_options(method), **changes}.items():
        values = value if isinstance(value, tuple) else (value,)
        words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words


def _same(first: Any, second: Any) -> bool:
    """Equal to the bit, tensors in nested dicts included."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return bool(first == second)


def _tensors(adapted: Any) -> dict[str, torch.Tensor]:
    """Those of a policy, copied."""
    return {k: v.clone() for k, v in adapted.policy.state_dict().items()}


@pytest.mark.parametrize("family", FAMILIES)
@every_method
def test_every_method_trains_on_every_family(method: str, family: str) -> None:
    memory = Memory()
    learner = make_learner(memory, method, family, n_train_tasks=3)
    learner.train()
    events = [event for event, _ in memory.records]
    assert events == ["task"] * 3 + ["iteration"] * 3 + ["end"]
    tasks = torch.tensor([v["psi"] for event, v in memory.records if event == "task"])
    low, high = (torch.tensor(x) for x in (learner.family.task_low, learner.family.task_high))
    assert ((tasks >= low) & (tasks <= high)).all()
    for event, values in memory.records:
        if event == "iteration":
            assert torch.isfinite(torch.tensor(values["real_return"]))
            assert (values["adapted_return"] is None) == (method == "mt-joint")
    assert len(memory.states) == 3


def test_every_real_sample_is_counted() -> None:
    expected = {
        "mt-joint": {"train": 3 * 3 * 2 * 20},
        "maml": {"pre-adaptation": 3 * 3 * 2 * 20, "post-adaptation": 3 * 3 * 2 * 20},
        "pearl": {"initial": 4 * 40, "prior": 3 * 2 * 20, "posterior": 3 * 2 * 40},
    }
    for method, counts in expected.items():
        memory = Memory()
        make_learner(memory, method).train()
        assert memory.records[-1][1]["real_samples"] == counts
        assert memory.records[-1][1]["virtual_samples"] == 0


@every_method
def test_training_depends_on_the_seed_and_not_on_the_threads(method: str) -> None:
    runs = []
    for seed, threads in ((0, 1), (0, 2), (1, 1)):
        memory = Memory()
        make_learner(memory, method, seed=seed, threads=threads).train()
        runs.append(memory)
    first, threaded, other = runs
    assert _same(first.states[-1], threaded.states[-1])
    assert not _same(first.states[-1], other.states[-1])
    assert first.records == threaded.records
    assert first.records != other.records


@every_method
def test_an_interrupted_run_goes_on_to_the_same_bits(method: str, tmp_path: pathlib.Path) -> None:
    options = tiny_options(method)
    whole = admrl.train(
        "Hopper2D", method, out=tmp_path / "whole", progress=False, threads=1, **options
    )
    path = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        _stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            admrl.train("Hopper2D", method, out=path, progress=False, threads=1, **options)
    resumed = admrl.resume(path, threads=2, progress=False)

    def without_times(run: admrl.Run) -> list[dict[str, Any]]:
        return [{k: v for k, v in m.items() if k != "wall_seconds"} for m in run.metrics()]

    assert without_times(whole) == without_times(resumed)
    for file in sorted((tmp_path / "whole" / "checkpoints").rglob("*.safetensors")):
        twin = path / file.relative_to(tmp_path / "whole")
        assert twin.read_bytes() == file.read_bytes()
    assert (path / "tasks.csv").read_text() == (tmp_path / "whole" / "tasks.csv").read_text()


def _stop_after(patch: pytest.MonkeyPatch, checkpoints: int) -> None:
    """Ctrl-C right after a checkpoint, and in the middle of the next iteration's records."""
    from admrl_native.activities.training.recorder import Recorder

    save, record = Recorder.checkpoint, Recorder.record
    done = []

    def checkpoint(self: Recorder, state: Any) -> None:
        save(self, state)
        done.append(1)

    def interrupted(self: Recorder, event: str, values: Any) -> None:
        record(self, event, values)
        if len(done) == checkpoints:
            raise KeyboardInterrupt

    patch.setattr(Recorder, "checkpoint", checkpoint)
    patch.setattr(Recorder, "record", interrupted)


@every_method
def test_adaptation_uses_samples_of_the_task_and_leaves_the_learner_alone(method: str) -> None:
    learner = make_learner(Memory(), method)
    learner.train()
    before = learner.state()["networks"]
    before = {name: {k: v.clone() for k, v in tensors.items()} for name, tensors in before.items()}
    learner.environments.set_sample_counts({"real_samples": {}, "virtual_samples": 0})
    zero_shot = learner.adapt(TASK, real_samples=0, seed=3)
    assert learner.environments.sample_counts()["real_samples"] == {}
    adapted = learner.adapt(TASK, real_samples=80, seed=3)
    assert learner.environments.sample_counts()["real_samples"] == {"adaptation": 80}
    after = learner.state()["networks"]
    assert _same({k: dict(v) for k, v in after.items()}, before)
    returns = [learner.evaluate(p, TASK, episodes=4, seed=5) for p in (zero_shot, adapted)]
    assert returns[0].shape == (4,)
    assert (returns[0] != returns[1]).any()
    again = learner.adapt(TASK, real_samples=80, seed=3)
    assert _same(_tensors(again), _tensors(adapted))
    assert not _same(_tensors(again), _tensors(zero_shot))
    for other in (-1, 30):
        with pytest.raises(ValueError, match="real_samples: expected a multiple of n_adapt=40, g"):
            learner.adapt(TASK, real_samples=other, seed=3)


@every_method
def test_a_stored_adaptation_goes_on_as_one_that_was_not(method: str) -> None:
    learner = make_learner(Memory(), method)
    learner.train()
    psis = torch.stack([TASK, TASK + 0.1])
    adaptations = learner.adaptations(psis, seed=1)
    state = learner.zero_shot_state({4: adaptations[0], 7: adaptations[1]})
    steps: list[int] = []
    stored = learner.from_zero_shot(state, 7, psis[1], seed=1, after_step=lambda: steps.append(1))
    assert _same(_tensors(stored), _tensors(adaptations[1]))
    for rounds in (1, 2):
        before = _tensors(stored)
        for adaptation in (stored, adaptations[1]):
            adaptation.learn(40)
        assert len(steps) == rounds
        assert not _same(_tensors(stored), before)
        assert _same(_tensors(stored), _tensors(adaptations[1]))
        # one at a time, or side by side
        alone = learner.adapt(psis[1], real_samples=40 * rounds, seed=1)
        assert _same(_tensors(stored), _tensors(alone))
    adaptations[0].learn(40)
    adaptations[0].learn(40)
    assert not _same(_tensors(adaptations[0]), _tensors(stored))  # another task, other samples


@every_method
def test_a_stored_policy_acts_as_it_did(method: str) -> None:
    learner = make_learner(Memory(), method)
    learner.train()
    policy = learner.adapt(TASK, real_samples=40, seed=0).policy
    again = policy_of({k: v.clone() for k, v in policy.state_dict().items()})
    assert type(again) is type(policy)
    first, second = (learner.environments.real_returns(p, TASK, 5, 2) for p in (policy, again))
    assert torch.equal(first, second)


@pytest.mark.parametrize("method", [m for m in MODEL_FREE if METHODS[m].title.find("MT") >= 0])
def test_a_multi_task_policy_sees_the_task(method: str) -> None:
    learner = make_learner(Memory(), method)
    learner.train()
    obs = torch.zeros(1, learner.environments.obs_dim)
    actions = []
    for psi in (TASK, TASK + 0.2):
        policy = learner.adapt(psi, real_samples=0, seed=0).policy
        assert isinstance(policy, ConditionedPolicy)
        with torch.no_grad():
            actions.append(policy(obs))
        u = learner.task_space.to_normalised(psi).float()
        assert torch.equal(policy.context_mean[: len(u)], u)
        assert not policy.context_std[: len(u)].any()
    assert not torch.equal(*actions)


@every_method
def test_commands(method: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trains, evaluates and reports through the command line, on real MuJoCo."""
    path = tmp_path / "run"
    assert cli.main(["train", *_flags(method), "--out", str(path), "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert "iteration 3/3: return " in shown
    assert f"Mean return by iteration: {method} on Hopper2D" in shown
    assert cli.main(["train", "--resume", str(path)]) == 0
    assert "is complete" in capsys.readouterr().out
    result = evaluate_run(
        path, "mine", psis=[[0.0, 1.5], [1.0, 1.8]], real_samples=[0, 40, 80], episodes=2,
        oracle=None, progress=False,
    )  # fmt: skip
    values = json.loads(result.read_text())
    assert values["real_samples"] == [0, 40, 80]
    assert values["model_errors"] is None
    again = evaluate_run(path, "mine", psis=[[0.0, 1.5], [1.0, 1.8]], real_samples=[0, 40, 80],
                         episodes=2, oracle=None, progress=False)  # fmt: skip
    assert json.loads(again.read_text()) == values
    run = admrl.Run.load(path)
    for n in (0, 40, 80):
        kept = load_file(path / "evaluation" / "mine" / "policies" / f"001-{n}.safetensors")
        assert _same(kept, _tensors(run.adapt([1.0, 1.8], real_samples=n)))
    assert cli.main(["report", str(path), "--out", str(tmp_path / "report")]) == 0
    page = next((tmp_path / "report").glob("*.html")).read_text()
    assert METHODS[method].title in page
    assert "one model of the robot" not in page
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    (run,) = report["families"][0]["runs"]
    assert [p["samples"]["training"] for p in run["iterations"]] == sorted(
        p["samples"]["training"] for p in run["iterations"]
    )
    assert len(run["iterations"]) == 3
    assert run["tasks"] == []
    assert (tmp_path / "report" / "figures" / "hopper2d-iterations.svg").exists()
    assert not (tmp_path / "report" / "figures" / "hopper2d-tasks.svg").exists()
    with pytest.raises(SettingError, match="run: expected a run with a dynamics model, got"):
        admrl.check_task_gradient(path)


@every_method
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_for_every_family(name: str, method: str) -> None:
    for family in FAMILIES:
        config = make_config(family, method=method, preset_name=name)
        values = config.to_dict()
        assert Config.from_dict(values) == config
        assert "task_gradient" not in values["settings"]


@every_method
def test_an_option_that_a_method_does_not_read_is_refused(
    method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, option in options().items():
        whose = [m.name for m in METHODS.values() if m.reads(option.group, option.field)]
        assert whose
        if method in whose:
            continue
        with pytest.raises(SettingError, match=f"{name}: expected none for {method}: it is an op"):
            make_config(method=method, overrides={name: option.of(make_config().training)})
    assert cli.main(["train", "--method", method, "--n-tasks", "3"]) == 2
    assert "--n-tasks: expected none for" in capsys.readouterr().err
    with pytest.raises(SettingError, match="first_psi: expected none for"):
        make_config(method=method, first_psi=(0.0, 1.5))


@pytest.mark.parametrize(
    ("method", "changes", "problem"),
    [
        ("mt-joint", {"n_train_tasks": 2}, "mt_tasks_per_iteration: expected at most n_train_tas"),
        ("maml", {"n_train_tasks": 2}, r"maml_meta_batch: expected at most n_train_tasks \(2\), "),
        ("pearl", {"n_train_tasks": 1}, r"pearl_meta_batch: expected at most n_train_tasks \(1\)"),
        ("pearl", {"pearl_prior_samples": 30}, r"pearl_prior_samples: .* multiple of horizon \(20"),
        ("mt-joint", {"n_adapt": 30}, r"n_adapt: expected a multiple of horizon \(20\) for mt-j"),
        ("maml", {"maml_surrogate": "exact"}, "maml_surrogate: expected one of "),
        ("pearl-mt", {"sac_temperature": 0.0}, "sac_temperature: expected more than 0"),
        ("pearl", {"pearl_latent_dim": 0}, "pearl_latent_dim: expected at least 1, got 0"),
        ("maml-mt", {"maml_hidden": (0,)}, "maml_hidden: expected at least 1, got 0"),
    ],
)
def test_a_wrong_value_is_named(method: str, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        make_config(method=method, overrides={**tiny_options(method), **changes})


def test_a_sweep_gives_each_method_the_options_it_reads(tmp_path: pathlib.Path) -> None:
    tiny = {**tiny_options("mt-joint"), **tiny_options("maml")}
    words = ["sweep", "--out", str(tmp_path), "--methods", "mt-joint", "maml"]
    words += ["--vary", "maml_rollouts", "1", "2", "--workers", "1"]
    for name, value in tiny.items():
        if name != "maml_rollouts":
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + name.replace("_", "-"), *map(str, values)]
    assert cli.main(words) == 0
    names = {p.name for p in tmp_path.glob("*-seed0")}
    assert names == {
        "Hopper2D-mt-joint-seed0",
        "Hopper2D-maml-maml_rollouts=1-seed0",
        "Hopper2D-maml-maml_rollouts=2-seed0",
    }
    for name in names:
        assert read_metrics(tmp_path / name / "metrics.jsonl")[-1]["event"] == "end"
    sweep = Sweep(("Hopper2D",), ("mt-joint", "maml"), (0,), settings={"n_tasks": 3})
    with pytest.raises(SettingError, match="n_tasks: expected none for mt-joint, maml: it is an"):
        sweep.cells()
