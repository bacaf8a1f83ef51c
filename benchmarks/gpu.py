"""On a CUDA machine: is a captured turn what its eager twin is, and what do graphs, bf16 and channels-last gain?

    check    two trainers of the same seed, one eager, one captured, play the same rounds in fp32 with deterministic
             kernels. With weights w after them and w₀ before:  ‖w_captured − w_eager‖ / ‖w_eager − w₀‖ ≤ TRAVEL,
             and every number of every turn is within TERMS of its twin's
    time     rounds a second of each way to play, interleaved, as ratios to eager fp32

`make bench-gpu` runs both and exits 1 if a check fails. Without CUDA it says so and exits 0.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "workers"))

# Adam divides a gradient by its own size, so that where it is nearly zero rounding alone decides the sign of a step:
# a few weights then part by lr. They are few; the path as a whole must agree.
TRAVEL, TERMS = 1e-2, 1e-3

# name → (precision, graphs, channels-last)
WAYS: dict[str, tuple[str, bool, bool]] = {
    "eager fp32": ("fp32", False, True),
    "captured fp32": ("fp32", True, True),
    "eager bf16": ("bf16", False, True),
    "captured bf16": ("bf16", True, True),
    "captured bf16, not channels-last": ("bf16", True, False),
}


def seat(case: str, device: Any, way: tuple[str, bool, bool]) -> Any:
    """A trainer of one of our side's cases that plays this way."""
    import torch
    from ours import MODELS, seated

    model, data, batch = MODELS[case]
    precision, graphs, last = way
    layout = torch.channels_last if last else torch.contiguous_format
    return seated(model, data(), batch, device, precision, graphs, layout)


def flat(trainer: Any) -> Any:
    """All weights as one vector."""
    import torch

    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def numbers(trainer: Any, rounds: int) -> Any:
    """Play so many rounds; every number of every turn."""
    import torch

    for _ in range(rounds):
        trainer.play(trainer.round)
    return torch.cat([torch.stack(rows)[:, :-1].flatten() for rows in trainer.meter.rows.values()])  # no gradient norms


def check(case: str, device: Any, rounds: int) -> bool:
    """Play both twins; print how far they part; whether that is rounding."""
    eager, captured = (seat(case, device, WAYS[way]) for way in ("eager fp32", "captured fp32"))
    start = flat(eager).clone()
    theirs, ours = numbers(eager, rounds), numbers(captured, rounds)
    travel = float((flat(captured) - flat(eager)).norm() / (flat(eager) - start).norm())
    terms = float(((ours - theirs).abs() / theirs.abs().clamp_min(1)).max())
    # a turn that was not captured plays eagerly and would agree for the wrong reason
    graphs = [getattr(turn, "graph", None) is not None for turn in captured.captured_turns.values()]
    right = travel <= TRAVEL and terms <= TERMS and (all(graphs) or device.type != "cuda")
    how = "the same bits" if travel == 0 else f"apart by {travel:.1e} of the way, numbers by {terms:.1e}"
    print(f"{case:12} captured {sum(graphs)} of {len(graphs)} turns, {how}: {'ok' if right else 'WRONG'}", flush=True)
    return right


def settle(device: Any) -> None:
    """Wait for the device."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(trainer: Any, rounds: int, device: Any) -> float:
    settle(device)
    begun = time.perf_counter()
    for _ in range(rounds):
        trainer.play(trainer.round)
    settle(device)
    taken = time.perf_counter() - begun
    trainer.line()  # empties the meter
    return taken


def compare(case: str, device: Any, rounds: int, repeats: int) -> None:
    """Time all ways in turn; print rounds a second and the ratio to the first way, median and extremes."""
    trainers = {name: seat(case, device, way) for name, way in WAYS.items()}
    for trainer in trainers.values():
        seconds(trainer, 5, device)  # warm: three eager turns, then the capture
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for i in range(repeats):
        for name in list(WAYS)[:: 1 if i % 2 == 0 else -1]:
            taken[name].append(seconds(trainers[name], rounds, device))
    base = taken["eager fp32"]
    for name, times in taken.items():
        ratios = [b / a for a, b in zip(times, base, strict=True)]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        rate = rounds / statistics.median(times)
        print(f"{case:12} {name:34} {rate:9.1f} rounds/s   {statistics.median(ratios):5.2f}  ({spread})", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Captured turns against their eager twins, on CUDA.")
    parser.add_argument("--cases", default="vae-mlp,vae-conv,dcgan-28,dcgan-64", help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=100, help="rounds in a timed turn (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of each way (default %(default)s)")
    parser.add_argument("--device", default="cuda", help="cpu rehearses the script: nothing is captured there")
    how = parser.parse_args(words)
    import torch

    if how.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing to check")
        return 0
    device = torch.device(how.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU (a rehearsal)"
    print(f"{name}, torch {torch.__version__}")
    exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
    cases = how.cases.split(",")
    with exact:
        right = [check(case, device, rounds=12) for case in cases]
    for case in cases:
        compare(case, device, how.rounds, how.repeats)
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
