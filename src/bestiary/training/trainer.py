"""The trainer: the one loop, in which every player of the present stage takes its turns in each round.

    for player in players:
        for turn in range(player.turns_at(round)):
            seed the noise by (seed, round, player, turn)
            play the turn on the batch of (round, turn)

A trainer owns everything that changes during a run: weights, optimisers, averages, the meter. `state` returns all of it
as named tensors, and `restore` loads it. Noise and batches are functions of the round, so this is the full state of a
run: a run restored at round r continues bit by bit as if it had never stopped (on a CPU, with the same number of
threads).

Players may have stages, which are ranges of rounds. When a stage is over, its weights are set to the best or the
averaged ones, if there are any, and its networks stay in evaluation mode. If patience ends a stage early, its remaining
rounds are skipped: `time` is the round plus the skipped rounds, and stages are ranges of `time`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from math import isfinite, nan
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from bestiary.data.batch import Batch
from bestiary.data.batches import Batches
from bestiary.errors import BestiaryError
from bestiary.training.average import Average
from bestiary.training.clock import Clock, derive_seed
from bestiary.training.device import seed_noise
from bestiary.training.meter import Meter, NonFinite
from bestiary.training.noise import batch_share
from bestiary.training.parallel import Team, full_tensor, place_like
from bestiary.training.player import FOREVER, Player, refuse_shared, stages
from bestiary.training.recipe import Recipe
from bestiary.training.turn import CapturedTurn, Turn

__all__ = ["Trainer", "load_weights"]

T = TypeVar("T")


class Trainer:
    """Trains a model: `play(round)` plays one round.

    model, players: the networks, and who trains them. batches: the training data. recipe: options; `steps` must be set.
    precision: "fp32" or "bf16". team: the processes of the run. graphs: whether turns are captured as CUDA graphs.
    """

    def __init__(
        self,
        model: nn.Module,
        players: list[Player],
        batches: Batches,
        recipe: Recipe,
        precision: str = "fp32",
        team: Team = Team(),
        graphs: bool = True,
    ) -> None:
        if recipe.steps is None:
            raise BestiaryError("a trainer needs the number of rounds to play: set steps, e.g. Recipe(steps=2000)")
        refuse_shared(players)
        self.model, self.players, self.batches, self.recipe, self.team = model, players, batches, recipe, team
        self.device, self.rounds, self.round = batches.device, recipe.steps, 0
        self.stages = stages(players, recipe.steps)
        if len(self.stages) > 1 and team.sharded:
            raise BestiaryError("FSDP2 shards one stage only, and this model has several: use --parallel ddp")
        owns_all = _owns_all(players, model)
        reshard = partial(team.reshard, model)
        self.turns = [
            Turn(p, self.device, precision, recipe.clip, team.wrap(), team.sharded, owns_all, reshard) for p in players
        ]
        self.uses_graphs = graphs and self.device.type == "cuda" and team.world == 1
        self.captured_turns: dict[
            tuple[str, int, int], CapturedTurn
        ] = {}  # turns as graphs, by player, phase and stage
        self.average = Average(model, recipe.average, players) if recipe.average else None
        self.meter = Meter()
        self.best: dict[str, Tensor] = {}  # weights at the best validation bound, if recipe.patience is set
        self.facts: dict[str, Any] = {}  # plain values of the driver, such as the best bound; saved in checkpoints
        self._time = torch.zeros((), device=self.device)
        self._turn = torch.zeros((), device=self.device)

    def play(self, round: int) -> None:
        """All turns of one round. Does not wait for the device."""
        time = round + self.skipped
        self._begin_stage(time)
        is_logged = (round + 1) % self.recipe.log == 0 or any(time + 1 == stage.rounds.stop for stage in self.stages)
        batches: dict[int, Batch] = {}  # turn → batch, the same for every player
        with batch_share(self.team.rank, self.team.world):
            for player, eager_turn in zip(self.players, self.turns, strict=True):
                if not player.plays(time):
                    continue
                start, stop = player.rounds.start, min(player.rounds.stop, self.rounds)
                self._time.fill_(time - start)
                turns, phase = player.turns_at(time - start), player.phase(time - start)
                play_turn = self._turn_for(player, eager_turn, phase)
                for i in range(turns):
                    if i not in batches:
                        batches[i] = self.batches.at(round, i)
                    seed_noise(derive_seed(self.recipe.seed, round, player.name, i), self.device)
                    clock = Clock(self._time, stop - start, self._turn.fill_(i), phase)
                    values = play_turn(batches[i], clock, is_logged and i == turns - 1)
                    self.meter.add(player.name, round, values)
        if self.average is not None:
            self.average.update(time)
        self.round = round + 1

    # ---------------------------------------------------------------------------------------------- stages

    @property
    def skipped(self) -> int:
        """Rounds of stages that patience ended early."""
        return int(self.facts.get("skipped", 0))

    @property
    def time(self) -> int:
        """The round that stages are counted in: the round plus the skipped rounds."""
        return self.round + self.skipped

    def end_stage(self) -> bool:
        """Skip the remaining rounds of the stage that was just played. Returns False if it is the last stage."""
        stage = next(i for i, s in enumerate(self.stages) if self.time - 1 in s.rounds)
        if stage == len(self.stages) - 1:
            return False
        self.facts["skipped"] = self.skipped + self.stages[stage].rounds.stop - self.time
        self.facts.pop("stopped", None)
        return True

    def _begin_stage(self, time: int) -> None:
        """In the first round of a later stage: set the weights of finished stages to the best or averaged ones."""
        stage = next((i for i, s in enumerate(self.stages) if time in s.rounds), 0)
        if stage == int(self.facts.get("stage", 0)):
            return
        if self.best and self.recipe.patience:
            load_weights(self.model, self.best)
            self.best = {}
        elif self.average is not None:
            self.average.finish_stages(time)
        for fact in ("best", "best_round", "misses"):
            self.facts.pop(fact, None)
        self.facts["stage"] = stage
        self.train_mode()

    def train_mode(self) -> None:
        """Put the model in training mode, except the networks whose weights are all finished."""
        self.model.train()
        ends = dict[int, int]()  # id of a weight → the end of the last stage in which it is trained
        for player in self.players:
            for p in player.parameters:
                ends[id(p)] = max(ends.get(id(p), 0), player.rounds.stop)
        start = self.stages[int(self.facts.get("stage", 0))].rounds.start
        for module in self.model.modules():
            module_ends = [ends.get(id(p), FOREVER.stop) for p in module.parameters()]
            if module_ends and max(module_ends) <= start:
                module.eval()

    # ---------------------------------------------------------------------------------------------- turns

    def _turn_for(self, player: Player, turn: Turn, phase: int) -> Turn | CapturedTurn:
        """The turn of a player in a phase: eager, or the CUDA graph of this phase and stage."""
        if not self.uses_graphs:
            return turn
        return self.captured_turns.setdefault((player.name, phase, int(self.facts.get("stage", 0))), CapturedTurn(turn))

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of the terms of each player."""
        return {player.name: turn.names for player, turn in zip(self.players, self.turns, strict=True)}

    def line(self) -> dict[str, float]:
        """A line of the journal: means since the last line, over all processes. Raises NonFinite."""
        tables = self._fail_together(lambda: self.meter.check(self.names))
        # averaged over processes before rows, as in a checkpoint, so that a resumed run has the same line
        numbers = self.meter.flush(self.names, {player: self.team.mean_tensor(t) for player, t in tables.items()})
        self._check_weights()
        epoch = self.round * self.batches.batch / len(self.batches)
        stage = {"stage": int(self.facts.get("stage", 0)) + 1} if len(self.stages) > 1 else {}
        return {"round": self.round, "epoch": round(epoch, 4), **stage, **numbers}

    def _check_weights(self) -> None:
        """Raise NonFinite if weights are not finite: a bad gradient shows in the terms only in the next round.

        Buffers too: the moments of a BatchNorm may overflow while the terms, which use the batch's own, stay finite.
        """
        for player in self.players:
            norm = float(full_tensor(get_total_norm([p.detach() for p in player.parameters])))
            if not isfinite(norm):
                raise NonFinite(player.name, "gradient", self.round - 1, norm)
        for name, is_finite in _finite_buffers(self.model).items():
            if not is_finite:
                raise NonFinite("", name, self.round - 1, nan)

    def _fail_together(self, read: Callable[[], dict[str, T]]) -> dict[str, T]:
        """read(); if it raises NonFinite on one process, all processes raise NonFinite."""
        numbers, failure = {}, None
        try:
            numbers = read()
        except NonFinite as error:
            failure = error
        if self.team.any(failure is not None):
            raise failure or NonFinite("another process'", "total", self.round - 1, nan)
        return numbers

    @contextmanager
    def evaluation_model(self) -> Iterator[nn.Module]:
        """Within the block: the model in evaluation mode, with averaged weights if there are any."""
        self.model.eval()
        try:
            with torch.no_grad(), self.average.swapped_in() if self.average else nullcontext():
                self.team.reshard(self.model)
                yield self.model
        finally:
            self.team.reshard(self.model)
            self.train_mode()

    def weights(self) -> dict[str, Tensor]:
        """The weights to save as the result: the best if there are any, else the averaged, else the present ones."""
        if self.best and self.recipe.patience:
            return self.best
        with self.evaluation_model():
            return {k: full_tensor(v).detach().clone() for k, v in self.model.state_dict().items()}

    def keep_best(self) -> None:
        """Store the present weights as the best."""
        self.best = {}
        self.best = self.weights()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that a resumed run needs, by name. They share memory: save them before the next round."""
        self._fail_together(lambda: self.meter.check(self.names))  # never save numbers that are not finite
        self._check_weights()
        state = {f"model/{k}": full_tensor(v) for k, v in self.model.state_dict().items()}
        for turn in self.turns:
            for i, p in enumerate(turn.parameters):
                for name, value in turn.optimiser.state.get(p, {}).items():
                    if isinstance(value, Tensor):
                        state[f"optimiser/{turn.player.name}/{i}/{name}"] = full_tensor(value)
        rows = {k: self.team.mean_tensor(v) if k.endswith("/values") else v for k, v in self.meter.state().items()}
        for prefix, tensors in (("meter", rows), ("best", self.best)):
            state |= {f"{prefix}/{k}": v for k, v in tensors.items()}
        if self.average is not None:
            state |= {f"average/{k}": v for k, v in self.average.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Load the tensors and plain values of a checkpoint."""
        load_weights(self.model, _with_prefix(state, "model"))
        for turn in self.turns:
            for key, value in _with_prefix(state, f"optimiser/{turn.player.name}").items():
                i, name = key.split("/", 1)
                p = turn.parameters[int(i)]
                turn.optimiser.state[p][name] = place_like(value, p)
        if self.average is not None:
            self.average.restore(_with_prefix(state, "average"))
        self.meter.restore(
            {k: v.to(self.device) if k.endswith("values") else v for k, v in _with_prefix(state, "meter").items()}
        )
        for turn in self.turns:
            turn.names = list(facts["names"].get(turn.player.name, []))
        self.best = {k: v.to(self.device) for k, v in _with_prefix(state, "best").items()}
        self.round, self.facts = int(facts["round"]), dict(facts["driver"])
        self.train_mode()


def _owns_all(players: list[Player], model: nn.Module) -> bool:
    """Whether there is a single player that owns all trainable weights of the model."""
    owned = {id(p) for p in players[0].parameters} if len(players) == 1 else set()
    return all(id(p) in owned for p in model.parameters() if p.requires_grad)


def _finite_buffers(model: nn.Module) -> dict[str, bool]:
    """For each buffer, whether all of its numbers are finite."""
    finite = {name: b.isfinite().all() for name, b in model.named_buffers()}
    return dict(zip(finite, torch.stack(list(finite.values())).tolist(), strict=True)) if finite else {}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy saved weights into a model, sharded or not. Raises BestiaryError if names or shapes differ."""
    own_weights = model.state_dict()
    missing, extra = sorted(own_weights.keys() - weights.keys()), sorted(weights.keys() - own_weights.keys())
    reshaped = [k for k in own_weights if k in weights and own_weights[k].shape != weights[k].shape]
    if missing or extra or reshaped:
        raise BestiaryError(
            "the saved weights are not this model's: "
            + "; ".join(
                f"{problem} {', '.join(names[:4])}"
                for problem, names in (("missing", missing), ("unknown", extra), ("of another shape", reshaped))
                if names
            )
            + ". Give the same parts (encoder=, decoder=, …) that the run was fitted with."
        )
    with torch.no_grad():
        for name, tensor in own_weights.items():
            tensor.copy_(place_like(weights[name], tensor))


def _with_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix/`, without the prefix."""
    return {k.removeprefix(prefix + "/"): v for k, v in state.items() if k.startswith(prefix + "/")}
