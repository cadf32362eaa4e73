"""How the command complains, and how it says money and enums."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from imagerouter.api.common.v1 import attempt_pb2
from imagerouter.api.images.v1 import images_service_pb2 as images
from imagerouter.cli import output
from imagerouter.runtime.errors import InvalidField, PreconditionFailed

REFUSED = PreconditionFailed(
    "the provider refused", reason="REFUSED", metadata={"provider": "openai", "stage": "input"}
)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is said on standard error to people."""
    text = io.StringIO()
    monkeypatch.setattr(output, "complaints", Console(file=text, width=200))
    return text


def test_people_read_reason_message_and_details(said: io.StringIO) -> None:
    """The reason to look up, the sentence, and each detail on a line of its own."""
    output.complain(REFUSED, as_json=False)

    assert said.getvalue().splitlines() == [
        "REFUSED (FAILED_PRECONDITION): the provider refused",
        "  provider: openai",
        "  stage: input",
    ]


def test_a_field_is_said_once(said: io.StringIO) -> None:
    """It is in the message already, brackets and all."""
    output.complain(InvalidField("references[3].inline", "1 to 128 of [A-Za-z0-9]"), as_json=False)

    assert said.getvalue() == "INVALID_FIELD (INVALID_ARGUMENT): references[3].inline: 1 to 128 of [A-Za-z0-9]\n"


@pytest.mark.parametrize("name", ["photo [draft].png", "a[/b].png", "[bold]x.png"])
def test_a_message_is_no_markup(said: io.StringIO, name: str) -> None:
    """A file's name may hold brackets: it is shown as it is, and nothing breaks."""
    output.complain(InvalidField("reference", f"there is no file {name}"), as_json=False)

    assert name in said.getvalue()


def test_programs_read_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One document on one line of standard error, with everything that the error knows."""
    output.complain(InvalidField("output.count", "is 0"), as_json=True)
    told = capsys.readouterr()

    assert told.out == ""
    assert told.err.count("\n") == 1
    assert json.loads(told.err) == {
        "error": {
            "code": "INVALID_ARGUMENT",
            "reason": "INVALID_FIELD",
            "message": "output.count: is 0",
            "metadata": {"field": "output.count"},
            "fields": [{"field": "output.count", "description": "is 0"}],
        }
    }


def test_a_message_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Names as in the protos, one document a line whatever it holds."""
    output.print_json(images.Image(name="images/i", labels={"a": "two\nlines", "b": "猫"}))
    text = capsys.readouterr().out

    assert text.count("\n") == 1
    assert "猫" in text
    assert json.loads(text) == {"name": "images/i", "labels": {"a": "two\nlines", "b": "猫"}}


@pytest.mark.parametrize(("micros", "text"), [(0, "$0.0000"), (39_000, "$0.0390"), (1_234_567, "$1.2346")])
def test_dollars(micros: int, text: str) -> None:
    """Micro-dollars to a hundredth of a cent."""
    assert output.dollars(micros) == text


def test_short_enums() -> None:
    """An enum as words."""
    assert output.short(11, attempt_pb2.OutcomeKind, "OUTCOME_KIND_") == "connection failed"
