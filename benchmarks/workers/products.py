"""The products of a call: its matrix products and convolutions, to be played alone.

    share of the roofline = seconds of the products alone / seconds of the whole

What is left is elementwise work, optimisers, noise, batches and the loop. The products are those that the call itself
makes, forward and backward, with its own numbers, layouts and precision, so they cost what they cost in the call but
for what the cache holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

__all__ = ["record_products"]

ATEN = torch.ops.aten
PRODUCTS = {
    ATEN.mm.default, ATEN.addmm.default, ATEN.bmm.default, ATEN.baddbmm.default,
    ATEN.convolution.default, ATEN.convolution_backward.default,
}  # fmt: skip


class _Recorder(TorchDispatchMode):
    """Within the block every product is kept, with copies of what it multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in PRODUCTS:
            copies = tree_map_only(Tensor, lambda t: t.detach().clone(), (args, kwargs or {}))
            self.calls.append((func, *copies))
        return func(*args, **(kwargs or {}))


def record_products(call: Callable[[], None]) -> Callable[[], None]:
    """Make the call once; returns a call that makes its products alone."""
    with _Recorder() as recorder:
        call()

    @torch.no_grad()
    def products() -> None:
        for product, args, kwargs in recorder.calls:
            product(*args, **kwargs)

    return products
