"""Judging: ask every chapter that a case has what it needs for, and put the findings together.

    case → chapters → judgement (numbers, each with protocol, interval and floor; notes), evidence for the report

Alarms, such as copies, come first. A distance that is smaller than that of other real examples is doubted.

A case is made of a run by runs/run_case.py, of two sets of examples by judging/two_sets.py.
"""

from datetime import datetime

from bestiary.errors import BestiaryError
from bestiary.judging.case import Case
from bestiary.judging.chapter import Chapter, Evidence, Findings
from bestiary.judging.chapters import CHAPTERS
from bestiary.measures.number import ALARM, Judgement, doubt_better_than_real

__all__ = ["judge_case"]


def judge_case(case: Case) -> tuple[Judgement, Evidence]:
    """The judgement of a case, and what the report draws."""
    chapters = [chapter for chapter in CHAPTERS if chapter.fits(case)]
    late = [chapter for chapter in chapters if chapter.slow and case.tests == "fast"]
    findings = [_ask(chapter, case) for chapter in chapters if chapter not in late]
    notes = [*case.notes, *(note for part in findings for note in part.notes)]
    if late:
        notes.append(f"Left out by tests=fast: {', '.join(chapter.title for chapter in late)}.")
    evidence = {name: tensor for part in findings for name, tensor in part.evidence.items()}
    numbers = doubt_better_than_real([number for part in findings for number in part.numbers])
    numbers.sort(key=lambda number: number.weight < ALARM)  # alarms first, the others in the order of the chapters
    made = datetime.now().isoformat(timespec="seconds")
    return Judgement(tuple(numbers), case.protocol, tuple(notes), made), evidence


def _ask(chapter: Chapter, case: Case) -> Findings:
    """A chapter's findings; what the examples do not allow leaves the other chapters alone."""
    try:
        return chapter.judge(case)
    except BestiaryError as error:
        return Findings(notes=[f"Left out: {chapter.title}. Reason: {error}."])
