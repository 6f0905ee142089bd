"""A whole toy run on a GPU; skipped where there is none."""

import math

import pytest
import torch

from admrl_native.algorithms.methods import METHODS
from admrl_native.algorithms.setup import Setup
from admrl_native.families.catalogue import make_family
from model_free import MODEL_FREE, make_learner
from toy import SETTINGS, Memory

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@needs_gpu
def test_trains_and_resumes_on_cuda():
    def trainer(memory):
        setup = Setup(make_family("Ant2D"), SETTINGS, device="cuda", observer=memory)
        return METHODS["admrl"].learner(setup)

    whole = Memory()
    trainer(whole).train()
    gradients = [v for event, v in whole.records if event == "task-gradient"]
    assert len(gradients) == 2
    assert all(math.isfinite(x) for g in gradients for x in g["gradient"])

    first, second = Memory(stop_after=5), Memory()
    with pytest.raises(KeyboardInterrupt):
        trainer(first).train()
    resumed = trainer(second)
    resumed.load(first.states[-1], first.stored())
    resumed.train()
    events = [event for event, _ in first.records + second.records]
    assert events == [event for event, _ in whole.records]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("method", MODEL_FREE)
def test_a_method_without_a_model_trains_resumes_and_adapts_on_cuda(method):
    whole, first, second = Memory(), Memory(stop_after=2), Memory()
    learner = make_learner(whole, method, device="cuda")
    learner.train()
    with pytest.raises(KeyboardInterrupt):
        make_learner(first, method, device="cuda").train()
    resumed = make_learner(second, method, device="cuda")
    resumed.load(first.states[-1], first.stored())
    resumed.train()
    events = [event for event, _ in first.records + second.records]
    assert events == [event for event, _ in whole.records]
    task = learner.train_psi[0]
    adaptations = learner.adaptations(task.unsqueeze(0), seed=0)
    stored = learner.from_zero_shot(learner.zero_shot_state({0: adaptations[0]}), 0, task, seed=0)
    for adaptation in (*adaptations, stored):
        adaptation.learn(40)
    policy = learner.adapt(task, real_samples=40, seed=0)
    assert policy.policy.normaliser.mean.is_cuda
    assert all(map(math.isfinite, learner.evaluate(policy, task, episodes=3, seed=0)))
