"""Bring one file over HTTP(S): checked by its digest, resumed where it broke off, whole or absent.

The bytes go to NAME.part; a connection that drops is taken up again at the byte where it stopped (`Range`);
when the digest is right the file is renamed to NAME. A wrong digest deletes the part: it would be wrong
again.
"""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bestiary.errors import BestiaryError
from bestiary.storage.atomic import io_error

__all__ = ["Progress", "Remote", "digest_of", "fetch", "progress_bar"]

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte
_ATTEMPTS = 4  # first try and three resumptions

Progress = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all


@dataclass(frozen=True)
class Remote:
    """A file somewhere: what it is called here, where it lies, its size and digest."""

    file: str  # relative to the folder of data sets, e.g. mnist/train-images-idx3-ubyte.gz
    url: str
    size: int  # bytes; 0 if unknown: then a broken download starts again from nothing
    digest: str  # "md5:…" or "sha256:…"


def digest_of(path: Path, kind: str) -> str:
    """The digest of a file in the form of `Remote.digest`."""
    with open(path, "rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def fetch(remote: Remote, folder: Path, progress: Progress | None = None, wait: float = 1.0) -> Path:
    """Download to folder / remote.file, unless it is there already; return the path.

    wait: seconds before the first resumption; each further one waits twice as long.
    """
    path = folder / remote.file
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(part, remote, progress or (lambda name, done, total: None), wait)
        _check(part, remote)
        os.replace(part, path)
    except OSError as error:
        raise io_error(f"write {path}", error) from error
    return path


def _fill(part: Path, remote: Remote, progress: Progress, wait: float) -> None:
    """Try, and try again from where it stopped, as long as that may help."""
    for attempt in range(_ATTEMPTS):
        try:
            return _receive(part, remote, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise BestiaryError(_refused(remote, error.code)) from error
            reason = f"the server answered {error.code} {error.reason}"
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(error) or type(error).__name__
        if attempt < _ATTEMPTS - 1:
            time.sleep(wait * 2**attempt)
    got = part.stat().st_size if part.exists() else 0
    raise BestiaryError(
        f"cannot download {remote.url}: {reason}. {got:,} bytes have come so far: check the network "
        f"(behind a proxy, set https_proxy), then give the same command again"
    )


def _refused(remote: Remote, code: int) -> str:
    advice = "the file has moved" if code in (404, 410) else "the server does not give the file"
    return (
        f"cannot download {remote.url}: {code}, {advice}. Find {Path(remote.file).name} elsewhere and put it "
        f"at {remote.file} in the folder that BESTIARY_DATA names; its digest should be {remote.digest}"
    )


def _receive(part: Path, remote: Remote, progress: Progress) -> None:
    """One connection: append to the part what it lacks."""
    have = part.stat().st_size if part.exists() else 0
    if have == remote.size > 0:
        return
    have = have if have < remote.size else 0
    headers = {"User-Agent": "bestiary"} | ({"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(urllib.request.Request(remote.url, headers=headers), timeout=_TIMEOUT) as reply:
        have = have if reply.status == 206 else 0  # a server that cannot resume sends the whole
        total = remote.size or int(reply.headers.get("Content-Length", 0))
        with open(part, "ab" if have else "wb") as file:
            while chunk := reply.read(_CHUNK):
                have += len(chunk)
                if have > total > 0:
                    break  # longer than it should be: the digest will say so
                file.write(chunk)
                progress(Path(remote.file).name, have, total)
            file.flush()
            os.fsync(file.fileno())
    if have < total:
        raise ConnectionError(f"the connection closed after {have:,} of {total:,} bytes")


def _check(part: Path, remote: Remote) -> None:
    kind = remote.digest.partition(":")[0]
    found = digest_of(part, kind)
    if found != remote.digest:
        part.unlink()
        raise BestiaryError(
            f"{remote.url} is not the file expected: its digest is {found}, it should be {remote.digest}. "
            f"Nothing was kept. The file was changed at its source, or something between answered for it"
        )


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A rich bar for each file on a terminal's standard error; silence elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    ]
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield advance
