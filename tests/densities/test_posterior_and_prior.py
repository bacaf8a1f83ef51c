"""Posteriors and priors: every density integrates to 1, is that of its own draws, and inverts what it does."""

import math

import pytest
import torch
import zuko
from torch import nn

from bestiary.data.batch import Batch
from bestiary.data.spec import Field, Spec, label, pictures, rows
from bestiary.data.support import Category, Column
from bestiary.densities.density_names import POSTERIORS, PRIORS
from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal
from bestiary.densities.flow import Flow, FlowPosterior, FlowPrior
from bestiary.densities.full_gaussian import JOINT_KL, FullNormal
from bestiary.densities.mixture import FullMixture, GaussianMixture, mixture_of
from bestiary.densities.posterior_and_prior import Diagonal, PriorSetting
from bestiary.densities.vamp import Aggregated, Vamp
from bestiary.errors import BestiaryError
from bestiary.grammar.part_calls import build_part
from bestiary.training.noise import batch_share
from bestiary.training.part import TrainingData

VECTOR, IMAGE = rows(3), pictures((1, 4, 4), 2)
TABLE = rows((Column("a"), Column("b", Category(("x", "y", "z")))))
SPECS = {"vector": VECTOR, "image": IMAGE, "table": TABLE}
TOLD = (label(("cat", "dog")),)
C = {"label": torch.tensor([1])}  # an unconditional prior does not look at it


def place(
    latent: int = 2, spec: Spec = VECTOR, posterior: str = "diagonal", condition: tuple[Field, ...] = ()
) -> tuple[PriorSetting, nn.Module]:
    torch.manual_seed(0)
    head = POSTERIORS[posterior](spec.dimensions, latent)
    return PriorSetting(spec, latent, infer=lambda x: head(x.flatten(1)), condition=condition), head


def stirred(module: nn.Module, scale: float = 0.12) -> nn.Module:
    """Away from the identity at which it begins."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(scale * torch.randn_like(p))
    return module


def examples(spec: Spec, n: int) -> torch.Tensor:
    torch.manual_seed(2)
    return (torch.rand(n, *spec.shape) < 0.5).float()


def look(spec: Spec) -> TrainingData:
    """At 100 examples."""
    return TrainingData(100, lambda n: Batch(examples(spec, n)), draw=lambda batch: None)


def posterior(name: str, latent: int) -> nn.Module:
    """On four features."""
    torch.manual_seed(0)
    return POSTERIORS[name](4, latent, **({"width": 8, "steps": 2} if name in ("iaf", "maf", "nsf") else {}))


def prior(name: str, latent: int = 2, spec: Spec = VECTOR, posterior: str = "diagonal", **options: object) -> nn.Module:
    where, _ = place(latent, spec, posterior, TOLD if name == "conditional" else ())
    small = {"vamp": {"components": 7}, "aggregated": {"components": 7}, "mixture": {"components": 5}}
    small |= {flow: {"width": 8, "steps": 2} for flow in ("maf", "coupling", "nsf")}
    made = PRIORS[name](where, **{**small.get(name, {}), **options})
    made.begin(look(spec))
    return made


def grid(reach: float = 12.0, n: int = 600) -> tuple[torch.Tensor, float]:
    line = torch.linspace(-reach, reach, n)
    return torch.cartesian_prod(line, line)[:, None], (2 * reach / (n - 1)) ** 2  # (n², 1, 2)


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_integrates_to_one(name: str) -> None:
    p = stirred(prior(name))(C)
    z, cell = grid()
    with torch.no_grad():
        total = (p.log_prob(z).double().exp() * cell).sum()
    assert abs(float(total) - 1) < 5e-3, float(total)


@pytest.mark.parametrize("name", POSTERIORS)
def test_a_posterior_integrates_to_one(name: str) -> None:
    head = stirred(posterior(name, 2))
    with torch.no_grad():
        q = head(torch.randn(1, 4))
        z, cell = grid()
        total = (q.log_prob(z).double().exp() * cell).sum()
    assert abs(float(total) - 1) < 5e-3, float(total)


@pytest.mark.parametrize("name", PRIORS)
def test_draws_of_a_prior_have_its_moments(name: str) -> None:
    """E z and E z² by draws and by the density over a grid, within five standard errors."""
    p = stirred(prior(name))(C)
    with torch.no_grad():
        drawn = p.rsample((20_000,))
        assert drawn.shape == (20_000, 1, 2)
        z, cell = grid()
        weight = p.log_prob(z).double().exp()[..., None] * cell
        for power in (1, 2):
            values = drawn[:, 0].double() ** power
            error = values.std(0) / len(values) ** 0.5
            assert ((values.mean(0) - (weight * z.double() ** power).sum((0, 1))).abs() < 5 * error + 0.02).all()
            if name in ("standard", "conditional", "mixture", "vamp", "aggregated"):
                exact = p.mean if power == 1 else p.variance + p.mean.square()
                assert ((values.mean(0) - exact).abs() < 5 * error + 1e-3).all()


@pytest.mark.parametrize("name", ["iaf", "maf", "nsf"])
def test_a_flow_remembers_the_density_of_its_draw_and_finds_it_again(name: str) -> None:
    head = stirred(posterior(name, 5))
    with torch.no_grad():
        q = head(torch.randn(6, 4))
        z = q.rsample((3,))
        remembered, again = q.log_prob(z), q.log_prob(z.clone())
    assert remembered.shape == (3, 6)
    torch.testing.assert_close(remembered, again, atol=2e-3, rtol=1e-3)
    assert q.mean.shape == (6, 5)
    with pytest.raises(BestiaryError, match="no closed form"):
        _ = q.variance


@pytest.mark.parametrize("name", ["iaf", "maf", "nsf"])
def test_the_log_determinant_is_that_of_autograd(name: str) -> None:
    head = stirred(posterior(name, 3))
    q = head(torch.randn(1, 4))
    assert isinstance(q, Flow)
    u = torch.randn(1, 3)
    jacobian = torch.autograd.functional.jacobian(lambda v: q.forward(v)[0], u)[0, :, 0]
    torch.testing.assert_close(q.forward(u)[1][0], torch.linalg.slogdet(jacobian)[1], atol=1e-4, rtol=1e-4)
    below, above = jacobian.tril(-1).abs().sum(), jacobian.triu(1).abs().sum()
    assert min(below, above) > 1e-3  # orders alternate: what was hidden in one step is seen in the next


def test_iaf_begins_near_the_gaussian_and_sees_the_encoder_at_every_step() -> None:
    torch.manual_seed(0)
    head = POSTERIORS["iaf"](4, 3, steps=2)
    q = head(torch.randn(5, 4))
    u = q.base.mean + torch.randn(5, 3)
    z, _ = q.forward(u)
    shrink = float(torch.sigmoid(torch.tensor(1.5))) ** 2
    torch.testing.assert_close(z, shrink * u, atol=0.1, rtol=0.1)
    stirred(head)
    u, features = torch.zeros(1, 3), torch.randn(1, 4)
    for step in head.steps:
        slope = torch.autograd.functional.jacobian(lambda f, step=step: step(u, f).sum(-1), features)
        assert (slope.abs().sum((0, 2, 3)) > 0).all()


def test_full_covariance_is_torchs() -> None:
    torch.manual_seed(0)
    q = stirred(POSTERIORS["full"](4, 3))(torch.randn(6, 4))
    torchs = torch.distributions.MultivariateNormal(q.mean, scale_tril=q.scale)
    z = torch.randn(2, 6, 3)
    torch.testing.assert_close(q.log_prob(z), torchs.log_prob(z), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.variance, torchs.variance)
    standard = torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))
    kl = JOINT_KL[FullNormal, StandardNormal](q, StandardNormal(torch.zeros(1, 3)))
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(torchs, standard), atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        drawn = q.rsample((40_000,))
    centred = drawn - drawn.mean(0)
    covariance = torch.einsum("nbi,nbj->bij", centred, centred) / len(drawn)
    torch.testing.assert_close(covariance, q.scale @ q.scale.mT, atol=0.15, rtol=0.05)


@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_a_mixture_is_torchs(name: str) -> None:
    """One constant a component: log p(z) is not short of ½ D log 2π (a fault of a known VampPrior)."""
    q = stirred(posterior(name, 5))(torch.randn(9, 4))
    k = torch.distributions.Categorical(logits=torch.zeros(9))
    part = (
        torch.distributions.Independent(torch.distributions.Normal(q.mean, q.variance.sqrt()), 1)
        if isinstance(q, DiagonalNormal)
        else torch.distributions.MultivariateNormal(q.mean, scale_tril=q.scale)
    )
    theirs, z = torch.distributions.MixtureSameFamily(k, part), torch.randn(6, 4, 5)
    ours = mixture_of(q)
    assert isinstance(ours, GaussianMixture if name == "diagonal" else FullMixture)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.mean[0], theirs.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.variance[0], theirs.variance, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("latent", [2, 40])
def test_products_lose_few_digits(latent: int) -> None:
    """Against float64 term by term, for means far out and variances from e^−6 to e^2 as trained posteriors have."""
    torch.manual_seed(0)
    mean, log_var = 3 + 2 * torch.randn(500, latent), torch.empty(500, latent).uniform_(-6, 2)
    p = GaussianMixture(torch.full((500,), -math.log(500)), mean, log_var)
    z = p.rsample((2000,))
    m, v, zz = mean.double(), log_var.double(), z.double()
    each = -0.5 * ((zz - m).square() / v.exp() + v + math.log(2 * math.pi)).sum(-1) - math.log(500)
    assert float((p.log_prob(z)[:, 0].double() - each.logsumexp(-1)).abs().max()) < 1e-4


def log_of_mixture(
    z: torch.Tensor, log_weight: torch.Tensor, means: torch.Tensor, log_vars: torch.Tensor
) -> torch.Tensor:
    """PyTorch's own, in float64."""
    parts = torch.distributions.Normal(means.double(), (0.5 * log_vars.double()).exp())
    each = torch.distributions.Independent(parts, 1)
    weights = torch.distributions.Categorical(logits=log_weight.double())
    return torch.distributions.MixtureSameFamily(weights, each).log_prob(z.double())


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_the_gradient_of_a_mixture_is_that_of_torchs(spread: float) -> None:
    """Of z, weights, means and variances; also where all but one component are below what exp can hold."""
    torch.manual_seed(0)
    z, log_weight = spread * torch.randn(2, 4, 6), torch.randn(9).log_softmax(0)
    means, log_vars = spread * torch.randn(9, 6), torch.randn(9, 6)
    inputs = [t.requires_grad_() for t in (z, log_weight, means, log_vars)]
    weights = torch.rand(2, 4)
    ours = torch.autograd.grad(GaussianMixture(*inputs[1:]).log_prob(z), inputs, weights)
    theirs = torch.autograd.grad(log_of_mixture(*inputs), inputs, weights.double())
    theirs = (theirs[0], theirs[1] + weights.sum() * log_weight.exp(), *theirs[2:])  # torch's weights are normalised
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_a_mixture_has_second_derivatives() -> None:
    torch.manual_seed(0)
    shapes = ((3, 2), (4,), (4, 2), (4, 2))
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]

    def density(z: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
        return GaussianMixture(*parts).log_prob(z)

    assert torch.autograd.gradcheck(density, inputs)
    assert torch.autograd.gradgradcheck(density, inputs)
    once = torch.autograd.grad(density(*inputs).sum(), inputs)
    torch.testing.assert_close(once, torch.autograd.grad(density(*inputs).sum(), inputs, create_graph=True))
    inputs[1].requires_grad_(False)  # weights that are not learned, as in VampPrior
    assert torch.autograd.gradgradcheck(density, inputs)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_pseudo_inputs_start_as_examples_and_every_one_can_move(spec: Spec) -> None:
    """No dead gradients at 0 and 1 (a clamp has them on half of all pixels), and categories stay on their simplex."""
    where, _ = place(2, spec)
    made = Vamp(where, components=7)
    made.begin(look(spec))
    u = made.support.from_unbounded(made.pseudo)
    if spec is IMAGE:
        torch.testing.assert_close(u, examples(spec, 7), atol=0.021, rtol=0)
    if spec is TABLE:
        torch.testing.assert_close(u[:, 1:].sum(1), torch.ones(7))
    made().log_prob(torch.randn(64, 1, 2)).sum().backward()
    assert made.pseudo.grad is not None
    assert (made.pseudo.grad.abs() > 0).all()


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_point_of_the_support_and_back_is_the_same_and_free_ones_lie_in_it(spec: Spec) -> None:
    made = Vamp(place(2, spec)[0], components=7, start="free")
    u = made.support.from_unbounded(made.pseudo)
    torch.testing.assert_close(made.support.from_unbounded(made.support.to_unbounded(u)), u, atol=0.021, rtol=0)
    if spec is IMAGE:
        assert u.min() >= 0.02
        assert u.max() <= 0.98
        assert 0.1 < u.std() < 0.3
    if spec is TABLE:
        torch.testing.assert_close(u[:, 1:].sum(1), torch.ones(7))


def test_pseudo_inputs_move_by_about_the_rate_of_adam() -> None:
    """A white pixel that should be black is so after 1500 steps of 10⁻³."""
    made = Vamp(place(2, IMAGE)[0], components=3)
    made.begin(TrainingData(3, lambda n: Batch(torch.ones(n, *IMAGE.shape)), draw=lambda batch: None))
    adam = torch.optim.Adam([made.pseudo], 1e-3)
    for _ in range(1500):
        adam.zero_grad()
        made.support.from_unbounded(made.pseudo).sum().backward()
        adam.step()
    assert made.support.from_unbounded(made.pseudo).max() < 0.05


def test_the_aggregated_posterior_is_the_mean_of_the_posteriors() -> None:
    where, head = place(3)
    made = Aggregated(where, components=20)
    made.begin(look(VECTOR))
    z = torch.randn(8, 1, 3)
    q = head(examples(VECTOR, 20))
    byhand = (q.log_prob(z.expand(8, 20, 3))).logsumexp(1) - math.log(20)
    torch.testing.assert_close(made().log_prob(z)[:, 0], byhand, atol=1e-4, rtol=1e-4)
    assert not list(made.parameters())
    assert "inputs" in made.state_dict()


def test_samples_come_from_the_components() -> None:
    """Not from N(0, I) (a fault of another's VampPrior)."""
    p = GaussianMixture(torch.tensor([0.0]), torch.full((1, 2), 50.0), torch.zeros(1, 2))
    assert float(p.rsample((100,)).min()) > 40


@pytest.mark.parametrize("posterior", ["full", "iaf", "nsf"])
def test_priors_made_of_the_posterior_take_any(posterior: str) -> None:
    z = torch.randn(4, 1, 2)
    for name in ("vamp", "aggregated"):
        assert prior(name, posterior=posterior)().log_prob(z).shape == (4, 1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: POSTERIORS["iaf"](4, 1), "latent=2 or more"),
        (lambda: PRIORS["maf"](place(1)[0]), "latent=2 or more"),
        (lambda: build_part("prior", "nsf(steps=0)", PRIORS, place(2)[0]), "steps=0"),
        (lambda: POSTERIORS["full"](4, 65), "posterior=iaf"),
        (lambda: build_part("prior", "vamp(0)", PRIORS, place(2)[0]), "components=0"),
        (lambda: build_part("prior", "mixture(0)", PRIORS, place(2)[0]), "components=0"),
        (lambda: prior("vamp", components=101), r"the data has 100: use prior=vamp\(100\)"),
        (lambda: PRIORS["conditional"](place(2)[0]), "add condition=label"),
        (lambda: PRIORS["vamp"](place(2, condition=TOLD)[0]), "use prior=standard, prior=conditional"),
    ],
)
def test_what_makes_no_sense_is_refused(make, says: str) -> None:
    with pytest.raises(BestiaryError, match=says):
        make()


def test_every_part_of_the_density_has_a_gradient() -> None:
    for name in PRIORS:
        made = prior(name)
        if not list(made.parameters()):
            continue
        made(C).log_prob(torch.randn(16, 1, 2)).sum().backward()
        assert all(p.grad is not None for p in made.parameters()), name
    for name in POSTERIORS:
        head = POSTERIORS[name](4, 3)
        q = head(torch.randn(16, 4))
        z = q.rsample((2,))
        (q.log_prob(z).sum() + z.square().sum()).backward()
        assert all(p.grad is not None for p in head.parameters()), name
    assert isinstance(Diagonal(2, 2)(torch.zeros(1, 2)), DiagonalNormal)


def test_an_af_prior_on_z_is_an_iaf_posterior_on_epsilon() -> None:
    """ε = f(z) maps the VAE with prior f onto one with prior N(0, I), posterior f(q) and decoder p(x|f⁻¹(ε)): equal
    bounds draw by draw, and equal gradients of all their parts (Chen et al. 2017, arXiv 1611.02731)."""
    flow, where = stirred(prior("maf", 3)), torch.randn(5, 6).requires_grad_()
    decoder, x = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4)), torch.randn(5, 4)
    parts = [where, *flow.parameters(), *decoder.parameters()]

    def bound(swapped: bool) -> torch.Tensor:
        torch.manual_seed(3)
        q, p = DiagonalNormal(*where.chunk(2, -1)), flow()
        z = q.rsample((7,))
        log_q, log_p = q.log_prob(z), p.log_prob(z)
        if swapped:
            epsilon, log_det = p.backward(z)
            log_q, log_p = log_q - log_det, StandardNormal(torch.zeros(1, 3)).log_prob(epsilon)
            z = p.forward(epsilon)[0]
        return -(x - decoder(z)).square().sum(-1) + log_p - log_q

    left, right = bound(False), bound(True)
    torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)
    pairs = zip(torch.autograd.grad(left.mean(), parts), torch.autograd.grad(right.mean(), parts), strict=True)
    for a, b in pairs:
        assert a.abs().max() > 0
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["maf", "coupling", "nsf"])
def test_a_flow_prior_begins_as_the_standard_normal_and_knows_the_density_of_its_draws(name: str) -> None:
    made, z = prior(name, 4), torch.randn(50, 1, 4)
    with torch.no_grad():
        torch.testing.assert_close(made().log_prob(z), StandardNormal(torch.zeros(1, 4)).log_prob(z), atol=0.2, rtol=0)
        p = stirred(made)()
        drawn = p.rsample((50,))
        torch.testing.assert_close(p.log_prob(drawn), p.log_prob(drawn.clone()), atol=2e-3, rtol=1e-3)
        u, log_det = p.backward(drawn)
        back, undone = p.forward(u)
    torch.testing.assert_close(back, drawn, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(log_det, -undone, atol=1e-3, rtol=1e-3)


def test_any_flow_of_zuko_can_be_the_posterior_or_the_prior() -> None:
    torch.manual_seed(0)
    head = FlowPosterior(zuko.flows.NICE(3, 5, transforms=2), 4, 3, context=5)
    made = FlowPrior(zuko.flows.UNAF(3, 0, transforms=1, signal=4, hidden_features=(8,)), 3)
    with torch.no_grad():
        for d in (head(torch.randn(6, 4)), made()):
            z = d.rsample((2,))
            torch.testing.assert_close(d.log_prob(z), d.log_prob(z.clone()), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["full", "iaf", "maf", "nsf"])
def test_two_processes_share_the_draw_of_one(name: str) -> None:
    head, features = stirred(posterior(name, 3)), torch.randn(8, 4)

    def drawn(rank: int, world: int) -> torch.Tensor:
        torch.manual_seed(5)
        with torch.no_grad(), batch_share(rank, world):
            return head(features.chunk(world)[rank]).rsample((5,))

    torch.testing.assert_close(torch.cat([drawn(0, 2), drawn(1, 2)], 1), drawn(0, 1))


def test_a_full_gaussian_draws_in_fp32_under_autocast() -> None:
    torch.manual_seed(0)
    q = FullNormal(torch.randn(5, 8), torch.randn(5, 8, 8).tril())
    torch.manual_seed(3)
    plain = q.rsample((4,))
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        drawn = q.rsample((4,))
    torch.testing.assert_close(drawn, plain)
    torch.testing.assert_close(q.covariance.diagonal(dim1=1, dim2=2), q.variance)


@pytest.mark.parametrize("name", ["iaf", "maf", "nsf"])
def test_a_draw_that_was_changed_in_place_has_the_density_of_what_it_is_now(name: str) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        q = POSTERIORS[name](5, 3)(torch.randn(4, 5))
        z = q.rsample((2,))
        z += 1
        torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_an_iaf_has_a_low_density_far_from_its_draws_and_a_slope(scale: float) -> None:
    """A code that is solved late was infinite in early passes, and NaN where a mask multiplied it by 0."""
    torch.manual_seed(0)
    posterior = POSTERIORS["iaf"](5, 6)
    with torch.no_grad():
        for step in posterior.steps:
            step.layers[-1].weight.mul_(100 * scale)
    q = posterior(torch.randn(4, 5))
    near = q.log_prob(q.rsample(()))
    for distance in (10.0, 1e3, 1e6):
        z = torch.full((4, 6), distance, requires_grad=True)
        far = q.log_prob(z)
        assert far.isfinite().all()
        assert (far < near).all()
        assert torch.autograd.grad(far.sum(), z)[0].isfinite().all()
