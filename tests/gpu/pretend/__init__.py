"""A pretend CUDA machine on a CPU build of torch: device mixes, host waits, stream races and graph captures are seen.

``tensor.device`` says ``cuda:i`` everywhere, in Python and in C++, while the numbers lie and are computed on the host.
So a program takes the branches that it takes on a GPU and gives values that can be compared. Every operation is looked
at:

- *mixes*: a tensor on the host meets one on a device where torch would refuse it: RuntimeError, in torch's words;
- *waits*: whatever makes the host wait for a device (``.item()``, ``nonzero``, copies that are not asynchronous out of
  pinned memory) is counted by operation and line;
- *races*: an operation reads what another stream makes without having waited for it: RuntimeError;
- *captures*: operations of a CUDA graph are recorded and replayed in place, with whatever Python baked into them; what
  may not be captured raises as CUDA does.

Not here: speed, memory, kernels' own rounding, autotuning, NCCL, recurrent layers, TorchScript, forward-mode
derivatives, and that other streams go on while one is captured. ``torch.compile`` returns its function as it is.

Import this before torch::

    from pretend import machine, waits_of
    with machine(gpus=2):
        lossviz.compute(..., device="cuda:1")
"""

from pretend import guard as guard  # builds and loads the devices before torch is there
from pretend.machine import machine as machine
from pretend.machine import waits_of as waits_of
