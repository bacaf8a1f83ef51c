"""A file that several write at once is one of theirs, whole, and nothing is left beside it."""

import threading
from pathlib import Path

from bestiary.storage.atomic import write_atomic


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Six judges of one run write one judgement.json: each has a temporary file of its own."""
    file, errors, start = tmp_path / "judgement.json", list[BaseException](), threading.Barrier(6)

    def write(letter: str) -> None:
        start.wait()
        try:
            for _ in range(10):
                write_atomic(file, letter * 10_000)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdef"]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert errors == []
    text = file.read_text()
    assert text == text[0] * 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["judgement.json"]
