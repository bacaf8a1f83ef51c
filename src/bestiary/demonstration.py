"""The demo: a VAE and a GAN on handwritten digits, fitted, judged and reported, in under a minute, with no download."""

import sys
from pathlib import Path

from bestiary.report import write_comparison
from bestiary.run import Run, fit

__all__ = ["demo"]

# Sized for two cores and less than a minute; a fit of one's own may take longer and gives more.
MODELS = (
    ("vae", {"latent": 10, "hidden": (256,), "steps": 2000, "validate": 500, "save": 500}),
    ("dcgan", {"latent": 32, "width": 24, "batch": 48, "steps": 1200, "average": 0.99, "validate": 400, "save": 400}),
)


def demo(root: str | Path = "runs", quiet: bool = False) -> list[Run]:
    """Fit, judge and report both; then one page beside the other."""
    runs = []
    for model, options in MODELS:
        if not quiet:
            print(f"\nfitting {model} to digits", file=sys.stderr)
        run = fit("digits", model, root=root, name=f"demo-{model}", quiet=quiet, **options)
        run.judge()
        run.report()
        runs.append(run)
    write_comparison([run.path for run in runs], Path(root) / "demo.html")
    return runs
