"""Several worker processes on this machine, each with a share of what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from lossviz.errors import LaunchError

_WARNING = "lossviz: warning: "


class Workers:
    """Worker processes, ended with the block.

    Each is a session of its own, so that Control-C reaches only this process, which then tells them once; and each
    ends by itself when this process is gone.

    Args:
        run: The prepared run's file.
        devices: One for each worker.
        sync_interval_s: Most work a power cut may take.
        disk_wait_s: How long each waits for room on a full disk.
        trust: Options that say what of the file may run; this process has asked for it.
    """

    def __init__(
        self, run: Path, devices: Sequence[str], sync_interval_s: float, disk_wait_s: float, trust: Sequence[str] = ()
    ) -> None:
        self._run = run
        self._settings = ["--sync-interval", str(sync_interval_s), "--disk-wait", str(disk_wait_s), *trust]
        self._logs: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        environment = {"OMP_NUM_THREADS": str(threads_each(len(devices))), **os.environ}
        for number, device in enumerate(devices, 1):
            self._start(f"{number}/{len(devices)}", device, environment)

    @property
    def alive(self) -> bool:
        """Whether any of them still runs."""
        return any(process.poll() is None for process in self._processes)

    @property
    def warnings(self) -> list[str]:
        """What they warned of, each sentence once."""
        lines = [line for log in self._logs for line in _lines(log) if line.startswith(_WARNING)]
        return [line.removeprefix(_WARNING) for line in dict.fromkeys(lines)]

    def end(self) -> None:
        """Tell those that run to save and stop, and wait for them."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait()

    def check(self) -> None:
        """Demand that all have done their share.

        Raises:
            LaunchError: With what each that failed had to say.
        """
        failed = [
            f"worker {number} {_story(process.returncode, _lines(log))}"
            for number, (process, log) in enumerate(zip(self._processes, self._logs, strict=True), 1)
            if process.returncode not in (0, None)
        ]
        if failed:
            lines = "\n".join(f"  - {line}" for line in failed)
            raise LaunchError(
                f"{len(failed)} of {len(self._processes)} workers ended early:\n{lines}\n"
                "Every point they saved is kept. Run the same command to go on."
            )

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        for log in self._logs:
            log.close()

    def _start(self, part: str, device: str, environment: Mapping[str, str]) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the block
        self._logs.append(log)
        words = ["work", str(self._run), "--part", part, "--device", device, "--progress", "none", *self._settings]
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "lossviz", *words, "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )
        )


def threads_each(workers: int) -> int:
    """CPU threads for each of so many processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def _lines(log: IO[bytes]) -> list[str]:
    log.seek(0)
    return log.read().decode(errors="replace").splitlines()


def _story(status: int, lines: Sequence[str]) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}{' (out of memory?)' if status == -9 else ''}."
    said = next((line for line in reversed(lines) if line.strip()), "without a word")
    return f"said: {said.removeprefix('lossviz: ')}"
