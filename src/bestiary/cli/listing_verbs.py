"""What the verbs that list do: models and their options, data sets, the state of this installation."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bestiary.cli.console import next_steps, say, say_json, table, warn
from bestiary.errors import BestiaryError, unknown
from bestiary.grammar.command_line import route, to_words, words
from bestiary.grammar.options import comments, groups, part_options, signature_options, signed
from bestiary.grammar.values import expects, text

__all__ = ["data", "doctor", "models", "sentence"]

MARKS = {"fine": "✓", "warning": "–", "broken": "✗"}
PLURALS = {"table": "rows"}


def models(name: str | None, as_json: bool) -> None:
    """`bestiary models`: one line each. `bestiary models NAME`: every option."""
    from bestiary.models.zoo import MODELS

    if name is None:
        lines = {key: _summary(make) for key, make in MODELS.items()}
        if as_json:
            return say_json(lines)
        table(lines.items())
        return next_steps("bestiary models vae", "bestiary fit digits vae")
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    from bestiary.models.recipes import RECIPES
    from bestiary.models.zoo import LISTS
    from bestiary.training.recipe import Recipe

    sections = {"model": _options(MODELS[name]), "training": _options(Recipe)}
    if as_json:
        return say_json({"name": name, "says": _summary(MODELS[name]), **sections, "parts": _parts(MODELS[name])})
    say(f"{name}: {_summary(MODELS[name])}")
    for title, rows in sections.items():
        for group in dict.fromkeys(row["group"] for row in rows):
            heading = f"Options of {'the model' if title == 'model' else 'training'}"
            say("", f"{heading}: {group}" if group else f"{heading}:", "")
            mine = [row for row in rows if row["group"] == group]
            table(((r["key"], r["default"], r["takes"], r["says"]) for r in mine), ("key", "default", "takes", ""))
    for key, rows in _parts(MODELS[name]).items():
        several = (
            "several, joined by commas, or each by its own name, pack=2" if key in LISTS else "a name, or a call of one"
        )
        say("", f"{key}= takes {several}:", "")
        table((f"  {r['part']}", r["says"]) for r in rows)
    for recipe, options in RECIPES.get(name, {}).items():
        say("", f"recipe={recipe}: {to_words(options)}; recipe=fast, the default, is what stands above")
    return next_steps(f"bestiary fit digits {name}")


def _summary(make: Any) -> str:
    return str(make.__doc__ or "").strip().partition("\n")[0]


def _parts(make: Any) -> dict[str, list[dict[str, str]]]:
    """What the options that name a part may name, with the options of each."""
    from bestiary.models.zoo import PARTS

    return {
        key: [{"part": signed(n, part_options(build)), "says": _summary(build)} for n, build in PARTS[key].items()]
        for key in signature_options(make)
        if key in PARTS
    }


def _options(function: Any) -> list[dict[str, str]]:
    """Each option of a model or recipe: its key, default, what it takes and what the source says about it."""
    says, group = comments(function), groups(function)
    return [
        {
            "key": key,
            "default": text(default),
            "takes": expects(annotation),
            "says": says.get(key, ""),
            "group": group.get(key, ""),
        }
        for key, (annotation, default) in signature_options(function).items()
    ]


def data(
    name: str | None,
    line: Sequence[str],
    flags: Sequence[str],
    download: bool,
    out: str | None,
    as_json: bool,
) -> None:
    """`bestiary data`: every named set. `bestiary data NAME key=value …`: one, with a picture."""
    from bestiary.data.load import catalogue, describe, load, loader

    if name is None:
        sets = catalogue()
        if as_json:
            return say_json(sets)
        table(
            ((key, s["description"], s["shape"], s["where"]) for key, s in sets.items()),
            ("name", "description", "shape", "where, or how to get it"),
        )
        return next_steps("bestiary data digits", "bestiary data photos/")
    options = words(line, flags) | ({"download": "yes"} if download else {})
    dataset = load(name, **route(options, {"data": loader(name)})["data"])
    about = describe(dataset)
    picture = _picture(dataset, Path(out or f"data-{dataset.name}.png"), out is not None)
    if as_json:
        return say_json(about | {"picture": picture})
    _show_data(about, picture)
    return next_steps(f"bestiary fit {shlex.quote(name)} vae")


def _picture(dataset: Any, path: Path, asked: bool) -> str | None:
    """The path of a picture of training examples; that nobody may write here is no reason to fail."""
    from bestiary.data.picture import write_picture

    rows = dataset.parts["train"]
    count = 64 if dataset.spec.x.pictured else 5000
    try:
        return str(write_picture(path, dataset.x[rows[:count]], dataset.spec))
    except (BestiaryError, OSError) as error:
        if asked:
            raise
        warn(f"no picture: {error}")
        return None


def sentence(about: Mapping[str, Any]) -> str:
    """Data in one line."""
    shape = "×".join(map(str, about["shape"]))
    levels = f", {about['levels']} levels" if about["levels"] else ""
    plural = PLURALS.get(about["noun"], f"{about['noun']}s")
    return f"{about['name']}: {about['examples']:,} {plural} of {shape}{levels}"


def _show_data(about: Mapping[str, Any], picture: str | None) -> None:
    rows = [
        ("parts", ", ".join(f"{part} {n:,}" for part, n in about["parts"].items())),
        ("likelihood", f"{about['likelihood']}: {about['likelihood_reason']}"),
        ("columns", ", ".join(about["columns"])),
        *((f"beside: {name}", says) for name, says in about["beside"].items()),
        ("entropy", f"{about['entropy_nats']:.4f} nats" if about["entropy_nats"] is not None else ""),
        *about["source"].items(),
        ("picture", picture or ""),
    ]
    say(sentence(about), "")
    table((key, value) for key, value in rows if value)


def doctor(as_json: bool, root: str) -> None:
    """`bestiary doctor`: what works, what is missing, what to type; exit 1 if something is broken."""
    from bestiary.doctor import examine

    examination = examine(root)
    if as_json:
        say_json(examination)
    else:
        _show_findings(examination["findings"])
    if not examination["healthy"]:
        sys.exit(1)


def _show_findings(findings: Sequence[Mapping[str, str]]) -> None:
    topics = dict.fromkeys(f["topic"] for f in findings)
    table(
        (
            topic if i == 0 else "",
            MARKS[f["state"]],
            f["name"],
            f["message"] + (f" → {f['fix']}" if f["fix"] else ""),
        )
        for topic in topics
        for i, f in enumerate(f for f in findings if f["topic"] == topic)
    )
