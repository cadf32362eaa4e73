"""The documents say what the code does: names, reasons, codes and details."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imagerouter.api.errors.v1 import error_reason_pb2
from imagerouter.runtime import errors, names
from imagerouter.runtime.names_table import read_names, replace_table
from imagerouter.runtime.telemetry import _DEFAULTS

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
CONVENTIONS = ("rpc.", "error.", "server.", "gen_ai.", "db.", "http.")


def _rows() -> dict[str, tuple[str, set[str], str]]:
    document = (ROOT / "docs/errors.md").read_text()
    return {
        reason: (code, set(re.findall(r"[A-Z][A-Za-z]+", details)), advice)
        for reason, code, details, advice in ROW.findall(document)
    }


def _contract() -> dict[str, str]:
    """The comment above each reason of the proto."""
    proto = (ROOT / "protos/imagerouter/api/errors/v1/error_reason.proto").read_text()
    found = re.findall(r"((?:  //[^\n]*\n)+)  ERROR_REASON_([A-Z_]+) = \d+;", proto)
    return {reason: comment for comment, reason in found if reason != "UNSPECIFIED"}


def test_every_reason_has_its_row() -> None:
    """The table has each reason of the contract once, and no other."""
    document = (ROOT / "docs/errors.md").read_text()

    assert sorted(_rows()) == sorted(_contract())
    assert len(ROW.findall(document)) == len(_rows())
    assert {f"ERROR_REASON_{reason}" for reason in _rows()} == set(
        error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    ) - {"ERROR_REASON_UNSPECIFIED"}


@pytest.mark.parametrize("reason", sorted(_contract()))
def test_rows_agree_with_the_contract(reason: str) -> None:
    """Code and details of a row are those that the contract's comment names."""
    code, details, advice = _rows()[reason]
    words = set(re.findall(r"[A-Za-z_]+", _contract()[reason].split("{")[0]))
    said = {word for word in ("BadRequest", "QuotaFailure", "RetryInfo") if word in words}
    if re.search(r"never with RetryInfo", _contract()[reason]):
        said.discard("RetryInfo")

    assert code in words
    assert details == said
    assert advice.strip()


def test_rows_agree_with_the_classes() -> None:
    """The code of each class is the code of its default reason, but for time that ran out."""
    rows = _rows()
    classes = set(errors.ImageRouterError.__subclasses__()) | set(errors._FieldError.__subclasses__())
    odd = {cls for cls in classes - {errors._FieldError} if rows[cls.default_reason][0] != cls.code.name}

    assert odd == {errors.TimedOut}


def test_the_tables_are_generated() -> None:
    """The tables of telemetry.md are those of names.py."""
    document = (ROOT / "docs/telemetry.md").read_text()

    assert document == replace_table(document)
    assert all(f"| `{name.value}` |" in document for name in read_names())


def test_each_name_has_a_sentence_and_is_used_once() -> None:
    """Each name has one constant and one sentence, and is ours or of the conventions."""
    found = read_names()
    named = [name for name in found if name.section != "Scope"]

    assert {name.constant for name in found} == {key for key in vars(names) if key.isupper()}
    assert all(name.sentence.endswith((".", ".)")) for name in found)
    assert len({name.value for name in named}) == len(named)
    assert all(name.value.startswith(("imagerouter.", *CONVENTIONS)) for name in named)


def test_retired_names_are_gone() -> None:
    """Names that the conventions have retired are not used."""
    retired = {"rpc.system", "rpc.service", "rpc.grpc.status_code", "rpc.response.status_code", "gen_ai.system"}

    assert not retired & {name.value for name in read_names()}


def test_the_defaults_are_documented() -> None:
    """The environment defaults that telemetry sets are in the document."""
    document = (ROOT / "docs/telemetry.md").read_text()

    assert f"| `OTEL_BSP_MAX_QUEUE_SIZE` | {_DEFAULTS['OTEL_BSP_MAX_QUEUE_SIZE']} |" in document
