"""A run and all that one does with it.

    run = bst.load("runs/digits-vae");   run.sample(64);   run.encode(x);   run.judge();   run.report()

What it holds and makes is `Fitted`'s; here is what looks at it from outside.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bestiary.judging.judge import judge_run
from bestiary.measures.number import Judgement
from bestiary.report import write_report
from bestiary.runs.fitted import Fitted

__all__ = ["Run", "load", "sample"]


class Run(Fitted):
    """A run folder and, when first needed, its model and data."""

    def judge(self, **options: Any) -> Judgement:
        """Judge, and write judgement.json and the report's evidence."""
        return judge_run(self, **options)

    def report(self) -> Path:
        """Write report.html; its path."""
        return write_report(self.path)


def load(path: str | Path = "latest", data: Any = None, device: str = "cpu", **parts: Any) -> Run:
    """A run by its path, its name under runs/, or `latest`."""
    return Run(path, data, device, **parts)


def sample(run: str | Path | Run, n: int = 64, seed: int = 0) -> np.ndarray:
    """n samples of a run, as its data is stored."""
    return (run if isinstance(run, Run) else Run(run)).sample(n, seed)
