"""Vital numbers of a generator: how well it works, from a few held-out examples R and the same number of samples S.

    near         share of S inside a ball around some r ∈ R; its radius is the distance to r's 5th neighbour in R
                 (are samples like the data?)
    covered      share of those balls that contain a sample
    reached      share of R in cells that contain at least a quarter as many of S as of R (is all of the data reached?).
                 The cells are those of 8 to 25 centres, found by k-means in R; beyond 8 they are twice as far apart
                 as samples are from the data. A sample counts for the nearest centre, however far it is, so that
                 blurred samples reach what sharp ones do. Left out below 64 examples
    diversity    mean ‖s − s′‖ / mean ‖r − r′‖; 1 if both are equally spread
    repeats      share of S that are too near to another sample, minus the same share of R. Too near: nearer than half
                 the 1% quantile of the distances of R to their nearest neighbours, without exact repetitions in R
    told_apart   chance that the critic's logit of r exceeds that of s; ½ if it cannot distinguish them
    known        chance that its logit of a training example exceeds that of r; ½ if it has memorised none
    pull         mean |∂L/∂l|, where L is the generator's loss of the game and l the critic's logit of s; 0 if there is
                 no gradient to follow. Left out if the generator matches features

Distances are between examples as the model sees them. All numbers are 0-d tensors on the device.

Legend: N examples of each, F numbers of one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bestiary.objectives.games import Game

__all__ = ["NEIGHBOURS", "as_in_training", "critic_vitals", "sample_vitals"]

NEIGHBOURS = 5
FEWEST_CELLS, CELLS = 8, 25  # of `reached`; with 250 examples there are ten or more of them in a cell
APART = 2.0  # of the distances of samples to the data: what is narrower does not count as missed
LEAST_IN_CELL = 8  # examples, on average: of 8, by chance less than a quarter in one of 70 cells
LLOYD_STEPS = 8  # of k-means: more change little
FEW_NUMBERS = 16  # of an example: up to here exact distances cost no more


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, N). By a matrix product only for long rows, since it loses digits of small distances."""
    few = a.shape[1] <= FEW_NUMBERS
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist" if few else "use_mm_for_euclid_dist")


def _distances_within(a: Tensor) -> Tensor:
    """Distances within a set (N, N), with infinity on the diagonal."""
    d = _distances(a, a)
    return d + torch.diag(torch.full((len(a),), torch.inf, device=a.device))


def sample_vitals(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """near, covered, reached, diversity and repeats for the same number of examples and samples, (N, …) each."""
    centre = real.flatten(1).float().mean(0)
    real, fake = real.flatten(1).float() - centre, fake.flatten(1).float() - centre
    among_real, among_fake = _distances_within(real), _distances_within(fake)
    k = min(NEIGHBOURS, len(real) - 1)
    radius = among_real.topk(k, largest=False).values[:, -1]
    inside = _distances(fake, real) <= radius  # (N, N)
    off_diagonal = ~torch.eye(len(real), dtype=torch.bool, device=real.device)
    nearest = among_real.min(1).values
    limit = nearest[nearest > 0].quantile(0.01) / 2 if (nearest > 0).any() else nearest.new_zeros(())
    repeats = [(d <= limit if limit == 0 else d < limit).float().mean() for d in (among_fake.min(1).values, nearest)]
    numbers = {
        "near": inside.any(1).float().mean(),
        "covered": inside.any(0).float().mean(),
        "diversity": among_fake[off_diagonal].mean() / among_real[off_diagonal].mean().clamp_min(1e-12),
        "repeats": (repeats[0] - repeats[1]).clamp_min(0),
    }
    return numbers | ({"reached": _reached(real, fake)} if len(real) >= FEWEST_CELLS * LEAST_IN_CELL else {})


def _reached(real: Tensor, fake: Tensor) -> Tensor:
    blur = _distances(fake, real).min(1).values.median()
    centres = _cell_centres(real, min(CELLS, len(real) // LEAST_IN_CELL), blur)
    of_real, of_fake = (_distances(x, centres).argmin(1).bincount(minlength=len(centres)) for x in (real, fake))
    return (of_real * (of_fake >= of_real / 4)).sum() / len(real)


def _cell_centres(x: Tensor, most: int, blur: Tensor) -> Tensor:
    """k-means that starts from examples far from each other, so that distant modes have cells of their own.

    From FEWEST_CELLS centres on, one is added only if it is farther than APART · `blur` from the others.
    """
    distance = torch.full((len(x),), torch.inf, device=x.device)
    index, chosen, apart = x.square().sum(1).argmin(), [], []
    for _ in range(most):
        chosen.append(index)
        apart.append(distance[index])
        distance = torch.minimum(distance, _distances(x, x[index][None])[:, 0])
        index = distance.argmax()
    kept = (torch.stack(apart) > APART * blur) | (torch.arange(most, device=x.device) < FEWEST_CELLS)
    centres = x[torch.stack(chosen)[kept]]
    for _ in range(LLOYD_STEPS):
        members = nn.functional.one_hot(_distances(x, centres).argmin(1), len(centres)).to(x.dtype)  # (N, k)
        count = members.sum(0)[:, None]
        centres = torch.where(count > 0, members.T @ x / count.clamp_min(1), centres)
    return centres


def critic_vitals(
    game: Game, on_real: Tensor, on_fake: Tensor, on_fitted: Tensor | None = None, with_pull: bool = True
) -> dict[str, Tensor]:
    """told_apart, pull and known from the critic's logits of held-out examples, samples and training examples."""
    numbers = {"told_apart": _chance_of_exceeding(on_real, on_fake)}
    if with_pull:
        numbers["pull"] = _pull(game, on_real, on_fake)
    return numbers if on_fitted is None else numbers | {"known": _chance_of_exceeding(on_fitted, on_real)}


def _pull(game: Game, on_real: Tensor, on_fake: Tensor) -> Tensor:
    with torch.enable_grad():
        logits = on_fake.detach().requires_grad_()
        (slope,) = torch.autograd.grad(game.generator(on_real.detach(), logits).sum(), logits)
    return slope.abs().mean()


def _chance_of_exceeding(a: Tensor, b: Tensor) -> Tensor:
    """The chance that a number of a exceeds one of b; equal numbers count half."""
    return ((a[:, None] > b[None]).float() + 0.5 * (a[:, None] == b[None]).float()).mean()


@contextmanager
def as_in_training(net: nn.Module) -> Iterator[None]:
    """Within the block the network is in training mode; after it mode and buffers are as before."""
    training, backup = net.training, [b.clone() for b in net.buffers()]
    net.train()
    try:
        yield
    finally:
        net.train(training)
        for b, value in zip(net.buffers(), backup, strict=True):
            b.copy_(value)
