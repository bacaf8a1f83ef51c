"""Checkpoints are whole or absent, on a full disk, in a read-only folder, and when a file is torn."""

import errno
import json
import os
from contextlib import suppress

import pytest
import torch

from bestiary.errors import BestiaryError
from bestiary.storage.atomic import write_atomic
from bestiary.storage.journal import Journal, read_journal
from bestiary.training import checkpoint
from bestiary.training.checkpoint import checkpoints, load_checkpoint, load_latest, save_checkpoint

STATE = {"a": torch.arange(6.0).view(2, 3), "layout": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)}


def quiet(message: str) -> None:
    raise AssertionError(message)


def test_what_was_saved_is_loaded(tmp_path):
    path = save_checkpoint(tmp_path, 5, STATE, {"note": "π"}, keep=2)
    tensors, facts = load_checkpoint(path)
    assert all(torch.equal(tensors[k], STATE[k]) for k in STATE)
    assert (facts["round"], facts["note"]) == (5, "π")


def test_only_the_newest_are_kept(tmp_path):
    for round in (1, 2, 3, 10):
        save_checkpoint(tmp_path, round, STATE, {}, keep=2)
    assert [int(p.name) for p in checkpoints(tmp_path)] == [3, 10]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_the_same_round_can_be_written_again(tmp_path):
    save_checkpoint(tmp_path, 1, STATE, {"try": 1}, keep=2)
    save_checkpoint(tmp_path, 1, STATE, {"try": 2}, keep=2)
    assert load_latest(tmp_path, quiet)[1]["try"] == 2


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "gone"])
def test_a_torn_checkpoint_is_passed_over(tmp_path, file, harm):
    save_checkpoint(tmp_path, 1, STATE, {}, keep=2)
    torn = save_checkpoint(tmp_path, 2, STATE, {}, keep=2) / file
    content = torn.read_bytes()
    harms = {"cut": content[: len(content) // 2], "flip": content[:-20] + b"\xff" * 20, "empty": b""}
    torn.unlink() if harm == "gone" else torn.write_bytes(harms[harm])
    said = []
    tensors, facts = load_latest(tmp_path, said.append)
    assert facts["round"] == 1
    assert torch.equal(tensors["a"], STATE["a"])
    assert "torn" in said[0]
    assert "00000002" in said[0]


def test_torn_ones_do_not_push_out_what_is_whole(tmp_path):
    """Two newest torn, and the run that went back to the one before them pauses before it reaches them again."""
    for round in (4, 6, 8):
        save_checkpoint(tmp_path, round, STATE, {}, keep=3)
    for name in ("00000006", "00000008"):
        (tmp_path / name / "state.json").write_bytes(b"")
    save_checkpoint(tmp_path, 5, STATE, {}, keep=2)
    assert load_latest(tmp_path, [].append)[1]["round"] == 5


def test_none_is_none(tmp_path):
    assert load_latest(tmp_path / "absent", quiet) is None


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EFBIG, r"larger than the disk or `ulimit -f` allows.*Raise that limit"),
        (errno.EROFS, "cannot be written"),
        (errno.EIO, "Input/output"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_a_failing_disk_keeps_the_last_good_one(tmp_path, monkeypatch, number, says, call):
    save_checkpoint(tmp_path, 1, STATE, {}, keep=2)

    def fail(*args, **named):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Path if call == "mkdir" else checkpoint.os, call, fail)
        with pytest.raises(BestiaryError, match=says) as error:
            save_checkpoint(tmp_path, 2, STATE, {}, keep=2)
    assert "00000001" in str(error.value)
    assert [p.name for p in checkpoints(tmp_path)] == ["00000001"]
    assert load_latest(tmp_path, quiet)[1]["round"] == 1


def test_a_real_full_disk(tmp_path):
    """/dev/full refuses every byte, as a full disk does."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    with pytest.raises(BestiaryError, match="the disk is full"):
        Journal(tmp_path / "journal.jsonl").append({"round": 1})


def test_a_write_is_old_or_new(tmp_path, monkeypatch):
    file = tmp_path / "x.txt"
    write_atomic(file, "old")

    def fail(*args):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", fail)
        with pytest.raises(BestiaryError, match="full"):
            write_atomic(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_journal_is_cut_back_and_goes_on(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"round": 1, "x.total": 0.1})
    mark = journal.sync()
    journal.append({"round": 2})
    assert journal.rewind(mark) == ""
    journal.append({"round": 2, "x.total": 0.3})
    assert [line["round"] for line in read_journal(journal.path)] == [1, 2]
    assert json.loads(journal.path.read_text().splitlines()[1])["x.total"] == 0.3


def test_a_torn_last_line_is_passed_over(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"round": 1}\n{"rou')
    assert read_journal(path) == [{"round": 1}]


def test_a_flipped_bit_of_the_plain_values_tears_a_checkpoint(tmp_path):
    """Every bit of state.json counts: the round, the length of the journal, the hash itself."""
    path = save_checkpoint(tmp_path, 40, STATE, {"driver": {"journal": {"size": 100}}}, keep=2) / "state.json"
    content = path.read_bytes()
    for i in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[i // 8] ^= 1 << i % 8
        path.write_bytes(flipped)
        with suppress(BestiaryError):  # a flipped white space says nothing
            assert load_checkpoint(path.parent)[1] == {"round": 40, "driver": {"journal": {"size": 100}}}


def test_only_folders_named_by_a_round_are_checkpoints(tmp_path):
    save_checkpoint(tmp_path, 1, STATE, {}, keep=2)
    for name in ("²", "00000002.old", "3", "x"):
        (tmp_path / name).mkdir()
    assert [p.name for p in checkpoints(tmp_path)] == ["00000001"]


@pytest.mark.parametrize(
    ("harm", "says", "rounds"),
    [
        (lambda content: content + b'{"round": 3}\n', "", [1, 2]),
        (lambda content: content[:-5], "lost its end", [1]),
        (lambda content: b"", "lost its end", []),
        (lambda content: None, "lost its end", []),
        (lambda content: content.replace(b"0.5", b"0.7"), "changed", [1, 2]),
        (lambda content: content[:-1] + b" ", "changed", [1]),
    ],
)
def test_a_damaged_journal_is_told_and_never_padded(tmp_path, harm, says, rounds):
    journal = Journal(tmp_path / "journal.jsonl")
    for round in (1, 2):
        journal.append({"round": round, "x.total": 0.5})
    mark = journal.sync()
    content = harm(journal.path.read_bytes())
    if content is None:
        journal.path.unlink()
    else:
        journal.path.write_bytes(content)
    problem = journal.rewind(mark)
    assert says in problem
    assert bool(says) == bool(problem)
    journal.append({"round": 9})
    assert [line["round"] for line in read_journal(journal.path)] == [*rounds, 9]
    assert b"\0" not in journal.path.read_bytes()
