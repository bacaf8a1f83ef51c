"""Downloads from a server on the loopback: whole, resumed, refused, corrupted."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from bestiary.data import locations as places
from bestiary.data.download import Remote, digest_of, fetch, progress_bar
from bestiary.errors import BestiaryError

BODY = np.random.default_rng(0).bytes(700_000)
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


class Server(ThreadingHTTPServer):
    """Answers /whole, /plain (cannot resume), /drops (breaks off each time), /short, /busy and nothing else."""

    daemon_threads = True
    seen: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    """One answer."""

    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.seen.append((self.path, asked))
        if self.path not in ("/whole", "/plain", "/drops", "/busy"):
            return self.send_error(404)
        if self.path == "/busy" and len(self.server.seen) < 3:
            return self.send_error(503)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.path != "/plain" else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        stop = start + 300_000 if self.path == "/drops" else len(BODY)
        self.wfile.write(BODY[start:stop])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def remote(server: Server, path: str, digest: str = MD5, size: int = len(BODY)) -> Remote:
    return Remote("set/file.bin", f"http://127.0.0.1:{server.server_port}{path}", size, digest)


@pytest.mark.parametrize("size", [len(BODY), 0])
def test_a_file_comes_whole_and_only_once(server: Server, tmp_path: Path, size: int) -> None:
    steps: list[int] = []
    path = fetch(remote(server, "/whole", size=size), tmp_path, lambda name, done, total: steps.append(done))
    assert path.read_bytes() == BODY
    assert steps == sorted(steps)
    assert steps[-1] == len(BODY)
    fetch(remote(server, "/whole"), tmp_path)
    assert len(server.seen) == 1
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_a_dropped_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    assert fetch(remote(server, "/drops"), tmp_path, wait=0).read_bytes() == BODY
    assert [asked for _, asked in server.seen] == [None, "bytes=300000-", "bytes=600000-"]


@pytest.mark.parametrize("path", ["/whole", "/plain"])
def test_a_part_of_an_earlier_day_is_taken_up(server: Server, tmp_path: Path, path: str) -> None:
    part = tmp_path / "set" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(BODY[:1000])
    assert fetch(remote(server, path), tmp_path, wait=0).read_bytes() == BODY
    assert server.seen == [(path, "bytes=1000-")]


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    assert fetch(remote(server, "/busy"), tmp_path, wait=0).read_bytes() == BODY


def test_a_wrong_digest_keeps_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BestiaryError, match="not the file expected"):
        fetch(remote(server, "/whole", digest="sha256:" + "0" * 64), tmp_path)
    assert list((tmp_path / "set").iterdir()) == []


def test_a_missing_file_says_where_to_put_it(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BestiaryError, match=r"404.*BESTIARY_DATA"):
        fetch(remote(server, "/gone"), tmp_path, wait=0)
    assert len(server.seen) == 1  # asking again would not help


def test_no_network_is_said(tmp_path: Path, server: Server) -> None:
    nobody = Remote("f", "http://127.0.0.1:9/f", 10, MD5)  # the discard port: nothing listens
    with pytest.raises(BestiaryError, match="check the network"):
        fetch(nobody, tmp_path, wait=0)


def test_a_place_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file where a folder should be")
    with pytest.raises(BestiaryError, match="cannot write"):
        fetch(remote(server, "/whole"), tmp_path)


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        progress("file", 1, 2)
        progress("file", 2, 2)
    assert capsys.readouterr() == ("", "")


def test_digests_name_their_kind(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(BODY)
    assert digest_of(tmp_path / "f", "md5") == MD5


def test_a_set_is_downloaded_only_when_asked(server: Server, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    monkeypatch.setitem(places.DOWNLOADS, "toy", (remote(server, "/whole"),))
    forms = (("set/file.bin",),)
    with pytest.raises(BestiaryError, match=r"bestiary data toy --download"):
        places.find_files("toy", forms, download=False)
    assert server.seen == []
    assert places.find_files("toy", forms, download=True) == [own_cache / "sets" / "set" / "file.bin"]
    assert places.find_files("toy", forms, download=False) == [own_cache / "sets" / "set" / "file.bin"]


def test_every_offered_download_has_a_digest_that_can_be_checked() -> None:
    lengths = {"md5": 32, "sha256": 64}
    for remotes in places.DOWNLOADS.values():
        for item in remotes:
            kind, _, digest = item.digest.partition(":")
            assert len(digest) == lengths[kind]
            assert int(digest, 16)
