"""The model of a plan with its first weights, and the trainer that plays it.

build_model(plan)                   a function of the plan: first weights, and what parts compute from the data
make_trainer(plan, model, …)        the model on its device, its players, and batches of the training data
"""

import sys

import numpy as np
import torch

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.errors import BestiaryError
from bestiary.models.model import Bounds, Drawn, Model
from bestiary.models.zoo import build
from bestiary.objectives.draw import Draw
from bestiary.runs.plan import Plan, check_batch_and_steps
from bestiary.runs.start_weights import copy_matching_weights
from bestiary.training.clock import derive_seed
from bestiary.training.device import seeded
from bestiary.training.parallel import Team
from bestiary.training.part import TrainingData
from bestiary.training.trainer import Trainer

__all__ = ["build_model", "make_trainer"]


def build_model(plan: Plan) -> Model:
    """The model with its first weights: a function of the plan's seed, or those that the plan starts from.

    Prints which of the latter do not fit. Raises BestiaryError if none does, or if an option does not fit the model.
    """
    with seeded(derive_seed(plan.recipe.seed, "weights")):
        model = build(plan.model, plan.dataset.spec, **plan.model_options)
    check_batch_and_steps(model, plan.recipe)
    copied, mismatches = copy_matching_weights(model, plan.weights)  # before `begin`, which may run the model
    with seeded(derive_seed(plan.recipe.seed, "begin")), torch.no_grad():
        model.begin(_training_data(plan, model))
    copy_matching_weights(model, plan.weights)  # after `begin`, which may change the weights of parts
    run = plan.start.get("run", "")
    if plan.weights and not copied:
        raise BestiaryError(f"--from {run}: none of its weights fits this model; leave it out")
    if mismatches:
        shown = ", ".join(mismatches[:5]) + (f" and {len(mismatches) - 5} more" if len(mismatches) > 5 else "")
        print(
            f"starts from {run}; {len(mismatches)} of {len(plan.weights)} tensors do not fit: {shown}", file=sys.stderr
        )
    if plan.recipe.patience and not isinstance(model, Bounds):
        raise BestiaryError(
            f"patience={plan.recipe.patience} watches the bound on log p(x), and {plan.model} has none: leave it out"
        )
    return model


def _training_data(plan: Plan, model: Model) -> TrainingData:
    rows = plan.dataset.parts["train"]
    order = np.random.Generator(np.random.PCG64(derive_seed(plan.recipe.seed, "begin"))).permutation(len(rows))

    def examples(n: int) -> Batch:
        return model.observe(plan.dataset.rows(np.sort(rows[order[:n]]), model.reads()))

    def draw(batch: Batch) -> Draw | None:
        return model.draw(batch, exact=False) if isinstance(model, Drawn) else None

    return TrainingData(len(rows), examples, draw)


def make_trainer(plan: Plan, model: Model, device: torch.device, team: Team, graphs: bool) -> Trainer:
    """The trainer of a plan. Moves the model to the device, and shards it if the team does.

    graphs: whether turns are captured as CUDA graphs. The plan's precision must be inferred.
    """
    recipe = plan.recipe
    assert recipe.precision != "auto"
    channels_last = plan.dataset.spec.x.is_spatial and not team.sharded  # FSDP2 takes contiguous weights only
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model.to(device)
    model.to(memory_format=layout)  # type: ignore[call-overload]
    team.shard(model)
    batches = Batches(plan.dataset, recipe.batch, recipe.seed, device, team.rank, team.world, reads=model.reads())
    return Trainer(model, model.players(), batches, recipe, recipe.precision, team, graphs)
