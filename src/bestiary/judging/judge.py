"""Judging: a run, or samples of any program against real data. Every number with its protocol, interval and floor.

    judge(run)               bounds and codes where the model has them; copies; all that samples tell (likeness.py)
    judge(real=A, fake=B)    folders, arrays or names: all that samples of B tell against A, and with held=C whether
                             they copy it (compare.py)

A run's judgement goes to judgement.json, and what the report draws to evidence.safetensors (evidence.py).
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.errors import BestiaryError, unknown
from bestiary.judging.evidence import evidence
from bestiary.judging.latent_chapter import anatomy, reading
from bestiary.judging.sample_chapter import Tests, chosen_features, sample_numbers
from bestiary.judging.two_sets import LEAST, judge_samples, space_of
from bestiary.measures.bound import bound_numbers
from bestiary.measures.features import Extractor
from bestiary.measures.label_features import LEAST as LEAST_FITTED
from bestiary.measures.label_features import trained
from bestiary.measures.neighbours import copying, distance_ratio, two_sample_distances
from bestiary.measures.number import Judgement, Number, Reference
from bestiary.models.model import Bounds, Coded, Drawn, Encodes, Model, Samples
from bestiary.runs.fitted import Fitted
from bestiary.runs.model_card import write_card
from bestiary.storage.run_files import read_env, weights_hash, write_judgement
from bestiary.training.clock import mix
from bestiary.training.device import seeded

__all__ = ["judge", "judge_run", "judge_samples"]

MOST_TRAIN, MOST_UNSEEN = (
    20_000,
    2_500,
)  # examples searched: of the training part, or twice n; of each part that was held out

Space = Literal["pixels", "latent"]


def judge(run: str | Path | Fitted | None = None, *, real: Any = None, fake: Any = None, **options: Any) -> Judgement:
    """Judge a run, or `fake` samples against `real` data."""
    if (real is None) != (fake is None) or (run is None) == (real is None):
        raise BestiaryError(
            "judge a run, or samples against data: bestiary judge RUN, bestiary judge --real A --fake B"
        )
    if run is None:
        return judge_samples(real, fake, **options)
    if "held" in options:
        raise BestiaryError("held= goes with real= and fake=: of a run the parts are known that were held out")
    return judge_run(run if isinstance(run, Fitted) else Fitted(run), **options)


def judge_run(
    run: Fitted,
    *,
    n: int = 1000,  # test examples, and samples
    k: int = 100,  # samples of z for the importance-weighted bound
    split: Literal["test", "validation", "train"] = "test",  # the part to judge on
    space: Space = "pixels",  # where distances are taken: pixels, or latent (posterior means)
    features: str = "auto",  # where sets are compared: pixels, random, mnist, labels, or a file of weights
    tests: Tests = "all",  # of samples against data: all; fast, without what takes longest; or none
    seed: int = 0,  # of samples, noise and the choice of examples
    quiet: bool = True,
) -> Judgement:
    """Judge a run on one part of its data; write judgement.json, the evidence and the model card."""
    model = run.model
    _check(model, n, k, space, tests)
    judged, train = run.part(split, n, seed), run.part("train", max(MOST_TRAIN, 2 * n), seed)
    # what is fitted in order to judge — a probe, features of labels — sees no example that is compared
    unused = train[len(judged) :]
    look = run.observe(judged, seed)  # all questions are asked of one look
    protocol: dict[str, object] = {"split": split, "seed": seed}
    numbers: list[Number] = []
    notes: list[str] = []
    drawn: dict[str, Tensor] = {}
    if isinstance(model, Bounds):
        found, drawn["k_curve"] = _bounds(run, look, k, seed, protocol, quiet)
        numbers += found
    if isinstance(model, Drawn) and model.code.layout == "row" and len(judged) > 1:
        found, more, said = anatomy(run, look, seed, protocol)
        numbers, notes, drawn = numbers + found, notes + said, drawn | more
    samples = _samples(run, n, seed) if isinstance(model, Samples) else None
    if samples is not None and not (whole := samples.flatten(1).isfinite().all(1)).all():
        notes.append(f"{int((~whole).sum())} of {n} samples hold values that are not finite: no sample was judged.")
        samples = None
    if samples is not None:
        numbers += _distances(run, samples, judged, train, space, seed, protocol)
        found, said, more = _likeness(run, samples, (judged.x, train.x), unused, features, tests, seed, protocol)
        numbers, notes, drawn = numbers + found, notes + said, drawn | more
    if split == "train" and run.spec.label is not None and isinstance(model, Encodes) and not len(unused):
        notes.append("No linear probe: every training example is judged on, and none is left to fit it to.")
    if isinstance(model, Encodes):
        numbers += reading(run, judged, unused if split == "train" else train, seed, protocol)
    protocol |= {"weights": weights_hash(run.path)}
    judgement = Judgement(
        tuple(numbers),
        protocol,
        (*_notes(run, judged.x, numbers, samples is not None), *notes),
        datetime.now().isoformat(timespec="seconds"),
    )
    drawn |= evidence(run, samples, judged, train.x)
    write_judgement(run.path, judgement.to_dict(), {name: tensor.cpu().numpy() for name, tensor in drawn.items()})
    write_card(run.path)
    return judgement


def _samples(run: Fitted, n: int, seed: int) -> Tensor:
    """n samples as they are given away, a table's categories one word each; each is told another training example's
    condition, where the model takes one."""
    condition = run.model.condition
    asked = condition.of(run.part("train", n, seed + 1)) if condition.fields else None
    return run.spec.x.support.settled(run.sample_x(n, seed, condition=asked))


def _check(model: Model, n: int, k: int, space: Space, tests: Tests) -> None:
    """What can be wrong with the options, before anything takes time."""
    if n < LEAST:
        raise BestiaryError(f"n={n}: judging needs at least {LEAST} examples")
    if k < 1:
        raise BestiaryError(f"k={k}: the importance-weighted bound needs at least one draw of z")
    if space not in get_args(Space):
        raise unknown("space", str(space), get_args(Space))
    if tests not in get_args(Tests):
        raise unknown("tests", str(tests), get_args(Tests))
    if space == "latent" and not isinstance(model, Encodes):
        raise BestiaryError("space=latent needs an encoder, and this model has none: use space=pixels")


def _bounds(
    run: Fitted, look: Batch, k: int, seed: int, protocol: dict[str, object], quiet: bool
) -> tuple[list[Number], Tensor]:
    spec, model, truth = run.spec, run.model, run.dataset.truth
    floor = (
        None if truth is None else Reference(truth.entropy, says="the entropy of π: no model's −E log p(x) is lower")
    )
    options = run.config["model"]
    said = {**protocol, "of": "probability" if model.discrete else "density"}
    said |= {"likelihood": options["likelihood"]} if "likelihood" in options else {}
    if options.get("binarise", "none") != "none":
        said["binarised"] = {"dynamic": "once, by seed", "threshold": "at 1/2"}[options["binarise"]]
    elif spec.x.levels == 2:
        said["binarised"] = "statically: the data hold 0 and 1"
    assert isinstance(model, Bounds)  # the caller has looked
    with seeded(mix(seed, "bound"), run.device):
        return bound_numbers(
            lambda part, ks: model.bounds(part.to(run.device), ks),
            look,
            k,
            dimensions=spec.dimensions if model.discrete else 0,
            shift=spec.log_scale,
            floor=floor,
            protocol=said,
            progress=_show("bound", quiet),
        )


def _distances(
    run: Fitted, samples: Tensor, judged: Batch, train: Batch, space: Space, seed: int, protocol: dict[str, object]
) -> list[Number]:
    """Numbers from nearest neighbours, in pixels or among posterior means: those for which there are examples."""
    into: Callable[[Batch], Tensor] = (lambda b: run.encode(b, seed)) if space == "latent" else lambda b: b.x
    s, h, t = into(_with_conditions(run, samples, seed)), into(judged), into(train)
    unseen = into(Batch.cat(run.part(name, MOST_UNSEEN, seed) for name in ("validation", "test")))
    # the floor is of real examples that are not the ones judged on
    h, other = (h[::2], h[1::2]) if protocol["split"] == "train" else (h, t[: len(h)])
    where, enough = space_of(run.spec, space), min(len(h), len(other)) > 1
    numbers = []
    if len(unseen) >= LEAST and not _told_columns(run):
        every = len(run.dataset.parts["train"])
        numbers.append(copying(s, t, unseen, where, protocol, every))
        numbers.append(distance_ratio(s, t, unseen, where, seed, protocol))
    return numbers + (two_sample_distances(s, h, other, where, seed, protocol) if enough else [])


def _with_conditions(run: Fitted, samples: Tensor, seed: int) -> Batch:
    """Samples beside the conditions that they were made under."""
    if not run.model.condition.fields:
        return Batch(samples)
    return Batch(samples, run.part("train", len(samples), seed + 1).beside)


def _told_columns(run: Fitted) -> bool:
    """Whether samples take from training examples what may tell one of these from all others: they lie beside it."""
    return run.model.condition.singles


def _likeness(
    run: Fitted, samples: Tensor, seen: tuple[Tensor, Tensor], unused: Batch, features: str,
    tests: Tests, seed: int, protocol: dict[str, object],
) -> tuple[list[Number], list[str], dict[str, Tensor]]:  # fmt: skip
    """What samples tell, at the levels of the data: anything would tell real numbers from levels."""
    (x, train), fake = seen, run.spec.x.units(run.spec.x.back(samples))
    real, other = (x[::2], x[1::2]) if protocol["split"] == "train" else (x, train[: len(x)])
    if tests == "none":
        return [], [], {}
    extract = (
        _labelled(unused, seed, run) if features == "labels" else chosen_features(features, run.spec, seed, run.device)
    )
    truth, modes = run.dataset.truth, run.dataset.modes
    return sample_numbers((fake, real, other), run.spec, extract, tests, seed, protocol, truth, modes)


def _labelled(unused: Batch, seed: int, run: Fitted) -> Extractor:
    label = run.spec.label
    if label is None or label.optional:
        raise BestiaryError("features=labels need data with one label each, and these have none: use features=auto")
    x, y = unused.x, unused.beside[label.name]
    if len(x) < LEAST_FITTED:
        raise BestiaryError(
            f"features=labels are fitted to training examples that are not compared, and {len(x)} are left:"
            " give a smaller n, or other features"
        )
    return trained(x, y, seed, run.device)


def _notes(run: Fitted, x: Tensor, numbers: list[Number], sampled: bool) -> list[str]:
    notes, env = [], read_env(run.path)
    if env.get("finished") is False:
        notes.append(f"The fit is not finished: these are the weights of round {env.get('round', '?')}.")
    if run.data_changed:
        notes.append("The data have changed since the fit: examples judged on may have been trained on.")
    model = run.model
    if not isinstance(model, Samples):
        notes.append("This model has no p(z) and does not sample: it is judged on what its codes keep.")
    elif sampled and _told_columns(run):
        notes.append("Copies are not looked for: samples take their conditions from training examples.")
    elif sampled and "copied" not in {number.name for number in numbers}:
        notes.append(f"Too few examples were held out to tell whether any was copied: at least {LEAST} are needed.")
    if isinstance(model, Coded) and model.shows_means:
        notes.append("Samples are the means E[x|z], as is the custom: smoother than the data, and less varied.")
    if run.spec.log_scale and isinstance(model, Bounds):
        notes.append("Bounds are in the units of the file: −log p(raw) = −log p(x) + Σ log scale.")
    if len(x) < 100:
        notes.append(f"Judged on only {len(x)} examples: intervals are wide.")
    return notes


def _show(what: str, quiet: bool) -> Callable[[int, int], None]:
    def show(done: int, of: int) -> None:
        import sys

        if not quiet and sys.stderr.isatty():
            print(f"\r{what}: {done}/{of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return show
