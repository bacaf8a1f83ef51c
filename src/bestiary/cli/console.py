"""Output of the command line: results on stdout, everything else on stderr, tables, JSON, errors and exit codes.

    BestiaryError, OSError: a mistake of the user                 exit 2, with the message
    a run that failed: a number that is not finite, memory        exit 1, with the message
    Ctrl-C                                                        exit 130, with the command that continues
    any other exception: a bug in bestiary                        exit 70, with the file that holds the traceback

A terminal shows some lines dimmed; a pipe, a file and NO_COLOR get the same words plain. Text from files and users is
never read as markup. Torch and rich are imported only by functions that need them.
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

__all__ = ["dim", "guard", "next_steps", "print_error", "print_json", "print_lines", "table"]

MISTAKE, FAILURE, BUG, INTERRUPTED = 2, 1, 70, 130
WIDTH = 160  # columns of a table that is not printed on a terminal
# by the names of a class and its bases: importing these classes would import torch to report a misspelt verb
CODES = {
    "Interrupted": INTERRUPTED,
    "RunFailed": FAILURE,
    "NonFinite": FAILURE,
    "MemoryError": FAILURE,
    "OutOfMemoryError": FAILURE,
}


def print_lines(*lines: str) -> None:
    """Print lines on stdout."""
    for line in lines:
        print(line)


def print_error(*lines: str) -> None:
    """Print lines on stderr."""
    for line in lines:
        print(line, file=sys.stderr)


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def dim(line: str) -> str:
    """A line in dimmed letters, where the terminal has them."""
    return f"\033[2m{line}\033[0m" if _has_colours() else line


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), right: Iterable[int] = ()) -> None:
    """Print rows in columns, wrapped to the terminal; the columns in `right` are aligned to the right."""
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
    console = Console(width=None if sys.stdout.isatty() else WIDTH, no_color=not _has_colours())
    with console.capture() as captured:
        console.print(grid)
    print_lines(*(line.rstrip() for line in captured.get().splitlines()))  # rich pads the last column


def next_steps(*commands: str) -> None:
    """Print the commands to type next."""
    print_lines("", *(dim(f"  {'next: ' if i == 0 else '      '}") + command for i, command in enumerate(commands)))


def print_json(value: object) -> None:
    """Print one JSON value on stdout; NaN and ∞, which JSON does not have, become null."""
    print(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ------------------------------------------------------------------------- errors


def guard(action: Callable[[], object]) -> int:
    """Run `action` and give its exit code; an exception is reported on stderr."""
    try:
        action()
        sys.stdout.flush()
        return 0
    except SystemExit as error:
        return _exit_code(error)
    except BrokenPipeError:
        return _close_stdout()
    except KeyboardInterrupt:
        print_error("interrupted")
        return INTERRUPTED
    except Exception as error:
        return _report(error)


def _exit_code(exit: SystemExit) -> int:
    """The exit code of a `sys.exit`, once its output has been written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _close_stdout()
    except OSError as error:
        return _report(error)
    return exit.code if isinstance(exit.code, int) else 0 if exit.code is None else FAILURE


def _close_stdout() -> int:
    """The reader of our output (`head`, a pager) has gone: print no error, and let Python flush to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE


def _report(error: Exception) -> int:
    """Print the error and give the exit code."""
    code = next((CODES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in CODES), None)
    if code is not None or isinstance(error, BestiaryError):
        print_error(f"error: {str(error) or 'out of memory: try a smaller batch='}")
        return MISTAKE if code is None else code
    if isinstance(error, OSError):
        print_error(f"error: {_system_error(error)}")
        return MISTAKE
    if isinstance(error, ModuleNotFoundError) and not (error.name or "bestiary").startswith("bestiary"):
        print_error(f"error: the package `{error.name}` is missing: `bestiary doctor` says how to install it")
        return MISTAKE
    return _report_bug(error)


def _system_error(error: OSError) -> str:
    """What the operating system refused, and what to do about it."""
    from bestiary.storage.atomic import io_error

    return str(io_error(f"read or write {error.filename or 'a file'}", error))


def _report_bug(error: Exception) -> int:
    trace = "".join(traceback.format_exception(error))
    print_error(f"error: this is a bug in bestiary: {type(error).__name__}: {error}")
    if os.environ.get("BESTIARY_TRACE"):
        print_error(trace)
        return BUG
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="bestiary-bug-", suffix=".txt", delete=False
        ) as file:
            file.write(f"{sys.argv}\n\n{trace}")
    except OSError:  # no file can be written: print the traceback
        print_error(trace)
    else:
        print_error(f"  the traceback is in {file.name} (BESTIARY_TRACE=1 prints it here); please report it")
    return BUG
