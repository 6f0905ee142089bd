"""Same seed, same metrics: twice, on other thread counts, interrupted or not."""

import pytest

from admrl_native.algorithms.settings import TrainingSettings
from toy import Memory, make_trainer


def run(**options):
    memory = Memory()
    make_trainer(memory, **options).train()
    return memory


@pytest.fixture(scope="module")
def reference():
    return run()


def test_same_seed_same_metrics(reference):
    assert run().records == reference.records


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_same_metrics(reference, threads):
    assert run(threads=threads).records == reference.records


def test_another_seed_other_metrics(reference):
    assert run(seed=1).records != reference.records


def test_a_run_has_every_kind_of_record(reference):
    events = [event for event, _ in reference.records]
    counts = {event: events.count(event) for event in set(events)}
    assert counts == {
        "random-policy": 3,
        "zero-shot": 2,
        "virtual-iteration": 2 + 1 + 1 + 2,  # SLBO stages of the three tasks; zero-shot of two
        "slbo-stage": 4,
        "task-gradient": 1,
        "task": 3,
        "end": 1,
    }


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 5, 6, 7])
def test_interrupted_and_resumed_is_the_uninterrupted_run(reference, stop_after):
    assert len(reference.states) == 4 + 2 + 3  # stages, zero-shots, ends of tasks
    first = Memory(stop_after)
    with pytest.raises(KeyboardInterrupt):
        make_trainer(first).train()
    second = Memory()
    trainer = make_trainer(second, threads=2)
    trainer.load(first.states[-1], first.stored())
    trainer.train()
    assert first.records + second.records == reference.records


def test_samples_are_counted_by_purpose(reference):
    counts = reference.records[-1][1]
    evaluations = 3 + 2 + 4  # random policies, zero-shots, SLBO stages
    assert counts["real_samples"] == {
        "train": 4 * 80,
        "validation": 4 * 40,
        "task_gradient": 2 * 80,
        "evaluation": evaluations * 3 * 20,
    }
    assert counts["virtual_samples"] == 6 * 2 * 120 + 120


def test_the_defaults_are_the_paper_s():
    schedule = TrainingSettings().schedule
    assert (schedule.n_zeroshot, schedule.n_slbo, schedule.n_inner) == (40, 3, 20)
    assert (schedule.n_model, schedule.n_policy, schedule.n_trpo) == (100, 20, 10_000)
