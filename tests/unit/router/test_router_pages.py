"""What people read about policy and catalogue is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imagerouter.catalogue import Catalogue
from imagerouter.catalogue.__main__ import table
from imagerouter.router import load_policy
from imagerouter.router.__main__ import main, summary
from imagerouter.router.policy import Adequacy, Condition, Confidence, Eligibility, QualityOrder, Rule, Steps
from imagerouter.runtime.settings import EXIT_CONFIG

PAGE = Path(__file__).parents[3] / "docs" / "policies.md"


def test_the_page_has_the_catalogues_figures(catalogue: Catalogue) -> None:
    """The table of docs/policies.md is what `python -m imagerouter.catalogue` writes today."""
    assert table(catalogue) in PAGE.read_text(encoding="utf-8")


def test_the_page_has_the_shipped_rules(catalogue: Catalogue) -> None:
    """The list of rules is what `python -m imagerouter.router` writes today, but for the digest."""
    rules = summary(load_policy(catalogue)).splitlines()[1:]
    text = PAGE.read_text(encoding="utf-8")
    assert [rule for rule in rules if rule not in text] == []


@pytest.mark.parametrize("shape", [Adequacy, Condition, Confidence, Eligibility, QualityOrder, Rule, Steps])
def test_the_page_explains_every_key(shape: type[Condition]) -> None:
    """No key of the policy file is undocumented."""
    named = set(re.findall(r"`([a-z_]+)`", PAGE.read_text(encoding="utf-8")))
    assert set(shape.model_fields) - named == set()


def test_checking_a_policy_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A good file is summarised; a broken one ends with 78 and its problems on standard error."""
    monkeypatch.setattr("sys.argv", ["router"])
    main()
    assert "3. text-in-image: model gpt-image-2 > family gpt-image" in capsys.readouterr().out
    broken = tmp_path / "broken.toml"
    broken.write_text('version = "x"')
    monkeypatch.setattr("sys.argv", ["router", str(broken)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == EXIT_CONFIG
    assert "version" in capsys.readouterr().err
