"""The verbs and flags of the command line: `bestiary VERB DATA MODEL key=value …`.

This file only declares verbs, flags and help texts. What a verb does is a function of its name in `run_verbs` or
`listing_verbs`, imported when the verb is called, so that help is quick. Keys are parsed by `grammar/command_line.py`.
"""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bestiary.errors import unknown_name

__all__ = ["app", "main"]


class _Verbs(TyperGroup):
    """The group of verbs: a misspelt verb is answered with the nearest one."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is None and not ctx.resilient_parsing and not cmd_name.startswith("-"):
            raise unknown_name("verb", cmd_name, self.commands)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, command.get_short_help_str(80)) for name, command in self.commands.items()])


USAGE = {
    "fit": "DATA MODEL [key=value …] [OPTIONS]",
    "sample": "RUN [key=value …] [OPTIONS]",
    "judge": "[RUN] [key=value …] [OPTIONS]",
    "report": "[RUN …] [OPTIONS]",
    "models": "[MODEL] [OPTIONS]",
    "data": "[DATA] [key=value …] [OPTIONS]",
}


class _Verb(TyperCommand):
    """A verb, whose usage line is that of `USAGE`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [USAGE.get(str(self.name), "[OPTIONS]")]


ABOUT = """Fit generative models to images, arrays or tables, draw samples, and measure how good they are.

\b
With a folder of photos:
  bestiary fit photos/ dcgan                  fit a GAN; the run is written to runs/photos-dcgan
  bestiary sample latest --out samples.png    draw 64 new photos
  bestiary judge latest                       how real they are, what is missing, what was copied
  bestiary report latest --open               all of that on a page, with pictures

\b
With no data at hand:
  bestiary demo                               fit, judge and compare two models, in a minute
"""

MORE = """\b
More: bestiary VERB --help, bestiary models, bestiary data
"""

FIT = """\b
The keys used most (bestiary models MODEL shows every one, bestiary data --help those of the data):
  steps=2000        rounds to play, or epochs=20; inferred from the data if left out
  batch=128         examples in a batch
  seed=0            same seed, same numbers
  precision=auto    of the networks: fp32, bf16 or auto
  patience=5        stop after 5 validations without a better bound
  average=0.999     sample from an average of the weights
\b
Examples:
  bestiary fit digits vae latent=10
  bestiary fit photos/ dcgan size=64 steps=20k --time-limit 30m
  bestiary fit table.csv vae --dry-run
  bestiary fit --resume latest
"""

JUDGE = """\b
The keys:
  n=1000            examples of the data, and samples, to compare
  k=100             draws of z for each example in the importance-weighted bound
  split=test        the part of the data to judge on: test, validation or train
  features=auto     where sets are compared: pixels, random, mnist, labels (of a run), or a file of weights
  tests=all         tests of samples against data: all, fast or none
  space=pixels      where distances to neighbours are measured: pixels or latent
  seed=0            same seed, same numbers
\b
Examples:
  bestiary judge latest
  bestiary judge digits-vae k=500 n=1000
  bestiary judge --real photos/ --fake generated/     samples from any program; n=10000 if left out
  bestiary judge --real train/ --fake fake/ --held test/ n=5000     says also whether they copy train/
"""

SAMPLE = """\b
The keys:
  n=64              the number of samples
  seed=0            same seed, same samples
  truncation=none   the largest |z| in any dimension, such as 0.7: smaller is more typical, less varied
  walk=none         linear or spherical: each row of 8 is a path from one sample to the next
  condition=none    of a model with condition=: cat, or cat,dog, or species:setosa,petal_length:1.2, or 3.0,0.1
\b
Examples:
  bestiary sample latest n=64 --out samples.png
  bestiary sample latest n=64 truncation=0.7
  bestiary sample latest n=40 walk=spherical --out walk.png
  bestiary sample latest n=10k seed=1 --out samples.npz
  bestiary sample table-vae n=1000 --out table.csv
"""

DATA = """\b
The keys, for fit and for data:
  size=64 colour=grey                     of images: pixels of a side; auto, grey or rgb
  layout=picture shape=28x28              of an array: picture, row, grid or tokens; the shape of each row
  drop=id categories=code missing=mean    of a table: columns to leave out, columns of words, how gaps are filled
  label=NAME caption=NAME numbers=NAME    columns or files that give the label, the text, numbers of each example
  validation=0.1 test=0.1 split_seed=0    the shares that are held out
\b
Examples:
  bestiary data                           every named set, and where it is
  bestiary data photos/ size=64           what is read from a folder, with a picture
  bestiary data mnist --download
"""

KEYS = {"ignore_unknown_options": True}  # `--steps 2000` reaches the grammar, which says to write steps=2000

app = typer.Typer(
    name="bestiary",
    cls=_Verbs,
    help=ABOUT,
    epilog=MORE,
    subcommand_metavar="VERB …",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Words = Annotated[list[str] | None, typer.Argument(metavar="[key=value]", hidden=True)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else on stdout.")]
Runs = Annotated[str, typer.Option("--runs", metavar="DIR", help="The folder of all runs.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]


def _flags(context: typer.Context) -> list[str]:
    return [flag for parameter in context.command.params for flag in parameter.opts if flag.startswith("--")]


def _version(is_given: bool) -> None:
    if is_given:
        from bestiary.cli import run_verbs

        run_verbs.version()
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(cls=_Verb, context_settings=KEYS, epilog=FIT)
def fit(
    context: typer.Context,
    line: Annotated[list[str] | None, typer.Argument(metavar="DATA MODEL [key=value]", hidden=True)] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the run folder; DATA-MODEL if left out.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue a run: give no DATA MODEL.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="RUN", help="Start from the weights of a run.")] = None,
    device: Device = "auto",
    nproc: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that share each batch.")] = 1,
    parallel: Annotated[
        str, typer.Option(metavar="ddp|fsdp", help="ddp copies the model to each process, fsdp splits it.")
    ] = "ddp",
    eager: Annotated[bool, typer.Option("--eager", help="On CUDA: no captured graphs; slower.")] = False,
    time_limit: Annotated[str | None, typer.Option(metavar="TIME", help="Save and stop after 90s, 5m or 2h.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and start nothing.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    runs: Runs = "runs",
) -> None:
    """Fit a model to data.

    DATA is a folder or zip of images, a file (.npy, .npz, .csv, .parquet), or a name that `bestiary data` lists.
    MODEL is a name that `bestiary models` lists, such as dcgan for images or vae for anything.
    """
    from bestiary.cli import run_verbs

    settings = {
        "name": name,
        "root": runs,
        "resume": resume,
        "start": start,
        "device": device,
        "nproc": nproc,
        "parallel": parallel,
        "graphs": not eager,
        "time_limit": time_limit,
        "quiet": quiet,
    }
    run_verbs.fit(line or [], _flags(context), dry_run, as_json, settings, context.obj)


@app.command(cls=_Verb, context_settings=KEYS, epilog=SAMPLE)
def sample(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A name in runs/, a path, or latest.")],
    words: Words = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="A .png, .npy, .npz or .csv file, or a folder/ of images.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    runs: Runs = "runs",
) -> None:
    """Draw samples from a model that was fitted."""
    from bestiary.cli import run_verbs

    run_verbs.sample(run, words or [], _flags(context), out, as_json, runs, device)


@app.command(cls=_Verb, context_settings=KEYS, epilog=JUDGE)
def judge(
    context: typer.Context,
    line: Annotated[list[str] | None, typer.Argument(metavar="RUN [key=value]", hidden=True)] = None,
    real: Annotated[str | None, typer.Option(metavar="DATA", help="Real examples: a folder, a file or a name.")] = None,
    fake: Annotated[str | None, typer.Option(metavar="DATA", help="Samples to compare with them.")] = None,
    held: Annotated[
        str | None, typer.Option(metavar="DATA", help="Real examples that the program did not see.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
    runs: Runs = "runs",
) -> None:
    """Measure how good a model is.

    First the verdict: can samples be told from data, what is missing, was anything copied? Then every number, with an
    interval and the protocol that repeats it. --real and --fake judge samples from any program.
    """
    from bestiary.cli import run_verbs

    run_verbs.judge(line or [], _flags(context), (real, fake, held), as_json, runs, device)


@app.command(cls=_Verb)
def report(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="RUN", help="A name in runs/, a path, or latest (if left out).")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Json = False,
    runs: Runs = "runs",
) -> None:
    """Write a page about a run, or compare several.

    The page shows the verdict, samples, every number and the curves of the fit. Several runs also get a page that
    compares them.
    """
    from bestiary.cli import run_verbs

    run_verbs.report(names or ["latest"], show, as_json, runs)


@app.command(cls=_Verb)
def models(
    name: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Show every option of this model.")] = None,
    as_json: Json = False,
) -> None:
    """List the models, or every option of one."""
    from bestiary.cli import listing_verbs

    listing_verbs.models(name, as_json)


@app.command(cls=_Verb, context_settings=KEYS, epilog=DATA)
def data(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[DATA]", help="A name, a folder or a file.")] = None,
    words: Words = None,
    download: Annotated[bool, typer.Option("--download", help="Download the set if it is not here.")] = False,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="The file of the picture.")] = None,
    as_json: Json = False,
) -> None:
    """List the named data sets, or show what is read from one.

    A picture of examples is written to data-NAME.png.
    """
    from bestiary.cli import listing_verbs

    listing_verbs.data(name, words or [], _flags(context), download, out, as_json)


@app.command(cls=_Verb)
def demo(as_json: Json = False, quiet: Quiet = False, runs: Runs = "runs") -> None:
    """Fit, judge and compare two models, in a minute.

    A VAE and a GAN of drawn letters; nothing is downloaded.
    """
    from bestiary.cli import run_verbs

    run_verbs.demo(as_json, quiet, runs)


@app.command(cls=_Verb)
def doctor(as_json: Json = False, runs: Runs = "runs") -> None:
    """Check this installation.

    Prints packages, devices, precision, disk and data sets, and for each problem the command that fixes it.
    """
    from bestiary.cli import listing_verbs

    listing_verbs.doctor(as_json, runs)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code. Errors are printed, never raised."""
    from bestiary.cli.console import guard

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show − or ≥ gets ?, not a crash
            stream.reconfigure(errors="replace")
    argv = list(sys.argv[1:] if args is None else args)
    command = typer.main.get_command(app)
    return guard(lambda: command.main(argv, prog_name="bestiary", obj=argv))
