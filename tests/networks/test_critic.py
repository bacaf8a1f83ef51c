"""A critic by hand: what each of its parts adds to the logit, and what spectral norm makes of its layers."""

import pytest
import torch
from torch import Tensor, nn

from bestiary.models.tricks.spectral_norm import add_spectral_norm
from bestiary.networks import dcgan, residual
from bestiary.networks.conditioned import append_channels
from bestiary.networks.critic import ROW_LENGTH, Critic, MinibatchLayer


def test_the_logit_is_the_sum_of_its_parts() -> None:
    """wᵀ[h, o] + b + (V c)ᵀ h."""
    torch.manual_seed(0)
    net = Critic(nn.Sequential(nn.Linear(5, 7), nn.ReLU()), 7, condition_width=3, kernels=2)
    x, c = torch.randn(4, 5), torch.randn(4, 3)
    h = torch.relu(x @ net.body[0].weight.T + net.body[0].bias)
    weight, o = net.head.weight[0], net.minibatch(h)
    plain = h @ weight[:7] + o @ weight[7:] + net.head.bias
    torch.testing.assert_close(net.features(x), h)
    torch.testing.assert_close(net(x), plain)
    torch.testing.assert_close(net(x, c), plain + torch.einsum("bf,fc,bc->b", h, net.project.weight, c))


def test_a_projected_label_moves_the_logit_by_its_own_row() -> None:
    """With c one-hot, the logit of class k differs from that of class j by (V_k − V_j)ᵀ h."""
    torch.manual_seed(0)
    net, x, one = Critic(nn.Flatten(), 5, condition_width=3), torch.randn(4, 5), torch.eye(3)
    apart = net(x, one[2].expand(4, 3)) - net(x, one[0].expand(4, 3))
    torch.testing.assert_close(apart, x @ (net.project.weight[:, 2] - net.project.weight[:, 0]))


def test_concatenation_is_a_linear_layer_of_both() -> None:
    torch.manual_seed(0)
    net, x, c = nn.Linear(5, 1), torch.randn(4, 3), torch.randn(4, 2)
    torch.testing.assert_close(net(append_channels(x, c)), x @ net.weight[:, :3].T + c @ net.weight[:, 3:].T + net.bias)


def test_minibatch_numbers_follow_their_examples() -> None:
    """Another order of the batch is the same order of the numbers; alone an example is near to none."""
    torch.manual_seed(0)
    layer, h, order = MinibatchLayer(5, 3), torch.randn(6, 5), torch.randperm(6)
    torch.testing.assert_close(layer(h[order]), layer(h)[order])
    assert torch.equal(layer(h[:1]), torch.zeros(1, 3))
    assert (layer(h) > 0).all()
    assert (layer(100 * h) < layer(h)).all()  # far apart: near to none


def test_minibatch_derivatives_against_difference_quotients() -> None:
    torch.manual_seed(0)
    layer = MinibatchLayer(3, 2).double()
    h = torch.randn(4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, h)
    assert torch.autograd.gradgradcheck(layer, h)  # under a penalty, and when the critic is unrolled
    m = layer.project(h).view(4, 2, ROW_LENGTH)
    near = torch.exp(-(m[:, None] - m[None]).abs().sum(3)).sum(1) - 1
    torch.testing.assert_close(layer(h), near)


def test_the_head_has_the_digits_of_fp32_in_bf16() -> None:
    """Samples of a heap differ by less than bf16's grain at o, which counts up to B; so do a clipped critic's."""
    torch.manual_seed(0)
    net, h = Critic(nn.Identity(), 5, condition_width=3, kernels=2), 1 + 0.05 * torch.randn(256, 5)
    h, c = h.bfloat16().float(), torch.randn(256, 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(h.bfloat16(), c)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, net(h, c))


def test_a_slope_alone_is_right_where_two_passes_differ() -> None:
    """Spectral norm takes a step of power iteration in each: an example is not its own neighbour."""
    torch.manual_seed(0)
    net = add_spectral_norm(Critic(nn.Sequential(nn.Linear(3, 16), nn.Tanh()), 16, kernels=4)).double()
    net.project, x = None, torch.randn(5, 3).double().requires_grad_()
    for _ in range(2):
        (slope,) = torch.autograd.grad(net(x, per_example=True).sum(), x)
    net.eval()
    (settled,) = torch.autograd.grad(net(x, per_example=True).sum(), x)
    torch.testing.assert_close(slope, settled, rtol=0.05, atol=0.02)


def test_a_penalty_gets_the_slope_of_each_example_by_itself() -> None:
    """Σ_i ∂C(x_i)/∂x_i taken one by one, and its derivative by the weights, against one pass with `per_example`."""
    torch.manual_seed(0)
    net = Critic(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), 4, kernels=2).double()
    x = torch.randn(5, 3).double().requires_grad_()
    torch.testing.assert_close(net(x, per_example=True), net(x))
    (slope,) = torch.autograd.grad(net(x, per_example=True).sum(), x, create_graph=True)
    single = [torch.autograd.grad(net(x)[i], x, create_graph=True)[0][i] for i in range(5)]
    torch.testing.assert_close(slope, torch.stack(single))
    (mixed,) = torch.autograd.grad(net(x).sum(), x)
    assert not torch.allclose(mixed, slope, rtol=1e-2)
    weights = list(net.parameters())[:-1]  # the last bias has no part in a slope
    one, other = (torch.autograd.grad(s.square().sum(), weights) for s in (slope, torch.stack(single)))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)


def test_only_minibatch_discrimination_lets_a_critic_see_the_batch() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 1, 8, 8)
    for kernels, alone in ((0, True), (2, False)):
        for net in (
            dcgan.critic((1, 8, 8), 4, "none", kernels=kernels),
            residual.critic((1, 8, 8), 4, kernels=kernels),
        ):
            nn.init.normal_(net.head.weight)
            assert torch.allclose(net(x)[:1], net(x[:1]), atol=1e-5) == alone


NETS = {
    "strides": lambda: dcgan.critic((3, 16, 16), 8, "none"),
    "average": lambda: dcgan.critic((3, 16, 16), 8, "none", "average"),
    "residual": lambda: residual.critic((3, 16, 16), 8, condition_width=2),
}


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_spectral_norm_divides_each_map_by_its_largest_singular_value(name: str) -> None:
    """Kernels as matrices (out, in · k · k); and the bounded critic is the free one with weights W/σ(W)."""
    torch.manual_seed(0)
    free, net = NETS[name](), NETS[name]()
    for p in net.parameters():
        nn.init.normal_(p, 0, 0.3)
    for a, b in zip(free.parameters(), net.parameters(), strict=True):
        a.copy_(b)
    net = add_spectral_norm(net)
    for _ in range(100):  # each forward pass takes a step of power iteration
        net(torch.zeros(1, 3, 16, 16))
    net.eval()
    pairs = [(a, b) for a, b in zip(_linear(net), _linear(free), strict=True) if a is not net.project]  # not asked yet
    for own, twin in pairs:
        twin.weight /= torch.linalg.matrix_norm(twin.weight.flatten(1), 2)
        torch.testing.assert_close(own.weight, twin.weight, atol=1e-2, rtol=0.02)
        twin.weight.copy_(own.weight)
    assert len(pairs) >= 3
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(net(x), free(x))


def _linear(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


@pytest.mark.parametrize("name", NETS)
def test_a_bounded_critic_may_be_differentiated_twice(name: str) -> None:
    torch.manual_seed(0)
    net, x = add_spectral_norm(NETS[name]()), torch.randn(2, 3, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    weights = [p for n, p in net.named_parameters() if p.ndim > 1 and not n.startswith("project")]
    seen: list[Tensor] = list(torch.autograd.grad(slope.square().sum(), weights))
    assert all(g.isfinite().all() and g.abs().sum() > 0 for g in seen)
