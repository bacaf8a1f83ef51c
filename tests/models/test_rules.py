"""What is added to the bare game: each trick and training form against its formula, done by hand."""

import pytest
import torch
from torch import Tensor, nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec, label, pictures, rows
from bestiary.models.auto_options import infer
from bestiary.models.critic_view import CriticView
from bestiary.models.gan import GAN
from bestiary.models.zoo import MODELS, build
from bestiary.models.zoo_adversarial import wgan_turns
from bestiary.networks.batch_norm import BatchNorm
from bestiary.networks.conditioned import ConditionTensors
from bestiary.networks.critic import MinibatchLayer
from bestiary.objectives.games import nonsaturating, saturating
from bestiary.training.clock import Clock
from bestiary.training.noise import batch_share
from bestiary.training.part import TrainingData
from bestiary.training.player import SGD
from bestiary.training.turn import Turn

VECTOR = rows(3)
IMAGE = pictures((1, 8, 8), 17, label(("a", "b", "c")))


def clock(round: int = 0, turn: int = 0, phase: int = 1) -> Clock:
    return Clock(torch.tensor(float(round)), 100, torch.tensor(float(turn)), phase)


def small(spec: Spec = VECTOR, **options: object) -> GAN:
    torch.manual_seed(0)
    model = build("ns-gan", spec, **{"latent": 4, "width": 4, "hidden": (8,), **options})
    assert isinstance(model, GAN)
    return model


def batch(spec: Spec = VECTOR, n: int = 6) -> Batch:
    g = torch.Generator().manual_seed(1)
    y = {} if spec.label is None else {"label": torch.arange(n) % len(spec.label.words)}
    return Batch(torch.rand(n, *spec.shape, generator=g), y)


def fakes(model: GAN, n: int = 6, seed: int = 5) -> Tensor:
    torch.manual_seed(seed)
    return model.generator(torch.randn(n, model.latent))


def loss(model: GAN, who: str, given: Batch, at: Clock | None = None, seed: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(getattr(model, who)(given, at or clock())[0])


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
    packed = model.view(x, clock())
    assert packed.shape == (2, 2, 8, 8)
    assert torch.equal(packed[0, 1], x[1, 0])


def test_feature_matching_compares_means() -> None:
    """‖mean h(real) − mean h(fake)‖²: who stands beside whom in the batch does not matter."""
    model, given = small(matching=2.0), batch()
    h_real, h_fake = (model.critic.net.features(x).mean(0) for x in (given.x, fakes(model)))
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


def test_real_and_fake_are_compared_among_their_own() -> None:
    """The minibatch layer sees one side at a time: what the other is like changes nothing."""
    model, given = small(minibatch=2), batch()
    game = nonsaturating()
    expected = game.critic(model.critic(given.x), model.critic(fakes(model))).mean()
    torch.testing.assert_close(loss(model, "critic_loss", given)["total"], expected)
    together = model.critic(torch.cat([given.x, fakes(model)]))
    assert not torch.allclose(together[:6], model.critic(given.x))


def test_the_minibatch_layer_tells_copies() -> None:
    layer = MinibatchLayer(5, 2)
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
        apart, joint = small(critic_norm=norm), small(critic_norm=norm)
        joint.critic.joint = joint.needs_real = True  # which is refused where it does nothing
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
        assert float(model.view(x, clock(at)).std()) == pytest.approx(sigma, abs=0.01)


def test_both_real_and_fake_pass_through_the_lens() -> None:
    model = small(IMAGE, augment=("cutout",), network="mlp")
    watched: list[Tensor] = []
    model.critic.net.body.register_forward_pre_hook(lambda module, x: watched.append(x[0].detach()))
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
        slopes = torch.autograd.grad(player.loss(given, clock())[0]["total"], player.parameters)
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
    model = small(tricks="unroll(1,rate=0.3)")
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
    given, model = batch(), small(tricks="unroll(3,rate=0.3)", penalty=penalty)
    found = loss(model, "generator_loss", given)["total"]
    plain = small(penalty=penalty)
    torch.manual_seed(5)
    fake, other = (plain.generator(torch.randn(6, 4)).detach() for _ in range(2))
    for _ in range(3):
        answer = saturating().critic(plain.critic(given.x), plain.critic(other)).mean()
        answer = answer + plain.tricks["penalty"].penalty(plain.critic, given.x, other).mean()
        descend(plain.critic, answer)
    torch.testing.assert_close(found, nonsaturating().generator(fake, plain.critic(fake)).mean())


def test_features_of_joined_batches_are_matched_as_they_are_seen() -> None:
    model, given = small(joint=True, critic_norm="batch", matching=2.0), batch()
    h_real, h_fake = model.critic.net.body(torch.cat([given.x, fakes(model)])).chunk(2)
    found = loss(model, "generator_loss", given)["matching"]
    torch.testing.assert_close(found, 2 * (h_real.mean(0) - h_fake.mean(0)).square().sum())


def test_an_unrolled_critic_is_drawn_to_its_past_too() -> None:
    """One step by hand on the loss that the critic itself has, history and all."""
    given, plain = batch(), small(history=0.5)
    model = small(tricks="unroll(1,rate=0.3)", history=0.5)
    past = plain.tricks["history"].past_critic
    for of_past in (past, model.tricks["history"].past_critic):
        for mean in list(of_past.buffers())[1:]:
            mean += 1
    found = loss(model, "generator_loss", given)["total"]
    torch.manual_seed(5)
    fake, other = (plain.generator(torch.randn(6, 4)) for _ in range(2))
    answer = saturating().critic(plain.critic(given.x), plain.critic(other.detach())).mean()
    answer = answer + 0.5 * past.distance(plain.critic.parameters())
    descend(plain.critic, answer)
    torch.testing.assert_close(found, nonsaturating().generator(fake, plain.critic(fake)).mean())


def test_moments_of_a_batch_are_left_out_where_they_undo_a_bound() -> None:
    options, inferred = infer(MODELS["gan"], IMAGE, {"tricks": "spectral", "game": "hinge", "network": "dcgan"})
    assert options["critic_norm"] == "none"
    assert "undo the bound" in inferred["critic_norm"].reason


def test_spectral_norm_makes_every_layer_of_norm_one() -> None:
    model = build("sn-gan", VECTOR, latent=4, hidden=(16, 16))
    x = torch.randn(8, 3)
    for _ in range(50):  # each forward pass is one step of power iteration
        model.critic(x)
    for layer in model.eval().critic.modules():
        if isinstance(layer, nn.Linear):
            assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_a_label_reaches_both_players(conditioning: str) -> None:
    model, given = small(IMAGE, condition="label", conditioning=conditioning), batch(IMAGE)
    c, net = nn.functional.one_hot(given.beside["label"], 3).float(), model.critic.net
    torch.manual_seed(5)
    fake = model.generator.net(torch.cat([torch.randn(6, 4), c], 1))

    def judge(x: Tensor) -> Tensor:
        if conditioning == "concatenation":
            return net(torch.cat([x, c[:, :, None, None].expand(-1, -1, 8, 8)], 1))
        h = net.body(x)
        return net.head(h)[:, 0] + (net.project(c) * h).sum(1)

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
    inner = CriticView.judge

    def judge(view: CriticView, x: Tensor, c: ConditionTensors, *more: object, **how: object) -> Tensor:
        told = inner(view, x, c, *more, **how)
        seen.append(c["label"])
        others = {"label": (c["label"] + 1) % 3}
        assert not torch.allclose(told, inner(view, x, others, *more, **how))  # the critic listens
        return told

    monkeypatch.setattr(CriticView, "judge", judge)
    loss(model, "critic_loss", given)
    loss(model, "generator_loss", given)
    assert len(seen) == 3 + 4  # real, fake, penalty; real and fake looked ahead, their penalty, the answer
    assert all(torch.equal(c, given.beside["label"]) for c in seen)


@pytest.mark.parametrize(
    "options", [{"penalty": "gp(1)"}, {"pack": 2}, {"noise": 0.5}, {"unroll": 1}, {"matching": 1.0}]
)
@pytest.mark.parametrize("who", ["critic_loss", "generator_loss"])
def test_two_processes_are_one(options: dict[str, object], who: str) -> None:
    """Their mean loss is that of the whole batch; but for matching and unrolling, whose parts need each other."""
    model, x = small(**options), batch(n=8).x
    halves = []
    for rank, part in enumerate(x.chunk(2)):
        torch.manual_seed(6)
        with batch_share(rank, 2):
            halves.append(getattr(model, who)(Batch(part), clock())[0]["total"])
    torch.manual_seed(6)
    whole = getattr(model, who)(Batch(x), clock())[0]["total"]
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"smoothing": 0.6}, "at least 0 and below 0.5"),
        ({"smoothing": 0.1, "game": "relativistic"}, "separate, bounded losses"),
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
        ({"augment": ("cutout",)}, "augment= needs images"),
        ({"matching": 1.0, "critic": nn.Linear(3, 1)}, "critic= is yours"),
        ({"adversarial": 0.0}, "without a loss: add matching=1"),
        ({"adversarial": 0.0, "matching": 1.0, "minibatch": 4}, "leaves the game out"),
        ({"adversarial": -1.0}, "adversarial=-1.0 cannot be used"),
        ({"tricks": "unroll(2,rate=0)"}, "above 0"),
        ({"unroll": 2, "weight_clip": 0.01}, "without clipping"),
        ({"unroll": 2, "minibatch": 2, "penalty": "r2(0.1)"}, "Drop one"),
        ({"joint": True, "critic": nn.Linear(3, 1)}, "your critic, which has no BatchNorm"),
        ({"joint": True, "minibatch": 4}, "puts real examples into their batch"),
        ({"joint": True}, "does nothing with critic_norm=none"),
        ({"spectral": True, "weight_clip": 0.1}, "leave one of them out"),
        ({"game": "wasserstein", "weight_clip": 0.01, "smoothing": 0.1}, "separate, bounded losses"),
        ({"matching": -1.0}, "at least 0"),
        ({"tricks": "pack(0)"}, "m=0 cannot be used"),
        ({"condition": "label"}, "needs examples with labels, and these have none"),
        ({"condition": "x7"}, "unknown condition `x7`: did you mean"),
        ({"condition": "x1,x2,x3"}, "leave at least one"),
        ({"game": "f(kll)"}, "did you mean"),
        ({"penalty": "gp(-1)"}, "above 0"),
        ({"network": "residual"}, "use network=mlp"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        small(**options)


def test_conditioned_columns_are_what_was_given() -> None:
    model, given = small(condition="x2"), batch(n=5)
    x = model.sample(5, {"x2": given.x[:, 1:2]})
    assert torch.equal(x[:, 1], given.x[:, 1])
    assert x.shape == (5, 3)
    model.begin(TrainingData(5, lambda n: given[:n], draw=lambda batch: None))
    assert set(model.sample(50)[:, 1].tolist()) <= set(given.x[:, 1].tolist())


def test_batchnorm_of_the_critic_can_be_left_out() -> None:
    for norm, count in (("batch", 1), ("none", 0)):
        model = small(IMAGE, critic_norm=norm, network="dcgan", norm="none")
        assert sum(isinstance(m, BatchNorm) for m in model.critic.modules()) == count
