"""The model card of a run, README.md in its folder: what it is, how it was made, how it was judged, how to use it."""

from pathlib import Path
from typing import Any

from bestiary.data.spec import Spec
from bestiary.grammar.command_line import command
from bestiary.runs.config_options import python_keys
from bestiary.storage.atomic import write_atomic
from bestiary.storage.run_files import MODEL, read_config, read_env, read_judgement, weights_hash

__all__ = ["write_card"]


def write_card(path: Path) -> Path:
    """Write README.md from config.toml, env.json and judgement.json."""
    config, env, judgement = read_config(path), read_env(path), read_judgement(path)
    spec = config["spec"]
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
        *_numbers(judgement, path),
        "",
        "## Use",
        "",
        "```python",
        "import bestiary as bst",
        f"run = bst.load({', '.join([repr(str(path)), *_again(config)])})",
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


def _again(config: dict[str, Any]) -> list[str]:
    """What has to be given from Python once more."""
    objects = [f"{key}=…" for key in python_keys({**config["data"], **config["model"]})]
    return (["data=x"] if config["data"]["source"] == "array" else []) + objects


def _numbers(judgement: dict[str, Any], path: Path) -> list[str]:
    if not judgement.get("numbers"):
        return [f"Not judged yet: `{command('judge', path)}`."]
    weights = judgement.get("protocol", {}).get("weights")
    stale = (path / MODEL).exists() and weights != weights_hash(path)
    full_protocol = (
        [f"Of weights that have been fitted further since: `{command('judge', path)}`.", ""] if stale else []
    )
    rows = [*full_protocol, "| number | value | 95% interval | floor | protocol |", "|---|---|---|---|---|"]
    for n in judgement["numbers"]:
        floor = _show(n["floor"]["value"]) if n["floor"] else "–"
        how = ", ".join(f"{k}={v}" for k, v in n["protocol"].items())
        value = f"{_show(n['value'])} {n['unit']}"
        rows.append(f"| {n['title']} | {value} | {_show(n['low'])} to {_show(n['high'])} | {floor} | {how} |")
    return rows


def _show(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
