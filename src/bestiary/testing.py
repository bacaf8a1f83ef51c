"""Check that a model keeps the contracts of bestiary: for the zoo, for a user's parts, for a model of one's own.

    from bestiary.testing import check_model
    check_model(lambda: MODELS["vae"](spec, latent=4), spec)

A fault is an AssertionError that names it. What is checked, on any data of the spec:

    owners       every weight that is trained has one player in every round; a loss gives each of its player's weights a
                 gradient, and a turn moves no other's
    state        two models of one seed are equal, and one that is given the other's state does what the other does
    turns        terms are finite 0-d tensors with a `total`; a turn reads no value on the host, and can be captured
    observation  observe ∘ observe = observe
    codes        encode and codes give what `code` says; show is pure and sees each row by itself; sample gives what the
                 spec says, follows c, and draws c once
    bounds       bound and bounds agree in shape and rise with k; a draw is one look
    stages       players that share weights have rounds apart; a stage that is over does not move
    conditions   of, read and drawn give what the fields say; a missing condition is refused where it is not drawn

Legend: B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bestiary.data.batch import Batch
from bestiary.data.spec import Spec, known
from bestiary.errors import BestiaryError
from bestiary.models.model import Bounds, Coded, Drawn, Encodes, Model, Reconstructs, Samples, Shows
from bestiary.networks.conditioned import Fields, rows_of
from bestiary.training.clock import Clock
from bestiary.training.device import reads_allowed, seeded
from bestiary.training.part import Look
from bestiary.training.player import Player, refuse_shared
from bestiary.training.turn import Turn

__all__ = ["check_model"]

B = 8  # examples in a batch


def check_model(make: Callable[[], Model], spec: Spec, *, examples: int = 64) -> list[str]:
    """What was checked, in the order above; AssertionError where something does not hold. `make` builds the model, with
    weights by the generator's present seed; `examples`: how many a part may begin from."""
    checked = []
    for name, check in CHECKS.items():
        model = _begun(make, spec, examples)
        if check(model, make, spec, examples):
            checked.append(name)
    return checked


def _begun(make: Callable[[], Model], spec: Spec, examples: int) -> Model:
    """A model as it is before its first round, a function of the seed."""
    with seeded(1):
        model = make()
    all_of_them = spec.drawn(examples, model.reads())
    draw = (lambda batch: model.draw(batch, exact=False)) if isinstance(model, Drawn) else lambda batch: None
    with seeded(2), torch.no_grad():
        model.begin(Look(examples, lambda n: model.observe(all_of_them[: min(n, examples)]), draw))
    return model


def _batch(model: Model, n: int = B, seed: int = 3) -> Batch:
    return model.spec.drawn(n, model.reads(), seed)


def _state(model: Model) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _clock(round: float, rounds: int = 100) -> Clock:
    return Clock(torch.tensor(round), rounds, torch.tensor(0.0))


@contextmanager
def _eval(model: Model) -> Iterator[None]:
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was)


# ------------------------------------------------------------------------------------------------ owners, turns


def _owners(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    players = model.players()
    try:
        refuse_shared(players)
    except BestiaryError as error:
        raise AssertionError(str(error)) from error
    owned = {id(p) for player in players for p in player.parameters}
    orphans = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in owned]
    assert not orphans, f"nobody trains {', '.join(orphans)}: give each a player, or requires_grad_(False)"
    model.train()
    for player in players:
        _one_players_turn(model, player)
    return True


def _one_players_turn(model: Model, player: Player) -> None:
    """Two turns: each of its own weights moves, and nobody else's."""
    before, own = _state(model), {id(p) for p in player.parameters if p.requires_grad}
    turn = Turn(player, torch.device("cpu"))
    for round in range(2):
        with seeded(4 + round):
            turn(_batch(model, seed=5 + round), _clock(float(round)))
    weights = dict(model.named_parameters())
    idle = [n for n, p in weights.items() if id(p) in own and p.grad is None]
    assert not idle, f"player `{player.name}` owns {', '.join(idle)}, and its loss gives them no gradient"
    moved = [n for n, p in weights.items() if id(p) not in own and not torch.equal(before[n], p)]
    assert not moved, f"a turn of player `{player.name}` moves {', '.join(moved)}, which it does not own"


def _turns(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    model.train()
    for player in model.players():
        for phase in {player.phase(0), player.phase(1)}:
            clock = Clock(torch.tensor(1.0), 100, torch.tensor(0.0), phase)
            batch = _batch(model)
            with seeded(4), NoWaiting(f"player `{player.name}`"):
                terms, left = player.loss(batch, clock)
            who = f"player `{player.name}`"
            assert "total" in terms, f"the loss of {who} has no term `total`; it has {', '.join(terms)}"
            for name, value in terms.items():
                assert value.ndim == 0, f"{who}: the term `{name}` is not a 0-d tensor"
                assert bool(value.isfinite()), f"{who}: the term `{name}` is {float(value.detach())}"
            with seeded(5), torch.no_grad(), NoWaiting(f"`after` of player `{player.name}`"):
                player.after(left)
    return True


class NoWaiting(TorchDispatchMode):
    """Refuses what a captured turn cannot hold: values read on the host, shapes that depend on values."""

    READS = frozenset({"_local_scalar_dense", "is_nonzero", "equal"})
    SHAPES = frozenset({"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"})

    def __init__(self, who: str) -> None:
        super().__init__()
        self.who = who

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.READS | self.SHAPES and not reads_allowed():
            what = "reads a value on the host" if name in self.READS else "makes a shape of values"
            raise AssertionError(f"{self.who} {what} ({name}): it cannot be captured as a CUDA graph")
        if name in ("index", "index_put_") and any(i is not None and i.dtype == torch.bool for i in args[1]):
            raise AssertionError(f"{self.who} indexes by booleans: it cannot be captured as a CUDA graph")
        return func(*args, **(kwargs or {}))


# ------------------------------------------------------------------------------------------------ state


def _same_state(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    twin = _begun(make, spec, examples)
    for name, value in model.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), f"two models of one seed differ in {name}"
    model.train()
    for player in model.players():
        turn = Turn(player, torch.device("cpu"))
        with seeded(4):
            turn(_batch(model), _clock(1.0))
    with seeded(9):
        twin = make()
    twin.load_state_dict(model.state_dict())
    for (name, a), (_, b) in zip(_answers(model), _answers(twin), strict=True):
        torch.testing.assert_close(
            b, a, rtol=0, atol=0, equal_nan=True,
            msg=f"a model that was given the state of another has another `{name}`: something that it computes with is"
            " not in the state",
        )  # fmt: skip
    return True


def _answers(model: Model) -> list[tuple[str, Tensor]]:
    """What a model says in evaluation mode, by one seed."""
    found = []
    with _eval(model):
        batch = _batch(model)
        c = model.condition.of(batch)
        with seeded(6):
            look = model.observe(batch)
        if isinstance(model, Encodes):
            found.append(("encode", model.encode(look)))
        if isinstance(model, Bounds):
            with seeded(7):
                found.append(("bound", model.bound(look, 3)))
        if isinstance(model, Samples):
            with seeded(8):
                found.append(("sample", model.sample(B, c)))
    return found


# ------------------------------------------------------------------------------------------------ what it gives


def _observation(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    with seeded(6):
        once = model.observe(_batch(model))
    again = model.observe(Batch(once.x, once.beside))
    assert torch.equal(once.x, again.x), "observe(observe(x)) is not observe(x)"
    return True


def _codes(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    batch = _batch(model)
    c = model.condition.of(batch)
    with _eval(model), seeded(6):
        if isinstance(model, Encodes):
            z = model.encode(batch)
            if isinstance(model, Shows):
                _refuse(lambda: model.code.refuse(z, "encode gives codes that `code` does not describe: "))
        if isinstance(model, Coded):
            z = model.codes(B, c)
            _refuse(lambda: model.code.refuse(z, "codes gives codes that `code` does not describe: "))
        if isinstance(model, Shows):
            _shows(model, z, c)
        if isinstance(model, Samples):
            _samples(model, c)
        if isinstance(model, Reconstructs):
            assert model.distortion(batch).shape == (B,), "distortion gives one number for each example"
    return isinstance(model, Shows | Encodes | Samples)


def _refuse(check: Callable[[], None]) -> None:
    try:
        check()
    except BestiaryError as error:
        raise AssertionError(str(error)) from error


def _shows(model: Any, z: Tensor, c: Fields) -> None:
    with seeded(10):
        x = model.show(z, c)
    assert x.shape == (B, *model.spec.shape), f"show gives {tuple(x.shape)}, not {(B, *model.spec.shape)}"
    if _autoregressive(model):  # it has no mean: it shows a draw
        return
    with seeded(11):
        same = torch.equal(x, model.show(z, c))
    assert same, "show gives other x at a second call: it draws noise, which is for `make`"
    few = model.show(z[:3], rows_of(c, slice(3)))
    assert torch.allclose(few, x[:3], rtol=1e-4, atol=1e-5), "show looks at the other rows of its batch"


def _autoregressive(model: Any) -> bool:
    from bestiary.models.latent_model import LatentModel

    inner = [m for m in model.modules() if isinstance(m, LatentModel)]
    return any(m.likelihood.autoregressive for m in inner)


def _samples(model: Any, c: Fields) -> None:
    with seeded(12):
        x = model.sample(B, c)
    assert x.shape == (B, *model.spec.shape), f"sample gives {tuple(x.shape)}, not {(B, *model.spec.shape)}"
    with seeded(12):
        assert torch.equal(x, model.sample(B, c)), "sample of one seed gives other samples: its noise is not torch's"
    with seeded(13):
        assert not torch.equal(x, model.sample(B, c)) or not x.std(), "sample does not depend on the seed"
    if model.condition.kept:
        with seeded(14):
            alone = model.sample(B)
        with seeded(14):
            told = model.condition.drawn(B)
            assert torch.equal(alone, model.sample(B, told)), "sample without c is not sample under `condition.drawn`"


def _bounds(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    if not isinstance(model, Bounds):
        return False
    with _eval(model), seeded(6):
        batch = model.observe(_batch(model))
        one, many = model.bound(batch, 1), model.bounds(batch, (1, 4))
        shapes = (tuple(one.shape), tuple(many.shape))
        assert shapes == ((B,), (2, B)), "bound gives one number for each example, bounds a row for each k"
        assert bool(one.isfinite().all()), "bound is not finite on data of the spec"
        curve = torch.stack([model.bounds(batch, (1, 16)).mean(1) for _ in range(8)]).mean(0)
        assert curve[1] >= curve[0] - 1e-6, "bound falls with k: bounds of one look rise"
        if isinstance(model, Drawn):
            draw = model.draw(batch, 2)
            assert draw.z.shape[:2] == (2, B), "draw gives z of shape (K, B, …)"
            assert torch.equal(draw.x, batch.x), "draw observes again what was observed: a judge has one look"
            for name, value in (("log_px", draw.log_px), ("log_pz", draw.log_pz), ("log_qz", draw.log_qz)):
                assert value.shape == (2, B), f"{name} of a draw has shape {tuple(value.shape)}, not (K, B)"
    return True


# ------------------------------------------------------------------------------------------------ stages, conditions


def _stages(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    players = model.players()
    boundaries = sorted({p.rounds.start for p in players if p.rounds.start > 0})
    for boundary in boundaries:
        later = [p for p in players if p.rounds.start == boundary]
        over = [p for p in players if p.rounds.stop <= boundary]
        ended = {id(w) for p in over for w in p.parameters}
        model.train()
        before = _state(model)
        for player in later:
            turn = Turn(player, torch.device("cpu"))
            with seeded(4):
                turn(_batch(model), _clock(0.0))
        finished = [m for m in model.modules() if (ws := list(m.parameters())) and all(id(w) in ended for w in ws)]
        names = {id(t): n for n, t in model.state_dict(keep_vars=True).items()}
        held = [names[id(t)] for m in finished for t in (*m.parameters(), *m.buffers()) if id(t) in names]
        moved = [n for n in held if not torch.equal(before[n], model.state_dict()[n]) and not n.endswith("round")]
        assert not moved, f"a stage that is over moves in a later one: {', '.join(sorted(set(moved)))}"
    return bool(boundaries)


def _conditions(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    condition, batch = model.condition, _batch(model)
    if not condition.fields:
        return False
    c = condition.of(batch)
    _refuse(lambda: condition.refuse(c, B))
    if condition.kept:
        with seeded(6):
            drawn = condition.drawn(5)
        _refuse(lambda: condition.refuse(drawn, 5))
        assert drawn.keys() == c.keys(), "condition.drawn and condition.of have other fields"
    if all(f.layout == "label" for f in condition.fields):
        read = condition.read({f.name: f.words[0] for f in condition.fields})
        wanted = {f.name for f in condition.fields} | {known(f.name) for f in condition.fields if f.optional}
        assert read.keys() == wanted, "condition.read gives other fields than condition.of"
    if isinstance(model, Coded):
        with _eval(model), seeded(6):
            z = model.codes(B, c)
            try:
                model.show(z, {})
            except BestiaryError:
                return True
            raise AssertionError("show takes a missing condition in silence: it must say which field is missing")
    return True


Check = Callable[[Model, Callable[[], Model], Spec, int], bool]
CHECKS: Mapping[str, Check] = {
    "owners": _owners,
    "state": _same_state,
    "turns": _turns,
    "observation": _observation,
    "codes": _codes,
    "bounds": _bounds,
    "stages": _stages,
    "conditions": _conditions,
}
