"""Stored evaluations: what is read, and what is refused."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from admrl_native.settings import SettingError
from admrl_native.store.returns import best_oracle, find_evaluations, read_evaluation, run_returns
from synthetic_runs import change, make_evaluation, make_run


@pytest.fixture
def stored(tmp_path: pathlib.Path) -> pathlib.Path:
    return make_evaluation(make_run(tmp_path / "run", "Hopper2D", seed=4))


def test_what_was_written_is_read(stored: pathlib.Path) -> None:
    values = json.loads((stored / "evaluation.json").read_text())
    evaluation = read_evaluation(stored)
    assert evaluation.psis.shape == (36, 2)
    assert sorted(evaluation.returns) == [0, 2000]
    np.testing.assert_array_equal(
        [r.fresh for r in evaluation.returns[2000]], values["returns"]["2000"]["fresh"]
    )
    assert evaluation.oracle is not None
    np.testing.assert_array_equal(
        [r.select for r in evaluation.oracle.returns], values["oracle"]["select"]
    )
    assert evaluation.policy(7, 2000) == stored / "policies" / "007-2000.safetensors"
    returns = run_returns(evaluation, "AdMRL")
    assert (returns.method, returns.seed) == ("AdMRL", 4)
    assert returns.model_errors is not None


def test_evaluations_are_found_in_order(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run")
    assert find_evaluations(run) == []
    for grid in ("ood", "grid"):
        make_evaluation(run, grid)
    (run / "evaluation" / "half-done").mkdir()
    assert [p.name for p in find_evaluations(run)] == ["grid", "ood"]


def test_the_better_oracle_counts(tmp_path: pathlib.Path) -> None:
    paths = [
        make_evaluation(make_run(tmp_path / name, "Hopper2D", seed=seed), oracle=seed != 2)
        for seed, name in enumerate("abc")
    ]
    stored = [read_evaluation(p) for p in paths]
    best = best_oracle(stored)
    for task, chosen in enumerate(best):
        candidates = [s.oracle.returns[task] for s in stored if s.oracle is not None]
        assert chosen is max(candidates, key=lambda r: r.select.mean())
    assert best_oracle(stored[2:]) == [None] * 36


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"what": "sweep"}, "expected an evaluation of format 1, got 'sweep' 1"),
        ({"format": 2}, "expected an evaluation of format 1"),
        ({"psis": [[0.0, 1.0]]}, "returns 0: expected select returns of M=1 tasks, got 36"),
        ({"psis": [[0.0, None]]}, "psis: expected finite numbers in 2"),
        ({"real_samples": [0]}, "expected returns of real_samples .0., got .0, 2000."),
        ({"episodes": 5}, "returns 0: expected E=5 episodes, got .6."),
        ({"model_errors": [1.0]}, r"model_errors: expected \(M=36,\), got \(1,\)"),
        ({"oracle": {"learner": "x", "samples": [1]}}, r"oracle samples: expected \(M=36,\)"),
        ({"oracle": 3}, "expected an evaluation"),
        ({"run": {"family": "Hopper2D"}}, "it has no 'method'"),
        ({"returns": None}, "expected an evaluation"),
    ],
)
def test_damage_is_named(stored: pathlib.Path, values: dict[str, Any], message: str) -> None:
    change(stored, **values)
    with pytest.raises(SettingError, match=message) as caught:
        read_evaluation(stored)
    assert str(caught.value).startswith(f"{stored / 'evaluation.json'}: expected an evaluation: ")
    assert str(stored / "evaluation.json") in str(caught.value)


def test_a_file_that_is_no_json_is_named(stored: pathlib.Path) -> None:
    (stored / "evaluation.json").write_text('{"what": "eval')
    with pytest.raises(SettingError, match=r"evaluation\.json: expected an evaluation"):
        read_evaluation(stored)
    (stored / "evaluation.json").unlink()
    with pytest.raises(SettingError, match="No such file"):
        read_evaluation(stored)
