r"""
To the optimum, or step by step?
================================

In theory the critic is optimal at every step of the generator, which then descends a divergence. In practice the two
alternate. Between the two lies the number of critic turns in a round (Algorithm 1's k).

The lesson: for the same number of turns in all, neither end is best. With one turn each the two chase one another and
the distance swings; a critic near its optimum is steady, and leaves the generator few turns; a few turns are the best
bargain.
"""

# %%
# Moons, by the sliced Wasserstein distance of 1000 samples to test data, for equally many turns in all.
import tempfile
import time

import matplotlib.pyplot as plt
from common import full

import bestiary as bst
from bestiary.measures.discrepancy import sliced_distances

turns = 60_000 if full() else 3000
fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for k in (1, 5, 20):
    run, seen, distances, begun = None, [], [], time.perf_counter()
    for part in range(1, 7):
        rounds = max(1, turns * part // 6 // (k + 1))
        if run is None:
            run = bst.fit(
                "moons", "ns-gan", critic_turns=k, latent=4, hidden=(64, 64), lr=1e-3, batch=128, steps=rounds,
                root=tempfile.mkdtemp(), quiet=True, validate=0, save=0,
            )  # fmt: skip
        else:
            run = bst.fit(resume=run, steps=rounds, quiet=True)
        seen.append(rounds * (k + 1))
        distances.append(float(sliced_distances(run.sample_x(1000), run.part("test", 1000).x).mean()))
    ax.plot(seen, distances, "o-", label=f"{k} critic turn{'s' if k > 1 else ''} a round")
    seconds = time.perf_counter() - begun
    print(f"k = {k:2d}: sliced distance {', '.join(f'{d:.3f}' for d in distances)}; {seconds:.1f} s")
ax.set(xlabel="turns of both players", ylabel="sliced distance", yscale="log")
ax.legend()
plt.show()
