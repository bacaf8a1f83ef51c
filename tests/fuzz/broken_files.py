"""Files that are spoilt, with the command line that reads each: `broken_case(seed, folder)` is a function of the seed.

Data of every format, and every file of a run, loses bytes, gains bytes, has others, or holds something else altogether.
"""

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["broken_case"]

JSONS = (
    "null", "[]", "{}", "3", '"a"', "[" * 100_000, '{"a":' * 5000, "nan", '{"numbers": 3}', '{"numbers": [{}]}',
    '{"verdict": 3, "numbers": []}', "{", "\ufeff{}", '{"a": 1e999}', '{"round": -1}',
)  # fmt: skip
TEXTS = (
    "", "\x00", "\ufeff", "\n" * 50, "a" * 100_000, "a,b\n1", '"', '"a\n', "a;b\n1;2\n", "sep=;\na;b\n1;2",
    "a,a\n1,2\n", "a\tb\n1\t2", "é,ü\n1,2", "a,b\n1,2\n3", "a\r1\r2\r", "a\n" + "inf\n" * 20, "a\n" + "nan\n" * 20,
    "a\n1e400\n" * 9, "[", "a = ", "[a]\n[a]\n", "a\u2028b\n1\n", "a\n" + "\x0b\n" * 9,
)  # fmt: skip


def broken_case(seed: int, folder: Path) -> list[str]:
    """Write one broken file, or one broken run, into the folder; the words of the command that reads it."""
    dice = random.Random(seed)
    return dice.choice((_broken_data, _broken_run))(dice, folder)


def _spoil(dice: random.Random, content: bytes) -> bytes:
    """The bytes with some lost, changed, added or repeated."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8))):
        at, length = dice.randrange(len(data) + 1), dice.choice((1, 1, 4, 64, 4096))
        match dice.randrange(5):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + length]
            case 2:
                data[at : at + length] = dice.randbytes(min(length, len(data) - at))
            case 3:
                data[at:at] = dice.randbytes(length)
            case _:
                data[at:at] = data[at : at + length]
    return bytes(data)


# ------------------------------------------------------------------------- data


def _npy(dice: random.Random) -> bytes:
    file = io.BytesIO()
    kinds = (np.float32, np.float64, np.uint8, np.int64, np.bool_, np.float16, np.complex64, "U3", "S3", "M8[s]")
    shapes = ((40, 3), (40,), (0, 3), (40, 0), (1, 2), (40, 8, 8), (40, 8, 8, 3), (40, 1, 1), (), (2,) * 9)
    np.save(file, np.zeros(dice.choice(shapes), dice.choice(kinds)), allow_pickle=False)
    return file.getvalue()


def _npz(dice: random.Random) -> bytes:
    file, x = io.BytesIO(), np.zeros((40, 3), np.float32)
    np.savez_compressed(
        file, **{dice.choice(("x", "", "a/b", "é", "label")): x, "label": np.arange(dice.choice((40, 3)))}
    )
    return file.getvalue()


def _png(dice: random.Random) -> bytes:
    file = io.BytesIO()
    mode = dice.choice(("L", "RGB", "RGBA", "P", "1", "I;16", "LA"))
    Image.new(mode, dice.choice(((8, 8), (1, 1), (1, 3000), (9, 8)))).save(file, "PNG")
    return file.getvalue()


def _zip(dice: random.Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(dice.choice((0, 1, 12))):
            archive.writestr(dice.choice((f"{i}.png", f"a/{i}.png", f"../{i}.png", f"{i}.txt")), _png(dice))
    return file.getvalue()


def _csv(dice: random.Random) -> bytes:
    table = "a,b,c\n" + "".join(f"{i % 7},{'xyz'[i % 3]},{i * 0.5}\n" for i in range(40))
    return dice.choice((*TEXTS, table, table)).encode("utf-8", "surrogatepass")


def _safetensors(dice: random.Random) -> bytes:
    from safetensors.numpy import save

    return save({"x": np.zeros((4, 3), np.float32)})


MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    "npy": _npy, "npz": _npz, "png": _png, "zip": _zip, "csv": _csv, "tsv": _csv, "parquet": _csv,
    "safetensors": _safetensors, "jsonl": _csv,
}  # fmt: skip


def _broken_data(dice: random.Random, folder: Path) -> list[str]:
    kind = dice.choice(list(MAKERS))
    content = MAKERS[kind](dice)
    content = _spoil(dice, content) if dice.random() < 0.8 else content
    place = folder / "broken"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    file = place / f"file.{kind}"
    file.write_bytes(content)
    source = "broken" if kind == "png" else f"broken/file.{kind}"
    if kind == "jsonl":
        file.rename(place / "metadata.jsonl")
        (place / "0.png").write_bytes(_png(dice))
        source = "broken"
    if kind == "safetensors":
        return ["judge", "--real", "photos", "--fake", "photos", f"features={source}", "n=12"]
    return dice.choice((["data", source], ["data", source], ["fit", source, "vae", "--dry-run"]))


# ------------------------------------------------------------------------- runs

READERS = (
    "judge broken-run n=20 tests=none k=2", "report broken-run", "report broken-run run", "sample broken-run",
    "fit --resume broken-run steps=6 --time-limit 5s",
    "fit table.csv vae steps=2 batch=16 latent=2 hidden=8 --from broken-run",
)  # fmt: skip


def _broken_run(dice: random.Random, folder: Path) -> list[str]:
    run = folder / "runs" / "broken-run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(folder / "runs" / "run", run)
    file = dice.choice(sorted(path for path in run.rglob("*") if path.is_file()))
    match dice.randrange(5):
        case 0:
            file.unlink()
        case 1:
            file.write_text(dice.choice(JSONS if "json" in file.suffix else TEXTS), "utf-8", "surrogatepass")
        case 2 if file.suffix == ".json":
            file.write_text(json.dumps(_other_value(dice, json.loads(file.read_text("utf-8")))))
        case 3 if file.suffix == ".toml":
            lines = file.read_text("utf-8").splitlines()
            at = dice.randrange(len(lines))
            lines[at : at + 1] = dice.choice(
                ([], [lines[at]] * 2, [lines[at].partition("=")[0] + dice.choice(("= 3", "= []"))])
            )
            file.write_text("\n".join(lines))
        case _:
            file.write_bytes(_spoil(dice, file.read_bytes()))
    if dice.random() < 0.1:
        (run / "checkpoints" / dice.choice(("²", "x", "00000003", "٣٣٣٣٣٣٣٣", "-0000001"))).mkdir(exist_ok=True)
    return dice.choice(READERS).split()


def _other_value(dice: random.Random, value: object) -> object:
    """Plain values with one of them replaced by something of another type."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(list(value))
        return {**value, key: _other_value(dice, value[key])}
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], _other_value(dice, value[at]), *value[at + 1 :]]
    return dice.choice((None, 3, -1.5, "text", [], {}, [1], {"a": 1}, True, 10**30, "é\x1b[31m"))
