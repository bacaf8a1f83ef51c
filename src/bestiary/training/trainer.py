"""The one loop: in each round every player whose stage it is takes its turns.

    for player in players:
        for turn in range(player.turns_at(round)):
            seed the noise by (seed, round, player, turn)
            play the turn on the batch of (round, turn)

A trainer owns what changes while a run goes on — weights, optimisers, averages, the meter — and can give all of it as
named tensors and take it back. Since noise and batches are functions of the round, that is the whole state of a run:
one restored at round r goes on bit by bit as if it had never stopped (on the CPU, with the same number of threads).

Players may have stages, ranges of rounds. A stage that is over stands still: its weights become the best or the
averaged ones, where there are any, and its networks are in evaluation mode from then on. Where patience ends a stage
early the rounds that are left of it are skipped: `time` is the round plus what was skipped, and stages are read off it.
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
from bestiary.training.clock import Clock, mix
from bestiary.training.device import seed_noise
from bestiary.training.meter import Meter, NonFinite
from bestiary.training.noise import shared
from bestiary.training.parallel import Team, full_tensor, placed
from bestiary.training.player import FOREVER, Player, refuse_shared, stages
from bestiary.training.recipe import Recipe
from bestiary.training.turn import Captured, Turn

__all__ = ["Trainer", "load_weights"]

T = TypeVar("T")


class Trainer:
    """Players at play: `play(round)` plays one round."""

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
            raise BestiaryError("a trainer needs to know how many rounds to play: set steps")
        refuse_shared(players)
        self.model, self.players, self.batches, self.recipe, self.team = model, players, batches, recipe, team
        self.device, self.rounds, self.round = batches.device, recipe.steps, 0
        self.stages = stages(players, recipe.steps)
        if len(self.stages) > 1 and team.sharded:
            raise BestiaryError("FSDP2 shards one stage only, and this model has several: use --parallel ddp")
        alone = _owns_all(players, model)
        settle = partial(team.settle, model)
        turns = [
            Turn(p, self.device, precision, recipe.clip, team.wrap(), team.sharded, alone, settle) for p in players
        ]
        self.captures = graphs and self.device.type == "cuda" and team.world == 1
        self.captured: dict[tuple[str, int, int], Captured] = {}  # by player, phase and stage
        self.eager = turns
        self.average = Average(model, recipe.average, players) if recipe.average else None
        self.meter = Meter()
        self.best: dict[str, Tensor] = {}  # weights at the best validation bound, where patience asks for them
        self.facts: dict[str, Any] = {}  # plain facts of the driver: the best bound, validations without a better one
        self._time = torch.zeros((), device=self.device)
        self._turn = torch.zeros((), device=self.device)

    def play(self, round: int) -> None:
        """All turns of one round. Waits for nothing on the device."""
        time = round + self.skipped
        self._settle(time)
        last = (round + 1) % self.recipe.log == 0 or any(time + 1 == stage.rounds.stop for stage in self.stages)
        dealt: dict[int, Batch] = {}
        with shared(self.team.rank, self.team.world):
            for player, eager in zip(self.players, self.eager, strict=True):
                if not player.plays(time):
                    continue
                own, rounds = time - player.rounds.start, min(player.rounds.stop, self.rounds) - player.rounds.start
                self._time.fill_(own)
                turns, phase = player.turns_at(own), player.phase(own)
                turn = self._form(player, eager, phase)
                for i in range(turns):
                    if i not in dealt:
                        dealt[i] = self.batches.at(round, i)
                    seed_noise(mix(self.recipe.seed, round, player.name, i), self.device)
                    clock = Clock(self._time, rounds, self._turn.fill_(i), phase)
                    values = turn(dealt[i], clock, last and i == turns - 1)
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
        """The round by which stages are told."""
        return self.round + self.skipped

    def end_stage(self) -> bool:
        """Skip what is left of the stage that was just played; False where it is the last."""
        played = next(i for i, s in enumerate(self.stages) if self.time - 1 in s.rounds)
        if played == len(self.stages) - 1:
            return False
        self.facts["skipped"] = self.skipped + self.stages[played].rounds.stop - self.time
        self.facts.pop("stopped", None)
        return True

    def _settle(self, time: int) -> None:
        """At the first round of a later stage: what is over stands still."""
        now = next((i for i, s in enumerate(self.stages) if time in s.rounds), 0)
        if now == int(self.facts.get("stage", 0)):
            return
        if self.best and self.recipe.patience:
            load_weights(self.model, self.best)
            self.best = {}
        elif self.average is not None:
            self.average.settle(time)
        for fact in ("best", "best_round", "misses"):
            self.facts.pop(fact, None)
        self.facts["stage"] = now
        self.train_mode()

    def train_mode(self) -> None:
        """Training mode for all but the networks whose every weight has had its last round."""
        self.model.train()
        ends = dict[int, int]()
        for player in self.players:
            for p in player.parameters:
                ends[id(p)] = max(ends.get(id(p), 0), player.rounds.stop)
        begun = self.stages[int(self.facts.get("stage", 0))].rounds.start
        for module in self.model.modules():
            own = [ends.get(id(p), FOREVER.stop) for p in module.parameters()]
            if own and max(own) <= begun:
                module.eval()

    # ---------------------------------------------------------------------------------------------- turns

    def _form(self, player: Player, eager: Turn, phase: int) -> Turn | Captured:
        """The turn as it is played in a phase: eager, or a graph that was captured in that phase."""
        if not self.captures:
            return eager
        return self.captured.setdefault((player.name, phase, int(self.facts.get("stage", 0))), Captured(eager))

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of each player's numbers."""
        return {player.name: turn.names for player, turn in zip(self.players, self.eager, strict=True)}

    def line(self) -> dict[str, float]:
        """The journal's line: means since the last one, over all processes. Raises NonFinite."""
        numbers = self.team.mean(self._together(lambda: self.meter.flush(self.names)))
        self._sound()
        epoch = self.round * self.batches.batch / len(self.batches)
        stage = {"stage": int(self.facts.get("stage", 0)) + 1} if len(self.stages) > 1 else {}
        return {"round": self.round, "epoch": round(epoch, 4), **stage, **numbers}

    def _sound(self) -> None:
        """Raises NonFinite: a gradient can spoil weights without showing in a term before the next round."""
        for player in self.players:
            norm = float(full_tensor(get_total_norm([p.detach() for p in player.parameters])))
            if not isfinite(norm):
                raise NonFinite(player.name, "gradient", self.round - 1, norm)

    def _together(self, read: Callable[[], dict[str, T]]) -> dict[str, T]:
        """What the meter says; all processes fail together if one of them must."""
        numbers, failed = {}, None
        try:
            numbers = read()
        except NonFinite as error:
            failed = error
        if self.team.any(failed is not None):
            raise failed or NonFinite("another process'", "total", self.round - 1, nan)
        return numbers

    @contextmanager
    def judged(self) -> Iterator[nn.Module]:
        """The model as it is to be judged: in evaluation mode, with averaged weights, where there are any."""
        self.model.eval()
        try:
            with torch.no_grad(), self.average.applied() if self.average else nullcontext():
                self.team.settle(self.model)
                yield self.model
        finally:
            self.team.settle(self.model)
            self.train_mode()

    def weights(self) -> dict[str, Tensor]:
        """The weights to keep: the best if there are any, else the averaged, else the present ones."""
        if self.best and self.recipe.patience:
            return self.best
        with self.judged():
            return {k: full_tensor(v).detach().clone() for k, v in self.model.state_dict().items()}

    def remember(self) -> None:
        """Keep the present weights as the best."""
        self.best = {}
        self.best = self.weights()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that a resumed run needs, as it stands: to be written down before the next round."""
        self._together(lambda: self.meter.check(self.names))  # never write down what is not finite
        self._sound()
        state = {f"model/{k}": full_tensor(v) for k, v in self.model.state_dict().items()}
        for turn in self.eager:
            for i, p in enumerate(turn.parameters):
                for name, value in turn.optimiser.state.get(p, {}).items():
                    if isinstance(value, Tensor):
                        state[f"optimiser/{turn.player.name}/{i}/{name}"] = full_tensor(value)
        rows = {k: self.team.mean_of(v) if k.endswith("/values") else v for k, v in self.meter.state().items()}
        for prefix, part in (("meter", rows), ("best", self.best)):
            state |= {f"{prefix}/{k}": v for k, v in part.items()}
        if self.average is not None:
            state |= {f"average/{k}": v for k, v in self.average.state().items()}
        return state

    def restore(self, state: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go back to a checkpoint."""
        load_weights(self.model, _part(state, "model"))
        for turn in self.eager:
            saved = _part(state, f"optimiser/{turn.player.name}")
            for key, value in saved.items():
                i, name = key.split("/", 1)
                p = turn.parameters[int(i)]
                turn.optimiser.state[p][name] = placed(value, p)
        if self.average is not None:
            self.average.restore(_part(state, "average"))
        self.meter.restore(
            {k: v.to(self.device) if k.endswith("values") else v for k, v in _part(state, "meter").items()}
        )
        for turn in self.eager:
            turn.names = list(facts["names"].get(turn.player.name, []))
        self.best = {k: v.to(self.device) for k, v in _part(state, "best").items()}
        self.round, self.facts = int(facts["round"]), dict(facts["driver"])
        self.train_mode()


def _owns_all(players: list[Player], model: nn.Module) -> bool:
    """Whether there is one player, and no weight of the model is anybody else's."""
    owned = {id(p) for p in players[0].parameters} if len(players) == 1 else set()
    return all(id(p) in owned for p in model.parameters() if p.requires_grad)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy saved weights into a model, sharded or not; names and shapes must be the model's own."""
    own = model.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    wrong = [k for k in own if k in weights and own[k].shape != weights[k].shape]
    if missing or extra or wrong:
        raise BestiaryError(
            "the saved weights are not this model's: "
            + "; ".join(
                f"{what} {', '.join(names[:4])}"
                for what, names in (("missing", missing), ("unknown", extra), ("of another shape", wrong))
                if names
            )
            + ". Give the same parts (encoder=, decoder=, …) that the run was fitted with."
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(placed(weights[name], tensor))


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix + "/"): v for k, v in state.items() if k.startswith(prefix + "/")}
