"""Recipes by name: sets of defaults, so that a reproduction can use those of a paper while ours improve.

    recipe=fast     the defaults of the signature, which we measured and may change
    recipe=paper    the options of the paper cited in the table

Options that the user gives override those of a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bestiary.errors import unknown_name

__all__ = ["FAST", "RECIPES", "with_recipe"]

FAST = "fast"

# model → recipe → options of model and training
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    # Radford, Metz and Chintala 2016, arXiv 1511.06434
    "dcgan": {"paper": {"network": "dcgan", "latent": 100, "width": 64, "lr": 2e-4, "beta1": 0.5, "batch": 128}},
    # Arjovsky et al. 2017, arXiv 1701.07875, and its code
    "wgan": {"paper": {"optimiser": "rmsprop", "lr": 5e-5, "tricks": "weight_clip(0.01)", "critic_turns": "wgan",
                       "batch": 64}},
    # Gulrajani et al. 2017, arXiv 1704.00028
    "wgan-gp": {"paper": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9, "critic_turns": 5, "batch": 64}},
    # Mao et al. 2017, arXiv 1611.04076
    "lsgan": {"paper": {"game": "least_squares(0,1,1)", "lr": 2e-4, "beta1": 0.5, "batch": 64}},
    # Metz et al. 2017, arXiv 1611.02163: the ring; their orthogonal start is left out
    "unrolled-gan": {"paper": {"network": "mlp", "latent": 256, "hidden": (128, 128), "activation": "tanh",
                               "critic_activation": "tanh", "tricks": "unroll(5)", "lr": 1e-3, "critic_lr": 1e-4,
                               "beta1": 0.5, "batch": 512, "steps": 25_000}},
    # Lin et al. 2018, arXiv 1712.04086: ring and grid
    "pac-gan": {"paper": {"network": "mlp", "latent": 2, "hidden": (400, 400, 400, 400), "norm": "batch",
                          "critic_hidden": (200, 200, 200), "critic_activation": "maxout", "tricks": "pack(2)",
                          "lr": 1e-4, "beta1": 0.8, "batch": 100}},
    # Burda, Grosse and Salakhutdinov 2016, arXiv 1509.00519: one stochastic layer; their staircase of rates is left out
    "iwae": {"paper": {"latent": 50, "hidden": (200, 200), "activation": "tanh", "samples": 50, "batch": 20}},
    # Tomczak and Welling 2018, arXiv 1705.07120; their gates, and the warm-up of 100 passes, are left out
    "vamp-vae": {"paper": {"latent": 40, "hidden": (300, 300), "prior": "vamp(500)", "lr": 5e-4, "batch": 100}},
    # Durkan et al. 2019, arXiv 1906.04032: the spline prior of their VAE; the rise of the KL's weight is left out
    "flow-prior-vae": {"paper": {"latent": 32, "prior": "nsf(steps=5,width=128,bins=8)", "lr": 5e-4, "batch": 256}},
}  # fmt: skip


def with_recipe(model: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The user's options completed by those of the recipe that `recipe=` names, and the reason to print for these.

    Raises BestiaryError if the model has no recipe of that name.
    """
    user_options = dict(options)
    name = str(user_options.pop("recipe", FAST))
    recipes = {FAST: {}, **RECIPES.get(model, {})}
    if name not in recipes:
        raise unknown_name(f"recipe of {model}", name, recipes)
    return {**recipes[name], **user_options}, f"recipe={name}"
