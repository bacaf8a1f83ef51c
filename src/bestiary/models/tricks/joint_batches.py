"""Joint batches: real and fake pass through the critic in one batch, so that its BatchNorm mixes their moments."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bestiary.errors import BestiaryError
from bestiary.models.critic_view import CriticView
from bestiary.models.tricks.trick import Setting, Trick

__all__ = ["Joint", "mixes"]


def mixes(critic: nn.Module) -> bool:
    """Whether the examples of a batch see one another through its moments."""
    return any(isinstance(m, _BatchNorm) for m in critic.modules())


class Joint(Trick):
    """Real and fake in one batch of the critic."""

    needs_real = True

    def refuse(self, setting: Setting) -> None:
        if setting.meets("minibatch"):
            raise BestiaryError("minibatch= compares samples with samples, and joint=yes mixes real ones among them")
        if setting.critic is not None and not mixes(setting.critic):
            raise BestiaryError(
                "joint=yes mixes moments of real and fake, and your critic has no BatchNorm: leave it out"
            )
        if setting.critic is None and setting.critic_norm != "batch":
            raise BestiaryError(
                f"joint=yes does nothing with critic_norm={setting.critic_norm}: leave it out, or give another"
                " critic_norm"
            )

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        view.joined = True
