"""The packaged rules as data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from imagerouter.api.common.v1 import task_pb2
from imagerouter.normalizer import words
from imagerouter.normalizer.rules import Rule, RulesFile, load_rules

RULES = load_rules()
EXAMPLE_WORDS = {"...": "", "#": "20"}


def example(phrase: str) -> str:
    """Write one text that a phrase must be found in: its first alternatives, without what is optional."""
    text = re.sub(r"\[[^\]]*\]", "", phrase)
    text = re.sub(r"\(([^|)]*)[^)]*\)", r"\1", text)
    return text.replace("...", " ").replace("#", "20").replace("*", "")


def test_every_phrase_of_every_rule_fires_its_rule() -> None:
    """No phrase is dead: a text made of it alone fires the rule that it stands under."""
    dead = [
        (rule.id, phrase)
        for rule in RULES.data.rule
        for phrase in rule.phrases()
        if rule.id not in {fired.rule.id for fired in RULES.find(words.split(example(phrase))).fired}
    ]

    assert dead == []


def test_the_seed_rules_cover_their_languages() -> None:
    """Every lettered work and every edit is known in the seven languages."""
    gaps = [
        (rule.id, language)
        for rule in RULES.data.rule
        if rule.signal in ("deliverable", "edit", "bulk", "vague")
        for language in ("en", "ja", "zh", "es", "ko", "fr", "de")
        if not getattr(rule, language)
    ]

    assert gaps == []


def test_every_edit_action_has_a_rule() -> None:
    """The rules can name each action of the contract."""
    named = {rule.value for rule in RULES.data.rule if rule.signal == "edit"}

    assert named == {name.removeprefix("EDIT_ACTION_").lower() for name in task_pb2.EditAction.keys()[1:]}


def test_the_data_say_their_version_date_and_source() -> None:
    """A decision can be traced to the rules that it was made by."""
    assert RULES.data.version.startswith(str(RULES.data.date))
    assert RULES.data.source


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "x", "signal": "edit", "value": "explode"},
        {"id": "x", "signal": "deliverable"},
        {"id": "x", "signal": "photo", "value": "poster"},
        {"id": "X Y", "signal": "photo"},
        {"id": "x", "signal": "nothing"},
        {"id": "x", "signal": "photo", "tlh": ["nuq"]},
    ],
)
def test_a_rule_that_means_nothing_is_refused(fields: dict[str, object]) -> None:
    """A slip in the data is found when it is read."""
    with pytest.raises(ValidationError):
        Rule.model_validate(fields)


def test_two_rules_of_one_id_are_refused() -> None:
    """An id names one rule."""
    data = RULES.data.model_dump()
    data["rule"] = [data["rule"][0], data["rule"][0]]

    with pytest.raises(ValidationError, match="same id"):
        RulesFile.model_validate(data)


def test_no_regular_expression_is_in_the_rules() -> None:
    """What cannot be written cannot backtrack."""
    text = (Path(__file__).parents[3] / "services/imagerouter/normalizer/rules.toml").read_text(encoding="utf-8")

    assert not re.search(r"\.\*|\.\+|\\[dswb]|\(\?", text)
