"""Normalization: one request and the facts of its references become one task. Pure, and always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.normalizer.v1 import normalizer_service_pb2 as pb
from imagerouter.normalizer import words
from imagerouter.normalizer.aspect import Ratio
from imagerouter.normalizer.features import Reading, read
from imagerouter.normalizer.flags import Flags, FlagsFile, load_flags, named_ratio, take_flags
from imagerouter.normalizer.imagehead import ImageFacts
from imagerouter.normalizer.languages import Languages, load_languages
from imagerouter.normalizer.limits import Limits
from imagerouter.normalizer.notes import Notes
from imagerouter.normalizer.output import Canvas, settle_output
from imagerouter.normalizer.references import settle_mask, settle_references
from imagerouter.normalizer.rules import Rules, load_rules
from imagerouter.normalizer.text import hides_characters
from imagerouter.normalizer.validate import MASK, check, settled_mode
from imagerouter.runtime.errors import InvalidField


@dataclass(frozen=True)
class Tables:
    """The data that the normalizer reads by."""

    rules: Rules
    languages: Languages
    flags: FlagsFile


@lru_cache(maxsize=1)
def load_tables() -> Tables:
    """Read the packaged data. ValueError if it is not well-formed: a defect of the release."""
    return Tables(load_rules(), load_languages(), load_flags())


def normalize(
    request: pb.NormalizeRequest,
    facts: Sequence[ImageFacts],
    *,
    tables: Tables | None = None,
    limits: Limits | None = None,
) -> task_pb2.Task:
    """Turn a request into a task with every field settled.

    `facts` are those of the references, in order, and the mask's last if there is a mask. Raises InvalidField, which
    names the field as the caller spells it and quotes no prompt.
    """
    tables, limits = tables or load_tables(), limits or Limits()
    notes = Notes()
    cleaned = check(request, limits)
    mode = settled_mode(request)
    flags = take_flags(cleaned, tables.flags)
    if not flags.prompt:
        raise InvalidField("prompt", "has flags and no words")
    _note_prompt(request.prompt, flags, notes)
    of_references, of_mask = facts[: len(request.references)], facts[len(request.references) :]
    references = settle_references(request.references, of_references, mode, notes)
    task = task_pb2.Task(tenant=request.tenant, mode=mode, prompt=flags.prompt, references=references)
    if request.HasField(MASK):
        task.mask.CopyFrom(settle_mask(request.mask, of_mask[0], references))
    base = references[0].dimensions if mode == task_pb2.MODE_EDIT else None
    canvas = Canvas(flags, named_ratio(flags.prompt, tables.flags), Ratio.of(base.width, base.height) if base else None)
    given = request.constraints
    task.output.CopyFrom(settle_output(request.output, given.aspect_ratio, canvas, limits, notes))
    task.constraints.CopyFrom(given)
    task.constraints.ClearField("aspect_ratio")  # the shorthand is in the output now
    del task.constraints.models[:]
    task.constraints.models.extend(dict.fromkeys(given.models))
    if request.HasField("lineage"):
        task.lineage.CopyFrom(request.lineage)
    _read_words(task, tables, notes)
    task.warnings.extend(notes.warnings)
    task.negotiations.extend(notes.negotiations)
    return task


def _read_words(task: task_pb2.Task, tables: Tables, notes: Notes) -> None:
    """Fill in what the words say. The caller's flags win over the rules."""
    constraints = task.constraints
    says_lettered = constraints.text_heavy if constraints.HasField("text_heavy") else None
    says_preserve = constraints.preserve_subject if constraints.HasField("preserve_subject") else None
    reading = read(task.prompt, tables.rules, tables.languages, text_heavy=says_lettered)
    task.render_strings.extend(reading.strings)
    task.languages.extend(reading.languages)
    task.content_class = reading.content_class
    if task.mode == task_pb2.MODE_EDIT:
        task.edit_action = reading.edit_action
    task.features.CopyFrom(
        task_pb2.Features(
            prompt_characters=len(task.prompt),
            prompt_words=words.count(task.prompt),
            text_heavy=reading.text_heavy,
            preserve_subject=reading.preserve_subject if says_preserve is None else says_preserve,
            same_character=reading.same_character,
            vague=reading.vague,
            bulk=reading.bulk or task.output.count >= tables.rules.scoring.bulk_count,
            has_references=bool(task.references),
            text_deliverable=reading.deliverable,
            rule_ids=reading.rule_ids,
        )
    )
    _note_words(task, reading, notes)


def _note_prompt(given: str, flags: Flags, notes: Notes) -> None:
    if hides_characters(given):
        notes.warn("prompt", "PROMPT_CLEANED", "Control or invisible characters were taken out of the prompt.")
    for dropped in flags.dropped:
        notes.dropped("prompt", dropped, "a flag of another tool that means nothing here")
    for name in flags.not_understood:
        notes.warn("prompt", "FLAG_NOT_UNDERSTOOD", f"The value of --{name} was not understood: it stays as words.")


def _note_words(task: task_pb2.Task, reading: Reading, notes: Notes) -> None:
    if not reading.languages:
        notes.warn("prompt", "LANGUAGE_UNCERTAIN", "The language of the prompt could not be told.")
    if reading.speaks_of_input and not task.references:
        notes.warn("references", "REFERENCE_MISSING", "The words speak of an input image, and none is given.")
    if reading.wants_transparency and task.output.background == task_pb2.BACKGROUND_UNSPECIFIED:
        notes.warn(
            "output.background",
            "TRANSPARENCY_IN_WORDS",
            "The words ask for a transparent background: set output.background to require a model that can.",
        )
