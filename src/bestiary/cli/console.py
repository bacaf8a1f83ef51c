"""How the command line speaks: results on stdout, everything else on stderr, and one place where errors end.

A person at a terminal sees some lines dimmed; a pipe, a file and NO_COLOR get the same words plain. Text from
files and users is never read as markup.

    a mistake the message explains (BestiaryError, OSError)      exit 2, the message
    a run that failed (a number that was not finite, memory)     exit 1, the message
    Ctrl-C                                                       exit 130, how to go on
    anything else: a bug in bestiary                             exit 70, where the traceback lies

No torch, no rich until something is printed that needs them.
"""

import json
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bestiary.errors import BestiaryError

__all__ = ["dim", "guard", "next_steps", "say", "say_json", "table", "warn"]

MISTAKE, FAILURE, BUG, INTERRUPTED = 2, 1, 70, 130
WIDE = 160  # columns where nobody's window limits them
# by name along the class's ancestry: importing the classes would import torch to report a misspelt verb
CODES = {
    "Interrupted": INTERRUPTED,
    "RunFailed": FAILURE,
    "NonFinite": FAILURE,
    "MemoryError": FAILURE,
    "OutOfMemoryError": FAILURE,
}


def say(*lines: str) -> None:
    """Lines on stdout."""
    for line in lines:
        print(line)


def warn(*lines: str) -> None:
    """Lines on stderr."""
    for line in lines:
        print(line, file=sys.stderr)


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def dim(line: str) -> str:
    """A line that stands back, where the terminal can show it."""
    return f"\033[2m{line}\033[0m" if _colours() else line


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), right: Iterable[int] = ()) -> None:
    """Rows in columns, wrapped to the terminal; columns in `right` are numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    body, right = [[str(cell) for cell in row] for row in rows], set(right)
    grid = Table(box=None, show_header=bool(header), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i in range(max(map(len, [header, *body]), default=0)):
        justify, title = ("right" if i in right else "left"), (header[i] if i < len(header) else "")
        grid.add_column(Text(title), justify=justify, overflow="fold", no_wrap=i in right)  # type: ignore[arg-type]
    for row in body:
        grid.add_row(*map(Text, row))
    console = Console(width=None if sys.stdout.isatty() else WIDE, no_color=not _colours())
    with console.capture() as captured:
        console.print(grid)
    say(*(line.rstrip() for line in captured.get().splitlines()))  # rich pads the last column


def next_steps(*commands: str) -> None:
    """What to type next."""
    say("", *(dim(f"  {'next: ' if i == 0 else '      '}") + command for i, command in enumerate(commands)))


def say_json(value: object) -> None:
    """One JSON value on stdout; what JSON cannot say (NaN, ∞) is null."""
    print(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------------- errors


def guard(action: Callable[[], object]) -> int:
    """Run `action`; its exit code, after saying what went wrong if anything did."""
    try:
        action()
        sys.stdout.flush()
        return 0
    except SystemExit as leave:
        return _leave(leave)
    except BrokenPipeError:
        return _hang_up()
    except KeyboardInterrupt:
        warn("interrupted")
        return INTERRUPTED
    except Exception as error:
        return _explain(error)


def _leave(leave: SystemExit) -> int:
    """The code of a `sys.exit` within, once its output has arrived."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _hang_up()
    except OSError as error:
        return _explain(error)
    return leave.code if isinstance(leave.code, int) else 0 if leave.code is None else FAILURE


def _hang_up() -> int:
    """Whoever read our output (`head`, a pager) has left: say nothing, and flush to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE


def _explain(error: Exception) -> int:
    """Print what happened and give the exit code."""
    code = next((CODES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in CODES), None)
    if code is not None or isinstance(error, BestiaryError):
        warn(f"error: {str(error) or 'out of memory: try a smaller batch='}")
        return MISTAKE if code is None else code
    if isinstance(error, OSError):
        warn(f"error: {_of_system(error)}")
        return MISTAKE
    if isinstance(error, ModuleNotFoundError) and not (error.name or "bestiary").startswith("bestiary"):
        warn(f"error: the package `{error.name}` is missing: `bestiary doctor` says how to install it")
        return MISTAKE
    return _bug(error)


def _of_system(error: OSError) -> str:
    """What the system refused, and what to do about it."""
    from bestiary.storage.atomic import io_error

    return str(io_error(f"read or write {error.filename or 'a file'}", error))


def _bug(error: Exception) -> int:
    trace = "".join(traceback.format_exception(error))
    warn(f"error: this is a bug in bestiary: {type(error).__name__}: {error}")
    if os.environ.get("BESTIARY_TRACE"):
        warn(trace)
        return BUG
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="bestiary-bug-", suffix=".txt", delete=False
        ) as file:
            file.write(f"{sys.argv}\n\n{trace}")
    except OSError:  # nowhere to write: better here than lost
        warn(trace)
    else:
        warn(f"  the traceback is in {file.name} (BESTIARY_TRACE=1 shows it here); please report it")
    return BUG
