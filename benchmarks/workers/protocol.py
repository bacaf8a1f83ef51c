"""A worker: one side of a pair in a process of its own, told over a pipe when to work.

    harness → worker      run N            play N steps
    worker → harness      ready {facts}    once it is built and warm
                          seconds S        how long the N steps took

The process works only between `run` and `seconds`. It is started as `python WORKER.py CASE THREADS CLOCK` in the
environment of its side; CLOCK is `wall`, or `cpu` for the process's own time on the processor. A case is a function
that builds what is to be timed and returns `prepare`: prepare(N) makes ready for N steps, untimed, and returns the call
that is timed.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

__all__ = ["Case", "Prepare", "serve"]

Prepare = Callable[[int], Callable[[], None]]
Case = Callable[[], Prepare]
WAKING, SHORT = 3, 0.2  # untimed steps before a turn, where a step takes less than so many seconds
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def serve(cases: Mapping[str, Case], packages: tuple[str, ...] = ("torch",)) -> None:
    """Build the case that the command line names, then answer the harness until it closes the pipe."""
    import torch

    case, threads, clock = sys.argv[1], int(sys.argv[2]), CLOCKS[sys.argv[3]]
    talk = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    prepare = cases[case]()
    prepare(2)()  # lazily made state: moments of the optimiser, workspaces
    talk.write("ready " + json.dumps({name: _version(name) for name in packages}) + "\n")
    each = SHORT
    for line in sys.stdin:
        n = int(line.split()[1])
        if each < SHORT:  # while the other side worked, the system may have taken this one's memory
            prepare(WAKING)()
        call = prepare(n)
        begun = clock()
        call()
        each = (clock() - begun) / n
        talk.write(f"seconds {each * n}\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
