"""The Ray executor on a cluster of two nodes on this machine, one of which is lost at work.

Skipped where Ray is not installed: it is not in the `test` extra, so CI skips these tests. To run
them: pip install '.[test,ray]' && pytest tests/robustness/test_ray.py
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import admrl_native as admrl
from admrl_native import cli
from admrl_native.evaluation.settings import OracleSettings
from admrl_native.jobs.executor import Executor, make_executor
from admrl_native.settings import SettingError
from jobs import Log, attempts, make_nothing, make_squares
from toy import OPTIONS, flags

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

# Ray's own affair.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head with room for one job, to which a test adds another node."""
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def node(cluster: Any) -> Iterator[Any]:
    """A second node, with room for one job."""
    node = cluster.add_node(num_cpus=1)
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


def lose(cluster: Any, node: Any) -> None:
    """All processes of the node are killed, as if its machine had been switched off."""
    cluster.remove_node(node, allow_graceful=False)


def on(cluster: Any, folder: pathlib.Path, workers: int = 2) -> Executor:
    return make_executor("ray", make_squares, (folder,), workers, cluster.address)


def test_jobs_report_steps_and_results(cluster: Any, node: Any, tmp_path: pathlib.Path) -> None:
    log = Log()
    with on(cluster, tmp_path) as executor:
        executor.run(["3", "0", "5"], log.step, log.result)
        executor.run(["4"], log.step, log.result)
        executor.run([], log.step, log.result)
    assert log.results == {"3": 9, "0": 0, "5": 25, "4": 16}
    assert sorted(log.steps) == [(job, i) for job in ("3", "4", "5") for i in range(int(job))]
    assert not ray.is_initialized()


def test_more_workers_than_there_is_room_for(cluster: Any, tmp_path: pathlib.Path) -> None:
    log = Log()
    with on(cluster, tmp_path, workers=3) as executor:
        executor.run(list("12345"), log.step, log.result)
    assert log.results == {str(n): n * n for n in range(1, 6)}


def test_the_jobs_of_a_lost_node_are_done_elsewhere(
    cluster: Any, node: Any, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    local, remote = Log(), Log()
    jobs = ["1 wait", "2 wait", "3", "4"]
    (tmp_path / "go").touch()
    with make_executor("local", make_squares, (tmp_path,), 1) as executor:
        executor.run(jobs, local.step, local.result)
    (tmp_path / "go").unlink()

    def on_step(job: str, step: int) -> None:
        remote.step(job, step)
        if {("1 wait", 0), ("2 wait", 1)} <= set(remote.steps) and node in cluster.worker_nodes:
            lose(cluster, node)  # both nodes are at work

    def let_go() -> None:
        while not caplog.records:  # a worker can outlive its node by a moment
            time.sleep(0.05)
        (tmp_path / "go").touch()

    threading.Thread(target=let_go, daemon=True).start()
    with on(cluster, tmp_path) as executor:
        executor.run(jobs, on_step, remote.result)
    assert remote.results == local.results
    assert set(remote.steps) == set(local.steps)
    # once on the local executor, once on Ray, and once more for the one that was lost
    assert sorted(attempts(tmp_path, job) for job in jobs) == [2, 2, 2, 3]
    assert [r.message for r in caplog.records if "its worker was lost" in r.message]


def test_a_lost_worker_is_replaced(cluster: Any, node: Any, tmp_path: pathlib.Path) -> None:
    log = Log()
    with on(cluster, tmp_path) as executor:
        executor.run(["1 die-once", "2", "3 die-once"], log.step, log.result)
    assert log.results == {"1 die-once": 1, "2": 4, "3 die-once": 9}
    assert attempts(tmp_path, "3 die-once") == 2


def test_a_job_is_given_up_after_three_retries(cluster: Any, tmp_path: pathlib.Path) -> None:
    log = Log()
    with on(cluster, tmp_path, workers=1) as executor:
        executor.run(["1 die", "2"], log.step, log.result, log.failure)
    assert (list(log.failures), log.results) == (["1 die"], {"2": 4})
    assert log.failures["1 die"].endswith("\n1 die: given up after 4 lost workers")
    assert attempts(tmp_path, "1 die") == 4


def test_a_job_that_raises_is_not_done_again(cluster: Any, tmp_path: pathlib.Path) -> None:
    log = Log()
    with on(cluster, tmp_path, workers=1) as executor:
        executor.run(["1 raise", "2"], log.step, log.result, log.failure)
        assert log.failures["1 raise"].endswith("ArithmeticError: 1 is a bad number\n")
        assert log.results == {"2": 4}
        assert attempts(tmp_path, "1 raise") == 1
        with pytest.raises(RuntimeError, match=r"(?s)a worker failed:.*3 is a bad number"):
            executor.run(["3 raise"], log.step, log.result)


def test_a_worker_that_cannot_be_made(cluster: Any) -> None:
    log = Log()
    with (
        make_executor("ray", make_nothing, (), 1, cluster.address) as executor,
        pytest.raises(RuntimeError, match="nothing can be made"),
    ):
        executor.run(["1"], log.step, log.result, log.failure)


def test_more_threads_than_a_node_has(cluster: Any) -> None:
    executor = make_executor("ray", make_nothing, (), 1, cluster.address, threads=2)
    with pytest.raises(SettingError, match="threads: expected at most 1, the CPUs of a Ray node"):
        executor.__enter__()
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:ray", "nowhere.invalid:6379"])
def test_an_address_without_ray(address: str) -> None:
    with pytest.raises(SettingError, match=f"ray_address: expected a Ray cluster at {address}: "):
        make_executor("ray", make_nothing, (), 1, address).__enter__()
    assert not ray.is_initialized()


def test_without_a_cluster_one_is_started(tmp_path: pathlib.Path) -> None:
    # In a process of its own: a Ray that is started changes how the process connects to others.
    out, table = tmp_path / "sweep", ["--seeds", "0", "1", "--device", "cpu"]
    command = [sys.executable, "-m", "admrl_native.sweep", "--out", str(out), *table, *flags()]
    done = subprocess.run([*command, "--executor", "ray"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(figures(out)) == ["Hopper2D-admrl-seed0", "Hopper2D-admrl-seed1"]


def test_a_check_of_the_gradient(cluster: Any, tmp_path: pathlib.Path) -> None:
    run = admrl.train(
        "Hopper2D", out=tmp_path / "run", threads=1, progress=False, **{**OPTIONS, "n_tasks": 2}
    )
    results = []
    for where in ({}, {"executor": "ray", "ray_address": cluster.address}):
        jobs = tmp_path / f"{len(results)}.jsonl"
        results.append(
            admrl.check_task_gradient(
                run, [0.5, 1.2], repeats=1, episodes=4, out=jobs, progress=False, **where
            ).to_dict()
        )
    assert str(results[0]) == str(results[1])  # equal also where there is no number


def test_an_evaluation_with_a_lost_node_is_that_of_the_local_executor(
    cluster: Any, node: Any, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = admrl.train(
        "Hopper2D",
        out=tmp_path / "run",
        threads=1,
        progress=False,
        **{**OPTIONS, "n_tasks": 2, "n_adapt": 40, "n_inner": 30},
    )
    on_ray = shutil.copytree(run.path, tmp_path / "on-ray")
    oracle = OracleSettings(samples=4000, batch=400, episodes=5)
    psis = [(x, z) for x in (-1.0, 0.0, 1.0) for z in (1.2, 1.6, 2.0)]
    log = on_ray / "evaluation" / "mine" / "finished.jsonl"

    def lose_node() -> None:
        while not log.exists() or log.read_text().count("\n") < 1 + len(psis) + 2:
            time.sleep(0.01)
        lose(cluster, node)  # two of the further rounds are done, others at work

    def evaluated(path: pathlib.Path, **where: Any) -> dict[str, Any]:
        result = admrl.evaluate_run(
            path, "mine", psis=psis, real_samples=(40, 120), episodes=4, oracle=oracle,
            oracle_cache=path / "oracle", progress=False, **where,
        )  # fmt: skip
        values: dict[str, Any] = json.loads(result.read_text())
        assert values.pop("seconds")["further"] > 0
        return values

    local = evaluated(run.path)
    thread = threading.Thread(target=lose_node, daemon=True)
    thread.start()
    where = {"executor": "ray", "ray_address": cluster.address, "workers": 2}
    assert evaluated(on_ray, **where) == local
    thread.join()
    assert sum("its worker was lost" in record.message for record in caplog.records) == 1
    assert len(local["returns"]["120"]["fresh"]) == len(local["model_errors"]) == 9


# A sweep


def figures(out: pathlib.Path) -> dict[str, Any]:
    """Everything in the metrics and the tasks of the runs but wall times."""
    found: dict[str, Any] = {}
    for path in sorted(out.glob("*/metrics.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines[-1]["event"] == "end"
        for line in lines:
            assert line.pop("wall_seconds") >= 0
        found[path.parent.name] = lines, (path.parent / "tasks.csv").read_text()
    return found


def sweep(out: pathlib.Path, *executor: str) -> int:
    table = "--methods admrl mb-unif --seeds 0 1 --preset quick --n-tasks 2 --device cpu"
    return cli.main(["sweep", "--out", str(out), *table.split(), "--workers", "2", *executor])


def test_a_sweep_with_a_lost_node_is_that_of_the_local_executor(
    cluster: Any, node: Any, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert sweep(tmp_path / "local") == 0

    def lose_node() -> None:
        # Some virtual iterations after a checkpoint, in both runs that are at work.
        while sum(p.read_text().count("virtual-iter") > 6 for p in metrics()) < 2:
            time.sleep(0.05)
        lose(cluster, node)

    def metrics() -> list[pathlib.Path]:
        return list((tmp_path / "ray").glob("*/metrics.jsonl"))

    thread = threading.Thread(target=lose_node, daemon=True)
    thread.start()
    assert sweep(tmp_path / "ray", "--executor", "ray", "--ray-address", cluster.address) == 0
    thread.join()
    assert sum("its worker was lost" in record.message for record in caplog.records) == 1
    assert len(figures(tmp_path / "local")) == 4
    assert figures(tmp_path / "ray") == figures(tmp_path / "local")


def test_ctrl_c_leaves_a_cluster_without_our_work(cluster: Any, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "sweep"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "admrl_native.sweep", "--out", str(out), "--n-inner", "1000"),
            *("--executor", "ray", "--ray-address", cluster.address, "--workers", "1"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = out / "Hopper2D-admrl-seed0" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not metrics.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()  # Ray puts its own handler in the place of ours
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    assert error.startswith("interrupted; go on with: admrl sweep --out ")
    # The node is free again: the next one gets its turn.
    log = Log()
    with on(cluster, tmp_path, workers=1) as executor:
        executor.run(["2"], log.step, log.result)
    assert log.results == {"2": 4}
