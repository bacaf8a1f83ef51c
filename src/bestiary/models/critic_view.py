"""What a critic is shown, and what it answers.

    shown(x) = pack(tricks(x))       examples augmented, with noise, m of them side by side
    C(shown(x), c)                   c beside x, as maps of an image, or by projection (networks/critic.py)

Real and fake pass through the critic in batches of their own, so that BatchNorm does not mix their moments, unless they
are `joined`. The critic may judge with other weights than its own: those that a trick looks ahead to, or remembers.

Legend: B batch, m pack, c condition, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bestiary.data.spec import Field
from bestiary.errors import BestiaryError
from bestiary.networks.conditioned import NOTHING, Fields, Reader, append_channels
from bestiary.networks.critic import Critic

__all__ = ["CriticView", "Weights", "packed"]

Weights = Mapping[str, Tensor] | None  # other weights of a critic than its own, by name


class CriticView(nn.Module):
    """A critic and the reader of what it is told; it owns both."""

    def __init__(
        self, net: nn.Module, fields: Sequence[Field] = (), projected: bool = False, pack: int = 1, joined: bool = False
    ) -> None:
        super().__init__()
        self.net, self.reader = net, Reader(fields)
        self.projected, self.pack, self.joined = projected, pack, joined

    def forward(self, x: Tensor, c: Fields = NOTHING, alone: bool = False, features: bool = False) -> Tensor:
        """Logits in fp32, (B/m,), of packs x; `alone`: with the slope of each example by itself; `features`: h (B/m, F)
        in their place, each example's own, without what minibatch discrimination adds."""
        told = (packed(self.reader(c), self.pack),) if self.reader.fields else ()
        given = (x, *told) if self.projected or not told else (append_channels(x, *told),)
        if features:
            return self.net.get_submodule("body")(given[0]).float()
        how = {"per_example": True} if alone and isinstance(self.net, Critic) else {}
        return self.net(*given, **how).float().view(len(x))

    def judge(self, x: Tensor, c: Fields = NOTHING, weights: Weights = None, **how: bool) -> Tensor:
        """`forward` with other weights."""
        return self(x, c, **how) if weights is None else functional_call(self, dict(weights), (x, c), how)

    def sides(
        self, real: Tensor, fake: Tensor, c: Fields = NOTHING, weights: Weights = None, **how: bool
    ) -> tuple[Tensor, Tensor]:
        """`judge` of both sides, each in a batch of its own unless they are joined."""
        of: Callable[[Tensor, Fields], Tensor] = lambda x, c: self.judge(x, c, weights, **how)  # noqa: E731
        if not self.joined:
            return of(real, c), of(fake, c)
        on_real, on_fake = of(torch.cat([real, fake]), {k: torch.cat([v, v]) for k, v in c.items()}).chunk(2)
        return on_real, on_fake


def packed(x: Tensor, m: int) -> Tensor:
    """m examples side by side: (B, C, …) → (B/m, m·C, …)."""
    if len(x) % m:
        raise BestiaryError(f"pack={m} does not divide the {len(x)} examples of a process: give another batch")
    return x if m == 1 else x.unflatten(0, (-1, m)).flatten(1, 2)
