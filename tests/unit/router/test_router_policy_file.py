"""The policy is data: its order decides, and a broken file is refused with every problem."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import imagerouter.router as package
from imagerouter.catalogue import Catalogue
from imagerouter.router import PolicyError, load_policy, route
from tests.unit.router.router_cases import generate, models, request

SHIPPED = Path(package.__file__).parent / "policies" / "default.toml"
BOTH = {"text_heavy": True, "text_deliverable": "poster", "preserve_subject": True}


def test_swapping_two_rules_swaps_the_routes(catalogue: Catalogue, tmp_path: Path) -> None:
    """A poster that keeps a subject goes to whichever rule comes first in the file, and to nothing in the code."""
    head, *rules = SHIPPED.read_text().split("[[rules]]\n")
    keep = next(rule for rule in rules if 'id = "keep-the-subject"' in rule)
    text = next(rule for rule in rules if 'id = "text-in-image"' in rule)
    swapped = [{keep: text, text: keep}.get(rule, rule) for rule in rules]
    file = tmp_path / "swapped.toml"
    file.write_text("[[rules]]\n".join([head, *swapped]))
    asked = request(generate(features=BOTH))
    shipped = route(asked, load_policy(catalogue).policy, catalogue)
    other = route(asked, load_policy(catalogue, file).policy, catalogue)
    assert (shipped.routes[0].model, list(shipped.rule_ids)) == (
        "gemini-3-pro-image",
        ["keep-the-subject", "text-in-image"],
    )
    assert (other.routes[0].model, list(other.rule_ids)) == ("gpt-image-2", ["text-in-image", "keep-the-subject"])
    # What the leading rule leaves equal, the other orders: the best editor of the family comes next.
    assert models(other)[1] == "gpt-image-2.5-sunburst"


def test_a_selector_may_name_family_provider_or_tier(catalogue: Catalogue, tmp_path: Path) -> None:
    """Preferences need no model id."""
    for selector, attribute, value in (
        ('{ provider = "google" }', "provider", "google"),
        ("{ tier = 4 }", "tier", 4),
        ('{ family = "nano-banana" }', "family", "nano-banana"),
    ):
        file = tmp_path / "one.toml"
        shipped = SHIPPED.read_text()
        file.write_text(shipped.replace('prefer = [{ model = "gpt-image-2" }]', f"prefer = [{selector}]"))
        decision = route(request(generate(features={"vague": True})), load_policy(catalogue, file).policy, catalogue)
        assert getattr(catalogue.get(decision.routes[0].model), attribute) == value


def test_the_document_is_kept_as_read(catalogue: Catalogue) -> None:
    """What GetPolicy shows is the file, and the digest is the file's."""
    loaded = load_policy(catalogue)
    assert loaded.document == SHIPPED.read_text(encoding="utf-8")
    assert loaded.digest == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()


def test_all_problems_are_reported_at_once(catalogue: Catalogue, tmp_path: Path) -> None:
    """Unknown models, families and outcomes, a rule without effect and a bad share come out together."""
    text = SHIPPED.read_text()
    text = text.replace('{ model = "gemini-3-pro-image" }', '{ model = "gemini-9" }')
    text = text.replace('{ family = "gpt-image" }', '{ family = "gpt-imagine" }')
    text = text.replace('prefer = [{ model = "gpt-image-2" }]', 'prefer = [{ model = "dall-e-3" }]')
    text = text.replace("no_rule = 0.5", "no_rule = 5")
    text = text.replace('"UNAUTHORIZED"', '"UNPAID"')
    text = text.replace('order = "lowest_tier"\n', "")
    text = text.replace("min_depth = 5", "min_dept = 5")
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(PolicyError) as caught:
        load_policy(catalogue, file)
    report = "\n".join(caught.value.problems)
    for words in (
        "rules.1.prefer.0: unknown model 'gemini-9'",
        "rules.2.prefer.1: no model has family 'gpt-imagine'",
        "rules.4.prefer.0: 'dall-e-3' is retired; its successor is 'gpt-image-2'",
        "confidence.no_rule",
        "no such outcome: UNPAID",
        "rules.3: Value error, give exactly one of prefer, order, chain",
        "rules.0.when.0.min_dept",
    ):
        assert words in report


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "cheap-bulk"', 'id = "vague-safest"', "rules named twice: vague-safest"),
        ("vague = true", "", "an empty condition holds always"),
        ('version = "2026-11-22.1"', 'version = "latest"', "version"),
        ('{ family = "gpt-image" }', '{ family = "gpt-image", tier = 1 }', "exactly one of model, family"),
        ('{ model = "gpt-image-2" }', '{ model = "gpt-image-2-2026-04-21" }', "another name of 'gpt-image-2'"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(
    catalogue: Catalogue, tmp_path: Path, old: str, new: str, words: str
) -> None:
    """Twins, empty conditions, nameless versions and double selectors do not pass."""
    assert old in SHIPPED.read_text()
    file = tmp_path / "broken.toml"
    file.write_text(SHIPPED.read_text().replace(old, new, 1))
    with pytest.raises(PolicyError) as caught:
        load_policy(catalogue, file)
    assert words in str(caught.value)


def test_a_file_that_is_missing_or_no_toml_is_named(catalogue: Catalogue, tmp_path: Path) -> None:
    """What cannot be read is said with the file's name."""
    with pytest.raises(PolicyError, match=r"gone\.toml"):
        load_policy(catalogue, tmp_path / "gone.toml")
    (tmp_path / "half.toml").write_text("version = ")
    with pytest.raises(PolicyError, match=r"half\.toml"):
        load_policy(catalogue, tmp_path / "half.toml")
