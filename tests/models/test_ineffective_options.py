"""What is given in vain is refused, and only that: the table of idle options against the models that are built."""

import pytest
import torch

import bestiary as bst
from bestiary.data.spec import label, numbers, pictures
from bestiary.data.support import Column
from bestiary.errors import BestiaryError
from bestiary.grammar.signatures import signature_options
from bestiary.models.ineffective_options import INEFFECTIVE, refuse_ineffective
from bestiary.models.zoo import MODELS, build

IMAGES = pictures((1, 16, 16), 256, label(("even", "odd")), numbers((Column("y1"),)))
OTHER = {  # a value that is not the default of vae or gan
    "hidden": (7,), "critic_hidden": (7,), "activation": "silu", "critic_activation": "relu", "width": 3,
    "constant": True, "pool": "average", "beta1": 0.3, "beta2": 0.8,
}  # fmt: skip
ACTIVE = {  # beside what it does something
    "network": {"vae": ("mlp", "conv"), "gan": ("mlp", "dcgan", "residual")}, "optimiser": {"gan": ("adam", "sgd")},
}  # fmt: skip


def pairs(idle: bool) -> list[tuple[str, str, str, object]]:
    """(model, option, other, its value) under which the option is idle, or is not."""
    found = []
    for key, (other, values) in INEFFECTIVE.items():
        for model, known in ACTIVE[other].items():
            if key in signature_options(MODELS[model]):
                every = {*known, *(v for v in values if other != "network" or v in known)}
                found += [(model, key, other, v) for v in sorted(every, key=str) if (v in values) == idle]
    return found


def anatomy(model: str, **options: object) -> str:
    """All that can differ: the modules, and how each player steps."""
    torch.manual_seed(0)
    made = build(model, IMAGES, latent=3, **options)
    return f"{made} {[player.optimiser for player in made.players()]}"


@pytest.mark.parametrize(("model", "key", "other", "value"), pairs(idle=True))
def test_an_idle_option_changes_nothing(model: str, key: str, other: str, value: object) -> None:
    given = {other: value}
    plain, asked = (anatomy(model, **given, **more) for more in ({}, {key: OTHER[key]}))
    assert plain == asked
    defaults = {k: default for k, (_, default) in signature_options(MODELS[model]).items()}
    with pytest.raises(BestiaryError, match=rf"{key}=.* does nothing with {other}="):
        refuse_ineffective({key: OTHER[key]}, defaults | given | {key: OTHER[key]}, defaults)
    refuse_ineffective({key: defaults[key]}, defaults | given, defaults)  # the default may be said aloud


@pytest.mark.parametrize(("model", "key", "other", "value"), pairs(idle=False))
def test_elsewhere_it_changes_the_model_and_is_taken(model: str, key: str, other: str, value: object) -> None:
    given = {other: value}
    assert anatomy(model, **given) != anatomy(model, **given, **{key: OTHER[key]})
    defaults = {k: default for k, (_, default) in signature_options(MODELS[model]).items()}
    refuse_ineffective({key: OTHER[key]}, defaults | given | {key: OTHER[key]}, defaults)


def test_a_critic_that_is_told_nothing_beside_x_is_not_told_how(tmp_path) -> None:
    x = torch.randn(50, 3).numpy()
    for condition in ("x1", "none"):
        with pytest.raises(BestiaryError, match=f"conditioning=concatenation does nothing with condition={condition}"):
            bst.fit(x, "gan", root=tmp_path, quiet=True, condition=condition, conditioning="concatenation")
    assert not list(tmp_path.iterdir())


def test_options_of_what_ones_own_parts_replace_are_refused(tmp_path) -> None:
    x, how = torch.randn(50, 2).numpy(), {"root": tmp_path, "quiet": True, "steps": 1, "latent": 2, "validate": 0}
    own = {"generator": torch.nn.Linear(2, 2), "critic": torch.nn.Sequential(torch.nn.Linear(2, 1))}
    told = [({"norm": "batch"}, ["generator"]), ({"critic_hidden": (5,)}, ["critic"]), ({"hidden": (5,)}, own)]
    for options, parts in told:
        with pytest.raises(BestiaryError, match="leave it out"):
            bst.fit(x, "gan", **how, **options, **{part: own[part] for part in parts})
    run = bst.fit(x, "gan", **how, hidden=(5,), critic=own["critic"])  # which shapes the generator
    bst.fit(x, resume=run, steps=2, quiet=True, critic=own["critic"])


def test_batches_are_joined_for_a_critic_of_ones_own(tmp_path) -> None:
    critic = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    x = torch.randn(50, 2).numpy()
    bst.fit(x, "gan", root=tmp_path, quiet=True, steps=1, latent=2, validate=0, critic=critic, joint=True)


def test_it_is_refused_before_anything_is_made(tmp_path) -> None:
    with pytest.raises(BestiaryError, match=r"hidden=512 does nothing with network=dcgan: leave it out, or give"):
        bst.fit("digits", "dcgan", root=tmp_path, quiet=True, hidden=(512,))
    assert not list(tmp_path.iterdir())
