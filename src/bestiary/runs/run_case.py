"""The case of a run for the judge (judging/case.py): its model, samples of it, and parts of its data."""

import torch

from bestiary.data.batch import Batch
from bestiary.data.shared_rows import shared_rows_note
from bestiary.data.spec import Field
from bestiary.errors import BestiaryError, unknown_name
from bestiary.judging.case import LEAST, Case, Space, Tests, check_tests, choose_features, feature_notes
from bestiary.measures.features import Extractor
from bestiary.measures.label_features import LEAST as LEAST_FITTED
from bestiary.measures.label_features import fit_label_features
from bestiary.models.model import Coded, Encodes, Model, Samples
from bestiary.runs.fitted_run import FittedRun
from bestiary.storage.run_files import read_env

__all__ = ["MOST_HELD_OUT", "MOST_TRAINING", "draw_samples", "make_case", "round_to_data"]

MOST_TRAINING = 20_000  # training examples in which copies are searched, or twice n
MOST_HELD_OUT = 2_500  # examples of the validation part, and of the test part, in which copies are searched


def make_case(
    run: FittedRun, *, n: int, k: int, split: str, space: Space, features: str, tests: Tests, seed: int, quiet: bool
) -> Case:
    """The case of a run for the judge. The options are those of `Run.judge`.

    Raises BestiaryError if an option does not fit the run.
    """
    model, spec, dataset = run.model, run.spec, run.dataset
    _check_options(model, n, k, space, tests)
    examples, training = run.part(split, n, seed), run.part("train", max(MOST_TRAINING, 2 * n), seed)
    spare = training[len(examples) :]  # classifiers and features for judging are fitted to examples that none compares
    notes = [*_notes(run, examples), *filter(None, [shared_rows_note(dataset, split)])]
    samples = draw_samples(run, n, seed) if isinstance(model, Samples) else None
    if samples is not None and not (finite := samples.x.flatten(1).isfinite().all(1)).all():
        notes.append(f"{int((~finite).sum())} of {n} samples hold values that are not finite: no sample was judged.")
        samples = None
    samples = samples and round_to_data(samples, spec.x)
    is_tested = samples is not None and tests != "none"
    notes += feature_notes(features, dataset) if is_tested else []
    return Case(
        spec=spec,
        examples=examples,
        samples=samples,
        # the floor compares the real examples with others
        real=examples[::2] if split == "train" else examples,
        other=examples[1::2] if split == "train" else training[: len(examples)],
        seen=training,
        held=Batch.cat(run.part(name, MOST_HELD_OUT, seed) for name in ("validation", "test")),
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
        features=_features(features, run, spare, seed) if is_tested else None,
        tests=tests,
        seed=seed,
        quiet=quiet,
    )


def _check_options(model: Model, n: int, k: int, space: str, tests: str) -> None:
    """Raise BestiaryError for an option that is out of range or does not fit the model."""
    if n < LEAST:
        raise BestiaryError(f"n={n}: judging needs at least {LEAST} examples, e.g. n=1000")
    if k < 1:
        raise BestiaryError(f"k={k}: the importance-weighted bound needs at least one draw of z, e.g. k=100")
    if space not in ("pixels", "latent"):
        raise unknown_name("space", space, ("pixels", "latent"))
    check_tests(tests)
    if space == "latent" and not isinstance(model, Encodes):
        raise BestiaryError("space=latent needs an encoder, and this model has none: use space=pixels")


def draw_samples(run: FittedRun, n: int, seed: int) -> Batch:
    """n samples in model units; of a conditional model under the conditions of training examples, and with these."""
    condition = run.model.condition
    if not condition.fields:
        return Batch(run.sample_x(n, seed))
    examples = run.part("train", n, seed + 1)
    rows = torch.arange(n) % len(examples)
    return Batch(run.sample_x(n, seed, condition=condition.of(examples)), examples[rows].beside)


def round_to_data(samples: Batch, x: Field) -> Batch:
    """Samples rounded to the values that data can have: grey levels, one word for each category.

    Without this a classifier would tell samples from data by the rounding alone.
    """
    return Batch(x.to_model(x.to_stored(x.support.round_categories(samples.x))), samples.beside)


def _features(name: str, run: FittedRun, spare: Batch, seed: int) -> Extractor:
    """The features in which samples and data are compared, by the option `features`."""
    label = run.spec.label
    if name != "labels":
        return choose_features(name, run.spec, seed, run.device, run.dataset.modes, run.dataset.name)
    if label is None or label.optional:
        raise BestiaryError("features=labels need data with one label each, and these have none: use features=auto")
    if len(spare) < LEAST_FITTED:
        raise BestiaryError(
            f"features=labels are fitted to training examples that are not compared, and only {len(spare)} are left:"
            " give a smaller n, or features=auto"
        )
    return fit_label_features(spare.x, spare.beside[label.name], seed, run.device)


def _notes(run: FittedRun, examples: Batch) -> list[str]:
    """Sentences about the run that a reader of its numbers must know."""
    notes, env, model = [], read_env(run.path), run.model
    if env.get("finished") is False:
        notes.append(f"The fit is not finished: these are the weights of round {env.get('round', '?')}.")
    if run.data_changed:
        notes.append("The data have changed since the fit: examples judged on may have been trained on.")
    if not isinstance(model, Samples):
        notes.append("This model has no p(z) and does not sample: only its codes and reconstructions are judged.")
    if isinstance(model, Coded) and model.shows_means:
        notes.append(
            "Samples are the means E[x|z], as is usual: they are smoother and less varied than draws from p(x|z)."
        )
    if len(examples) < 100:
        notes.append(f"Judged on only {len(examples)} examples: intervals are wide.")
    return notes
