"""`check_model`: a conformance suite for models. It checks the zoo, parts of your own, and models of your own.

    from bestiary.testing import check_model
    check_model(lambda: MODELS["vae"](spec, latent=4), spec)

It raises an AssertionError that names the fault. The checks, on random data of the spec:

    owners       every trained weight belongs to one player in each round; a loss gives each weight of its player a
                 gradient, and a turn changes no weight of another player
    state        two models of one seed are equal; a model that loads the state of another gives the same results
    turns        terms are finite 0-d tensors with a `total`; a turn reads no value on the host, so that a CUDA graph
                 can capture it
    observation  observe(observe(x)) = observe(x)
    codes        encode and codes give what `code` describes; show draws no noise and treats each row by itself; sample
                 gives what the spec describes, follows c, and draws c once where it is not given
    bounds       bound and bounds agree in shape and rise with k; a draw observes the batch once
    stages       players that share weights play in different rounds; the weights of a finished stage do not change
    conditions   of, read and drawn give what the fields describe; show raises where a condition is missing

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
from bestiary.data.spec import Spec, mask_name
from bestiary.errors import BestiaryError
from bestiary.models.model import Bounds, Coded, Drawn, Encodes, Model, Reconstructs, Samples, Shows
from bestiary.networks.conditioned import ConditionTensors, select_rows
from bestiary.training.clock import Clock
from bestiary.training.device import reads_allowed, seeded
from bestiary.training.part import TrainingData
from bestiary.training.player import Player, refuse_shared
from bestiary.training.turn import Turn

__all__ = ["check_model"]

B = 8  # examples in a batch


def check_model(make: Callable[[], Model], spec: Spec, *, examples: int = 64) -> list[str]:
    """Run every check that applies to the model; return their names, in the order above.

    `make` builds the model, its weights drawn by torch's generator; `examples` is the number of training examples that
    a part may start from. Raises AssertionError, with what is wrong, where a check fails.
    """
    names = []
    for name, check in CHECKS.items():
        model = _started_model(make, spec, examples)
        if check(model, make, spec, examples):
            names.append(name)
    return names


def _started_model(make: Callable[[], Model], spec: Spec, examples: int) -> Model:
    """A model as it is before its first round: its parts have begun, by fixed seeds."""
    with seeded(1):
        model = make()
    training = spec.random_batch(examples, model.reads())
    draw = (lambda batch: model.draw(batch, exact=False)) if isinstance(model, Drawn) else lambda batch: None
    with seeded(2), torch.no_grad():
        model.begin(TrainingData(examples, lambda n: model.observe(training[: min(n, examples)]), draw))
    return model


def _batch(model: Model, n: int = B, seed: int = 3) -> Batch:
    return model.spec.random_batch(n, model.reads(), seed)


def _state(model: Model) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _clock(round: float, rounds: int = 100) -> Clock:
    return Clock(torch.tensor(round), rounds, torch.tensor(0.0))


@contextmanager
def _evaluation_mode(model: Model) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


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
        _check_turns_of(model, player)
    return True


def _check_turns_of(model: Model, player: Player) -> None:
    """After two turns each weight of the player has a gradient, and no other weight has changed."""
    before, own = _state(model), {id(p) for p in player.parameters if p.requires_grad}
    turn = Turn(player, torch.device("cpu"))
    for round in range(2):
        with seeded(4 + round):
            turn(_batch(model, seed=5 + round), _clock(float(round)))
    weights = dict(model.named_parameters())
    idle = [n for n, p in weights.items() if id(p) in own and p.grad is None]
    assert not idle, f"player `{player.name}` owns {', '.join(idle)}, and its loss gives them no gradient"
    foreign = [n for n, p in weights.items() if id(p) not in own and not torch.equal(before[n], p)]
    assert not foreign, f"a turn of player `{player.name}` changes {', '.join(foreign)}, which it does not own"


def _turns(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    model.train()
    for player in model.players():
        for phase in {player.phase(0), player.phase(1)}:
            clock = Clock(torch.tensor(1.0), 100, torch.tensor(0.0), phase)
            batch = _batch(model)
            with seeded(4), ForbidHostReads(f"player `{player.name}`"):
                terms, result = player.loss(batch, clock)
            assert "total" in terms, (
                f"the loss of player `{player.name}` has no term `total`; it has {', '.join(terms)}"
            )
            for name, value in terms.items():
                assert value.ndim == 0, f"player `{player.name}`: the term `{name}` is not a 0-d tensor"
                assert bool(value.isfinite()), f"player `{player.name}`: the term `{name}` is {float(value.detach())}"
            with seeded(5), torch.no_grad(), ForbidHostReads(f"`after` of player `{player.name}`"):
                player.after(result)
    return True


class ForbidHostReads(TorchDispatchMode):
    """Raises on what a CUDA graph cannot capture: values read on the host, shapes that depend on values."""

    READS = frozenset({"_local_scalar_dense", "is_nonzero", "equal"})
    SHAPES = frozenset({"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"})

    def __init__(self, caller: str) -> None:
        super().__init__()
        self.caller = caller

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.READS | self.SHAPES and not reads_allowed():
            fault = "reads a value on the host" if name in self.READS else "makes a shape that depends on values"
            raise AssertionError(f"{self.caller} {fault} ({name}): a CUDA graph cannot capture it")
        if name in ("index", "index_put_") and any(i is not None and i.dtype == torch.bool for i in args[1]):
            raise AssertionError(f"{self.caller} indexes by booleans: a CUDA graph cannot capture it")
        return func(*args, **(kwargs or {}))


# ------------------------------------------------------------------------------------------------ state


def _same_state(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    twin = _started_model(make, spec, examples)
    for name, value in model.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), (
            f"two models of one seed differ in {name}: draw weights with torch's generator"
        )
    model.train()
    for player in model.players():
        turn = Turn(player, torch.device("cpu"))
        with seeded(4):
            turn(_batch(model), _clock(1.0))
    with seeded(9):
        twin = make()
    twin.load_state_dict(model.state_dict())
    for (name, a), (_, b) in zip(_results(model), _results(twin), strict=True):
        torch.testing.assert_close(
            b, a, rtol=0, atol=0, equal_nan=True,
            msg=f"a model that loaded the state of another gives another `{name}`: something that it computes with is"
            " not in the state. Make it a parameter or a buffer",
        )  # fmt: skip
    return True


def _results(model: Model) -> list[tuple[str, Tensor]]:
    """What a model gives in evaluation mode, by fixed seeds: name → tensor."""
    results = []
    with _evaluation_mode(model):
        batch = _batch(model)
        c = model.condition.of(batch)
        with seeded(6):
            look = model.observe(batch)
        if isinstance(model, Encodes):
            results.append(("encode", model.encode(look)))
        if isinstance(model, Bounds):
            with seeded(7):
                results.append(("bound", model.bound(look, 3)))
        if isinstance(model, Samples):
            with seeded(8):
                results.append(("sample", model.sample(B, c)))
    return results


# ------------------------------------------------------------------------------------------------ what it gives


def _observation(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    with seeded(6):
        first = model.observe(_batch(model))
    second = model.observe(Batch(first.x, first.beside))
    assert torch.equal(first.x, second.x), "observe(observe(x)) is not observe(x)"
    return True


def _codes(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    batch = _batch(model)
    c = model.condition.of(batch)
    with _evaluation_mode(model), seeded(6):
        if isinstance(model, Encodes):
            z = model.encode(batch)
            if isinstance(model, Shows):
                _assert_accepts(lambda: model.code.refuse(z, "encode gives codes that `code` does not describe: "))
        if isinstance(model, Coded):
            z = model.codes(B, c)
            _assert_accepts(lambda: model.code.refuse(z, "codes gives codes that `code` does not describe: "))
        if isinstance(model, Shows):
            _shows(model, z, c)
        if isinstance(model, Samples):
            _samples(model, c)
        if isinstance(model, Reconstructs):
            assert model.distortion(batch).shape == (B,), "distortion gives one number for each example"
    return isinstance(model, Shows | Encodes | Samples)


def _assert_accepts(check: Callable[[], None]) -> None:
    """An AssertionError in the place of the BestiaryError that a check raises."""
    try:
        check()
    except BestiaryError as error:
        raise AssertionError(str(error)) from error


def _shows(model: Any, z: Tensor, c: ConditionTensors) -> None:
    with seeded(10):
        x = model.show(z, c)
    assert x.shape == (B, *model.spec.shape), f"show gives {tuple(x.shape)}, not {(B, *model.spec.shape)}"
    if _is_autoregressive(model):  # it has no mean: it shows a draw
        return
    with seeded(11):
        is_same = torch.equal(x, model.show(z, c))
    assert is_same, "show gives another x at a second call: it draws noise. Draw it in `make`"
    three = model.show(z[:3], select_rows(c, slice(3)))
    assert torch.allclose(three, x[:3], rtol=1e-4, atol=1e-5), "show looks at the other rows of its batch"


def _is_autoregressive(model: Any) -> bool:
    from bestiary.models.latent_model import LatentModel

    return any(m.likelihood.autoregressive for m in model.modules() if isinstance(m, LatentModel))


def _samples(model: Any, c: ConditionTensors) -> None:
    with seeded(12):
        x = model.sample(B, c)
    assert x.shape == (B, *model.spec.shape), f"sample gives {tuple(x.shape)}, not {(B, *model.spec.shape)}"
    with seeded(12):
        assert torch.equal(x, model.sample(B, c)), "sample of one seed gives other samples: draw noise with torch"
    with seeded(13):
        assert not torch.equal(x, model.sample(B, c)) or not x.std(), "sample does not depend on the seed"
    if model.condition.stores_examples:
        with seeded(14):
            x = model.sample(B)
        with seeded(14):
            drawn = model.condition.draw(B)
            assert torch.equal(x, model.sample(B, drawn)), "sample without c is not sample under `condition.draw`"


def _bounds(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    if not isinstance(model, Bounds):
        return False
    with _evaluation_mode(model), seeded(6):
        batch = model.observe(_batch(model))
        single, several = model.bound(batch, 1), model.bounds(batch, (1, 4))
        shapes = (tuple(single.shape), tuple(several.shape))
        assert shapes == ((B,), (2, B)), "bound gives one number for each example, bounds a row for each k"
        assert bool(single.isfinite().all()), "bound is not finite on data of the spec"
        curve = torch.stack([model.bounds(batch, (1, 16)).mean(1) for _ in range(8)]).mean(0)
        assert curve[1] >= curve[0] - 1e-6, "bound falls with k: bounds of one draw of z rise"
        if isinstance(model, Drawn):
            draw = model.draw(batch, 2)
            assert draw.z.shape[:2] == (2, B), "draw gives z of shape (K, B, …)"
            assert torch.equal(draw.x, batch.x), "draw observes x a second time: use the x of the batch as it is"
            for name, value in (("log_px", draw.log_px), ("log_pz", draw.log_pz), ("log_qz", draw.log_qz)):
                assert value.shape == (2, B), f"{name} of a draw has shape {tuple(value.shape)}, not (K, B)"
    return True


# ------------------------------------------------------------------------------------------------ stages, conditions


def _stages(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    players = model.players()
    boundaries = sorted({p.rounds.start for p in players if p.rounds.start > 0})
    for boundary in boundaries:
        later = [p for p in players if p.rounds.start == boundary]
        finished = [p for p in players if p.rounds.stop <= boundary]
        weights = {id(w) for p in finished for w in p.parameters}
        model.train()
        before = _state(model)
        for player in later:
            turn = Turn(player, torch.device("cpu"))
            with seeded(4):
                turn(_batch(model), _clock(0.0))
        modules = [m for m in model.modules() if (ws := list(m.parameters())) and all(id(w) in weights for w in ws)]
        names = {id(t): n for n, t in model.state_dict(keep_vars=True).items()}
        frozen = [names[id(t)] for m in modules for t in (*m.parameters(), *m.buffers()) if id(t) in names]
        changed = [n for n in frozen if not torch.equal(before[n], model.state_dict()[n]) and not n.endswith("round")]
        assert not changed, f"a later stage changes what belongs to a finished one: {', '.join(sorted(set(changed)))}"
    return bool(boundaries)


def _conditions(model: Model, make: Callable[[], Model], spec: Spec, examples: int) -> bool:
    condition, batch = model.condition, _batch(model)
    if not condition.fields:
        return False
    c = condition.of(batch)
    _assert_accepts(lambda: condition.refuse(c, B))
    if condition.stores_examples:
        with seeded(6):
            drawn = condition.draw(5)
        _assert_accepts(lambda: condition.refuse(drawn, 5))
        assert drawn.keys() == c.keys(), "condition.draw and condition.of have other fields"
    if all(f.layout == "label" for f in condition.fields):
        read = condition.read({f.name: f.words[0] for f in condition.fields})
        names = {f.name for f in condition.fields} | {mask_name(f.name) for f in condition.fields if f.optional}
        assert read.keys() == names, "condition.read gives other fields than condition.of"
    if isinstance(model, Coded):
        with _evaluation_mode(model), seeded(6):
            z = model.codes(B, c)
            try:
                model.show(z, {})
            except BestiaryError:
                return True
            raise AssertionError("show accepts a missing condition: raise BestiaryError with the field that is missing")
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
