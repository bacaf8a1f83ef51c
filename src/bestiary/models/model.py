"""What every model offers to everyone above it.

    players()       who plays, and what each minimises
    sample(n)       n examples in model units
    encode(x)       where "encode" is among its abilities: x → z, the posterior mean
    decode(z)       where "decode" is:  z → E[x|z]
    bound(x, k)     where "bound" is:   a lower bound on log p(x), per example, in nats

Legend: B batch, D latent.
"""

from torch import Tensor, nn

from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError
from bestiary.training.player import Player

__all__ = ["Model"]


class Model(nn.Module):
    """A beast: networks and the players that train them."""

    abilities: frozenset[str] = frozenset()  # of "encode", "decode", "bound"
    discrete: bool = False  # whether `bound` is on the log of a probability rather than of a density
    latent: int  # D

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    def players(self) -> list[Player]:
        raise NotImplementedError

    def sample(self, n: int, condition: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def observe(self, x: Tensor) -> Tensor:
        """What the model takes x to be, e.g. a binarised image. The identity for most."""
        return x

    def encode(self, x: Tensor) -> Tensor:
        raise self._cannot("encode")

    def decode(self, z: Tensor) -> Tensor:
        raise self._cannot("decode")

    def bound(self, x: Tensor, k: int = 1) -> Tensor:
        raise self._cannot("bound")

    def _cannot(self, ability: str) -> BestiaryError:
        can = ", ".join(sorted(self.abilities)) or "only sample"
        return BestiaryError(f"a {type(self).__name__} cannot {ability}: it can {can}")
