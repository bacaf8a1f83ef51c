"""ELBO surgery on Gaussians, where every part is known in closed form."""

from math import log

import pytest
import torch

from bestiary.densities.diagonal_gaussian import DiagonalNormal, StandardNormal
from bestiary.errors import BestiaryError
from bestiary.judging.latent_chapter import _shuffled
from bestiary.measures.surgery import aggregate, aggregate_dims, surgery

N = 1500


def parts(spread: torch.Tensor, noise: float, n: int = N, seed: int = 0) -> dict:
    """x ~ N(0, spread), q(z|x) = N(x, noise² I): q(z) is N(0, spread + noise² I), and I its entropy less that of q."""
    torch.manual_seed(seed)
    d = len(spread)
    x = torch.distributions.MultivariateNormal(torch.zeros(d), spread).sample((n,))
    q, p = DiagonalNormal(x, torch.full((n, d), 2 * log(noise))), StandardNormal(torch.zeros(1, d))
    z = q.rsample(())
    wide = DiagonalNormal(x.double(), q.log_var.double())
    all_ = aggregate(z, lambda block: wide.log_prob(block[:, None].double()))
    dims = aggregate_dims(z, q.mean, q.log_var)
    log_px = -z.square().sum(1).double()
    given = (log_px, p.log_prob(z).double(), q.log_prob(z).double(), all_, dims)
    return {"given": given, "numbers": {m.name: m for m in surgery(*given)}, "q": q, "z": z}


def test_the_aggregate_is_the_mean_of_the_densities() -> None:
    found = parts(torch.eye(2), 0.7, n=40)
    q, z = found["q"], found["z"]
    direct = torch.stack([q.log_prob(zm) for zm in z]).double().logsumexp(1) - log(40)
    torch.testing.assert_close(found["given"][3].whole, direct, atol=1e-4, rtol=1e-4)
    one = torch.distributions.Normal(q.mean[:, 0].double(), q.variance[:, 0].double().sqrt())
    direct = torch.stack([one.log_prob(zm) for zm in z[:, 0].double()]).logsumexp(1) - log(40)
    torch.testing.assert_close(found["given"][4].whole[:, 0], direct, atol=1e-4, rtol=1e-4)
    others = [q.log_prob(zm).double()[torch.arange(40) != m].logsumexp(0) - log(39) for m, zm in enumerate(z)]
    torch.testing.assert_close(found["given"][3].others, torch.stack(others), atol=1e-4, rtol=1e-4)


def test_the_parts_add_up_to_the_elbo_on_the_same_draws() -> None:
    found = parts(torch.tensor([[1.0, 0.5], [0.5, 1.0]]), 0.7)
    log_px, log_pz, log_qz, *_ = found["given"]
    value = {name: m.value for name, m in found["numbers"].items()}
    elbo = float((log_px + log_pz - log_qz).mean())
    assert -value["distortion"] - value["mutual_information"] - value["marginal_kl"] == pytest.approx(elbo, abs=1e-9)
    assert value["rate"] == pytest.approx(value["mutual_information"] + value["marginal_kl"], abs=1e-9)
    assert value["marginal_kl"] == pytest.approx(value["total_correlation"] + value["dimension_kl"], abs=1e-9)


def test_each_part_is_the_closed_form() -> None:
    """To four standard errors and the 1/N bias of a mixture over N examples."""
    spread, noise = torch.tensor([[1.0, 0.5], [0.5, 1.0]]), 0.7
    whole = spread + noise**2 * torch.eye(2)
    truth = {
        "mutual_information": 0.5 * float(torch.logdet(whole)) - 2 * log(noise),
        "marginal_kl": 0.5 * float(whole.trace() - 2 - torch.logdet(whole)),
        "total_correlation": 0.5 * float(whole.diagonal().log().sum() - torch.logdet(whole)),
    }
    truth["dimension_kl"] = truth["marginal_kl"] - truth["total_correlation"]
    numbers = parts(spread, noise)["numbers"]
    for name, value in truth.items():
        m = numbers[name]
        assert abs(m.value - value) < (m.high - m.low) + 0.02, name


def test_information_is_bounded_by_the_examples() -> None:
    numbers = parts(torch.eye(3), 1e-3, n=50)["numbers"]
    assert numbers["mutual_information"].value == pytest.approx(log(50), abs=1e-3)
    assert numbers["mutual_information"].ceiling.value == pytest.approx(log(50))
    ignored = DiagonalNormal(torch.zeros(50, 3), torch.zeros(50, 3))  # q does not look at x
    z = ignored.rsample(())
    all_ = aggregate(z, lambda block: ignored.log_prob(block[:, None]))
    found = surgery(z.sum(1).double(), ignored.log_prob(z), ignored.log_prob(z).double(), all_)
    assert {m.name: m.value for m in found}["mutual_information"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("rho", "noise", "full"), [(0.0, 0.1, True), (0.9, 0.1, True), (0.0, 0.7, False), (0.9, 0.7, False)]
)
def test_a_total_correlation_is_held_against_that_of_independent_codes(rho: float, noise: float, full: bool) -> None:
    """Six dimensions. Where they tell more than ln N, independent ones seem as dependent as others; elsewhere not."""
    found = parts(torch.eye(6) + rho * (1 - torch.eye(6)), noise, n=600)
    *given, dims = found["given"]
    dealt = _shuffled(found["z"], found["q"].mean, found["q"].log_var, dims.whole, seed=0)
    numbers = {m.name: m for m in surgery(*given, dims, dealt)}
    tc, floor = numbers["total_correlation"], numbers["total_correlation"].floor
    assert floor is not None
    assert ("at its ceiling" in numbers["marginal_kl"].says) == full
    assert (floor.value > 3) == full
    assert (tc.value > floor.high) == (rho > 0 and not full)


def test_where_the_codes_tell_little_nothing_is_at_its_ceiling() -> None:
    assert "ceiling" not in parts(torch.eye(2), 0.7)["numbers"]["marginal_kl"].says


def test_what_is_not_at_hand_is_not_told() -> None:
    """A prior that does not factorise has no dimensions; a flow has no q(z). What is told is the same."""
    log_px, log_pz, log_qz, log_all, dims = parts(torch.eye(2), 0.7, n=40)["given"]
    whole, coarse, rate = (
        surgery(log_px, log_pz, log_qz, log_all, dims),
        *(surgery(log_px, log_pz, log_qz, part) for part in (log_all, None)),
    )
    assert [m.name for m in coarse] == ["distortion", "rate", "mutual_information", "marginal_kl"]
    assert coarse == whole[:4]
    assert [m.value for m in rate] == [m.value for m in whole[:2]]
    assert "q(z)" not in rate[0].protocol


def test_one_example_is_refused() -> None:
    one = torch.zeros(1)
    with pytest.raises(BestiaryError, match="at least two"):
        surgery(one, one, one, one)


@pytest.mark.parametrize(("d", "noise"), [(1, 0.9), (8, 0.9), (8, 0.3), (24, 0.3)])
def test_intervals_hold_the_truth_where_codes_are_exactly_the_prior(d: int, noise: float) -> None:
    """x ~ N(0, (1 − noise²) I) and q(z|x) = N(x, noise² I), so that q(z) is the prior: the marginal KL is 0.

    Of 20 intervals at 95%, fewer than 17 cover once in 60 such tests; seeds are fixed.
    """
    truth = {"marginal_kl": 0.0, "total_correlation": 0.0, "dimension_kl": 0.0, "mutual_information": -d * log(noise)}
    worlds = [parts((1 - noise**2) * torch.eye(d), noise, n=200, seed=seed)["numbers"] for seed in range(20)]
    for name, value in truth.items():
        assert sum(w[name].low - 1e-9 <= value <= w[name].high for w in worlds) >= 17, name
    if d == 24:  # the mixture of 200 is far from the prior: its distance alone would be read as that of the codes
        assert min(w["marginal_kl"].value for w in worlds) > 5
