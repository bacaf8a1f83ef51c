"""What is reproduced: models, sizes, and how they are judged. Every number of RESULTS.md follows from this file.

Three sizes: the default, of which each run fits two cores in less than forty minutes; `--full` for a GPU, at the rounds
of the published recipes; `--quick`, seconds on 8×8 digits, which shows that everything runs and is no result.

Rows of a group have the same networks, rounds and rate, and can be compared with each other.
"""

from dataclasses import dataclass
from math import cos, pi

__all__ = [
    "BATCH", "BESIDE", "COMPONENTS", "DATA", "DIRECTIONS", "MLP", "PUBLISHED", "QUICK", "ROWS", "SEEDS", "TWINS",
    "Row", "Size", "learning_rate", "rate",
]  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How long a model is trained, and on how much it is judged."""

    rounds: int
    test: int = 1000  # test images, the same for every model: the first of a permutation by seed 0
    k: int = 5000  # importance samples
    wide: int = 10  # importance samples on all test images, for the level (`level.py`); 0: too dear


@dataclass(frozen=True)
class Row:
    """One model of the table."""

    says: str
    options: dict[str, object]
    size: Size
    full: Size
    group: str


SEEDS = (0, 1, 2)
BATCH = 100
HIGH, LOW = 1e-3, 5e-5  # Adam's rate falls from one to the other along half a cosine, in place of many more rounds
COMPONENTS = 500  # pseudo-inputs of VampPrior (Tomczak and Welling 2018)
DATA = {"static": "binarized-mnist", "dynamic": "mnist", "digits": "digits"}

MLP = {"hidden": (512,), "latent": 40, "activation": "silu"}  # pythae's default network, SiLU in place of its ReLU
SMALL = {"hidden": (200,), "latent": 50, "activation": "silu"}  # where the decoder runs 50 times for each image
FLOW = "(steps=4,width=128)"

QUICK = Size(rounds=8, test=20, k=20, wide=1)
SHORT, LONG = Size(20_000), Size(400_000, 10_000, wide=0)  # 40 and 800 passes over 50,000 images
FEW, MANY = Size(5_000), Size(400_000, 10_000, wide=0)
LEAST, MOST = (
    Size(1_000, 100, 200, 0),
    Size(100_000, 1000, wide=0),
)  # each of a PixelCNN's draws of z costs a pass over the image


def _mlp(says: str, **parts: object) -> Row:
    return Row(says, MLP | parts, SHORT, LONG, "mlp")


def _small(says: str, **parts: object) -> Row:
    return Row(says, SMALL | parts, FEW, MANY, "small")


ROWS: dict[str, Row] = {
    "vae": _mlp("VAE"),
    "vamp": _mlp(f"VAE + VampPrior, K = {COMPONENTS}", prior=f"vamp({COMPONENTS})"),
    "flow-prior": _mlp("VAE + autoregressive flow as prior", prior=f"maf{FLOW}"),
    "flow-posterior": _mlp("VAE + the same flow as posterior", posterior=f"maf{FLOW}"),
    "iaf": _mlp("VAE + IAF posterior of the same steps and width, gated", posterior=f"iaf{FLOW}"),
    "vae-small": _small("VAE, small"),
    "iwae-5": _small("IWAE, k = 5, small", objective="iwae", samples=5),
    "iwae-50": _small("IWAE, k = 50, small", objective="iwae", samples=50),
    "pixel-vae": Row(
        "PixelVAE, 3 layers of 3×3",
        MLP | {"likelihood": "pixelcnn(layers=3,width=16,context=4)"},
        LEAST,
        MOST,
        "pixel",
    ),
}
TWINS = {"pythae-vae": "pythae's VAE", "pythae-vamp": f"pythae's VAMP, K = {COMPONENTS}"}

# (better, worse) as published: the intervals of −L_k must not overlap
DIRECTIONS = (
    ("vamp", "vae"),
    ("flow-prior", "vae"),
    ("flow-prior", "flow-posterior"),
    ("flow-prior", "iaf"),
    ("iwae-5", "vae-small"),
    ("iwae-50", "iwae-5"),
)
BESIDE = (("vae", "pythae-vae"), ("vamp", "pythae-vamp"))  # ours must be at or below theirs

# −log p(x) on the static file as others give it: value, where
PUBLISHED: dict[str, tuple[tuple[float, str], ...]] = {
    "vae": ((89.78, "pythae"), (88.56, "Tomczak and Welling")),
    "vamp": ((85.79, "pythae"), (85.57, "Tomczak and Welling")),
    "pixel-vae": ((79.02, "Gulrajani et al., without upsampling"),),
}


def learning_rate(rounds: int) -> str:
    return f"cosine({HIGH},{LOW},{rounds})"


def rate(i: int, rounds: int) -> float:
    """The same at round i, for a loop that is not ours."""
    return HIGH + (LOW - HIGH) * (1 - cos(pi * i / rounds)) / 2
