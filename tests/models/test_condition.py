"""What a model is told: fields and columns in their places, the likelihoods given them, and what is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec, label, mask_name, numbers, pictures, rows, sequence
from bestiary.data.support import Category, Column, Levels
from bestiary.errors import BestiaryError
from bestiary.models.condition import STORED_ROWS, parse_condition
from bestiary.models.model import Model
from bestiary.models.vae import VAE
from bestiary.models.zoo import build
from bestiary.networks.conditioned import ConditionTensors
from bestiary.objectives.games import nonsaturating
from bestiary.training.clock import Clock
from bestiary.training.part import TrainingData

ABC = label(("a", "b", "c"))
IMAGE = pictures((1, 8, 8), 17, ABC)
TABLE = rows([Column("kind", Category(("x", "y", "z"))), Column("size"), Column("sort", Category(("u", "v"))),
              Column("age")])  # fmt: skip
VECTOR = rows(3, ABC)
SHOWERS = rows(3, numbers([Column("energy"), Column("angle")]))
CLOCK = Clock(torch.tensor(0.0), 10)


def small(spec: Spec, name: str = "ns-gan", **options: object) -> Model:
    torch.manual_seed(0)
    return build(name, spec, **{"latent": 4, "width": 4, "hidden": (8,), "network": "mlp", **options}).eval()


def table(n: int = 6) -> Tensor:
    """Rows of the table: one-hot where there is a category."""
    g = torch.Generator().manual_seed(1)
    kind, sort = (nn.functional.one_hot(torch.randint(k, (n,), generator=g), k).float() for k in (3, 2))
    return torch.cat([kind, torch.randn(n, 1, generator=g), sort, torch.randn(n, 1, generator=g)], 1)


def begun(model: Model, batch: Batch) -> Model:
    model.begin(TrainingData(len(batch), lambda n: model.observe(batch[:n]), draw=lambda batch: None))
    return model


def stirred(module: nn.Module, scale: float = 0.3) -> nn.Module:
    torch.manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(scale * torch.randn_like(p))
    return module


# ------------------------------------------------------------------ columns of x

PLACES = {  # where the columns that are told stand in x
    "size": {"size": [3]}, "sort": {"sort": [4, 5]}, "age,kind": {"age": [6], "kind": [0, 1, 2]},
    "(kind, age, size)": {"kind": [0, 1, 2], "age": [6], "size": [3]},
}  # fmt: skip


@pytest.mark.parametrize("text", PLACES)
def test_columns_are_taken_out_and_put_back_in_their_places(text: str) -> None:
    """Whatever their order in `condition=`; what is left to make is described by the rest of the field."""
    told, x, places = parse_condition(text, TABLE), table(), PLACES[text]
    c = told.of(Batch(x))
    assert c.keys() == places.keys()
    assert all(torch.equal(c[name], x[:, place]) for name, place in places.items())
    assert told.reads() == set()  # they are a part of x already
    taken = [i for place in places.values() for i in place]
    rest = [i for i in range(7) if i not in taken]
    assert torch.equal(told.target_of(x), x[:, rest])
    assert torch.equal(told.assemble(x[:, rest], c), x)
    assert told.target.shape == (len(rest),)
    assert [c.name for c in told.target.columns] == [c.name for c in TABLE.x.columns if c.name not in places]


@pytest.mark.parametrize("name", ["ns-gan", "vae"])
@pytest.mark.parametrize("text", PLACES)
def test_samples_hold_what_was_told_and_lie_in_the_support(text: str, name: str) -> None:
    model, x = small(TABLE, name, condition=text), table()
    c = model.condition.of(Batch(x))
    made = model.sample(6, c)
    assert all(torch.equal(made[:, place], x[:, place]) for place in PLACES[text].values())
    assert made.shape == (6, 7)
    for category in (made[:, :3], made[:, 4:6]):
        torch.testing.assert_close(category.sum(1), torch.ones(6))
    assert torch.equal(model.show(torch.zeros(6, 4), c)[:, 3], x[:, 3]) == ("size" in text)


def test_a_vector_without_named_columns_has_numbered_ones() -> None:
    told = parse_condition("x3,x1", VECTOR)
    x = torch.randn(4, 3)
    c = told.of(Batch(x))
    assert torch.equal(torch.cat(list(c.values()), 1), x[:, [2, 0]])
    assert torch.equal(told.assemble(x[:, 1:2], c), x)
    assert told.target.shape == (1,)


def test_the_critic_judges_whole_rows_and_the_generator_answers_for_its_own_alone() -> None:
    """What was told is a constant: no gradient goes to it, all of it stands in what the critic sees."""
    model, x = small(TABLE, condition="sort"), table()
    torch.manual_seed(5)
    fake = model.generator(torch.randn(6, 4), {"sort": x[:, 4:6]})
    whole = torch.cat([fake[:, :4], x[:, 4:6], fake[:, 4:]], 1)
    game = model.game
    torch.manual_seed(5)
    found, _ = model.critic_loss(Batch(x), CLOCK)
    torch.testing.assert_close(found["total"], game.critic(model.critic(x), model.critic(whole)).mean())
    torch.manual_seed(5)
    found, _ = model.generator_loss(Batch(x), CLOCK)
    torch.testing.assert_close(found["total"], game.generator(None, model.critic(whole)).mean())


# ------------------------------------------------------------------ log p(x|c)

LINEAR = {  # what is told → a spec, numbers in r
    "label": (rows(4, ABC), 3), "energy,angle": (rows(4, *(numbers([Column(n)], n) for n in ("energy", "angle"))), 2),
    "x2,x5": (rows(6), 2),
}  # fmt: skip


def linear_gaussian(text: str, prior: str) -> tuple[VAE, Batch]:
    """x = W z + V r + b + σ ε with z ~ N(m(c), diag s²(c)), and a posterior that is wide enough for any weights."""
    spec, told = LINEAR[text]
    torch.manual_seed(0)
    options = {"encoder": nn.Linear(spec.dimensions + told, 5), "decoder": nn.Linear(2 + told, 4)}
    model = build("vae", spec, latent=2, condition=text, prior=prior, likelihood="gaussian", **options)
    assert isinstance(model, VAE)
    stirred(model)
    with torch.no_grad():
        model.posterior.head.weight *= 0.3
        model.posterior.head.bias[2:] += 1.0
    batch = spec.random_batch(5)
    return model, batch


@pytest.mark.parametrize("prior", ["standard", "conditional"])
@pytest.mark.parametrize("text", LINEAR)
@torch.no_grad()
def test_the_weights_are_those_of_log_p_of_x_given_c(text: str, prior: str) -> None:
    """E w = p(x|c) = N(x; W m + V r + b, W diag(s²) Wᵀ + σ² I), of columns p(the others|those that are told)."""
    (model, batch), k = linear_gaussian(text, prior), 20_000
    c = model.condition.of(batch)
    p, r, decoder = model.prior(c), model.decoder.reader(c), model.decoder.net
    w, v = decoder.weight[:, :2], decoder.weight[:, 2:]
    mean, s2 = (t.expand(5, 2) for t in (p.mean, p.variance))
    covariance = w @ torch.diag_embed(s2) @ w.T + model.likelihood.log_var.exp() * torch.eye(4)
    told = [] if text != "x2,x5" else [1, 4]
    x = batch.x[:, [i for i in range(batch.x.shape[1]) if i not in told]]
    exact = MultivariateNormal(mean @ w.T + r @ v.T + decoder.bias, covariance).log_prob(x)
    drawn = model.draw(batch, k)
    ratio = (drawn.log_px + drawn.log_pz - drawn.log_qz - exact).double().exp()  # (K, B), of mean 1
    error = ratio.std(0) / k**0.5
    assert error.max() < 0.05
    assert ((ratio.mean(0) - 1).abs() < 4.5 * error + 1e-5).all()
    assert ((model.bound(batch, k) - exact).abs() < 5 * error + 1e-4).all()
    loose, tight = model.bounds(batch, (1, k)).mean(1)
    assert loose < tight


@torch.no_grad()
def test_the_kl_from_a_conditional_prior_has_its_closed_form() -> None:
    """KL(q(z|x, c)‖p(z|c)) of each example, and as the mean of draws."""
    (model, batch), k = linear_gaussian("label", "conditional"), 20_000
    drawn = model.draw(batch, k)
    q, p = (Normal(d.mean, d.variance.sqrt()) for d in (drawn.q, model.prior(model.condition.of(batch))))
    assert q.mean.shape == p.mean.shape == (5, 2)
    torch.testing.assert_close(drawn.kl, kl_divergence(q, p).sum(1))
    each = drawn.log_qz - drawn.log_pz
    assert ((drawn.kl - each.mean(0)).abs() < 4.5 * each.std(0) / k**0.5 + 1e-5).all()


def test_priors_that_are_made_of_the_posterior_hear_no_condition() -> None:
    for prior in ("vamp(5)", "aggregated(5)"):
        with pytest.raises(BestiaryError, match="use prior=standard, prior=conditional"):
            small(VECTOR, "vae", condition="label", prior=prior)
    with pytest.raises(BestiaryError, match="add condition=label"):
        small(VECTOR, "vae", prior="conditional")


# ------------------------------------------------------------------ what a sample is told


@pytest.mark.parametrize("prior", ["standard", "conditional"])
def test_c_is_drawn_once_for_z_and_for_x(prior: str) -> None:
    model = begun(small(VECTOR, "vae", condition="label", prior=prior), VECTOR.random_batch(50))
    seen: list[ConditionTensors] = []
    codes, make = model.codes, model.make
    model.codes = lambda n, c: (seen.append(c), codes(n, c))[1]
    model.make = lambda z, c: (seen.append(c), make(z, c))[1]
    assert model.sample(9).shape == (9, 3)
    model.sample(9)
    of_codes, of_x, _, again = seen
    assert of_codes is of_x
    assert not torch.equal(of_x["label"], again["label"])


def test_kept_conditions_have_the_shares_of_the_data_also_where_it_is_sorted() -> None:
    """Rows of all fields stay together."""
    spec = rows(3, ABC, numbers([Column("energy")], "energy"))
    y = torch.arange(900) // 300
    data = Batch(torch.zeros(900, 3), {"label": y, "energy": y[:, None].float()})
    model = begun(small(spec, condition="label,energy"), data)
    drawn = model.condition.draw(4000)
    assert torch.equal(drawn["energy"][:, 0], drawn["label"].float())
    counts = drawn["label"].bincount(minlength=3) / 4000
    assert ((counts - 1 / 3).abs() < 4.5 * (2 / 9 * (1 / 4000 + 1 / STORED_ROWS)) ** 0.5).all()
    few = begun(small(spec, condition="label"), Batch(torch.zeros(4, 3), {"label": torch.tensor([1, 1, 2, 1])}))
    assert (few.condition.get_buffer("kept_0").bincount(minlength=3) / STORED_ROWS).tolist() == [0, 0.75, 0.25]


def test_the_same_label_and_code_give_the_same_x() -> None:
    for name in ("ns-gan", "vae", "ae"):
        x = small(IMAGE, name, condition="label").show(torch.zeros(3, 4), {"label": torch.tensor([0, 0, 2])})
        assert torch.equal(x[0], x[1])
        assert not torch.equal(x[0], x[2])


def test_the_codes_of_a_conditional_model_are_of_x_and_c() -> None:
    x = torch.randn(2, 3)
    for name in ("vae", "ae"):
        model = small(VECTOR, name, condition="label")
        here, there = (model.encode(Batch(x, {"label": torch.tensor([i, i])})) for i in (0, 1))
        assert not torch.allclose(here, there)


# ------------------------------------------------------------------ what some examples lack

OPTIONAL = rows(3, label(("a", "b"), optional=True), numbers([Column("energy")], "energy", optional=True))


@pytest.mark.parametrize("name", ["ns-gan", "vae", "ae"])
def test_what_is_not_known_tells_nothing(name: str) -> None:
    """Whatever value stands where the mask is off, and the mask itself is heard."""
    model, z = stirred(small(OPTIONAL, name, condition="label,energy")), torch.zeros(4, 4)
    there = torch.tensor([True, False, True, False])
    c = {"label": torch.tensor([1, 1, 0, 0]), mask_name("label"): there,
         "energy": torch.tensor([[2.0], [2.0], [-1.0], [-1.0]]), mask_name("energy"): there}  # fmt: skip
    x = model.show(z, c)
    assert torch.equal(x[1], x[3])
    assert not torch.allclose(x[0], x[2])
    zero = {"label": torch.zeros(4, dtype=torch.int64), "energy": torch.zeros(4, 1)}
    masks = {mask_name("label"): torch.ones(4, dtype=torch.bool), mask_name("energy"): there}
    x = model.show(z, zero | masks)
    assert not torch.allclose(x[0], x[1])  # a number 0 that is known is no missing number
    with pytest.raises(BestiaryError, match="energy may be missing: give its mask"):
        model.show(z, zero | {mask_name("label"): there})


def test_samples_lack_what_the_data_lack() -> None:
    model = begun(small(OPTIONAL, condition="label,energy"), OPTIONAL.random_batch(500))
    drawn, kept = model.condition.draw(4000), 0.7  # Spec.random_batch: seven of ten have it
    assert drawn.keys() == {"label", mask_name("label"), "energy", mask_name("energy")}
    for name in (mask_name("label"), mask_name("energy")):
        assert abs(drawn[name].float().mean() - kept) < 4.5 * (kept * (1 - kept) / 500) ** 0.5
    assert model.sample(5).shape == (5, 3)


# ------------------------------------------------------------------ words and pictures

CAPTION = sequence(("<pad>", "red", "blue", "cat"), 4)
SKETCH = Field("sketch", "picture", (2, 6, 6), Levels(256))
TOLD = rows(3, CAPTION, SKETCH)


@pytest.mark.parametrize("name", ["ns-gan", "vae"])
def test_each_network_learns_to_read_by_itself(name: str) -> None:
    """Words and pictures are read by weights of the network that is told them: each has the owner of its network."""
    model = small(TOLD, name, condition="caption,sketch").train()
    networks = {"ns-gan": ("critic", "generator"), "vae": ("encoder", "decoder")}[name]
    readers = [getattr(model, network).reader for network in networks]
    batch = TOLD.random_batch(8)
    for player in model.players():
        terms, _ = player.loss(batch, CLOCK)
        torch.autograd.backward([terms["total"]], inputs=player.parameters)
    own = [{id(p) for p in reader.parameters()} for reader in readers]
    assert not own[0] & own[1]
    for reader in readers:
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in reader.parameters())
    for player, ids in zip(model.players(), own if name == "ns-gan" else [own[0] | own[1]], strict=True):
        assert ids <= {id(p) for p in player.parameters}
    assert model.reads() == {"caption", "sketch"}


def test_captions_and_pictures_are_not_kept_and_must_be_given() -> None:
    model, c = begun(small(TOLD, condition="caption"), TOLD.random_batch(50)), {"caption": torch.tensor([[1, 3, 0, 0]])}
    assert model.sample(1, c).shape == (1, 3)
    with pytest.raises(BestiaryError, match="stores no caption to sample with: give condition="):
        model.sample(3)
    assert not list(model.condition.buffers())


# ------------------------------------------------------------------ critics


def test_a_critic_hears_numbers_that_say_something_of_x_however_curved() -> None:
    """x = c² and noise, against x of other examples: a projection on c itself would tell half of them."""
    model = small(rows(1, numbers([Column("y1")])), condition="vector", hidden=(64, 64)).train()
    adam = torch.optim.Adam(model.critic.parameters(), lr=3e-3)
    for step in range(301):
        c = torch.randn(256, 1)
        x = c.square() + 0.1 * torch.randn(256, 1)
        real, fake = model.critic.judge_both(x, x[torch.randperm(256)], {"numbers": c})
        if step < 300:
            adam.zero_grad()
            nonsaturating().critic(real, fake).mean().backward()
            adam.step()
    assert float(((real > 0).float().mean() + (fake < 0).float().mean()) / 2) > 0.7


@pytest.mark.parametrize("condition", ["label", "numbers"])
def test_features_know_no_condition_that_is_projected(condition: str) -> None:
    spec = {"label": IMAGE, "numbers": pictures((1, 8, 8), 17, numbers([Column("y1")]))}[condition]
    options = {"condition": condition, "matching": 1.0, "adversarial": 0.0}
    with pytest.raises(BestiaryError, match="conditioning=concatenation"):
        small(spec, **options)
    small(spec, **options, conditioning="concatenation")


@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
@pytest.mark.parametrize("network", ["mlp", "dcgan", "residual"])
def test_a_packed_label_stands_beside_its_pack(network: str, conditioning: str, pack: int) -> None:
    """c of each example of a pack, side by side as the examples are: the logit is that of the net told it so."""
    spec = VECTOR if network == "mlp" else IMAGE
    options = {"network": network, "critic_norm": "none", "tricks": f"pack({pack})"}
    model = small(spec, condition="label", conditioning=conditioning, **options)
    x, y = torch.rand(4, *spec.shape), torch.tensor([0, 1, 2, 0])
    for p in model.critic.parameters():
        nn.init.normal_(p, 0, 0.3)
    shown, c = model.view(x, CLOCK), torch.eye(3)[y].view(4 // pack, 3 * pack)
    if conditioning == "projection":
        by_hand = model.critic.net(shown, c)
    else:
        maps = c if network == "mlp" else c[:, :, None, None].expand(-1, -1, 8, 8)
        by_hand = model.critic.net(torch.cat([shown, maps], 1))
    logits = model.critic(shown, {"label": y})
    assert logits.shape == (4 // pack,)
    torch.testing.assert_close(logits, by_hand.view(-1))
    assert not torch.allclose(logits, model.critic(shown, {"label": y.flip(0)}))


# ------------------------------------------------------------------ what is refused


def test_without_a_condition_there_is_nothing_to_tell() -> None:
    told = parse_condition("none", TABLE)
    assert told.fields == ()
    assert told.target is TABLE.x
    assert told.of(Batch(table())) == told.draw(3) == {}
    assert told.reads() == set()
    with pytest.raises(BestiaryError, match="takes no condition"):
        told.read("cat")


REFUSED = [
    ("label", TABLE, "needs examples with labels, and these have none"),
    ("label", SHOWERS, "needs examples with labels, and these come with numbers: use condition=numbers"),
    ("labl", IMAGE, "unknown condition `labl`: did you mean `label`?"),
    ("size", IMAGE, "unknown condition `size`"),
    ("szie", TABLE, "unknown condition `szie`: did you mean `size`?"),
    ("", TABLE, "unknown condition ``"),
    ("size", pictures((1, 8, 8), 17), "nothing beside x"),
    ("size,size", TABLE, "names a field twice"),
    ("kind,size,sort,age", TABLE, "leave at least one for the model to generate"),
]


@pytest.mark.parametrize(("text", "spec", "says"), REFUSED)
def test_what_cannot_be_told_is_refused(text: str, spec: Spec, says: str) -> None:
    with pytest.raises(BestiaryError) as error:
        parse_condition(text, spec)
    assert says in str(error.value)


WRONG = [
    ("label", VECTOR, {"label": torch.tensor([0, 1, 3])}, "none of its"),
    ("label", VECTOR, {"label": torch.tensor([0, -1, 0])}, "none of its"),
    ("label", VECTOR, {"label": torch.tensor([0.0, 1, 2])}, "label takes whole numbers; got torch.float32"),
    ("label", VECTOR, {"label": torch.zeros(3, 2, dtype=torch.int64)}, "label has shape (); got (2,)"),
    ("label", VECTOR, {"label": torch.tensor([0, 1])}, "3 samples need 3 conditions, one for each; got 2"),
    ("label", VECTOR, {}, "this model takes the condition label: give condition=label:"),
    ("numbers", SHOWERS, {"numbers": torch.full((3, 2), torch.nan)}, "none of its"),
    (
        "size,sort",
        TABLE,
        {"size": torch.zeros(3, 1)},
        "this model takes the condition size, sort: give condition=sort:",
    ),
    ("size,sort", TABLE, {"size": torch.zeros(3, 1), "sort": torch.zeros(3, 3)}, "sort has shape (2,); got (3,)"),
]


@pytest.mark.parametrize("name", ["ns-gan", "vae"])
@pytest.mark.parametrize(("text", "spec", "given", "says"), WRONG)
def test_a_condition_that_does_not_fit_is_refused(
    text: str, spec: Spec, given: ConditionTensors, says: str, name: str
) -> None:
    model = small(spec, name, condition=text)
    for make in (lambda: model.sample(3, given), lambda: model.show(torch.zeros(3, 4), given)):
        with pytest.raises(BestiaryError) as error:
            make()
        assert says in str(error.value)


def test_a_batch_that_lacks_what_is_told_is_refused() -> None:
    model = small(VECTOR, "vae", condition="label", prior="conditional")
    for ask in (model.encode, model.bound, lambda batch: model.loss(batch, CLOCK)):
        with pytest.raises(BestiaryError, match="takes the condition label, and the batch has no label"):
            ask(Batch(torch.zeros(2, 3)))
    with pytest.raises(BestiaryError, match="takes the condition label: give label of each example"):
        model.codes(3)


def test_names_may_hold_brackets_and_commas() -> None:
    spec = rows([Column("length (cm)"), Column("a, b"), Column("(c)")])
    assert parse_condition("length (cm)", spec).names == ["length (cm)"]
    assert parse_condition("a, b", spec).names == ["a, b"]
    assert parse_condition("(c)", spec).names == ["(c)"]
    assert parse_condition("(length (cm),(c))", spec).names == ["length (cm)", "(c)"]


def test_vector_is_the_numbers_beside_x_unless_a_column_is_called_so() -> None:
    assert parse_condition("vector", SHOWERS).names == ["numbers"]
    own = parse_condition("vector", rows([Column("vector"), Column("other")]))
    assert torch.equal(own.of(Batch(torch.eye(2)))["vector"], torch.tensor([[1.0], [0.0]]))
