"""The edit instructions of a chain, made into one prompt for a restart from the anchor.

    1. An instruction that only takes back ("undo that") goes, with the one before it.
    2. A clause that is said again is kept where it was said last.
    3. A clause that sets a thing ("change the title to …") goes if a later one sets the same thing, or the same
       attribute of it: a new colour leaves an earlier change of shape, a new thing takes an earlier colour with it.
    4. A clause that adds or sets a thing goes if a later one removes it.

Whatever is not understood is kept: words of degree ("a bit darker") build on what is there, and two clauses that only
might disagree are both kept, in order, under a heading that says which counts. An instruction of which nothing goes is
kept word for word.
"""

from __future__ import annotations

from collections.abc import Sequence

from imagerouter.normalizer import words
from imagerouter.normalizer.clauses import Clause, Merging, load_merging
from imagerouter.normalizer.languages import Languages
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.validate import check_prompt
from imagerouter.runtime.errors import InvalidField

__all__ = ["load_merging", "merge"]

_FIELD = "instructions"


def merge(instructions: Sequence[str], merging: Merging, languages: Languages, limits: Limits) -> str:
    """Merge 1 to 64 instructions, oldest first. InvalidField for too many, an empty or too long one, and a result that
    would be too long for a prompt.
    """
    if not 1 <= len(instructions) <= limits.instructions:
        raise InvalidField(_FIELD, f"must be 1 to {limits.instructions}")
    total = sum(map(len, instructions))
    if total > limits.instructions_characters:
        raise InvalidField(_FIELD, f"must be at most {limits.instructions_characters} characters together")
    cleaned = [check_prompt(f"{_FIELD}[{at}]", text, limits) for at, text in enumerate(instructions)]
    if len(cleaned) == 1:
        return cleaned[0]
    language = _language(cleaned, merging, languages)
    lines = _surviving(_without_undone(cleaned, merging), merging)
    if not lines:
        return merging.data.unchanged[language]
    prompt = lines[0] if len(lines) == 1 else _listed(merging.data.heading[language], lines)
    if len(prompt) > limits.prompt_characters:
        raise InvalidField(_FIELD, f"come to more than {limits.prompt_characters} characters when merged")
    return prompt


def _language(cleaned: Sequence[str], merging: Merging, languages: Languages) -> str:
    for text in reversed(cleaned):
        for language in languages.detect(text, words.split(text)):
            if language in merging.data.heading:
                return language
    return "en"


def _without_undone(cleaned: Sequence[str], merging: Merging) -> list[str]:
    kept: list[str] = []
    for text in cleaned:
        if not merging.is_undo(text):
            kept.append(text)
        elif kept:
            kept.pop()
    return kept


def _surviving(instructions: Sequence[str], merging: Merging) -> list[str]:
    later = _Later()
    lines: list[str] = []
    for text in reversed(instructions):
        clauses = merging.clauses(text)
        kept: list[Clause] = []
        for clause in reversed(clauses):
            if not later.takes_the_place_of(clause):
                kept.append(clause)
                later.add(clause)
        if len(kept) == len(clauses):
            lines.append(text)
        elif kept:
            lines.append(_sentences([clause.text for clause in reversed(kept)]))
    return lines[::-1]


class _Later:
    """What the instructions after the present one do."""

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()
        self._set: set[tuple[str, str]] = set()
        self._removed: set[str] = set()

    def add(self, clause: Clause) -> None:
        self._said.add(clause.words)
        if clause.target and clause.operation == "set":
            self._set.add((clause.target, clause.attribute))
        elif clause.target and clause.operation == "remove":
            self._removed.add(clause.target)

    def takes_the_place_of(self, clause: Clause) -> bool:
        if clause.words in self._said:
            return True
        if not clause.target or clause.operation not in ("set", "add"):
            return False
        name = clause.target.split()
        # "remove the hat" takes a red hat away as well.
        if any(" ".join(name[at:]) in self._removed for at in range(len(name))):
            return True
        same = {(clause.target, ""), (clause.target, clause.attribute)}
        return clause.operation == "set" and not same.isdisjoint(self._set)


def _sentences(clauses: Sequence[str]) -> str:
    stop, gap = ("\u3002", "") if words.is_wide(clauses[-1]) else (".", " ")
    return gap.join(clause.rstrip(".!?;\u3002\uff01\uff1b") + stop for clause in clauses)


def _listed(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([heading, *(f"{number}. {line}" for number, line in enumerate(lines, 1))])
