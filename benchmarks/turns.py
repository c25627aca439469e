"""Work done in turns by processes of their own: what one loads or changes touches no other, and none waits for long.

Run as a script it is one such process: it takes what it is to do from its input, and answers on its output.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Turn", "in_turns", "memory_now", "peak_since_reset", "reset_peak"]

# What a process makes ready: its runs by label. Each gives what there is to say of how it went. It goes there pickled.
Ready = Callable[[], Mapping[str, Callable[[], Mapping[str, Any]]]]


@dataclass(frozen=True)
class Turn:
    """One run: seconds, bytes by which memory has grown at most since before the process's first, what was said."""

    seconds: float
    growth: int
    said: Mapping[str, Any] = field(default_factory=dict)


def in_turns(jobs: Mapping[str, Ready], rounds: int) -> dict[str, dict[str, list[Turn]]]:
    """Turns by job and label: every job a process, every round all labels, at each label all jobs that have it.

    Before the first round every run is made once, and not counted.
    """
    with ExitStack() as ending:
        workers = {name: ending.enter_context(_Worker(name, ready)) for name, ready in jobs.items()}
        labels = {name: worker.answer() for name, worker in workers.items()}
        found: dict[str, dict[str, list[Turn]]] = {name: {label: [] for label in labels[name]} for name in jobs}
        for lap in range(rounds + 1):
            for label in dict.fromkeys(label for given in labels.values() for label in given):
                for name in (name for name in jobs if label in labels[name]):
                    workers[name].ask(label)
                    turn = Turn(*workers[name].answer())
                    if lap:
                        found[name][label].append(turn)
    return found


class _Worker:
    """A process as this one sees it."""

    def __init__(self, name: str, ready: Ready) -> None:
        self.name = name
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask(sys.path)
        self.ask(ready)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, what: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(what, self._process.stdin)
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        try:
            good, answer = pickle.load(self._process.stdout)
        except EOFError:
            good, answer = False, f"its process ended with status {self._process.wait()}"
        if not good:
            raise RuntimeError(f"{self.name} failed: {answer}")
        return answer


def serve() -> None:
    """Be such a process, until the other ends this one."""
    import torch

    # What is printed on the way is no answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(good: bool, what: Any) -> None:
        pickle.dump((good, what), answers)
        answers.flush()

    try:
        sys.path[:] = pickle.load(sys.stdin.buffer)
        runs = pickle.load(sys.stdin.buffer)()
        # As calls of the package do, for all.
        torch.set_flush_denormal(True)
        before = reset_peak()
        answer(True, list(runs))
        while True:
            label = pickle.load(sys.stdin.buffer)
            began = time.perf_counter()
            said = runs[label]()
            seconds = time.perf_counter() - began
            answer(True, (seconds, peak_since_reset() - before, dict(said)))
    except EOFError:
        return
    except Exception:
        answer(False, traceback.format_exc())


def memory_now() -> int:
    """Bytes of main memory that this process holds."""
    return _status("VmRSS")


def reset_peak() -> int:
    """Forget how much memory this process has held, and say how much it holds now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_now()


def peak_since_reset() -> int:
    """The most bytes that this process has held since."""
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    serve()
