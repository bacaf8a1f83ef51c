"""The demo: a VAE and a GAN on drawn letters, fitted, judged and reported, in under a minute, with no download."""

import sys
from pathlib import Path

from bestiary.report import write_comparison
from bestiary.run import Run, fit

__all__ = ["demo"]

# Sized for two cores and less than a minute; a fit of one's own may take longer and gives more.
DATA = {"n": 3000, "characters": "BESTIARY", "vary": "family,weight,size"}
MODELS = (
    ("vae", {"latent": 8, "hidden": (256, 256), "steps": 1200, "validate": 400, "save": 400}),
    ("dcgan", {"latent": 16, "width": 8, "batch": 32, "lr": 5e-4, "average": 0.99, "steps": 700, "validate": 350,
               "save": 350}),
)  # fmt: skip


def demo(root: str | Path = "runs", quiet: bool = False) -> list[Run]:
    """Fit, judge and report both models; then write one page that compares them. The two runs."""
    runs = []
    for model, options in MODELS:
        if not quiet:
            print(f"\nfitting {model} to letters", file=sys.stderr)
        run = fit("glyphs", model, root=root, name=f"demo-{model}", quiet=quiet, **DATA, **options)
        run.judge()
        run.report()
        runs.append(run)
    write_comparison([run.path for run in runs], Path(root) / "demo.html")
    return runs
