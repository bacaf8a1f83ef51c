"""Command lines made from the grammar and then spoilt: `command_line(seed)` is a function of the seed.

The names of models, options and parts come from the signatures, so that a new option is tried without a line here. A
fit is small, or only planned.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from bestiary.data.load import loader
from bestiary.grammar.part_calls import part_options
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import value_text
from bestiary.models.zoo import MODELS, PARTS
from bestiary.run import Run
from bestiary.runs.sample_or_walk import sample_or_walk
from bestiary.training.recipe import Recipe

__all__ = ["command_line"]

HOSTILE = (
    "", "0", "-1", "1", "2", "3.5", "nan", "inf", "-inf", "1e9", "1e300", "9" * 400, "-9223372036854775809", "0x10",
    "1_0", "2k", "none", "auto", "yes", "no", "(", ")", "()", "(()", ",", "1,,2", "400,0", "a=b", "=", "..", "/", "~",
    "latest", "é", "\ud7ff", "\u202e", "[red]", "\x1b[31m", "{x}", "%s", "$HOME", "'", '"', "\\", "*", "linear(0,1)",
    "linear(0,1,1e9)", "cosine(1,-1,9)", "linear(nan,0,3)", "vamp(", "vamp(1e9)", "nsf(bins=0)", "run(x)",
    "run(latest)", "iaf(steps=1e6)", "first(second(third))", "x" * 300,
)  # fmt: skip
FLAGS = ("--json", "--quiet", "--eager", "--device", "--runs", "--name", "--from", "--nproc", "--out", "--held", "--x")
DATA = ("ring", "digits", "moons", "table.csv", "array.npy", "photos", "nothing.csv", "", "hf:", "hf:../..", "latest")


def command_line(seed: int) -> list[str]:
    """The words of one command line, without `bestiary`."""
    dice = random.Random(seed)
    words = dice.choice(_VERBS)(dice)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        words = _spoil(dice, words)
    if "fit" in words[:1] and "--dry-run" not in words:
        words += ["--time-limit", "1s"]
    return words


def _fit(dice: random.Random) -> list[str]:
    model = dice.choice(list(MODELS))
    section = dice.choice((MODELS[model], MODELS[model], Recipe, loader("ring"), loader("digits")))
    keys = {"batch": "16"} | dice.choice(({}, {"steps": "2", "latent": "2"}, {"steps": "1"})) | _keys(dice, section)
    plan = [] if "steps" in keys else ["--dry-run"]
    return ["fit", dice.choice(DATA[:6]), model, *_words(keys), *plan]


def _sample(dice: random.Random) -> list[str]:
    return ["sample", dice.choice(("latest", "run", "nothing")), *_words(_keys(dice, sample_or_walk)), *_flags(dice)]


def _judge(dice: random.Random) -> list[str]:
    sides = [["run"], ["--real", dice.choice(DATA), "--fake", dice.choice(DATA)]]
    keys = {"tests": "none", "n": "20"} | _keys(dice, Run.judge)
    return ["judge", *dice.choice(sides), *_words(keys), *_flags(dice)]


def _data(dice: random.Random) -> list[str]:
    return ["data", dice.choice(DATA), *_words(_keys(dice, loader(dice.choice(("ring", "digits", ".")))))]


def _others(dice: random.Random) -> list[str]:
    names = (*MODELS, "run", "latest", *HOSTILE)
    return [dice.choice(("report", "models", "doctor", "", "help", "fti")), dice.choice(names), *_flags(dice)]


_VERBS: tuple[Callable[[random.Random], list[str]], ...] = (_fit, _fit, _fit, _sample, _judge, _data, _others)


def _flags(dice: random.Random) -> list[str]:
    return [dice.choice(FLAGS), dice.choice(HOSTILE)] if dice.random() < 0.3 else []


def _words(keys: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in keys.items()]


def _keys(dice: random.Random, function: Callable[..., Any]) -> dict[str, str]:
    """Up to three options of a function, with good or hostile values."""
    options = signature_options(function)
    names = dice.sample(list(options), min(len(options), dice.choice((1, 1, 2, 3))))
    return {name: _value(dice, name, options) for name in names}


def _value(dice: random.Random, name: str, options: Mapping[str, tuple[Any, Any]]) -> str:
    if name in PARTS and dice.random() < 0.8:
        return _call(dice, PARTS[name])
    return dice.choice(HOSTILE) if dice.random() < 0.5 else value_text(options[name][1])


def _call(dice: random.Random, builders: Mapping[str, Callable[..., Any]]) -> str:
    name = dice.choice(list(builders))
    options = list(part_options(builders[name]))
    if not options or dice.random() < 0.3:
        return name
    value = dice.choice(HOSTILE)
    return f"{name}({value})" if dice.random() < 0.5 else f"{name}({dice.choice(options)}={value})"


def _spoil(dice: random.Random, words: list[str]) -> list[str]:
    """The line with one word lost, doubled, moved, cut, joined or with a letter too many."""
    i, words = dice.randrange(len(words)), list(words)
    match dice.randrange(6):
        case 0:
            del words[i]
        case 1:
            words.insert(i, words[i])
        case 2:
            words.insert(dice.randrange(len(words)), words.pop(i))
        case 3:
            words[i] = words[i][: dice.randrange(len(words[i]) + 1)]
        case 4:
            words[i : i + 2] = ["".join(words[i : i + 2])]
        case _:
            at = dice.randrange(len(words[i]) + 1)
            words[i] = words[i][:at] + dice.choice("=,()-.\u00e9 0:/") + words[i][at:]
    return words or [""]
