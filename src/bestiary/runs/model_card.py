"""The model card of a run, README.md in its folder: model and data, the command, the judgement, the use from Python."""

from pathlib import Path
from typing import Any

from bestiary.data.spec import Spec
from bestiary.grammar.command_line import command
from bestiary.runs.config_options import python_keys
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import MODEL, parsing_config, read_config, read_env, read_judgement, weights_hash

__all__ = ["write_card"]


def write_card(path: Path) -> Path:
    """Write README.md from config.toml, env.json and judgement.json; return its path."""
    config, env, judgement = read_config(path), read_env(path), read_judgement(path)
    spec = config["spec"]
    with parsing_config(path):
        x = Spec.from_dict(spec).x
    shape = "×".join(map(str, x.shape))
    lines = [
        f"# {path.name}",
        "",
        f"`{config['model']['name']}` fitted to `{config['data']['source']}` ({x.noun}, {shape}),"
        f" {env.get('round', 0)} rounds of {env.get('rounds', '?')}: {env.get('why', 'not finished')}.",
        "",
        "```",
        config["command"],
        "```",
        "",
        "## Judgement",
        "",
        *([" ".join(judgement["verdict"]), ""] if judgement.get("verdict") else []),
        *_number_table(judgement, path),
        "",
        "## Use",
        "",
        "```python",
        "import bestiary as bst",
        f"run = bst.load({', '.join([repr(str(path)), *_load_arguments(config)])})",
        "x = run.sample(64)",
        "```",
        "",
        *(f"{key}: {config['origin'][key]}  " for key in ("licence", "cite", "note") if config["origin"].get(key)),
        "",
        f"Made with bestiary {config['version']}, torch {env.get('torch', '?')}, seed {config['training']['seed']}.",
        "",
    ]
    target = path / "README.md"
    write_atomic(target, "\n".join(lines))
    return target


def _load_arguments(config: dict[str, Any]) -> list[str]:
    """The arguments of `bst.load` for objects from Python, which the run's folder does not hold."""
    objects = [f"{key}=…" for key in python_keys({**config["data"], **config["model"]})]
    return (["data=x"] if config["data"]["source"] == "array" else []) + objects


def _number_table(judgement: dict[str, Any], path: Path) -> list[str]:
    """The numbers of a judgement as a table, with a note if the weights are newer than the judgement."""
    if not judgement.get("numbers"):
        return [f"Not judged yet: `{command('judge', path)}`."]
    judged_weights = judgement.get("protocol", {}).get("weights")
    lines = []
    if (path / MODEL).exists() and judged_weights != weights_hash(path):
        lines += [f"These numbers are of older weights. Judge again: `{command('judge', path)}`.", ""]
    lines += ["| number | value | 95% interval | floor | protocol |", "|---|---|---|---|---|"]
    for n in judgement["numbers"]:
        floor = _value_text(n["floor"]["value"]) if n["floor"] else "–"
        protocol = ", ".join(f"{k}={v}" for k, v in n["protocol"].items())
        interval = f"{_value_text(n['low'])} to {_value_text(n['high'])}"
        lines.append(f"| {n['title']} | {_value_text(n['value'])} {n['unit']} | {interval} | {floor} | {protocol} |")
    return lines


def _value_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
