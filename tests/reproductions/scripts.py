"""Scripts of a folder, imported as they import each other."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

HERE = Path(__file__).parents[2] / "reproductions"


@contextmanager
def imported(folder: str, *names: str) -> Iterator[SimpleNamespace]:
    """Within: the modules by name; other folders have modules of the same names, which are put back after."""
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(HERE / folder))
    try:
        modules: dict[str, ModuleType] = {name: __import__(name) for name in names}
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(HERE / folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
