"""bestiary: deep generative models, fitted, sampled, judged and diagnosed the same way.

    import bestiary as bst
    run = bst.fit("digits", "vae", steps=2000)
    run.sample(64); run.judge(); run.report()

Names are imported when they are first used, so that `import bestiary` is quick and brings no torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bestiary.version import __version__

if TYPE_CHECKING:
    from bestiary import data, doctor, models, report
    from bestiary.demonstration import demo
    from bestiary.errors import BestiaryError
    from bestiary.run import Run, fit, judge, load, sample
    from bestiary.runs.plan import plan

# Threads that wait for each other sleep in place of spinning: on a busy machine spinning makes a fit several times
# slower, on an idle one sleeping costs next to nothing (`make bench`). OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = [
    "BestiaryError",
    "Run",
    "__version__",
    "data",
    "demo",
    "doctor",
    "fit",
    "judge",
    "load",
    "models",
    "plan",
    "report",
    "sample",
]

_HOMES = {  # a name alone is a room of the house
    "BestiaryError": "bestiary.errors",
    "Run": "bestiary.run",
    "data": "",
    "demo": "bestiary.demonstration",
    "doctor": "",
    "fit": "bestiary.run",
    "judge": "bestiary.run",
    "load": "bestiary.run",
    "models": "",
    "plan": "bestiary.runs.plan",
    "report": "",
    "sample": "bestiary.run",
}


def __getattr__(name: str) -> Any:
    """A public name, imported from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module `bestiary` has no `{name}`; it has {', '.join(__all__)}")
    home = _HOMES[name]
    value = getattr(import_module(home), name) if home else import_module(f"bestiary.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
