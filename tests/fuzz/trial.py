"""One hostile trial: a command line runs in a process of its own, with limits, and what is wrong with its end is told.

    trial(words, folder) → ""                                  a result, or a sentence on what to write
                         → "traceback: …", "hang: …", …        a fault

The process is a fork of this one, which has imported everything: a trial costs milliseconds. Its processor time and its
memory are limited, not its time on the wall, so that a busy machine finds no faults of its own.
"""

import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bestiary.cli.app import main

__all__ = ["fault", "trial"]

CPU_SECONDS, MEMORY = 10, 3 << 30  # more than a command may take; bytes beside what this process has
ALLOWED = {0, 1, 2, 130}
SIGNS = ("Traceback", "this is a bug", "Warning:")


def trial(words: Sequence[str], folder: Path) -> str:
    """What is wrong with how `bestiary WORDS` ends in a folder; empty if nothing is."""
    output = folder / ".output"
    child = os.fork()
    if not child:
        _run(words, folder, output)
    _, status = os.waitpid(child, 0)
    said = output.read_text("utf-8", errors="replace")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        kind = f"hang: over {CPU_SECONDS} s" if number == signal.SIGXCPU else f"killed by {signal.Signals(number).name}"
        return f"{kind}: {said[-200:]}"
    return fault(os.WEXITSTATUS(status), said)


def fault(code: int, said: str) -> str:
    """What is wrong with an exit code and what was printed; empty if nothing is."""
    sign = next((sign for sign in SIGNS if sign in said), "")
    if sign or code not in ALLOWED:
        return f"exit {code}, {sign}: {said[-1500:]}"
    return "" if said.strip() or not code else "no word on what was wrong"


def _run(words: Sequence[str], folder: Path, output: Path) -> None:
    """In the child: run the command line and leave."""
    code = 70
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        os.environ |= {"BESTIARY_TRACE": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        code = main(list(words))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
