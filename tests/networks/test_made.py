"""MADE: the Jacobian of its outputs is strictly triangular in the order of the inputs, and the context reaches all."""

import pytest
import torch

from bestiary.networks.made import MADE


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("size", "hidden"), [(2, (8,)), (5, (7, 9)), (6, (3,))])
def test_an_output_sees_only_what_is_before_it(size: int, hidden: tuple[int, ...], reverse: bool) -> None:
    torch.manual_seed(0)
    net = MADE(size, 2, hidden, context=3, reverse=reverse)
    u, h = torch.randn(size), torch.randn(3)
    jacobian = torch.autograd.functional.jacobian(lambda v: net(v, h).sum(-1), u)  # (out, in)
    seen = jacobian.abs() > 0
    allowed = torch.ones(size, size).tril(-1).bool()
    allowed = allowed.T if reverse else allowed
    assert not (seen & ~allowed).any()
    assert (seen == allowed).all() if len(set(hidden)) > 1 else seen.any()
    context = torch.autograd.functional.jacobian(lambda v: net(u, v).sum(-1), h)
    assert (context.abs().sum(1) > 0).all()  # the first output too, which sees no input


def test_it_begins_where_it_is_told() -> None:
    torch.manual_seed(0)
    net = MADE(4, 2, (16,), context=3).start_at([1.0, -2.0])
    out = net(torch.randn(10, 4), torch.randn(10, 3))
    assert out.shape == (10, 4, 2)
    torch.testing.assert_close(out.mean((0, 1)), torch.tensor([1.0, -2.0]), atol=0.05, rtol=0)
