"""The verbs fit, sample, judge, report and demo: each parses its words, calls the library and prints the result.

With `as_json` a verb prints one JSON value and nothing else; otherwise it prints text, then the commands to type next.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bestiary.cli.console import dim, next_steps, print_error, print_json, print_lines, table
from bestiary.cli.judgement_table import show_beside, show_judgement
from bestiary.cli.listing_verbs import data_notes, sentence
from bestiary.errors import BestiaryError
from bestiary.grammar.command_line import parse_words, route
from bestiary.grammar.signatures import signature_options
from bestiary.grammar.values import value_text
from bestiary.storage.run_files import read_env, read_judgement

__all__ = ["demo", "fit", "judge", "report", "sample", "version"]


def version() -> None:
    """`bestiary --version`."""
    from bestiary.version import __version__

    print_lines(f"bestiary {__version__}")


# ------------------------------------------------------------------------- fit


def _leading_words(line: Sequence[str], most: int) -> tuple[list[str], list[str]]:
    """The words before the first key=value, at most `most`, and the rest. The name of a file may hold a `=`."""
    count = 0
    while count < min(most, len(line)) and not line[count].startswith("-"):
        if "=" in line[count] and not Path(line[count]).exists():
            break
        count += 1
    return list(line[:count]), list(line[count:])


def fit(
    line: Sequence[str],
    flags: Sequence[str],
    dry_run: bool,
    as_json: bool,
    settings: Mapping[str, Any],
    argv: Sequence[str],
) -> None:
    """`bestiary fit DATA MODEL key=value …`, or `bestiary fit --resume RUN`.

    `settings` are the values of the flags, by the names that the library gives them; `argv` is the whole command line,
    which is given to torchrun where there are several processes.
    """
    leading, key_words = _leading_words(line, 2)
    options = _check_keys(parse_words(key_words, flags), settings)
    if leading and settings["resume"]:
        raise BestiaryError(f"--resume takes DATA and MODEL from the run: leave out `{shlex.join(leading)}`")
    if len(leading) < 2 and not settings["resume"]:
        raise BestiaryError(_missing_words(leading, key_words))
    source: Any = leading[0] if leading else None
    model = leading[1] if leading else None
    if dry_run:
        return _dry_run(source, model, options, settings["device"], as_json)
    from bestiary.runs.fit import fit as fit_run
    from bestiary.training.parallel import launch, under_torchrun

    quiet = settings["quiet"] or as_json
    if not under_torchrun():  # a mistake is found here, once, and not by each process
        plan = _prepare(source, model, options, settings, quiet)
        if settings["nproc"] > 1:
            launch(_drop_flag("--nproc", argv), settings["nproc"])
        source, model, options = (plan, None, {}) if plan else (source, model, options)
    run = fit_run(source, model, **{**settings, "quiet": quiet}, **options)
    if os.environ.get("RANK", "0") != "0":
        return None
    if as_json:
        return print_json({"run": str(run.path), "env": read_env(run.path), "signs": run.signs})
    return _show_fit(run)


def _show_fit(run: Any) -> None:
    """Print where the run is, what went wrong while it was fitted, and the commands to type next."""
    from bestiary.models.model import Samples
    from bestiary.runs.progress import duration

    path, env, config = _short_path(run.path), read_env(run.path), run.config
    time = duration(max(1, env["seconds"]))
    ending = f"{env['round']:,} rounds in {time}, {env['why']}"
    print_lines(f"Fitted {config['model']['name']} to {config['data']['source']}: {ending}. The run is in {path}.", "")
    for sign in run.signs:
        remedies = (f"  {remedy['says']}: {remedy['command']}" for remedy in sign["remedies"])
        print_lines(f"warning: {sign['says']}", *remedies, "")
    sample = [f"bestiary sample {path} n=64"] if isinstance(run.model, Samples) else []
    return next_steps(f"bestiary judge {path}", *sample, f"bestiary report {path} --open")


def _drop_flag(flag: str, argv: Sequence[str]) -> list[str]:
    """The command line without a flag and its value: torchrun would read `--nproc` as a flag of its own."""
    previous = ("", *argv)
    return [word for last, word in zip(previous, argv, strict=False) if last != flag and word.partition("=")[0] != flag]


def _check_keys(options: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options. Raises BestiaryError where one is a flag without its dashes, or DATA or MODEL."""
    for key, value in options.items():
        if key in settings:
            flag = {"root": "runs", "start": "from"}.get(key, key.replace("_", "-"))
            raise BestiaryError(f"`{key}` is a flag: write --{flag} {shlex.quote(value)}")
        if key in ("data", "model"):
            raise BestiaryError(f"DATA and MODEL are the first two words: leave out `{key}=` and write {value}")
    return dict(options)


def _prepare(
    source: str | None, model: str | None, options: Mapping[str, str], settings: Mapping[str, Any], quiet: bool
) -> Any:
    """The complete plan of a new run, printed unless quiet; None for a run that is resumed.

    Raises BestiaryError for any mistake that can be found before the run starts.
    """
    from bestiary.data.load import describe
    from bestiary.runs.run_folder import find_run
    from bestiary.training.device import choose_device

    if source is None or model is None:
        choose_device(settings["device"])
        find_run(settings["resume"], settings["root"])
        return None
    plan, _ = _complete_plan(source, model, options, settings["device"], settings["nproc"])
    if not quiet:
        about = describe(plan.dataset)
        print_lines(f"Fitting {plan.model} to {sentence(about)}, for {plan.recipe.steps:,} rounds.")
        print_lines(*data_notes(source, about))
        if plan.inferred:
            print_lines("", "Options that were left open:")
            table((f"  {key}={value_text(option.value)}", option.reason) for key, option in plan.inferred.items())
        print_lines("", "The same fit with every option written out:", f"  {plan.command}", "")
    return plan


def _complete_plan(
    source: str, model: str, options: Mapping[str, object], device: str, processes: int = 1
) -> tuple[Any, Any]:
    """A plan in which nothing is left to infer, and its model."""
    from bestiary.models.zoo import build
    from bestiary.runs.plan import check_batch_and_steps, plan, with_machine_options
    from bestiary.training.device import choose_device

    open_plan = plan(source, model, options)
    model_object = build(open_plan.model, open_plan.dataset.spec, **open_plan.model_options)
    check_batch_and_steps(model_object, open_plan.recipe)
    return with_machine_options(open_plan, choose_device(device), model_object.size, processes), model_object


def _missing_words(leading: Sequence[str], key_words: Sequence[str]) -> str:
    """The error where DATA or MODEL is missing."""
    lists = "`bestiary data` and `bestiary models` list the names"
    if not leading:
        return f"fit needs DATA and MODEL before any key=value, for example bestiary fit digits vae; {lists}"
    example = shlex.join([leading[0], "vae", *key_words])
    return f"fit needs a MODEL after {leading[0]}, for example bestiary fit {example}; {lists}"


def _dry_run(source: str | None, model: str | None, options: Mapping[str, object], device: str, as_json: bool) -> None:
    """Print the plan of a new run; nothing is started."""
    if source is None or model is None:
        raise BestiaryError("--dry-run shows the plan of a new run; the plan of an old one is in its config.toml")
    from bestiary.data.load import describe

    plan, model_object = _complete_plan(source, model, options, device)
    sizes = {player.name: sum(weights.numel() for weights in player.parameters) for player in model_object.players()}
    if as_json:
        return print_json(plan.config() | {"parameters": sizes})
    about = describe(plan.dataset)
    print_lines(f"This would fit {plan.model} to {sentence(about)}.", *data_notes(source, about), "")
    rows = [("parameters", ", ".join(f"{name} {size:,}" for name, size in sizes.items()), "")]
    for section in (plan.data_options, plan.model_options, plan.recipe.to_dict()):
        rows += [(key, value_text(value), _reason(plan.inferred, key)) for key, value in section.items()]
    table(rows, ("option", "value", "reason, where it was inferred"))
    print_lines("", "The same fit with every option written out:", f"  {plan.command}")
    return print_lines("", dim("nothing was started: leave out --dry-run"))


def _reason(inferred: Mapping[str, Any], key: str) -> str:
    return inferred[key].reason if key in inferred else ""


# ------------------------------------------------------------------------- runs


def _open_run(name: str, root: str, device: str = "cpu") -> Any:
    from bestiary.run import Run
    from bestiary.runs.run_folder import find_run
    from bestiary.training.device import choose_device

    return Run(find_run(name, root), device=str(choose_device(device)))


def _short_path(path: Path) -> str:
    """A path as one types it: relative to the current folder where it lies below it, and quoted."""
    folder = Path.cwd()
    return shlex.quote(str(path.relative_to(folder) if path.is_relative_to(folder) else path))


def sample(
    name: str, line: Sequence[str], flags: Sequence[str], out: str | None, as_json: bool, root: str, device: str
) -> None:
    """`bestiary sample RUN key=value … --out FILE`: draw samples and write them."""
    from bestiary.runs.sample_files import write_samples
    from bestiary.runs.sample_or_walk import sample_or_walk

    options = {"n": 64, "seed": 0} | route(parse_words(line, flags), {"sample": sample_or_walk})["sample"]
    run, n, seed = _open_run(name, root, device), options["n"], options["seed"]
    further = {key: value for key, value in options.items() if key not in ("n", "seed") and value is not None}
    stem = "-".join([f"n{n}", f"seed{seed}", *(f"{key}-{value}" for key, value in further.items())])
    file = Path(out) if out else run.path / "samples" / f"{stem}.png"
    path = write_samples(file, sample_or_walk(run, **options), run.spec)
    if as_json:
        return print_json({"run": str(run.path), "n": n, "seed": seed, **further, "out": str(path)})
    option_text = ", ".join(f"{key}={value}" for key, value in ({"seed": seed} | further).items())
    print_lines(f"Wrote {n:,} samples of {_short_path(run.path)} ({option_text}) to {_short_path(path)}.")
    return next_steps(f"bestiary judge {_short_path(run.path)}")


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
    leading, key_words = _leading_words(line, 0 if real else 1)
    if real and fake:
        judgement = _judge_samples([real, fake, *([held] if held else [])], parse_words(key_words, flags), device)
        steps = []
    else:
        run = _open_run(leading[0] if leading else "latest", root, device)
        judge_options = signature_options(run.judge)
        judge_options.pop("quiet")
        judgement = run.judge(**route(parse_words(key_words, flags), {"judge": judge_options})["judge"], quiet=as_json)
        steps = [f"bestiary report {_short_path(run.path)} --open"]
    if as_json:
        return print_json(judgement.to_dict())
    show_judgement(judgement.to_dict())
    return next_steps(*steps) if steps else None


def _judge_samples(sides: Sequence[str], options: Mapping[str, str], device: str) -> Any:
    """Judge samples against data: options of loading go to every set, the others to the judge."""
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
    """`bestiary report [RUN …]`: write a page about each run, and for several runs one that compares them."""
    from bestiary.report import write_comparison

    runs = [_open_run(name, root) for name in names]
    pages = [run.report() for run in runs]
    if len(pages) > 1:
        pages.append(write_comparison([run.path for run in runs], Path(root) / "comparison.html"))
    page = pages[-1]
    print_json({"pages": [str(p) for p in pages]}) if as_json else print_lines(*map(str, pages))
    if show:
        import webbrowser

        if not webbrowser.open(page.resolve().as_uri()):
            print_error(f"no browser was found: open {page.resolve()} yourself")


def demo(as_json: bool, quiet: bool, root: str) -> None:
    """`bestiary demo`: fit, judge and report two models of digits, and print their numbers side by side."""
    from bestiary.demonstration import demo as run_demo

    runs = run_demo(root=root, quiet=quiet or as_json)
    if as_json:
        return print_json([{"run": str(run.path), "judgement": read_judgement(run.path)} for run in runs])
    for run in runs:
        print_lines("", f"{run.path}: {run.config['command']}")
    print_lines("")
    show_beside({run.name: {"numbers": []} | read_judgement(run.path) for run in runs})
    first = _short_path(runs[0].path)
    print_lines("", f"Open {Path(root) / 'demo.html'} for the page about both, with the protocol of every number.")
    return next_steps(f"bestiary report {first} --open", f"bestiary sample {first} n=64", "bestiary fit photos/ dcgan")
