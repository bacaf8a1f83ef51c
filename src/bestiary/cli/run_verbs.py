"""What the verbs that make and read runs do: read the words, call the library, show what it gives.

Each verb takes its words and flags as the command line read them. With `as_json` it prints one JSON value and
nothing else; without, what a person wants to see and then what to type next.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bestiary.cli.console import dim, next_steps, say, say_json, table, warn
from bestiary.cli.judgement_table import show_beside, show_judgement
from bestiary.cli.listing_verbs import sentence
from bestiary.errors import BestiaryError
from bestiary.grammar.command_line import route, words
from bestiary.grammar.options import signature_options
from bestiary.grammar.values import text
from bestiary.storage.run_files import read_env, read_judgement

__all__ = ["demo", "fit", "judge", "report", "sample", "version"]


def version() -> None:
    """`bestiary --version`."""
    from bestiary.version import __version__

    say(f"bestiary {__version__}")


# ------------------------------------------------------------------------- fit


def _bare(line: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """The words before the first key=value, at most so many, and the rest. A path may hold a `=`."""
    taken = 0
    while taken < min(most, len(line)) and not line[taken].startswith("-"):
        if "=" in line[taken] and not Path(line[taken]).exists():
            break
        taken += 1
    return list(line[:taken]), list(line[taken:])


def fit(
    line: Sequence[str],
    flags: Sequence[str],
    dry_run: bool,
    as_json: bool,
    how: Mapping[str, Any],
    typed: Sequence[str],
) -> None:
    """`bestiary fit DATA MODEL key=value …`, or `--resume RUN` with neither. `typed`: the line, for torchrun."""
    bare, rest = _bare(line, 2)
    options = _keys(words(rest, flags), how)
    if bare and how["resume"]:
        raise BestiaryError(f"--resume knows DATA and MODEL from the run: leave out `{shlex.join(bare)}`")
    if len(bare) < 2 and not how["resume"]:
        raise BestiaryError(_half(bare, rest))
    source: Any = bare[0] if bare else None
    model = bare[1] if bare else None
    if dry_run:
        return _dry_run(source, model, options, how["device"], as_json)
    from bestiary.runs.fit import fit as play
    from bestiary.training.parallel import launch, under_torchrun

    quiet = how["quiet"] or as_json
    if not under_torchrun():  # a slip is found here, once, rather than by each process
        made = _prepare(source, model, options, how, quiet)
        if how["nproc"] > 1:
            launch(_without("--nproc", typed), how["nproc"])
        source, model, options = (made, None, {}) if made else (source, model, options)
    run = play(source, model, **{**how, "quiet": quiet}, **options)
    if os.environ.get("RANK", "0") != "0":
        return None
    if as_json:
        return say_json({"run": str(run.path), "env": read_env(run.path), "signs": run.signs})
    path = _name(run.path)
    from bestiary.models.model import Samples

    for sign in run.signs:
        say(f"sign: {sign['says']}", *(f"  {r['says']}: {r['command']}" for r in sign["remedies"]), "")
    sample = [f"bestiary sample {path} n=64"] if isinstance(run.model, Samples) else []
    return next_steps(f"bestiary judge {path}", *sample, f"bestiary report {path}")


def _without(flag: str, typed: Sequence[str]) -> list[str]:
    """The line without a flag and its value: torchrun would take `--nproc` for one of its own."""
    before = ("", *typed)
    return [word for last, word in zip(before, typed, strict=False) if last != flag and word.partition("=")[0] != flag]


def _keys(options: Mapping[str, str], how: Mapping[str, Any]) -> dict[str, Any]:
    """The options, none of which is a flag without its dashes."""
    for key, value in options.items():
        if key in how:
            flag = {"root": "runs", "start": "from"}.get(key, key.replace("_", "-"))
            raise BestiaryError(f"`{key}` says how to run, not what: write --{flag} {shlex.quote(value)}")
        if key in ("data", "model"):
            raise BestiaryError(f"DATA and MODEL are the first two words: leave out `{key}=` and write {value}")
    return dict(options)


def _prepare(
    source: str | None, model: str | None, options: Mapping[str, str], how: Mapping[str, Any], quiet: bool
) -> Any:
    """The plan of a new run: what can be checked is checked before anything is started, what was inferred is said."""
    from bestiary.data.load import describe
    from bestiary.runs.run_folder import find
    from bestiary.training.device import choose_device

    if source is None or model is None:
        choose_device(how["device"])
        find(how["resume"], how["root"])
        return None
    made, _ = _planned(source, model, options, how["device"])
    if not quiet:
        say(sentence(describe(made.dataset)))
        table((f"  {key}={text(found.value)}", found.reason) for key, found in made.inferred.items())
        say(made.command, "")
    return made


def _planned(source: str, model: str, options: Mapping[str, object], device: str) -> tuple[Any, Any]:
    """A plan with nothing left to inference, and the model that it is of."""
    from bestiary.models.zoo import build
    from bestiary.runs.plan import fits_training, plan, settled
    from bestiary.training.device import choose_device

    where = choose_device(device)
    made = plan(source, model, options)
    beast = build(made.model, made.dataset.spec, **made.model_options)
    fits_training(beast, made.recipe)
    return settled(made, where, beast.size), beast


def _half(bare: Sequence[str], rest: Sequence[str]) -> str:
    """DATA or MODEL is missing."""
    lists = "`bestiary data` and `bestiary models` list what there is"
    if not bare:
        return f"fit needs DATA and MODEL before any key=value, e.g. bestiary fit digits vae; {lists}"
    return f"fit needs a MODEL after {bare[0]}, e.g. bestiary fit {shlex.join([bare[0], 'vae', *rest])}; {lists}"


def _dry_run(source: str | None, model: str | None, options: Mapping[str, object], device: str, as_json: bool) -> None:
    """What a fit would do; nothing is started."""
    if source is None or model is None:
        raise BestiaryError("--dry-run plans a new run; a run that is resumed has its plan in its config.toml")
    from bestiary.data.load import describe

    made, beast = _planned(source, model, options, device)
    sizes = {player.name: sum(weights.numel() for weights in player.parameters) for player in beast.players()}
    if as_json:
        return say_json(made.config() | {"parameters": sizes})
    say(sentence(describe(made.dataset)), "")
    rows = [("parameters", ", ".join(f"{name} {size:,}" for name, size in sizes.items()), "")]
    for options in (made.data_options, made.model_options, made.recipe.to_dict()):
        rows += [(key, text(v), _reason(made.inferred, key)) for key, v in options.items()]
    table(rows, ("", made.model, "why, where it was inferred"))
    return say("", made.command, "", dim("nothing was started: leave out --dry-run"))


def _reason(inferred: Mapping[str, Any], key: str) -> str:
    return inferred[key].reason if key in inferred else ""


# ------------------------------------------------------------------------- runs


def _run(name: str, root: str, device: str = "cpu") -> Any:
    from bestiary.run import Run
    from bestiary.runs.run_folder import find
    from bestiary.training.device import choose_device

    return Run(find(name, root), device=str(choose_device(device)))


def _name(path: Path) -> str:
    """A path as one types it from here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def sample(
    name: str, line: Sequence[str], flags: Sequence[str], out: str | None, as_json: bool, root: str, device: str
) -> None:
    """`bestiary sample RUN n=64 seed=0 --out FILE`, and `truncation=`, `walk=`, `condition=` among the keys."""
    from bestiary.runs.sample_files import write_samples
    from bestiary.runs.walk_pictures import sampled

    how = {"n": 64, "seed": 0} | route(words(line, flags), {"sample": sampled})["sample"]
    run, n, seed = _run(name, root, device), how["n"], how["seed"]
    more = {key: value for key, value in how.items() if key not in ("n", "seed") and value is not None}
    stem = "-".join([f"n{n}", f"seed{seed}", *(f"{key}-{value}" for key, value in more.items())])
    file = Path(out) if out else run.path / "samples" / f"{stem}.png"
    written = write_samples(file, sampled(run, **how), run.spec)
    if as_json:
        return say_json({"run": str(run.path), "n": n, "seed": seed, **more, "out": str(written)})
    said = ", ".join(f"{key}={value}" for key, value in ({"seed": seed} | more).items())
    say(f"{n} samples of {_name(run.path)} ({said}) are in {_name(written)}")
    return next_steps(f"bestiary judge {_name(run.path)}")


def judge(
    line: Sequence[str],
    flags: Sequence[str],
    sides: tuple[str | None, str | None, str | None],
    as_json: bool,
    root: str,
    device: str,
) -> None:
    """`bestiary judge RUN key=value …` or `bestiary judge --real A --fake B [--held C] key=value …`."""
    real, fake, held = sides
    if (real is None) != (fake is None) or (held and not real):
        raise BestiaryError("--real and --fake go together, perhaps with --held: --real DATA --fake SAMPLES")
    bare, rest = _bare(line, 0 if real else 1)
    if real and fake:
        made, steps = _judge_samples([real, fake, *([held] if held else [])], words(rest, flags), device), []
    else:
        run = _run(bare[0] if bare else "latest", root, device)
        known = signature_options(run.judge)
        known.pop("quiet")
        made = run.judge(**route(words(rest, flags), {"judge": known})["judge"], quiet=as_json)
        steps = [f"bestiary report {_name(run.path)} --open"]
    found = made.to_dict()
    if as_json:
        return say_json(found)
    show_judgement(found)
    return next_steps(*steps) if steps else None


def _judge_samples(sides: Sequence[str], options: Mapping[str, str], device: str) -> Any:
    """Options of loading go to all sides, the others to the judge."""
    from bestiary.data.load import loader
    from bestiary.judging.two_sets import judge_samples
    from bestiary.training.device import choose_device

    loading = {key: value for side in sides for key, value in signature_options(loader(side)).items()}
    judging = signature_options(judge_samples)
    for key in ("held", "device"):
        judging.pop(key)
    routed = route(options, {"data": loading, "judge": judging})
    held = sides[2] if len(sides) > 2 else None
    return judge_samples(
        sides[0], sides[1], held=held, device=choose_device(device), **(routed["data"] | routed["judge"])
    )


def report(names: Sequence[str], show: bool, as_json: bool, root: str) -> None:
    """`bestiary report [RUN …]`: one page, or one that compares several runs."""
    from bestiary.report import write_comparison

    runs = [_run(name, root) for name in names]
    pages = [run.report() for run in runs]
    if len(pages) > 1:
        pages.append(write_comparison([run.path for run in runs], Path(root) / "comparison.html"))
    page = pages[-1]
    say_json({"pages": [str(p) for p in pages]}) if as_json else say(*map(str, pages))
    if show:
        import webbrowser

        if not webbrowser.open(page.resolve().as_uri()):
            warn(f"no browser was found: open {page.resolve()} yourself")


def demo(as_json: bool, quiet: bool, root: str) -> None:
    """`bestiary demo`."""
    from bestiary.demonstration import demo as play

    runs = play(root=root, quiet=quiet or as_json)
    if as_json:
        return say_json([{"run": str(run.path), "judgement": read_judgement(run.path)} for run in runs])
    for run in runs:
        say("", f"{run.path}: {run.config['command']}")
    say("")
    show_beside({run.name: {"numbers": []} | read_judgement(run.path) for run in runs})
    first = _name(runs[0].path)
    say("", f"The page about both, with the protocol of every number: {Path(root) / 'demo.html'}")
    return next_steps(f"bestiary report {first} --open", f"bestiary sample {first} n=64", "bestiary fit photos/ dcgan")
