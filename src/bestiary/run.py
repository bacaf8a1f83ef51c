"""A run and all that one does with it: the façade of the package.

    run = bst.fit("digits", "vae");   run = bst.load("runs/digits-vae")
    run.sample(64);   run.encode(x);   run.judge();   run.report()
    bst.judge(real=A, fake=B)          samples of any program against data

What a run holds and makes is `FittedRun`'s (runs/fitted_run.py); what looks at it from outside is here.
"""

from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bestiary.errors import BestiaryError
from bestiary.judging.case import Space, Tests
from bestiary.judging.judge import judge_case
from bestiary.judging.two_sets import judge_samples
from bestiary.measures.number import Judgement
from bestiary.report import write_report
from bestiary.runs.fit import fit as fit_run
from bestiary.runs.fitted_run import FittedRun
from bestiary.runs.model_card import write_card
from bestiary.runs.run_case import make_case
from bestiary.storage.run_files import weights_hash, write_judgement

__all__ = ["Run", "fit", "judge", "load", "sample"]


class Run(FittedRun):
    """A run folder and, when first needed, its model and data."""

    def judge(
        self,
        *,
        n: int = 1000,  # test examples, and samples
        k: int = 100,  # samples of z for the importance-weighted bound
        split: Literal["test", "validation", "train"] = "test",  # the part to judge on
        space: Space = "pixels",  # where distances are taken: pixels, or latent (posterior means)
        features: str = "auto",  # where sets are compared: pixels, random, mnist, glyphs, labels, or a file of weights
        tests: Tests = "all",  # of samples against data: all; fast, without what takes longest; or none
        seed: int = 0,  # of samples, noise and the choice of examples
        quiet: bool = True,
    ) -> Judgement:
        """Judge on one part of the data; write judgement.json, the evidence and the model card."""
        case = make_case(
            self, n=n, k=k, split=split, space=space, features=features, tests=tests, seed=seed, quiet=quiet
        )
        judgement, evidence = judge_case(case)
        judgement = replace(judgement, protocol={**judgement.protocol, "weights": weights_hash(self.path)})
        write_judgement(self.path, judgement.to_dict(), {name: t.cpu().numpy() for name, t in evidence.items()})
        write_card(self.path)
        return judgement

    def report(self) -> Path:
        """Write report.html; its path."""
        return write_report(self.path)


@wraps(fit_run)
def fit(*arguments: Any, **options: Any) -> Run:
    return Run.of(fit_run(*arguments, **options))


def load(path: str | Path = "latest", data: Any = None, device: str = "cpu", **parts: Any) -> Run:
    """A run by its path, its name under runs/, or `latest`."""
    return Run(path, data, device, **parts)


def judge(run: str | Path | Run | None = None, *, real: Any = None, fake: Any = None, **options: Any) -> Judgement:
    """Judge a run, or `fake` samples against `real` data; `options` as `Run.judge` and `judge_samples` take them."""
    if (real is None) != (fake is None) or (run is None) == (real is None):
        raise BestiaryError(
            "judge a run, or samples against data: bestiary judge RUN, bestiary judge --real A --fake B"
        )
    if run is None:
        return judge_samples(real, fake, **options)
    if "held" in options:
        raise BestiaryError("held= goes with real= and fake=: of a run the parts are known that were held out")
    return (run if isinstance(run, Run) else Run(run)).judge(**options)


def sample(run: str | Path | Run, n: int = 64, seed: int = 0) -> np.ndarray:
    """n samples of a run, as its data is stored."""
    return (run if isinstance(run, Run) else Run(run)).sample(n, seed)
