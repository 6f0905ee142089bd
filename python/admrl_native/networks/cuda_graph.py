"""A step that is repeated many times on the same tensors: on a GPU, one launch instead of many."""

from __future__ import annotations

from collections.abc import Callable

import torch

Step = Callable[[], None]


def captured(step: Step, device: torch.device, warm_up: int) -> Step:
    """`step` itself on the CPU; on CUDA the replay of a graph of its kernels.

    The step reads and writes tensors that live as long as it is used, keeps its own count in one of
    them if it needs one, and does not wait for the device. On CUDA it runs `warm_up` times here,
    3 if its count may go so far, so what it writes has to be set again afterwards.

    Cost: on CUDA some tens of milliseconds (it collects garbage and frees cached memory): worth
    keeping for hundreds of steps.
    """
    if device.type != "cuda":
        return step
    with torch.cuda.device(device):
        # Kernels and library workspaces are made in ordinary runs, on a stream of their own.
        stream, main = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            for _ in range(warm_up):
                step()
        main.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    replay: Step = graph.replay
    return replay
