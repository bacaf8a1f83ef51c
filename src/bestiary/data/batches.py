"""Endless batches, a function of (seed, round, turn): a resumed run sees the batches that it would have seen.

Turn t walks through its own endless sequence of epochs: epoch e of turn t is the permutation seeded by (seed, t, e),
and round r takes rows r·B … (r+1)·B − 1 of the permutations laid end to end. Within a turn every example is therefore
seen once an epoch; the five turns of a WGAN's critic see five different batches. There is no state to save. Each of
several processes takes its slice of the same global batch.

Legend: B global batch, N training examples, C H W image shape, F features.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bestiary.data.batch import Batch
from bestiary.data.dataset import Dataset, batch_of
from bestiary.errors import BestiaryError

__all__ = ["Batches", "batch_of"]


class Batches:
    """One part of a data set in batches: x, and the fields named by `reads`.

    A memory-mapped field is read one batch ahead by a thread; any other is kept in memory (on CUDA: on the device) as
    it is stored.
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
        reads: Collection[str] = (),
    ) -> None:
        rows, spec = dataset.parts[part], dataset.spec
        if batch < 1 or batch % world:
            raise BestiaryError(f"batch={batch} must be a positive multiple of the {world} process(es) that share it")
        for name in reads:
            spec[name]  # raises with the name of a field that is not there
        self.spec, self.batch, self.seed, self.device = spec, batch, seed, torch.device(device)
        self.slice = slice(rank * batch // world, (rank + 1) * batch // world)
        self.rows = rows
        names = {"x", *(n for n in dataset.stored if n.removesuffix("?") in reads)}
        self.mapped = {n: dataset.stored[n] for n in names if isinstance(dataset.stored[n], np.memmap)}
        self.memory = {n: torch.as_tensor(dataset.stored[n][rows]).to(self.device) for n in names - self.mapped.keys()}
        self._reader = ThreadPoolExecutor(1, "bestiary-reader") if self.mapped else None
        self._order = lru_cache(maxsize=16)(self._permutation)
        self._pending: dict[tuple[int, int], Future[dict[str, Tensor]]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def _permutation(self, turn: int, epoch: int) -> Tensor:
        key = np.random.SeedSequence((self.seed, turn, epoch))
        order = np.random.Generator(np.random.PCG64(key)).permutation(len(self.rows))
        return torch.from_numpy(order).to("cpu" if self.mapped else self.device)

    def index(self, round: int, turn: int = 0) -> Tensor:
        """The positions, within the part, of the examples that this process sees at (round, turn)."""
        n, first = len(self.rows), round * self.batch + self.slice.start
        last, pieces = first + self.slice.stop - self.slice.start, []
        while first < last:
            epoch, start = divmod(first, n)
            stop = min(n, start + last - first)
            pieces.append(self._order(turn, epoch)[start:stop])
            first += stop - start
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _read_rows(self, round: int, turn: int) -> dict[str, Tensor]:
        rows = self.rows[self.index(round, turn).numpy()]
        order = np.argsort(rows)  # the disk is read forwards
        tensors = {}
        for name, stored in self.mapped.items():
            in_disk_order = stored[rows[order]]
            values = np.empty_like(in_disk_order)
            values[order] = in_disk_order
            tensors[name] = torch.from_numpy(values)
        return tensors

    def at(self, round: int, turn: int = 0) -> Batch:
        """The batch of (round, turn): a pure function of them and the seed."""
        index, stored = self.index(round, turn), dict[str, Tensor]()
        if self._reader is not None:
            ready = self._pending.pop((round, turn), None)
            tensors = ready.result() if ready else self._read_rows(round, turn)
            self._pending = {(round + 1, turn): self._reader.submit(self._read_rows, round + 1, turn)} | {
                key: job for key, job in self._pending.items() if key[0] >= round
            }
            stored = {name: values.to(self.device, non_blocking=True) for name, values in tensors.items()}
            index = index.to(self.device)
        # index_select is ten times as fast as indexing, for rows of bytes
        stored |= {name: values.index_select(0, index) for name, values in self.memory.items()}
        return batch_of(self.spec, stored)
