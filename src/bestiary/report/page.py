"""The page of one run: read the folder, fill the template, write `report.html` in one move.

The page is one file. Its policy (a Content-Security-Policy with the hash of its one script) forbids every
request and every other script, so that a page can be passed on and opened without trust in the names that
data sets carry.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bestiary.data.spec import Field, Spec
from bestiary.grammar.command_line import command
from bestiary.report import latent_section as anatomy
from bestiary.report import sections
from bestiary.report.number_words import count, duration, plain, verdict
from bestiary.report.run_record import Folder, read, real, sentences, table
from bestiary.report.samples_section import samples_beside_data
from bestiary.report.two_sample_section import two_sample_plots
from bestiary.storage.atomic import atomic

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["facts", "render", "write_page", "write_report"]

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _house() -> "Environment":
    """The templates; everything that is not Markup is escaped, and a name that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    house = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    script, style = ((TEMPLATES / name).read_text("utf-8") for name in ("page.js", "style.css"))
    digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
    house.globals.update(script=Markup(script), style=Markup(style), script_hash=digest)
    return house


def render(template: str, **content: Any) -> str:
    """Fill a template."""
    return _house().get_template(template).render(**content)


def write_page(text: str, out: Path) -> Path:
    """Write all of the page or nothing."""
    with atomic(out) as file:
        file.write(text.encode("utf-8", errors="replace"))
    return out


def _shape(spec: Spec) -> str:
    x = spec.x
    if x.is_picture:
        c, h, w = x.shape
        colour = {1: "grey", 3: "colour"}.get(c, f"{c} channels")
        return f"{w} × {h} pixels, {colour}, {x.levels} levels"
    if x.columns:
        return count(len(x.columns), "column")
    return count(x.dimensions, "number") if x.layout == "row" else f"{x.noun} of {' × '.join(map(str, x.shape))}"


def _beside(f: Field) -> str:
    """A field beside x in two or three words."""
    if f.layout == "label":
        return f"{f.name} ({len(f.words):,} classes)"
    return f"{f.name} ({count(f.dimensions, 'number')})" if f.layout == "row" else f"{f.name} ({f.noun})"


def _stages(env: dict[str, Any]) -> str:
    """Who plays in which rounds, where there are several stages."""
    result = env.get("stages")
    if not isinstance(result, list) or len(result) < 2 or not all(isinstance(s, list) and len(s) > 2 for s in result):
        return ""
    return "; ".join(f"{int(s[0]):,} to {int(s[1]):,}: {' and '.join(map(str, s[2:]))}" for s in result)


def facts(folder: Folder) -> list[tuple[str, str]]:
    """Facts about a run as (name, value), a few words each; unknown ones are left out."""
    training, env = table(folder.config, "training"), folder.env
    seconds, round = real(env.get("seconds")), real(env.get("round"))
    planned = real(env.get("rounds"))
    rounds = "" if round is None else f"{int(round):,}"
    if round is not None and planned is not None and planned > round:
        rounds += f" of {int(planned):,}"
    known = {
        "Each example": "" if folder.spec is None else _shape(folder.spec),
        "With each example": "" if folder.spec is None else ", ".join(map(_beside, folder.spec.beside)),
        "Stages": _stages(env),
        "Rounds": rounds,
        "Batch": plain(training["batch"]) if "batch" in training else "",
        "Time to fit": "" if seconds is None else duration(seconds),
        "Device": str(env.get("device", "")),
        "Seed": plain(training["seed"]) if "seed" in training else "",
        "Judged": str(folder.judgement.get("made", ""))[:10],
    }
    return [(key, value) for key, value in known.items() if value]


def _ending(folder: Folder) -> str:
    """How the fit ended, if not by playing every round."""
    why = str(folder.env.get("why") or "")
    if folder.env.get("finished") is False:
        return f"This fit is not finished{f' ({why})' if why else ''}. This command continues it:"
    return "" if not why or why == "all rounds played" else f"The fit ended early: {why}."


def write_report(run: Path) -> Path:
    """Make `report.html` in a run folder from the files that are in it, and return its path."""
    folder = read(Path(run))
    text = render(
        "report.html",
        folder=folder,
        facts=facts(folder),
        verdict=verdict(folder),
        ending=_ending(folder),
        unfinished=folder.env.get("finished") is False,
        stale=folder.stale,
        judge=command("judge", folder.path),
        fit=command("fit --resume", folder.path),
        beside=samples_beside_data(folder),
        judged=sections.judged(folder),
        two_sample=two_sample_plots(folder),
        signs=anatomy.signs(folder),
        bound_parts=anatomy.bound_parts(folder),
        remarks=sentences(folder.judgement, "notes"),
        curves=sections.curves(folder),
        growth=sections.growth(folder),
        reconstructions=sections.reconstructions(folder),
        latent=sections.latent(folder),
        neighbours=sections.neighbours(folder),
        settings=sections.settings(folder),
    )
    return write_page(text, folder.path / "report.html")
