"""The vital numbers of a generator, from a few held-out examples R and as many samples S.

    near         share of S within the ball of some r ∈ R as far as its 5th neighbour in R      are samples like data?
    covered      share of those balls that hold a sample                                         is all of it reached?
    diversity    mean ‖s − s′‖ / mean ‖r − r′‖                                                   1 where spread alike
    repeats      share of S whose nearest other sample is nearer than half of what 99% of R are to theirs, R's own
                 repetitions left out; less the share of R that are so near
    told_apart   chance that the critic's logit of r exceeds that of s                           ½ where it cannot tell
    known        chance that its logit of an example it was trained on exceeds that of r         ½ where it knows none
    pull         mean |∂L/∂l|, L the game's loss of the generator and l the logit of s           0: nothing to follow;
                 left out where the generator matches features too, or alone

Distances are of examples as the model sees them. All 0-d, on the device.

Legend: N examples of each, F numbers of one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bestiary.objectives.games import Game

__all__ = ["NEIGHBOURS", "as_in_training", "critic_vitals", "sample_vitals"]

NEIGHBOURS = 5
FEW_NUMBERS = 16  # of an example: so far exact distances cost no more


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, N). By a product of matrices only where the sum over columns is long: it loses digits of small distances."""
    few = a.shape[1] <= FEW_NUMBERS
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist" if few else "use_mm_for_euclid_dist")


def _apart(a: Tensor) -> Tensor:
    """Distances within a set, itself at infinity."""
    d = _distances(a, a)
    return d + torch.diag(torch.full((len(a),), torch.inf, device=a.device))


def sample_vitals(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """near, covered, diversity and repeats of as many samples as there are examples."""
    centre = real.flatten(1).float().mean(0)
    real, fake = real.flatten(1).float() - centre, fake.flatten(1).float() - centre
    among_real, among_fake = _apart(real), _apart(fake)
    k = min(NEIGHBOURS, len(real) - 1)
    radius = among_real.topk(k, largest=False).values[:, -1]
    inside = _distances(fake, real) <= radius  # (N, N)
    off = ~torch.eye(len(real), dtype=torch.bool, device=real.device)
    nearest = among_real.min(1).values
    close = nearest[nearest > 0].quantile(0.01) / 2 if (nearest > 0).any() else nearest.new_zeros(())
    repeats = [(d <= close if close == 0 else d < close).float().mean() for d in (among_fake.min(1).values, nearest)]
    return {
        "near": inside.any(1).float().mean(),
        "covered": inside.any(0).float().mean(),
        "diversity": among_fake[off].mean() / among_real[off].mean().clamp_min(1e-12),
        "repeats": (repeats[0] - repeats[1]).clamp_min(0),
    }


def critic_vitals(
    game: Game, on_real: Tensor, on_fake: Tensor, on_fitted: Tensor | None = None, pulls: bool = True
) -> dict[str, Tensor]:
    """told_apart, pull if the generator follows nothing but the game, and known where there are logits of examples that
    the critic was trained on."""
    found = {"told_apart": _chance(on_real, on_fake)}
    if pulls:
        found["pull"] = _pull(game, on_real, on_fake)
    return found if on_fitted is None else found | {"known": _chance(on_fitted, on_real)}


def _pull(game: Game, on_real: Tensor, on_fake: Tensor) -> Tensor:
    with torch.enable_grad():
        logits = on_fake.detach().requires_grad_()
        (slope,) = torch.autograd.grad(game.generator(on_real.detach(), logits).sum(), logits)
    return slope.abs().mean()


def _chance(a: Tensor, b: Tensor) -> Tensor:
    """That one of a exceeds one of b; equal ones are half a win."""
    return ((a[:, None] > b[None]).float() + 0.5 * (a[:, None] == b[None]).float()).mean()


@contextmanager
def as_in_training(net: nn.Module) -> Iterator[None]:
    """Within: BatchNorm takes the moments of what it is given; after: nothing has changed."""
    was, kept = net.training, [b.clone() for b in net.buffers()]
    net.train()
    try:
        yield
    finally:
        net.train(was)
        for b, before in zip(net.buffers(), kept, strict=True):
            b.copy_(before)
