"""The verbs models, data and doctor: they list models, options and data sets, and check an installation."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bestiary.cli.console import next_steps, print_error, print_json, print_lines, table
from bestiary.errors import BestiaryError, unknown_name
from bestiary.grammar.command_line import format_words, parse_words, route
from bestiary.grammar.part_calls import part_signature
from bestiary.grammar.signatures import option_comments, option_groups, part_options, signature_options
from bestiary.grammar.values import type_text, value_text

__all__ = ["data", "data_notes", "doctor", "models", "sentence"]

MARKS = {"fine": "✓", "warning": "–", "broken": "✗"}
PLURALS = {"table": "rows"}


def models(name: str | None, as_json: bool) -> None:
    """`bestiary models`: a line for each model. `bestiary models NAME`: every option of one."""
    from bestiary.models.zoo import MODELS

    if name is None:
        summaries = {key: _summary(model) for key, model in MODELS.items()}
        if as_json:
            return print_json(summaries)
        table(summaries.items())
        return next_steps("bestiary models vae", "bestiary fit digits vae", "bestiary fit photos/ dcgan")
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    from bestiary.models.recipes import RECIPES
    from bestiary.models.zoo import PART_LISTS
    from bestiary.training.recipe import Recipe

    sections, parts = {"model": _options(MODELS[name]), "training": _options(Recipe)}, _parts(MODELS[name])
    if as_json:
        return print_json({"name": name, "summary": _summary(MODELS[name]), **sections, "parts": parts})
    print_lines(f"{name}: {_summary(MODELS[name])}")
    for title, rows in sections.items():
        for group in dict.fromkeys(row["group"] for row in rows):
            heading = f"Options of {'the model' if title == 'model' else 'training'}"
            print_lines("", f"{heading}: {group}" if group else f"{heading}:", "")
            members = [row for row in rows if row["group"] == group]
            cells = ((r["key"], r["default"], r["takes"], r["help"]) for r in members)
            table(cells, ("key", "default", "takes", "meaning"))
    for key, rows in parts.items():
        print_lines("", _heading_of_parts(key, key in PART_LISTS), "")
        table((f"  {r['part']}", r["summary"]) for r in rows)
    for recipe, options in RECIPES.get(name, {}).items():
        print_lines("", f"recipe={recipe} sets {format_words(options)}; recipe=fast sets the defaults above")
    return next_steps(f"bestiary fit digits {name}")


def _heading_of_parts(key: str, is_list: bool) -> str:
    if is_list:
        return f"{key}= takes several of these, joined by commas; each is an option of its own too, such as pack=2:"
    return f"{key}= takes one of these, by name or with options in parentheses:"


def _summary(function: Any) -> str:
    return str(function.__doc__ or "").strip().partition("\n")[0]


def _parts(model: Any) -> dict[str, list[dict[str, str]]]:
    """Each option of a model that takes parts → the parts, with their options and summaries."""
    from bestiary.models.zoo import PARTS

    return {
        key: [{"part": part_signature(n, part_options(p)), "summary": _summary(p)} for n, p in PARTS[key].items()]
        for key in signature_options(model)
        if key in PARTS
    }


def _options(function: Any) -> list[dict[str, str]]:
    """The options of a model or of training: key, default, what it takes, help text, group."""
    help_of, group_of = option_comments(function), option_groups(function)
    return [
        {
            "key": key,
            "default": value_text(default),
            "takes": type_text(annotation),
            "help": help_of.get(key, ""),
            "group": group_of.get(key, ""),
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
    """`bestiary data`: a line for each named set. `bestiary data DATA key=value …`: one data set, with a picture."""
    from bestiary.data.load import catalogue, describe, load, loader

    if name is None:
        sets = catalogue()
        if as_json:
            return print_json(sets)
        table(
            ((key, s["description"], s["shape"], s["where"]) for key, s in sets.items()),
            ("name", "description", "shape", "where, or how to get it"),
        )
        return next_steps("bestiary data digits", "bestiary data photos/")
    typed = parse_words(line, flags)
    function = loader(name)
    dataset = load(name, **route(typed | ({"download": "yes"} if download else {}), {"data": function})["data"])
    about = describe(dataset)
    picture = _draw_picture(dataset, Path(out or f"data-{dataset.name}.png"), out is not None)
    if as_json:
        return print_json(about | {"picture": picture})
    _show_data(about | {"keys": signature_options(function)}, picture)
    return next_steps(f"bestiary fit {shlex.quote(name)} vae {format_words(typed)}".rstrip())


def _draw_picture(dataset: Any, path: Path, is_required: bool) -> str | None:
    """Draw training examples; the path of the picture. Where it cannot be written: an error if required, else None."""
    from bestiary.data.picture import write_picture

    rows = dataset.parts["train"]
    count = 64 if dataset.spec.x.is_picture else 5000
    try:
        return str(write_picture(path, dataset.x[rows[:count]], dataset.spec))
    except (BestiaryError, OSError) as error:
        if is_required:
            raise
        print_error(f"no picture: {error}")
        return None


def sentence(about: Mapping[str, Any]) -> str:
    """A data set in one line: `digits: 1,797 images of 1×8×8, 17 levels`, `iris: 150 rows of 4 columns`."""
    columns = len(about["columns"])
    shape = f"{columns} column{'' if columns == 1 else 's'}" if columns else "×".join(map(str, about["shape"]))
    levels = f", {about['levels']} levels" if about["levels"] else ""
    plural = PLURALS.get(about["noun"], f"{about['noun']}s")
    return f"{about['name']}: {about['examples']:,} {plural} of {shape}{levels}"


def data_notes(name: str, about: Mapping[str, Any]) -> list[str]:
    """Lines on what was left out of data, stands in two parts, or was read otherwise than one may expect.

    The note of a named set says how the set is split: `bestiary data NAME` shows it, and it is not repeated here.
    """
    from bestiary.data.load import is_name

    keys = ("skipped", "shared") if is_name(name) else ("skipped", "shared", "note")
    return [f"  {key}: {text}" for key in keys if (text := about["source"].get(key))]


def _show_data(about: Mapping[str, Any], picture: str | None) -> None:
    rows = [
        ("parts", ", ".join(f"{part} {n:,}" for part, n in about["parts"].items())),
        ("likelihood", f"{about['likelihood']}: {about['likelihood_reason']}"),
        ("columns", ", ".join(about["columns"])),
        *((f"beside: {name}", text) for name, text in about["beside"].items()),
        ("entropy", f"{about['entropy_nats']:.4f} nats" if about["entropy_nats"] is not None else ""),
        *about["source"].items(),
        ("keys", " ".join(f"{key}={value_text(default)}" for key, (_, default) in about["keys"].items())),
        ("picture", picture or ""),
    ]
    print_lines(sentence(about), "")
    table((key, value) for key, value in rows if value)


def doctor(as_json: bool, root: str) -> None:
    """`bestiary doctor`: print every finding with its fix; exit 1 if something is broken."""
    from bestiary.doctor import examine

    examination = examine(root)
    if as_json:
        print_json(examination)
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
