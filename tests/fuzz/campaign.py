"""`make fuzz`: hostile trials by the thousand, seeded and resumable; prints and keeps the faults.

    python -m tests.fuzz.campaign --cases 20000 --folder FOLDER

FOLDER/state.json holds the next case of each kind and the faults that were found: a campaign that was stopped goes on
there. A case is a function of its kind and its number, so that a fault can be repeated by itself:

    python -m tests.fuzz.campaign --kind command --case 1234
"""

import argparse
import json
import shlex
import tempfile
from pathlib import Path

import torch

from bestiary.storage.atomic import write_json
from tests.fuzz.broken_files import broken_case
from tests.fuzz.command_lines import command_line
from tests.fuzz.trial import trial
from tests.fuzz.workshop import workshop

KINDS = ("command", "file")


def one(kind: str, case: int, folder: Path) -> tuple[list[str], str]:
    """The command line of a case, and what is wrong with how it ends."""
    words = command_line(case) if kind == "command" else broken_case(case, folder)
    return words, trial(words, folder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bestiary-fuzz")
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--case", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    workplace = workshop(options.folder / "workshop")
    file = options.folder / "state.json"
    if options.case is not None:
        words, fault = one(options.kind or KINDS[0], options.case, workplace)
        print(shlex.join(words), fault or "no fault", sep="\n")
        return
    state = json.loads(file.read_text()) if file.is_file() else {"next": dict.fromkeys(KINDS, 0), "faults": []}
    for case in range(min(state["next"].values()), options.cases):
        for kind in KINDS if options.kind is None else (options.kind,):
            if state["next"][kind] > case:
                continue
            words, fault = one(kind, case, workplace)
            state["next"][kind] = case + 1
            if fault:
                state["faults"].append({"kind": kind, "case": case, "line": shlex.join(words), "fault": fault})
                print(f"{kind} {case}: bestiary {shlex.join(words)}\n  {fault}", flush=True)
        if case % 20 == 19:
            write_json(file, state)
    write_json(file, state)
    print(f"{sum(state['next'].values()):,} cases, {len(state['faults'])} faults: {file}")


if __name__ == "__main__":
    main()
