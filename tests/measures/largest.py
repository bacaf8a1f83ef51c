"""How large a temporary a call makes: for tests that measures work in blocks."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Largest"]


class Largest(TorchDispatchMode):
    """Counts the numbers of the largest tensor made while it is entered; views are not made."""

    numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {x.untyped_storage().data_ptr() for x in args if type(x) is Tensor}
        for made in out if type(out) in (tuple, list) else (out,):
            if type(made) is Tensor and made.untyped_storage().data_ptr() not in given:
                self.numbers = max(self.numbers, made.numel())
        return out
