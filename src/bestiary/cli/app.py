"""The command line: `bestiary VERB DATA MODEL key=value …`.

Keys say what to run (`runs.grammar`), flags how to run it. This file only declares verbs and flags; what
a verb does is a function of its name in `verbs` or `lists`, imported when it is called: help is quick.
"""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bestiary.errors import unknown

__all__ = ["app", "main"]


class _Verbs(TyperGroup):
    """Answers a misspelt verb with the nearest one."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is None and not ctx.resilient_parsing and not cmd_name.startswith("-"):
            raise unknown("verb", cmd_name, self.commands)
        return command


ABOUT = "Deep generative models, fitted, sampled, judged and diagnosed the same way."

EXAMPLES = """\b
Examples:
  bestiary demo                                     fit two models, judge them, open the report
  bestiary fit digits vae latent=10 steps=2000      DATA MODEL key=value …
  bestiary judge latest                             how good the newest run is

\b
More: bestiary VERB --help, bestiary models, bestiary data
"""

FIT = """\b
The keys used most (bestiary models MODEL shows every one):
  steps=2000        rounds to play, or epochs=20; inferred from the data if left out
  batch=128         examples in a batch
  seed=0            same seed, same numbers
  precision=auto    of the networks: fp32, bf16 or auto
  patience=5        stop after 5 validations without a better bound
  average=0.999     sample from an average of the weights
\b
Examples:
  bestiary fit digits vae latent=10
  bestiary fit photos/ dcgan steps=20k --time-limit 30m
  bestiary fit table.csv vae --dry-run
  bestiary fit --resume latest
"""

JUDGE = """\b
The keys:
  n=1000            examples, and samples, to judge with
  k=100             draws of z for the importance-weighted bound
  split=test        the part of the data: test, validation or train
  features=auto     where sets are compared: pixels, random, mnist, labels (of a run), or a file of weights
  tests=all         of samples against data: all, fast or none
  space=pixels      where distances are taken: pixels, or latent
  seed=0            same seed, same numbers
\b
Examples:
  bestiary judge latest
  bestiary judge digits-vae k=500 n=1000
  bestiary judge --real train/ --fake fake/ --held test/ n=5000     n, features, tests and seed; n=10000 if left out
  bestiary judge --real photos/ --fake generated/     samples from any program
"""

SAMPLE = """\b
The keys:
  n=64              how many
  seed=0            same seed, same samples
  truncation=none   the largest |z| in any dimension: smaller is more typical, less varied
  walk=none         linear or spherical: each row of 8 leads from one sample to the next
  condition=none    of a model that is told one: cat, or cat,dog, or species:setosa,petal_length:1.2, or 3.0,0.1
\b
Examples:
  bestiary sample latest n=64 --out samples.png
  bestiary sample latest n=64 truncation=0.7
  bestiary sample latest n=40 walk=spherical --out walk.png
  bestiary sample latest n=10k seed=1 --out samples.npz
  bestiary sample table-vae n=1000 --out table.csv
"""

KEYS = {"ignore_unknown_options": True}  # `--steps 2000` reaches the grammar, which says to write steps=2000

app = typer.Typer(
    name="bestiary",
    cls=_Verbs,
    help=ABOUT,
    epilog=EXAMPLES,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Words = Annotated[list[str] | None, typer.Argument(metavar="[key=value]", hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else on stdout.")]
Runs = Annotated[str, typer.Option("--runs", metavar="DIR", help="The folder of all runs.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def _flags(context: typer.Context) -> list[str]:
    return [flag for parameter in context.command.params for flag in parameter.opts if flag.startswith("--")]


def _version(asked: bool) -> None:
    if asked:
        from bestiary.cli import run_verbs

        run_verbs.version()
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(context_settings=KEYS, epilog=FIT)
def fit(
    context: typer.Context,
    line: Annotated[list[str] | None, typer.Argument(metavar="DATA MODEL [key=value]", hidden=True)] = None,
    name: Annotated[str | None, typer.Option(help="Of the run folder; by default DATA-MODEL.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run; DATA MODEL are known.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="RUN", help="Begin from the weights of a run.")] = None,
    device: Device = "auto",
    nproc: Annotated[int, typer.Option(min=1, help="Processes that share the batch.")] = 1,
    parallel: Annotated[str, typer.Option(metavar="ddp|fsdp", help="How several processes share a model.")] = "ddp",
    eager: Annotated[bool, typer.Option("--eager", help="On CUDA: play turns one by one, without graphs.")] = False,
    time_limit: Annotated[str | None, typer.Option(metavar="5m", help="Save and stop after: 90s, 5m, 2h.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and start nothing.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    runs: Runs = "runs",
) -> None:
    """Fit a model to data.

    DATA is a name (digits, ring), a folder or zip of images, an array or a table; MODEL is a name.
    """
    from bestiary.cli import run_verbs

    how = {
        "name": name,
        "root": runs,
        "resume": resume,
        "start": start,
        "device": device,
        "nproc": nproc,
        "parallel": parallel,
        "graphs": not eager,
    }
    run_verbs.fit(
        line or [], _flags(context), dry_run, as_json, how | {"time_limit": time_limit, "quiet": quiet}, context.obj
    )


@app.command(context_settings=KEYS, epilog=SAMPLE)
def sample(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A name in runs/, a path, or latest.")],
    words: Words = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help=".png .npy .npz .csv, or a folder/")] = None,
    device: Device = "auto",
    as_json: Json = False,
    runs: Runs = "runs",
) -> None:
    """Draw samples from a run."""
    from bestiary.cli import run_verbs

    run_verbs.sample(run, words or [], _flags(context), out, as_json, runs, device)


@app.command(context_settings=KEYS, epilog=JUDGE)
def judge(
    context: typer.Context,
    line: Annotated[list[str] | None, typer.Argument(metavar="RUN [key=value]", hidden=True)] = None,
    real: Annotated[str | None, typer.Option(metavar="DATA", help="Real examples: a folder, an array, a name.")] = None,
    fake: Annotated[str | None, typer.Option(metavar="DATA", help="Samples to judge against them.")] = None,
    held: Annotated[str | None, typer.Option(metavar="DATA", help="More real data, unknown to their maker.")] = None,
    device: Device = "auto",
    as_json: Json = False,
    runs: Runs = "runs",
) -> None:
    """Measure how good a run is.

    Every number comes with its protocol and an interval. --real and --fake judge samples from any program.
    """
    from bestiary.cli import run_verbs

    run_verbs.judge(line or [], _flags(context), (real, fake, held), as_json, runs, device)


@app.command()
def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN", help="latest if left out.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
    runs: Runs = "runs",
) -> None:
    """Write a page about a run.

    Several runs get a page that compares them.
    """
    from bestiary.cli import run_verbs

    run_verbs.report(names or ["latest"], show, as_json, runs)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Show all its options.")] = None,
    as_json: Json = False,
) -> None:
    """List the models, or all options of one."""
    from bestiary.cli import listing_verbs

    listing_verbs.models(name, as_json)


@app.command(context_settings=KEYS)
def data(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[DATA]", help="A name, a folder, a file.")] = None,
    words: Words = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch it if it is not here.")] = False,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Where to put the picture.")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, or show one with a picture."""
    from bestiary.cli import listing_verbs

    listing_verbs.data(name, words or [], _flags(context), download, out, as_json)


@app.command()
def demo(as_json: Json = False, quiet: Quiet = False, runs: Runs = "runs") -> None:
    """Fit, judge and report two models, in a minute.

    A VAE and a GAN on digits: nothing is downloaded.
    """
    from bestiary.cli import run_verbs

    run_verbs.demo(as_json, quiet, runs)


@app.command()
def doctor(as_json: Json = False, runs: Runs = "runs") -> None:
    """Check this installation.

    Devices, precision, disk, data, and what is missing for which extra.
    """
    from bestiary.cli import listing_verbs

    listing_verbs.doctor(as_json, runs)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code. Errors are explained, never thrown at the person who typed."""
    from bestiary.cli.console import guard

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show − or ≥ gets ?, not a crash
            stream.reconfigure(errors="replace")
    typed = list(sys.argv[1:] if args is None else args)
    command = typer.main.get_command(app)
    return guard(lambda: command.main(typed, prog_name="bestiary", obj=typed))
