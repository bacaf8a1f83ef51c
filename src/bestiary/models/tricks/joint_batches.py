"""Trick `joint`: real and fake pass through the critic in one batch, so that its BatchNorm mixes their moments."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bestiary.errors import BestiaryError
from bestiary.models.critic_view import CriticView
from bestiary.models.tricks.trick import Setting, Trick

__all__ = ["JointBatches", "has_batch_norm"]


def has_batch_norm(critic: nn.Module) -> bool:
    """Whether the critic has BatchNorm, through which the examples of a batch depend on each other."""
    return any(isinstance(m, _BatchNorm) for m in critic.modules())


class JointBatches(Trick):
    """Real and fake examples in one batch of the critic."""

    needs_real = True

    def refuse(self, setting: Setting) -> None:
        if setting.has_tricks("minibatch"):
            raise BestiaryError(
                "minibatch= compares samples with samples, and joint=yes puts real examples into their batch: leave one"
                " of them out"
            )
        if setting.critic is not None and not has_batch_norm(setting.critic):
            raise BestiaryError("joint=yes does nothing with your critic, which has no BatchNorm: leave it out")
        if setting.critic is None and setting.critic_norm != "batch":
            raise BestiaryError(
                f"joint=yes does nothing with critic_norm={setting.critic_norm}: leave it out, or use critic_norm=batch"
            )

    def attach(self, view: CriticView, generator: nn.Module) -> None:
        view.joint = True
