"""Shared by all tests."""

import torch

# As in a run: the bits of torch's results depend on its threads, and small operations are slower
# with two threads than with one when the machine is busy.
torch.set_num_threads(1)
