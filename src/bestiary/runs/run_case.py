"""The case of a run: its model, samples of it, and the parts of its data, as a judge takes them (judging/case.py)."""

import torch

from bestiary.data.batch import Batch
from bestiary.data.spec import Field
from bestiary.errors import BestiaryError, unknown_name
from bestiary.judging.case import LEAST, Case, Space, Tests, check_tests, choose_features
from bestiary.measures.features import Extractor
from bestiary.measures.label_features import LEAST as LEAST_FITTED
from bestiary.measures.label_features import fit_label_features
from bestiary.models.model import Coded, Encodes, Model, Samples
from bestiary.runs.fitted_run import FittedRun
from bestiary.storage.run_files import read_env

__all__ = ["MOST_HELD", "MOST_SEEN", "case_of", "samples_of"]

MOST_SEEN = 20_000  # training examples searched for copies, or twice n
MOST_HELD = 2_500  # examples searched of each part that was held out


def case_of(
    run: FittedRun, *, n: int, k: int, split: str, space: Space, features: str, tests: Tests, seed: int, quiet: bool
) -> Case:
    """All that the chapters need of a run; the options are those of `Run.judge`. Raises where they do not fit it."""
    model, spec, dataset = run.model, run.spec, run.dataset
    _check(model, n, k, space, tests)
    examples, training = run.part(split, n, seed), run.part("train", max(MOST_SEEN, 2 * n), seed)
    # what is fitted in order to judge — a probe, features of labels — sees no example that is compared
    spare = training[len(examples) :]
    samples = samples_of(run, n, seed) if isinstance(model, Samples) else None
    notes = _notes(run, examples)
    if samples is not None and not (finite := samples.x.flatten(1).isfinite().all(1)).all():
        notes.append(f"{int((~finite).sum())} of {n} samples hold values that are not finite: no sample was judged.")
        samples = None
    samples = samples and as_given_away(samples, spec.x)
    tested = samples is not None and tests != "none"
    return Case(
        spec=spec,
        examples=examples,
        samples=samples,
        # the floor is of real examples that are not the ones judged on
        real=examples[::2] if split == "train" else examples,
        other=examples[1::2] if split == "train" else training[: len(examples)],
        seen=training,
        held=Batch.cat(run.part(name, MOST_HELD, seed) for name in ("validation", "test")),
        spare=spare,
        model=model,
        options=run.config["model"],
        truth=dataset.truth,
        modes=dataset.modes,
        seen_of=len(dataset.parts["train"]),
        protocol={"split": split, "seed": seed},
        notes=tuple(notes),
        k=k,
        space=space,
        features=_features(features, run, spare, seed) if tested else None,
        tests=tests,
        seed=seed,
        quiet=quiet,
    )


def _check(model: Model, n: int, k: int, space: str, tests: str) -> None:
    """What can be wrong with the options, before anything takes time."""
    if n < LEAST:
        raise BestiaryError(f"n={n}: judging needs at least {LEAST} examples")
    if k < 1:
        raise BestiaryError(f"k={k}: the importance-weighted bound needs at least one draw of z, e.g. k=100")
    if space not in ("pixels", "latent"):
        raise unknown_name("space", space, ("pixels", "latent"))
    check_tests(tests)
    if space == "latent" and not isinstance(model, Encodes):
        raise BestiaryError("space=latent needs an encoder, and this model has none: use space=pixels")


def samples_of(run: FittedRun, n: int, seed: int) -> Batch:
    """n samples in model units, each made under the condition of another training example, where the model takes one,
    and with that beside it."""
    condition = run.model.condition
    if not condition.fields:
        return Batch(run.sample_x(n, seed))
    examples = run.part("train", n, seed + 1)
    rows = torch.arange(n) % len(examples)
    return Batch(run.sample_x(n, seed, condition=condition.of(examples)), examples[rows].beside)


def as_given_away(samples: Batch, x: Field) -> Batch:
    """Samples at the levels of the data, a table's categories one word each: anything would tell real numbers from
    levels."""
    return Batch(x.to_model(x.to_stored(x.support.round_categories(samples.x))), samples.beside)


def _features(name: str, run: FittedRun, spare: Batch, seed: int) -> Extractor:
    """The features that samples and data are compared in."""
    label = run.spec.label
    if name != "labels":
        return choose_features(name, run.spec, seed, run.device, run.dataset.modes)
    if label is None or label.optional:
        raise BestiaryError("features=labels need data with one label each, and these have none: use features=auto")
    if len(spare) < LEAST_FITTED:
        raise BestiaryError(
            f"features=labels are fitted to training examples that are not compared, and {len(spare)} are left:"
            " give a smaller n, or other features"
        )
    return fit_label_features(spare.x, spare.beside[label.name], seed, run.device)


def _notes(run: FittedRun, examples: Batch) -> list[str]:
    """What a reader of the numbers must know about the run."""
    notes, env, model = [], read_env(run.path), run.model
    if env.get("finished") is False:
        notes.append(f"The fit is not finished: these are the weights of round {env.get('round', '?')}.")
    if run.data_changed:
        notes.append("The data have changed since the fit: examples judged on may have been trained on.")
    if not isinstance(model, Samples):
        notes.append("This model has no p(z) and does not sample: it is judged on what its codes keep.")
    if isinstance(model, Coded) and model.shows_means:
        notes.append("Samples are the means E[x|z], as is the custom: smoother than the data, and less varied.")
    if len(examples) < 100:
        notes.append(f"Judged on only {len(examples)} examples: intervals are wide.")
    return notes
