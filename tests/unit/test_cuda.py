"""A whole toy run on a GPU; skipped where there is none."""

import math

import pytest
import torch

from admrl_native.algorithms.admrl import MetaTrainer
from admrl_native.families.catalogue import make_family
from toy import SETTINGS, Memory


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_trains_and_resumes_on_cuda():
    def trainer(memory):
        return MetaTrainer(
            make_family("Ant2D"),
            SETTINGS,
            method="admrl",
            seed=0,
            threads=1,
            device="cuda",
            observer=memory,
        )

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
