"""What a generator is told: labels and columns, in their places, and what is refused."""

import pytest
import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Column, Spec
from bestiary.errors import BestiaryError
from bestiary.models.condition import Labels, Nothing, condition_of
from bestiary.models.gan import GAN
from bestiary.models.zoo import build
from bestiary.objectives.games import nonsaturating
from bestiary.training.clock import Clock

IMAGE = Spec("image", (1, 8, 8), levels=17, classes=("a", "b", "c"))
TABLE = Spec("table", (7,), columns=(
    Column("kind", categories=("x", "y", "z")), Column("size"), Column("sort", categories=("u", "v")), Column("age"),
))  # fmt: skip
VECTOR = Spec("vector", (3,), classes=("a", "b", "c"))
CLOCK = Clock(torch.tensor(0.0), 10)


def small(spec: Spec, **options: object) -> GAN:
    torch.manual_seed(0)
    model = build("ns-gan", spec, **{"latent": 4, "width": 4, "hidden": (8,), "network": "mlp", **options})
    assert isinstance(model, GAN)
    return model.eval()


def rows(n: int = 6) -> Tensor:
    """Rows of the table: one-hot where there is a category."""
    g = torch.Generator().manual_seed(1)
    kind, sort = (nn.functional.one_hot(torch.randint(k, (n,), generator=g), k).float() for k in (3, 2))
    return torch.cat([kind, torch.randn(n, 1, generator=g), sort, torch.randn(n, 1, generator=g)], 1)


PLACES = {"size": [3], "sort": [4, 5], "age,kind": [6, 0, 1, 2], "(kind, age, size)": [0, 1, 2, 6, 3]}


@pytest.mark.parametrize("said", PLACES)
def test_columns_are_taken_out_and_put_back_in_their_places(said: str) -> None:
    """Whatever their order in `condition=`; what is left to make is described by the rest of the spec."""
    told, x, places = condition_of(said, TABLE), rows(), PLACES[said]
    c = told.of(Batch(x))
    assert torch.equal(c, x[:, places])
    assert told.size == len(places)
    assert told.shown == 0  # they are a part of x already
    rest = [i for i in range(7) if i not in places]
    assert torch.equal(told.whole(x[:, rest], c), x)
    assert told.target.shape == (len(rest),)
    assert sum(column.width for column in told.target.columns) == len(rest)
    names = [name.strip() for name in said.strip("()").split(",")]
    assert [c.name for c in told.target.columns] == [c.name for c in TABLE.columns if c.name not in names]


@pytest.mark.parametrize("said", PLACES)
def test_samples_hold_what_was_told_and_lie_in_the_support(said: str) -> None:
    model, x, places = small(TABLE, condition=said), rows(), PLACES[said]
    made = model.sample(6, x[:, places])
    assert torch.equal(made[:, places], x[:, places])
    assert made.shape == (6, 7)
    for category in (made[:, :3], made[:, 4:6]):
        torch.testing.assert_close(category.sum(1), torch.ones(6))


def test_a_critic_hears_numbers_that_say_something_of_x_however_curved() -> None:
    """x = c² and noise, against x of other examples: a projection on c itself would tell half of them."""
    torch.manual_seed(0)
    model = small(Spec("vector", (1,), beside=(Column("y1"),)), condition="vector", hidden=(64, 64)).train()
    adam = torch.optim.Adam(model.critic.parameters(), lr=3e-3)
    for step in range(301):
        c = torch.randn(256, 1)
        x = c.square() + 0.1 * torch.randn(256, 1)
        real, fake = model.sight.both(x, x[torch.randperm(256)], c)
        if step < 300:
            adam.zero_grad()
            nonsaturating().critic(real, fake).mean().backward()
            adam.step()
    assert float(((real > 0).float().mean() + (fake < 0).float().mean()) / 2) > 0.7


@pytest.mark.parametrize("spec", [IMAGE, Spec("image", (1, 8, 8), levels=17, beside=(Column("y1"),))])
def test_features_know_no_condition_that_is_projected(spec: Spec) -> None:
    options = {"condition": "label" if spec.classes else "vector", "matching": 1.0, "adversarial": 0.0}
    with pytest.raises(BestiaryError, match="conditioning=concatenation"):
        small(spec, **options)
    small(spec, **options, conditioning="concatenation")


def test_a_table_without_named_columns_has_numbered_ones() -> None:
    told = condition_of("2,0", VECTOR)
    x = torch.randn(4, 3)
    assert torch.equal(told.of(Batch(x)), x[:, [2, 0]])
    assert torch.equal(told.whole(x[:, 1:2], x[:, [2, 0]]), x)
    assert told.target == Spec("vector", (1,))


def test_the_critic_judges_whole_rows_and_the_generator_answers_for_its_own_alone() -> None:
    """What was told is a constant: no gradient goes to it, all of it stands in what the critic sees."""
    model, x = small(TABLE, condition="sort"), rows()
    torch.manual_seed(5)
    fake = model.generator(torch.cat([torch.randn(6, 4), x[:, 4:6]], 1))
    whole = torch.cat([fake[:, :4], x[:, 4:6], fake[:, 4:]], 1)
    game = model.game
    torch.manual_seed(5)
    found = model.critic_loss(Batch(x), CLOCK)["total"]
    torch.testing.assert_close(found, game.critic(model.critic(x), model.critic(whole)).mean())
    torch.manual_seed(5)
    torch.testing.assert_close(
        model.generator_loss(Batch(x), CLOCK)["total"], game.generator(None, model.critic(whole)).mean()
    )


def test_labels_are_one_hot_and_may_be_given_as_such() -> None:
    told = Labels(VECTOR)
    y = torch.tensor([2, 0, 1])
    assert torch.equal(told.of(Batch(torch.zeros(3, 3), y)), torch.eye(3)[y])
    assert torch.equal(told.read(y), torch.eye(3)[y])
    between = torch.tensor([[0.5, 0.5, 0.0]])  # half way from one class to another
    assert told.read(between) is between
    assert (told.size, told.shown) == (3, 3)
    made = torch.randn(3, 3)
    assert told.whole(made, torch.eye(3)) is made


@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
@pytest.mark.parametrize("network", ["mlp", "dcgan", "residual"])
def test_a_packed_label_stands_beside_its_pack(network: str, conditioning: str, pack: int) -> None:
    """c of each example of a pack, side by side as the examples are; the other label gives another logit."""
    spec = VECTOR if network == "mlp" else IMAGE
    model = small(spec, condition="label", conditioning=conditioning, network=network, pack=pack, critic_norm="none")
    x, c = torch.rand(4, *spec.shape), torch.eye(3)[torch.tensor([0, 1, 2, 0])]
    for p in model.critic.parameters():
        nn.init.normal_(p, 0, 0.3)
    seen, told = model.sight.seen(x, CLOCK), model.sight.packed(c)
    assert told.shape == (4 // pack, 3 * pack)
    assert torch.equal(told[0], c[:pack].flatten())
    logits, other = model.sight.judge(seen, told), model.sight.judge(seen, told.flip(1))
    assert logits.shape == (4 // pack,)
    assert not torch.allclose(logits, other)


def test_the_datas_conditions_come_again_in_their_shares() -> None:
    model, labels = small(VECTOR, condition="label"), torch.tensor([1, 1, 2, 1])
    model.begin(lambda n=None: torch.zeros(4, 3), labels)
    assert model.conditions.mean(0).tolist() == [0.0, 0.75, 0.25]
    z = torch.randn(4, 4)
    torch.testing.assert_close(model.decode(z), model.decode(z, labels))  # in their order, without a draw
    torch.manual_seed(0)
    kept = model._told(None, 4000, torch.device("cpu"), draw=True).mean(0)
    assert float(kept[2]) == pytest.approx(0.25, abs=4.5 * (0.25 * 0.75 / 4000) ** 0.5)


def test_without_a_condition_there_is_nothing_to_tell() -> None:
    told = condition_of("none", TABLE)
    assert type(told) is Nothing
    assert told.target is TABLE
    assert told.of(Batch(rows())) is None


REFUSED = [
    ("label", TABLE, "needs data with labels"),
    ("labl", IMAGE, "unknown condition `labl`: did you mean `label`?"),
    ("size", IMAGE, "unknown condition `size`"),
    ("szie", TABLE, "unknown column `szie`: did you mean `size`?"),
    ("", TABLE, "unknown column ``"),
    ("size,size", TABLE, "names a column twice"),
    ("kind,size,sort,age", TABLE, "leave at least one for the generator"),
]


@pytest.mark.parametrize(("said", "spec", "says"), REFUSED)
def test_what_cannot_be_told_is_refused(said: str, spec: Spec, says: str) -> None:
    with pytest.raises(BestiaryError) as error:
        condition_of(said, spec)
    assert says in str(error.value)


WRONG = [
    ("label", VECTOR, torch.tensor([0, 1, 3]), "a label, 0 … 2, for each sample"),
    ("label", VECTOR, torch.tensor([0, -1, 0]), "a label, 0 … 2, for each sample"),
    ("label", VECTOR, torch.tensor([0.0, 1, 2]), "(n,) integers"),
    ("label", VECTOR, torch.zeros(3, 2), "(n,) integers"),
    ("label", VECTOR, torch.tensor(1), "a label, 0 … 2, for each sample"),
    ("label", VECTOR, torch.tensor([0, 1]), "3 samples need 3 conditions, one for each; got 2"),
    ("size,sort", TABLE, torch.zeros(3, 2), "columns size, sort: (n, 3) in model units"),
    ("size,sort", TABLE, torch.zeros(3), "columns size, sort: (n, 3) in model units"),
    ("size,sort", TABLE, torch.zeros(1, 3), "3 samples need 3 conditions, one for each; got 1"),
    ("none", VECTOR, torch.tensor([0, 1, 2]), "takes no condition"),
]


@pytest.mark.parametrize(("said", "spec", "given", "says"), WRONG)
def test_a_condition_that_does_not_fit_is_refused(said: str, spec: Spec, given: Tensor, says: str) -> None:
    model = small(spec, condition=said)
    for make in (lambda: model.sample(3, given), lambda: model.decode(torch.zeros(3, 4), given)):
        with pytest.raises(BestiaryError) as error:
            make()
        assert says in str(error.value)


def test_names_may_hold_brackets_and_commas() -> None:
    spec = Spec("table", (3,), columns=(Column("length (cm)"), Column("a, b"), Column("(c)")))
    assert condition_of("length (cm)", spec).names == ["length (cm)"]
    assert condition_of("a, b", spec).names == ["a, b"]
    assert condition_of("(c)", spec).names == ["(c)"]
    assert condition_of("(length (cm),(c))", spec).names == ["length (cm)", "(c)"]


def test_labels_of_any_whole_kind() -> None:
    spec = Spec("image", (1, 8, 8), 2, classes=("a", "b"))
    assert Labels(spec).read(torch.tensor([1, 0], dtype=torch.int32)).tolist() == [[0, 1], [1, 0]]
