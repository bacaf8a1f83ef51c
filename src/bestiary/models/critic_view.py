"""The critic with its condition and packing: from examples x and a condition c to logits or features.

    x → view(x) = pack(tricks(x))    augmented, with noise, m examples side by side (models/gan.py)
    C(view(x), c)                    c appended to x, as maps for images, or by projection (networks/critic.py)

Real and fake examples pass through the critic in separate batches, so that BatchNorm does not mix their moments, unless
they are `joint`. The critic can judge with other weights than its own, such as unrolled or past weights.

Legend: B batch, m pack, c condition, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bestiary.data.spec import Field
from bestiary.errors import BestiaryError
from bestiary.networks.conditioned import NO_CONDITION, ConditionTensors, Reader, append_channels
from bestiary.networks.critic import Critic

__all__ = ["CriticView", "Weights", "pack_examples"]

Weights = Mapping[str, Tensor] | None  # other weights for the critic, by name; None for its own


class CriticView(nn.Module):
    """A critic network and the reader of its condition.

    fields: the fields of c that the critic reads. projected: whether c is projected, not appended to x. pack: m. joint:
    whether real and fake pass in one batch.
    """

    def __init__(
        self, net: nn.Module, fields: Sequence[Field] = (), projected: bool = False, pack: int = 1, joint: bool = False
    ) -> None:
        super().__init__()
        self.net, self.reader = net, Reader(fields)
        self.projected, self.pack, self.joint = projected, pack, joint

    def forward(
        self, x: Tensor, c: ConditionTensors = NO_CONDITION, per_example: bool = False, features: bool = False
    ) -> Tensor:
        """Logits (B/m,) in fp32 for packs x (B/m, …) and the conditions c of all B examples.

        per_example: the gradient of each logit reaches its own pack only. features: returns the critic's features h
        (B/m, F) instead, without those of minibatch discrimination.
        """
        condition = (pack_examples(self.reader(c), self.pack),) if self.reader.fields else ()
        inputs = (x, *condition) if self.projected or not condition else (append_channels(x, *condition),)
        if features:
            return self.net.get_submodule("body")(inputs[0]).float()
        options = {"per_example": True} if per_example and isinstance(self.net, Critic) else {}
        return self.net(*inputs, **options).float().view(len(x))

    def judge(self, x: Tensor, c: ConditionTensors = NO_CONDITION, weights: Weights = None, **options: bool) -> Tensor:
        """`forward` with these weights."""
        return self(x, c, **options) if weights is None else functional_call(self, dict(weights), (x, c), options)

    def judge_both(
        self, real: Tensor, fake: Tensor, c: ConditionTensors = NO_CONDITION, weights: Weights = None, **options: bool
    ) -> tuple[Tensor, Tensor]:
        """`judge` for real and for fake packs, in separate batches unless they are joint."""
        if not self.joint:
            return self.judge(real, c, weights, **options), self.judge(fake, c, weights, **options)
        both, c_twice = torch.cat([real, fake]), {k: torch.cat([v, v]) for k, v in c.items()}
        on_real, on_fake = self.judge(both, c_twice, weights, **options).chunk(2)
        return on_real, on_fake


def pack_examples(x: Tensor, m: int) -> Tensor:
    """m examples side by side: (B, C, …) → (B/m, m·C, …). Raises BestiaryError unless m divides B."""
    if len(x) % m:
        raise BestiaryError(
            f"pack={m} does not divide the {len(x)} examples of a batch on each process: use batch={m * 64}"
        )
    return x if m == 1 else x.unflatten(0, (-1, m)).flatten(1, 2)
