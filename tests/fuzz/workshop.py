"""The folder in which trials run: a table, an array, photographs and a fitted run, all tiny.

It is made by command lines of every verb, in this process: each trial is a fork of it, and has all imports behind it.
"""

import os
import shlex
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from PIL import Image

from bestiary.cli.app import main

__all__ = ["workshop"]

LINES = (
    "fit table.csv vae steps=4 batch=16 latent=2 hidden=8 save=2 log=1 --name run --device cpu",
    "judge run n=20 tests=none k=2", "sample run --out samples.csv", "report run", "models vae", "data digits",
    "fit photos dcgan --dry-run", "fit ring gan --dry-run", "data array.npy", "doctor --json",
)  # fmt: skip
TABLE = "a,b,c\n" + "".join(f"{i % 7},{'xyz'[i % 3]},{i * 0.5}\n" for i in range(60))


def workshop(folder: Path, lines: Sequence[str] = LINES) -> Path:
    """Make the folder anew by some of the command lines; its path."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "photos").mkdir(parents=True)
    dice = np.random.default_rng(0)
    (folder / "table.csv").write_text(TABLE)
    np.save(folder / "array.npy", dice.normal(size=(60, 3)).astype("float32"))
    for i in range(12):
        Image.fromarray(dice.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / "photos" / f"{i}.png")
    here = Path.cwd()
    os.chdir(folder)
    try:
        for line in lines:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as errors:
                assert main(shlex.split(line)) == 0, errors.getvalue()
    finally:
        os.chdir(here)
    return folder
