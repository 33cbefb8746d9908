"""What recording costs the training loop."""

import time

import pytest
import torch
from torch import nn

from lossviz.problem.data import digits
from lossviz.trajectory import recorder as recorder_module
from lossviz.trajectory.recorder import TrajectoryRecorder

STEPS, EVERY = 400, 50


@pytest.mark.slow
def test_a_recorder_costs_under_two_percent_of_a_step(tmp_path, capsys, monkeypatch):
    """Time the loop spends in the recorder, and processor time its thread takes, against the time of the training.

    A difference of two runs would be smaller than what else a machine does; both parts can be measured by themselves.
    """
    thread_s = 0.0
    write = recorder_module.write_snapshot

    def timed(*arguments):
        nonlocal thread_s
        start = time.thread_time()
        write(*arguments)
        thread_s += time.thread_time() - start

    monkeypatch.setattr(recorder_module, "write_snapshot", timed)
    images, labels = digits.data()["train"]
    batches = [(images[i : i + 128], labels[i : i + 128]) for i in range(0, 1280, 128)]
    model = digits.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    recorder, loop_s = TrajectoryRecorder(tmp_path, model, optimizer, every=EVERY), 0.0
    begun = time.perf_counter()
    for step in range(STEPS):
        inputs, targets = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        start = time.perf_counter()
        recorder.step(loss=loss)
        loop_s += time.perf_counter() - start
    total_s = time.perf_counter() - begun
    recorder.close()
    cost = (loop_s + thread_s) / (total_s - loop_s)
    with capsys.disabled():
        print(  # noqa: T201 (the measurement)
            f"\nrecording every {EVERY} steps of {total_s / STEPS * 1e3:.1f} ms costs {cost:.2%}: "
            f"{loop_s / STEPS * 1e6:.0f} µs a step in the loop, {thread_s / STEPS * 1e6:.0f} µs in the thread"
        )
    assert len(list(tmp_path.glob("*.pt"))) == 1 + STEPS // EVERY
    assert cost < 0.02
