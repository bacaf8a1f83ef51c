"""Endless batches that are a function of (seed, round, turn), so that a resumed run sees what it would have seen.

Turn t walks through its own endless sequence of epochs: epoch e of turn t is the permutation seeded by (seed, t, e),
and round r takes rows r·B … (r+1)·B − 1 of the permutations laid end to end. Within a turn every example is therefore
seen once an epoch; the five turns of a WGAN's critic see five different batches. No state is kept, so there is none to
save. Under several processes each takes its slice of the same global batch.

Legend: B global batch, N training examples, C H W image shape, F features.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bestiary.data.dataset import Dataset
from bestiary.data.spec import Spec
from bestiary.errors import BestiaryError

__all__ = ["Batch", "Batches", "model_units", "settled", "stored_units"]


class Batch(NamedTuple):
    """What a player's turn receives: examples in model units, and what comes with each where the data has that."""

    x: Tensor  # (B, C, H, W) float32 in [0, 1], or (B, F)
    y: Tensor | None = None  # (B,) int64; or (B, n) float32, numbers beside x in model units


def model_units(stored: Tensor, spec: Spec) -> Tensor:
    """Stored examples as the model sees them: (B, H, W, C) uint8 → (B, C, H, W) float in [0, 1], channels last."""
    if spec.kind != "image":
        return stored.float()
    x = stored.permute(0, 3, 1, 2).float()
    return x if spec.levels == 2 else x.div_(spec.levels - 1)  # a view first: memory stays channels-last


def stored_units(x: Tensor, spec: Spec) -> Tensor:
    """The inverse of `model_units`, to the nearest level; of a category's columns, the largest."""
    if spec.kind != "image":
        return settled(x.float(), spec)
    return x.float().clamp(0, 1).mul(spec.levels - 1).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def settled(x: Tensor, spec: Spec) -> Tensor:
    """Examples whose categories are one word each: of such columns the largest."""
    if not any(column.categories for column in spec.columns):
        return x
    blocks = zip(x.split([column.width for column in spec.columns], 1), spec.columns, strict=True)
    return torch.cat(
        [
            one_hot(block.argmax(1), column.width).to(x.dtype) if column.categories else block
            for block, column in blocks
        ],
        1,
    )


class Batches:
    """The training part of a data set, dealt in batches.

    A memory-mapped set is read one batch ahead by a thread; any other lies in memory (or, on CUDA, on the device) as it
    is stored.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        part: str = "train",
    ) -> None:
        rows = dataset.parts[part]
        if batch < 1 or batch % world:
            raise BestiaryError(f"batch={batch} must be a positive multiple of the {world} process(es) that share it")
        self.spec, self.batch, self.seed, self.device = dataset.spec, batch, seed, torch.device(device)
        self.slice = slice(rank * batch // world, (rank + 1) * batch // world)
        self.rows, self.disk = rows, dataset.stored
        self.streams = isinstance(dataset.stored, np.memmap)
        held = rows[:0] if self.streams else rows  # what streams is left on the disk
        self.stored = torch.as_tensor(dataset.stored[held]).to(self.device)
        self.labels = None if dataset.labels is None else torch.as_tensor(dataset.labels[rows]).to(self.device)
        self._index_device = torch.device("cpu") if self.streams else self.device
        self._order = lru_cache(maxsize=16)(self._permutation)
        self._reader = ThreadPoolExecutor(1, "bestiary-reader") if self.streams else None
        self._ahead: dict[tuple[int, int], Future[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def _permutation(self, turn: int, epoch: int) -> Tensor:
        key = np.random.SeedSequence((self.seed, turn, epoch))
        order = np.random.Generator(np.random.PCG64(key)).permutation(len(self.rows))
        return torch.from_numpy(order).to(self._index_device)

    def index(self, round: int, turn: int = 0) -> Tensor:
        """Which training examples this process sees at (round, turn)."""
        n, first = len(self.rows), round * self.batch + self.slice.start
        last, parts = first + self.slice.stop - self.slice.start, []
        while first < last:
            epoch, start = divmod(first, n)
            stop = min(n, start + last - first)
            parts.append(self._order(turn, epoch)[start:stop])
            first += stop - start
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _read(self, round: int, turn: int) -> Tensor:
        rows = self.rows[self.index(round, turn).numpy()]
        order = np.argsort(rows)  # the disk is read forwards
        forwards = self.disk[rows[order]]
        out = np.empty_like(forwards)
        out[order] = forwards
        return torch.from_numpy(out)

    def at(self, round: int, turn: int = 0) -> Batch:
        """The batch of (round, turn): a pure function of them and the seed."""
        index = self.index(round, turn)
        if self._reader is None:
            stored = self.stored.index_select(0, index)  # ten times as fast as indexing, for rows of bytes
        else:
            ready = self._ahead.pop((round, turn), None)
            stored = ready.result() if ready else self._read(round, turn)
            self._ahead = {(round + 1, turn): self._reader.submit(self._read, round + 1, turn)} | {
                key: job for key, job in self._ahead.items() if key[0] >= round
            }
            stored = stored.to(self.device, non_blocking=True)
        y = None if self.labels is None else self.labels[index.to(self.device)]
        return Batch(model_units(stored, self.spec), y)
