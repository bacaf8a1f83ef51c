"""What is added to the bare game: each trick and training form against its formula, done by hand."""

import pytest
import torch
from torch import Tensor, nn

from bestiary.data.batches import Batch
from bestiary.data.spec import Spec
from bestiary.densities.noise import shared
from bestiary.models.gan import GAN
from bestiary.models.infer import infer
from bestiary.models.sight import Sight
from bestiary.models.zoo import MODELS, build
from bestiary.models.zoo_adversarial import wgan_turns
from bestiary.networks.critic import Critic, Minibatch, beside
from bestiary.networks.norm import BatchNorm
from bestiary.objectives.games import nonsaturating, saturating
from bestiary.training.clock import Clock
from bestiary.training.player import SGD
from bestiary.training.turn import Turn

VECTOR = Spec("vector", (3,))
IMAGE = Spec("image", (1, 8, 8), levels=17, classes=("a", "b", "c"))


def clock(round: int = 0, turn: int = 0, phase: int = 1) -> Clock:
    return Clock(torch.tensor(float(round)), 100, torch.tensor(float(turn)), phase)


def small(spec: Spec = VECTOR, **options: object) -> GAN:
    torch.manual_seed(0)
    model = build("ns-gan", spec, **{"latent": 4, "width": 4, "hidden": (8,), **options})
    assert isinstance(model, GAN)
    return model


def batch(spec: Spec = VECTOR, n: int = 6) -> Batch:
    g = torch.Generator().manual_seed(1)
    y = torch.arange(n) % len(spec.classes) if spec.classes else None
    return Batch(torch.rand(n, *spec.shape, generator=g), y)


def fakes(model: GAN, n: int = 6, seed: int = 5) -> Tensor:
    torch.manual_seed(seed)
    return model.generator(torch.randn(n, model.latent))


def loss(model: GAN, who: str, given: Batch, at: Clock | None = None, seed: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(getattr(model, who)(given, at or clock()))


def descend(net: nn.Module, value: Tensor, rate: float = 0.3) -> None:
    slopes = torch.autograd.grad(value, list(net.parameters()))
    with torch.no_grad():
        for p, s in zip(net.parameters(), slopes, strict=True):
            p -= rate * s


def test_a_packed_critic_sees_examples_side_by_side() -> None:
    model, given = small(pack=3), batch()
    real = model.critic(torch.cat([given.x[:3].flatten(), given.x[3:].flatten()]).view(2, 9))
    fake = model.critic(fakes(model).reshape(2, 9))
    game = nonsaturating()
    torch.testing.assert_close(loss(model, "critic_loss", given)["total"], game.critic(real, fake).mean())
    torch.testing.assert_close(loss(model, "generator_loss", given)["total"], game.generator(real, fake).mean())


def test_packs_of_images_stand_in_the_channels() -> None:
    model = small(IMAGE, pack=2)
    x = torch.rand(4, 1, 8, 8)
    packed = model.sight.seen(x, clock())
    assert packed.shape == (2, 2, 8, 8)
    assert torch.equal(packed[0, 1], x[1, 0])


def test_feature_matching_compares_means() -> None:
    """‖mean h(real) − mean h(fake)‖²: who stands beside whom in the batch does not matter."""
    model, given = small(matching=2.0), batch()
    h_real, h_fake = model.critic.features(given.x).mean(0), model.critic.features(fakes(model)).mean(0)
    found = loss(model, "generator_loss", given)
    torch.testing.assert_close(found["matching"], 2 * (h_real - h_fake).square().sum())
    plain = loss(small(), "generator_loss", given)["total"]
    torch.testing.assert_close(found["total"], plain + found["matching"])
    shuffled = loss(model, "generator_loss", Batch(given.x.flip(0)))["matching"]
    torch.testing.assert_close(shuffled, found["matching"])


def test_features_may_be_matched_alone() -> None:
    """As Salimans et al. do: whatever the game's loss, the generator follows the means of the features."""
    model, given = small(matching=2.0, adversarial=0.0), batch()
    found = loss(model, "generator_loss", given)
    assert torch.equal(found["total"], found["matching"])
    torch.testing.assert_close(found["matching"], loss(small(matching=2.0), "generator_loss", given)["matching"])


def test_the_game_has_a_weight_in_the_generators_loss_alone() -> None:
    half, whole, given = small(adversarial=0.5), small(), batch()
    torch.testing.assert_close(
        2 * loss(half, "generator_loss", given)["total"], loss(whole, "generator_loss", given)["total"]
    )
    torch.testing.assert_close(loss(half, "critic_loss", given)["total"], loss(whole, "critic_loss", given)["total"])


def test_the_minibatch_layer_by_a_loop() -> None:
    torch.manual_seed(0)
    layer, h = Minibatch(5, 2), torch.randn(4, 5)
    m = layer.project(h).view(4, 2, 3)
    for i in range(4):
        for b in range(2):
            near = sum(float(torch.exp(-(m[i, b] - m[j, b]).abs().sum()).detach()) for j in range(4) if j != i)
            assert float(layer(h)[i, b].detach()) == pytest.approx(near, rel=1e-5)


def test_real_and_fake_are_compared_among_their_own() -> None:
    """The minibatch layer sees one side at a time: what the other is like changes nothing."""
    model, given = small(minibatch=2), batch()
    game = nonsaturating()
    expected = game.critic(model.critic(given.x), model.critic(fakes(model))).mean()
    torch.testing.assert_close(loss(model, "critic_loss", given)["total"], expected)
    together = model.critic(torch.cat([given.x, fakes(model)]))
    assert not torch.allclose(together[:6], model.critic(given.x))


def test_the_minibatch_layer_tells_copies() -> None:
    layer = Minibatch(5, 2)
    assert torch.allclose(layer(torch.ones(4, 5)), torch.full((4, 2), 3.0))


def test_history_is_the_mean_of_past_weights() -> None:
    """θ̄ after t turns is the mean of θ at the end of each, and the term is the distance to it."""
    model = small(history=0.5)
    player = model.players()[0]
    seen: list[Tensor] = []
    turn = Turn(player, torch.device("cpu"))
    for i in range(3):
        before = torch.nn.utils.parameters_to_vector(player.parameters).detach().clone()
        mean = torch.stack(seen).mean(0) if seen else before
        found = loss(model, "critic_loss", batch(), seed=i)
        torch.testing.assert_close(found["history"], 0.5 * (before - mean).square().sum(), atol=1e-9, rtol=1e-4)
        turn(batch(), clock(i))
        seen.append(torch.nn.utils.parameters_to_vector(player.parameters).detach().clone())


def test_clipped_weights_stay_within_after_every_turn() -> None:
    model = build("wgan", VECTOR, latent=4, hidden=(8,))
    turn = Turn(model.players()[0], torch.device("cpu"))
    for _ in range(3):
        turn(batch(), clock())
        assert max(float(p.detach().abs().max()) for p in model.critic.parameters()) <= 0.01


def test_wgans_turns() -> None:
    assert [wgan_turns(r) for r in (0, 24, 25, 499, 500, 501, 1000)] == [100, 100, 5, 5, 100, 5, 100]


def test_joined_batches_differ_only_through_batchnorm() -> None:
    given = batch()
    for norm, same in (("none", True), ("batch", False)):
        apart, joint = (small(joint=j, critic_norm=norm) for j in (False, True))
        for who in ("critic_loss", "generator_loss"):
            a, b = loss(apart, who, given)["total"], loss(joint, who, given)["total"]
            assert torch.allclose(a, b, atol=1e-6) == same, (norm, who)


def test_joined_batches_are_one_batch_of_batchnorm() -> None:
    model, given = small(joint=True, critic_norm="batch"), batch()
    real, fake = model.critic(torch.cat([given.x, fakes(model)])).chunk(2)
    torch.testing.assert_close(loss(model, "critic_loss", given)["total"], nonsaturating().critic(real, fake).mean())


def test_instance_noise_follows_its_schedule() -> None:
    model, x = small(noise="linear(0.5,0,100)"), torch.zeros(4000, 3)
    for at, sigma in ((0, 0.5), (50, 0.25), (100, 0.0)):
        torch.manual_seed(0)
        assert float(model.sight.seen(x, clock(at)).std()) == pytest.approx(sigma, abs=0.01)


def test_both_real_and_fake_pass_through_the_lens() -> None:
    model = small(IMAGE, augment=("cutout",), network="mlp")
    watched: list[Tensor] = []
    model.critic.body.register_forward_pre_hook(lambda module, x: watched.append(x[0].detach()))
    loss(model, "critic_loss", batch(IMAGE))
    loss(model, "generator_loss", batch(IMAGE))
    assert len(watched) == 3
    assert all(int((x == 0).sum()) >= 6 * 4 for x in watched)  # at least a corner of each image


def test_a_lazy_penalty_weighs_in_its_rounds_what_it_would_in_all() -> None:
    model, given = small(penalty="r1(2)", lazy=4), batch()
    critic = model.players()[0]
    assert [critic.phase(r) for r in range(6)] == [1, 0, 0, 0, 1, 0]
    always = loss(small(penalty="r1(2)"), "critic_loss", given)["penalty"]
    on, off = (loss(model, "critic_loss", given, clock(phase=p))["penalty"] for p in (1, 0))
    torch.testing.assert_close(on, 4 * always)
    assert float(off) == 0


def play(model: GAN, given: Batch, seed: int = 7) -> None:
    """One round as the loop plays it, with plain gradient descent."""
    for player in model.players():
        torch.manual_seed(seed)
        Turn(player, torch.device("cpu"))(given, clock())


def test_simultaneous_steps_start_from_one_point() -> None:
    """Both gradients by hand at the same weights; alternating ones give the generator another."""
    options = {"optimiser": "sgd", "lr": 0.5, "beta1": 0.0}
    together, alternate, by_hand = small(simultaneous=True, **options), small(**options), small(**options)
    given = batch()
    steps = []
    for player in by_hand.players():
        torch.manual_seed(7)
        slopes = torch.autograd.grad(player.loss(given, clock())["total"], player.parameters)
        steps += [(p, s) for p, s in zip(player.parameters, slopes, strict=True)]
    with torch.no_grad():
        for p, s in steps:
            p -= 0.5 * s
    play(together, given)
    play(alternate, given)
    for a, b in zip(together.generator.parameters(), by_hand.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    moved = zip(together.generator.parameters(), alternate.generator.parameters(), strict=True)
    assert max(float((a - b).abs().max().detach()) for a, b in moved) > 1e-4
    for a, b in zip(together.critic.parameters(), alternate.critic.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_an_unrolled_generator_sees_the_critics_answer() -> None:
    """One step of the critic by hand; without steps it is the plain game, and the critic's own weights stay."""
    given, plain = batch(), small()
    before = [p.detach().clone() for p in plain.critic.parameters()]
    model = small(unroll=1, unroll_rate=0.3)
    found = loss(model, "generator_loss", given)["total"]
    torch.manual_seed(5)
    fake, other = (plain.generator(torch.randn(6, 4)) for _ in range(2))  # the critic's answer is to fresh samples
    answer = saturating().critic(plain.critic(given.x), plain.critic(other.detach())).mean()
    descend(plain.critic, answer)
    torch.testing.assert_close(found, nonsaturating().generator(fake, plain.critic(fake)).mean())
    assert all(torch.equal(a, b) for a, b in zip(before, model.critic.parameters(), strict=True))


@pytest.mark.parametrize("penalty", ["r1(3)", "r2(3)", "r1r2(2)"])
def test_an_unrolled_critic_pays_its_penalty_at_every_step(penalty: str) -> None:
    """Three steps by hand. From the second on the weights depend on the samples; the slope is by x alone."""
    given, model = batch(), small(unroll=3, unroll_rate=0.3, penalty=penalty)
    found = loss(model, "generator_loss", given)["total"]
    plain = small(penalty=penalty)
    torch.manual_seed(5)
    fake, other = (plain.generator(torch.randn(6, 4)).detach() for _ in range(2))
    for _ in range(3):
        answer = saturating().critic(plain.critic(given.x), plain.critic(other)).mean()
        answer = answer + plain.rules.penalty(plain.critic, given.x, other).mean()
        descend(plain.critic, answer)
    torch.testing.assert_close(found, nonsaturating().generator(fake, plain.critic(fake)).mean())


def test_features_of_joined_batches_are_matched_as_they_are_seen() -> None:
    model, given = small(joint=True, critic_norm="batch", matching=2.0), batch()
    h_real, h_fake = model.critic.body(torch.cat([given.x, fakes(model)])).chunk(2)
    found = loss(model, "generator_loss", given)["matching"]
    torch.testing.assert_close(found, 2 * (h_real.mean(0) - h_fake.mean(0)).square().sum())


def test_an_unrolled_critic_is_drawn_to_its_past_too() -> None:
    """One step by hand on the loss that the critic itself has, history and all."""
    given, plain = batch(), small(history=0.5)
    model = small(unroll=1, unroll_rate=0.3, history=0.5)
    assert plain.past_critic is not None
    assert model.past_critic is not None
    for past in (plain.past_critic, model.past_critic):
        for mean in list(past.buffers())[1:]:
            mean += 1
    found = loss(model, "generator_loss", given)["total"]
    torch.manual_seed(5)
    fake, other = (plain.generator(torch.randn(6, 4)) for _ in range(2))
    answer = saturating().critic(plain.critic(given.x), plain.critic(other.detach())).mean()
    answer = answer + 0.5 * plain.past_critic.distance(plain.critic.parameters())
    descend(plain.critic, answer)
    torch.testing.assert_close(found, nonsaturating().generator(fake, plain.critic(fake)).mean())


def test_moments_of_a_batch_are_left_out_where_they_undo_a_bound() -> None:
    options, why = infer(MODELS["gan"], IMAGE, {"spectral": True, "game": "hinge", "network": "dcgan"})
    assert options["critic_norm"] == "none"
    assert "undo the bound" in why["critic_norm"]


def test_spectral_norm_makes_every_layer_of_norm_one() -> None:
    model = build("sn-gan", VECTOR, latent=4, hidden=(16, 16))
    x = torch.randn(8, 3)
    for _ in range(50):  # each forward pass is one step of power iteration
        model.sight.judge(x)
    for layer in model.eval().critic.modules():
        if isinstance(layer, nn.Linear):
            assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_a_label_reaches_both_players(conditioning: str) -> None:
    model, given = small(IMAGE, condition="label", conditioning=conditioning), batch(IMAGE)
    c = nn.functional.one_hot(given.y, 3).float()
    torch.manual_seed(5)
    fake = model.generator(torch.cat([torch.randn(6, 4), c], 1))

    def judge(x: Tensor) -> Tensor:
        if conditioning == "concatenation":
            return model.critic(torch.cat([x, c[:, :, None, None].expand(-1, -1, 8, 8)], 1))
        h = model.critic.body(x)
        return model.critic.head(h)[:, 0] + (model.critic.project(c) * h).sum(1)

    game, real = nonsaturating(), 2 * given.x - 1
    torch.testing.assert_close(loss(model, "critic_loss", given)["total"], game.critic(judge(real), judge(fake)).mean())
    found = loss(model, "generator_loss", given)["total"]
    torch.testing.assert_close(found, game.generator(judge(real), judge(fake)).mean())


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_a_label_reaches_the_penalty_and_the_unrolled_critic(
    conditioning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that the critic is asked it is told the labels, and with those of others it says otherwise."""
    given = batch(IMAGE)
    options = {"condition": "label", "conditioning": conditioning, "penalty": "r1(3)", "unroll": 1}
    model = small(IMAGE, network="mlp", **options)
    seen = []
    inner = Sight.judge

    def judge(sight: Sight, x: Tensor, c: Tensor | None = None, *more: object, **how: object) -> Tensor:
        told = inner(sight, x, c, *more, **how)
        seen.append(c)
        assert c is not None
        assert not torch.allclose(told, inner(sight, x, c.roll(1, 1), *more, **how))  # the critic listens
        return told

    monkeypatch.setattr(Sight, "judge", judge)
    loss(model, "critic_loss", given)
    loss(model, "generator_loss", given)
    assert len(seen) == 3 + 4  # real, fake, penalty; real and fake looked ahead, their penalty, the answer
    told = nn.functional.one_hot(given.y, 3).float()
    assert all(torch.equal(c, told) for c in seen)


def test_samples_of_a_label_and_of_the_datas_labels() -> None:
    model = small(IMAGE, condition="label", network="mlp").eval()
    labels = torch.tensor([0, 0, 0, 2])
    model.begin(lambda n=None: torch.rand(4, 1, 8, 8), labels)
    assert model.conditions.mean(0).tolist() == [0.75, 0, 0.25]
    z = torch.zeros(3, 4)
    x = model.decode(z, torch.tensor([0, 0, 2]))
    assert torch.equal(x[0], x[1])
    assert not torch.equal(x[0], x[2])
    assert model.sample(5).shape == (5, 1, 8, 8)
    with pytest.raises(Exception, match="label, 0 … 2"):
        model.sample(1, torch.tensor([3]))


def test_samples_have_the_conditions_of_all_the_data_also_where_it_is_sorted() -> None:
    model = small(IMAGE, condition="label", network="mlp").eval()
    model.begin(lambda n=None: torch.rand(900, 1, 8, 8), torch.arange(900) // 300)
    first = model.conditions[:60].mean(0)
    assert ((first > 0.15) & (first < 0.55)).all()
    seen = []
    model.make = lambda z, c: (seen.append(c), torch.zeros(len(z), 1, 8, 8))[1]  # type: ignore[method-assign]
    for _ in range(2):
        model.show(torch.zeros(256, 4))
    assert not torch.equal(seen[0], seen[1])


def test_beside_puts_maps_beside_channels() -> None:
    x, c = torch.zeros(2, 3, 4, 5), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    out = beside(x, c)
    assert out.shape == (2, 5, 4, 5)
    assert (out[1, 4] == 4).all()
    assert beside(torch.zeros(2, 3), c).shape == (2, 5)


@pytest.mark.parametrize(
    "options", [{"penalty": "gp(1)"}, {"pack": 2}, {"noise": 0.5}, {"joint": True}, {"unroll": 1}, {"matching": 1.0}]
)
@pytest.mark.parametrize("who", ["critic_loss", "generator_loss"])
def test_two_processes_are_one(options: dict[str, object], who: str) -> None:
    """Their mean loss is that of the whole batch; but for matching and unrolling, whose parts need each other."""
    model, x = small(**options), batch(n=8).x
    halves = []
    for rank, part in enumerate(x.chunk(2)):
        torch.manual_seed(6)
        with shared(rank, 2):
            halves.append(model.critic_loss(Batch(part), clock())["total"] if who == "critic_loss" else
                          model.generator_loss(Batch(part), clock())["total"])  # fmt: skip
    torch.manual_seed(6)
    whole = getattr(model, who)(Batch(x), clock())["total"]
    if who == "generator_loss" and ({"unroll", "matching"} & options.keys()):
        assert torch.isfinite(torch.stack(halves)).all()
    else:
        torch.testing.assert_close(torch.stack(halves).mean(), whole)


def test_gradient_descent_with_momentum_as_in_the_first_gans() -> None:
    model = small(optimiser="sgd", lr=0.1, beta1=0.7)
    assert model.players()[0].optimiser == SGD(0.1, 0.7)


def test_two_time_scales() -> None:
    critic, generator = small(lr=1e-4, critic_lr=4e-4).players()
    assert (critic.optimiser.lr, generator.optimiser.lr) == (4e-4, 1e-4)


def test_a_critic_is_body_and_head() -> None:
    net = Critic(nn.Flatten(), 5, projected=2, kernels=3)
    assert net(torch.randn(4, 5), torch.randn(4, 2)).shape == (4,)
    assert net.head.in_features == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"smoothing": 0.6}, "in \\[0, 0.5\\)"),
        ({"smoothing": 0.1, "game": "relativistic"}, "judges an example by itself"),
        ({"game": "wasserstein"}, "add penalty=gp"),
        ({"game": "wasserstein", "spectral": True, "critic_norm": "batch"}, "with critic_norm=none"),
        ({"game": "wasserstein", "spectral": True, "critic_norm": "layer"}, "with critic_norm=none"),
        (
            {
                "game": "wasserstein",
                "spectral": True,
                "critic": nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1)),
            },
            "with critic_norm=none",
        ),
        ({"lazy": 4}, "add penalty=r1"),
        ({"penalty": "gp", "critic_norm": "batch"}, "critic_norm=none"),
        ({"augment": ("cutout",)}, "augment= is for images"),
        ({"matching": 1.0, "critic": nn.Linear(3, 1)}, "critic= is your own"),
        ({"adversarial": 0.0}, "nothing to follow: add matching=1"),
        ({"adversarial": 0.0, "matching": 1.0, "minibatch": 4}, "leaves that out"),
        ({"adversarial": -1.0}, "finite and not negative"),
        ({"unroll": 2, "unroll_rate": 0.0}, "must be positive"),
        ({"unroll": 2, "weight_clip": 0.01}, "free weights"),
        ({"unroll": 2, "minibatch": 2, "penalty": "r2(0.1)"}, "leave one of the three out"),
        ({"joint": True, "critic": nn.Linear(3, 1)}, "your critic has no BatchNorm"),
        ({"joint": True, "minibatch": 4}, "mixes real ones"),
        ({"spectral": True, "weight_clip": 0.1}, "leave one of them out"),
        ({"game": "wasserstein", "weight_clip": 0.01, "smoothing": 0.1}, "has a best critic"),
        ({"matching": -1.0}, "not negative"),
        ({"pack": 0}, "pack=0 must be at least 1"),
        ({"condition": "label"}, "needs data with labels"),
        ({"condition": "7"}, "unknown column"),
        ({"condition": "0,1,2"}, "leave at least one"),
        ({"game": "f(kll)"}, "did you mean"),
        ({"penalty": "gp(-1)"}, "must be positive"),
        ({"network": "residual"}, "use network=mlp"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        small(**options)


def test_conditioned_columns_are_what_was_given() -> None:
    model, given = small(condition="1"), batch(n=5).x
    x = model.sample(5, given[:, 1:2])
    assert torch.equal(x[:, 1], given[:, 1])
    assert x.shape == (5, 3)
    model.begin(lambda n=None: given)
    assert set(model.sample(50)[:, 1].tolist()) <= set(given[:, 1].tolist())


def test_batchnorm_of_the_critic_can_be_left_out() -> None:
    for norm, count in (("batch", 1), ("none", 0)):
        model = small(IMAGE, critic_norm=norm, network="dcgan", norm="none")
        assert sum(isinstance(m, BatchNorm) for m in model.critic.modules()) == count
