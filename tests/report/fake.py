"""Run folders that no model made: every file of the contract, for image VAEs and GANs, a toy and a table.

All is a function of a seed. `fake(kind, parent)` writes one folder and returns its path.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from safetensors.numpy import save_file

from bestiary.data.spec import Spec, label, pictures, rows
from bestiary.data.support import Category, Column, Reals
from bestiary.version import FORMAT

__all__ = ["KINDS", "fake"]

Made = tuple[Spec, dict[str, np.ndarray], list[dict[str, Any]], list[dict[str, Any]]]


def digits(n: int, rng: np.random.Generator, blur: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Typeset digits, 8 × 8 with 17 levels: (n, 8, 8, 1) uint8 and their labels."""
    labels = rng.integers(0, 10, n)
    out = np.empty((n, 8, 8, 1), np.uint8)
    for i, digit in enumerate(labels):
        sheet = Image.new("L", (28, 28))
        ImageDraw.Draw(sheet).text(
            (8 + rng.integers(-2, 3), 2 + rng.integers(-2, 3)), str(digit), fill=255, font_size=22
        )
        grey = np.asarray(sheet.resize((8, 8), Image.Resampling.BOX), float) / 255
        out[i, ..., 0] = np.clip(np.round(16 * (1.3 * grey + blur * rng.normal(size=(8, 8)))), 0, 16)
    return out, labels.astype(np.int64)


def neighbours(samples: np.ndarray, train: np.ndarray, k: int = 5) -> dict[str, np.ndarray]:
    distance = np.sqrt(
        ((samples[:, None].astype(float) - train[None]) ** 2).reshape(len(samples), len(train), -1).sum(-1)
    )
    order = np.argsort(distance, axis=1)[:, :k]
    found = np.take_along_axis(distance, order, axis=1).astype(np.float32)
    return {"neighbour_of": samples, "neighbours": train[order], "neighbour_distances": found}


def number(name: str, title: str, value: float | None, half: float, **more: Any) -> dict[str, Any]:
    ends = {"low": None, "high": None} if value is None else {"low": value - half, "high": value + half}
    blank = {
        "unit": "",
        "better": "lower",
        "floor": None,
        "ceiling": None,
        "protocol": {"interval": "95%"},
        "says": "",
    }
    return {"name": name, "title": title, "value": value, **ends, **blank, **more}


def memorisation(value: float) -> dict[str, Any]:
    floor = {
        "value": 1.44,
        "low": 1.40,
        "high": 1.48,
        "says": "real test examples to the nearest training example",
    }
    says = "How far a sample is from what the model was fitted to; well below the floor means copies."
    unit = "pixel units"
    return number("nearest", "Distance to the nearest training example", value, 0.05, floor=floor, unit=unit, says=says)


def image_vae(rng: np.random.Generator) -> Made:
    data, _ = digits(64, rng)
    samples, _ = digits(64, rng, blur=0.07)
    given, labels = digits(180, rng)
    centres = rng.normal(scale=2.2, size=(10, 2))
    codes = np.concatenate(
        [centres[labels] + rng.normal(scale=0.6, size=(180, 2)), rng.normal(scale=0.5, size=(180, 18))], 1
    )
    smooth = np.clip(given[:16] * 0.85 + rng.integers(0, 3, (16, 8, 8, 1)), 0, 16).astype(np.uint8)
    evidence = {"samples": samples, "data": data, "reconstructed_from": given[:16], "reconstructions": smooth}
    evidence |= {
        "codes": codes.astype(np.float32),
        "code_labels": labels,
        "codes_2d": codes[:, :2].astype(np.float32),
    }
    evidence |= neighbours(samples[:8], digits(300, rng)[0])
    bounds = np.array([80.12, 78.4, 77.83], np.float32)
    evidence["k_curve"] = np.stack([np.array([1, 10, 100], np.float32), bounds, bounds - 0.95, bounds + 0.95], 1)
    evidence |= {"kl_dims": np.geomspace(2, 1e-3, 18, dtype=np.float32)}
    evidence |= {"code_variance": np.geomspace(1, 1e-3, 18, dtype=np.float32)}
    journal: list[dict[str, Any]] = []
    for round in range(10, 2001, 10):
        kl = 18 * (1 - np.exp(-round / 300)) + rng.normal(scale=0.3)
        rest = 62 + 60 * np.exp(-round / 120) + rng.normal(scale=0.9) + (400 if round == 10 else 0)
        journal.append(
            {
                "round": round,
                "epoch": round / 11,
                "vae.total": kl + rest,
                "vae.reconstruction": rest,
                "vae.kl": kl,
            }
        )
        if round % 200 == 0:
            bound = -80 - 40 * np.exp(-round / 300) - (2 if round > 1600 else 0)
            journal.append(
                {
                    "round": round,
                    "validation.bound": bound,
                    "validation.low": bound - 1.5,
                    "validation.high": bound + 1.5,
                }
            )
    says = "An upper bound on the cost of describing one picture; the true cost is lower still."
    floor = {"value": 72.4, "low": None, "high": None, "says": "the same network fitted ten times as long"}
    bits = {"unit": "bits/dim", "says": "The same bound per pixel, in bits."}
    numbers = [
        number(
            "nll_iwae",
            "−log p(x), importance-weighted bound",
            77.83,
            0.94,
            unit="nats",
            floor=floor,
            says=says,
        ),
        number(
            "nll_elbo",
            "−log p(x), evidence bound",
            80.12,
            0.97,
            unit="nats",
            says="The bound that was fitted.",
        ),
        number("bits", "−log p(x) per dimension", 1.754, 0.021, **bits),
        memorisation(1.39),
        number("distortion", "reconstruction loss", 62.1, 0.9, unit="nats", better=""),
        number("mutual_information", "mutual information", 4.9, 0.1, unit="nats", better=""),
        number("total_correlation", "total correlation", 9.02, 0.2, unit="nats", better=""),
        number("dimension_kl", "KL of single dimensions", 4.1, 0.2, unit="nats", better=""),
    ]
    return pictures((1, 8, 8), 17, label(tuple("0123456789"))), evidence, journal, numbers


def image_vae_2d(rng: np.random.Generator) -> Made:
    spec, evidence, journal, numbers = image_vae(rng)
    evidence["codes"] = evidence["codes_2d"]
    evidence["manifold"] = digits(144, rng)[0]
    return spec, evidence, journal, numbers


def image_gan(rng: np.random.Generator) -> Made:
    data, samples = digits(64, rng)[0], digits(64, rng, blur=0.18)[0]
    evidence = {"samples": samples, "data": data} | neighbours(samples[:8], digits(300, rng)[0])
    journal = []
    for round in range(20, 3001, 20):
        real, fake = 0.62 + 0.05 * rng.normal(), 0.64 + 0.05 * rng.normal()
        row = {
            "round": round,
            "epoch": round / 11,
            "critic.total": real + fake,
            "critic.real": real,
            "critic.fake": fake,
        }
        journal.append(row | {"generator.total": 0.9 + 0.3 * (1 - np.exp(-round / 500)) + 0.08 * rng.normal()})
    return pictures((1, 8, 8), 17, label(tuple("0123456789"))), evidence, journal, [memorisation(1.61)]


def photographs(rng: np.random.Generator) -> Made:
    """Colour pictures larger than the page shows, noisy so that PNG cannot compress them."""
    waves = np.sin(np.linspace(0, 6, 96)[:, None] + np.linspace(0, 4, 80)[None])[..., None]

    def make(n: int) -> np.ndarray:
        noise, tone = rng.normal(size=(n, 96, 80, 3)), rng.normal(size=(n, 1, 1, 3))
        return np.clip(120 + 70 * waves * tone + 12 * noise, 0, 255).astype(np.uint8)

    samples, data, train = make(64), make(64), make(40)
    evidence = {
        "samples": samples,
        "data": data,
        "reconstructed_from": data[:16],
        "reconstructions": samples[:16],
    }
    return pictures((3, 96, 80), 256), evidence | neighbours(samples[:6], train), [], [memorisation(0.9)]


def toy(rng: np.random.Generator) -> Made:
    angles = 2 * np.pi * np.arange(8) / 8
    modes = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def draw(n: int, width: float) -> np.ndarray:
        return (modes[rng.integers(0, 8, n)] + width * rng.normal(size=(n, 2))).astype(np.float32)

    axis = np.linspace(-3.2, 3.2, 96)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1)
    density = np.exp(-((plane[..., None, :] - modes) ** 2).sum(-1) / (2 * 0.16**2)).sum(-1).astype(np.float32)
    evidence = {"samples": draw(64, 0.22), "data": draw(800, 0.16), "model_samples": draw(1000, 0.22)}
    evidence |= {"truth_density": density, "extent": np.array([-3.2, 3.2, -3.2, 3.2], np.float32)}
    journal = [{"round": r, "vae.total": 2 + 3 / r} for r in range(1, 40)]
    floor = {"value": 0.245, "low": 0.24, "high": 0.25, "says": "the entropy of the true density"}
    numbers = [number("nll_iwae", "−log p(x), importance-weighted bound", 0.412, 0.03, unit="nats", floor=floor)]
    return rows(2), evidence, journal, numbers


def people(rng: np.random.Generator) -> Made:
    columns = (
        Column("age", Reals(41.0, 12.0)),
        Column("income", Reals(32_000.0, 14_000.0)),
        Column("hours a week", Reals(38.0, 9.0)),
        Column("education", Category(("school", "college", "doctorate"))),
        Column("height", Reals(171.0, 9.5)),
    )

    def draw(n: int, shift: float) -> np.ndarray:
        z = rng.normal(size=(n, 3))
        x = np.zeros((n, 7), np.float32)
        x[:, 0], x[:, 1], x[:, 2] = z[:, 0], 0.6 * z[:, 0] + 0.8 * z[:, 1] + shift, z[:, 2] - 0.4 * z[:, 0]
        x[np.arange(n), 3 + rng.choice(3, n, p=[0.5, 0.4, 0.1])] = 1
        x[:, 6] = rng.normal(size=n)
        return x

    samples, data = draw(800, 0.3), draw(800, 0.0)
    evidence = {"samples": samples, "data": data} | neighbours(samples[:4], draw(300, 0.0))
    journal = [{"round": r, "vae.total": 9 - np.log(r), "vae.kl": np.log(r)} for r in range(1, 50)]
    return rows(columns), evidence, journal, [memorisation(1.2)]


KINDS: dict[str, Callable[[np.random.Generator], Made]] = {
    "digits-vae": image_vae,
    "digits-vae-2d": image_vae_2d,
    "digits-gan": image_gan,
    "photos-dcgan": photographs,
    "ring-vae": toy,
    "people-vae": people,
}


def toml(value: Any) -> str:
    """Enough of TOML for config.toml: JSON's strings, numbers and lists are TOML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def config_text(data: str, model: str, spec: Spec) -> str:
    keys = "latent=20 hidden=400,400 likelihood=bernoulli steps=2000 batch=128 seed=0 lr=0.001"
    command = f"bestiary fit {data} {model} {keys}"
    tables: dict[str, dict[str, Any]] = {
        "data": {"source": data},
        "spec": spec.to_dict(),
        "model": {"name": model, "latent": 20, "hidden": [400, 400], "likelihood": "bernoulli"},
        "training": {"steps": 2000, "batch": 128, "seed": 0, "lr": 0.001, "precision": "fp32", "ema": False},
        "inferred": {
            "likelihood": {"value": "bernoulli", "reason": "grey levels in [0, 1]"},
            "steps": {"value": "2000", "reason": "about 150 passes over 1,437 examples"},
        },
    }
    lines = [f"command = {json.dumps(command)}", 'version = "0.1.0"', f"format = {FORMAT}"]
    for name, entries in tables.items():
        lines += [f"[{name}]", *(f"{json.dumps(k)} = {toml(v)}" for k, v in entries.items())]
    return "\n".join(lines) + "\n"


def fake(kind: str, parent: Path, seed: int = 0) -> Path:
    """Write a run folder of this kind below `parent`."""
    rng = np.random.default_rng(seed)
    spec, evidence, journal, numbers = KINDS[kind](rng)
    run = parent / kind
    (run / "samples").mkdir(parents=True)
    data, model = kind.split("-")[:2]
    (run / "config.toml").write_text(config_text(data, model, spec), "utf-8")
    (run / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in journal), "utf-8")
    env = {
        "python": "3.11.2",
        "torch": "2.13.0",
        "bestiary": "0.1.0",
        "platform": "Linux x86_64",
        "processor": "a CPU",
    }
    env |= {"threads": 2, "device": "cpu", "precision": "fp32", "seconds": 11.6, "finished": True}
    env |= {"round": 2000, "rounds": 2000, "why": "all rounds played"}
    (run / "env.json").write_text(json.dumps(env), "utf-8")
    judgement = {
        "made": "2026-11-20T12:00:00",
        "protocol": {"split": "test", "n": 180, "seed": 0},
        "numbers": numbers,
    }
    judgement["notes"] = ["Numbers come from the weights averaged over the last rounds."]
    (run / "judgement.json").write_text(json.dumps(judgement), "utf-8")
    save_file({key: np.ascontiguousarray(value) for key, value in evidence.items()}, run / "evidence.safetensors")
    if spec.x.is_picture and spec.shape[1] == 8:
        for round in (100, 500, 1000, 2000):
            tiles = digits(16, rng, blur=60 / round)[0].reshape(4, 4, 8, 8).transpose(0, 2, 1, 3).reshape(32, 32)
            Image.fromarray((tiles * 15).astype(np.uint8)).save(run / "samples" / f"round-{round:08d}.png")
    return run
