"""Words and the phrase language."""

from __future__ import annotations

import pytest

from imagerouter.normalizer import words
from imagerouter.normalizer.phrases import PhraseSet, expand
from imagerouter.normalizer.rules import load_rules


def found(phrase: str, text: str) -> bool:
    """Say whether a phrase is in a text."""
    return bool(PhraseSet([(0, phrase)]).find(words.split(text)))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a red cat", 3),
        ("don't stop", 2),
        ("photo-realistic, 4:5", 4),
        ("東京の夜", 4),
        ("夜のTokyo 2026", 4),
        ("포스터를 만들어 줘", 3),
        ("हिन्दी में लिखा", 3),
        ("… !! —", 0),
        ("\uff26\uff55\uff4c\uff4c　\uff57\uff49\uff44\uff54\uff48", 2),
    ],
)
def test_words_are_counted_by_script(text: str, count: int) -> None:
    """A Han or kana character is a word; Korean, Latin and Indic scripts go by their spaces and punctuation."""
    assert words.count(text) == count


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("poster", "A POSTER, please"),
        ("poster*", "two posters"),
        ("(keep|retain) face", "retain face"),
        ("keep [the] face", "keep face"),
        ("keep [the|her own] face", "keep her own face"),
        ("keep ... face", "keep the very same face"),
        ("keep ... face", "keep face"),
        ("# variations", "make 20 variations"),
        ("cafe", "a Café"),
        ("don't", "DON\u2019T"),
        ("海报", "做一张海报吧"),
        ("换成...色", "把车换成漂亮的红色"),
        ("poster", "\uff50\uff4f\uff53\uff54\uff45\uff52"),
        ("ポスター", "夏のポスターを"),
    ],
)
def test_a_phrase_is_found(phrase: str, text: str) -> None:
    """Case, accents, width, spaces and alternatives do not matter."""
    assert found(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("poster", "posterior"),
        ("keep ... face", "keep it. Her face"),
        ("keep ... face", "keep one two three four face"),
        ("# variations", "3 variations"),
        ("# variations", "1000 variations"),
        ("keep face", "keep\nface"),
        ("edit", "ed\u0456t"),
    ],
)
def test_a_phrase_is_not_found(phrase: str, text: str) -> None:
    """Whole words only, a bounded gap, and nothing across the end of a sentence or line."""
    assert not found(phrase, text)


@pytest.mark.parametrize("phrase", ["", "...", "... face", "keep ...", "a ... b ... c", "(a|b", "a #b", "(,|b)", "[a]"])
def test_a_phrase_that_cannot_be_read_is_refused(phrase: str) -> None:
    """A slip in the data stops the service at its start, not a call."""
    with pytest.raises(ValueError, match="phrase"):
        expand(phrase)


def test_a_phrase_cannot_become_too_many_paths() -> None:
    """The tree stays small: a phrase of very many alternatives is refused."""
    many = "(" + "|".join("abcdefghij") + ")"
    with pytest.raises(ValueError, match="alternatives"):
        expand(f"{many} {many} {many} ... {many}")


ADVERSARIAL = [
    "keep the keep the ",
    "replace ",
    "a (" * 4,
    "把将把",
    "图",
    "no no text ",
    "in the style of a ",
    "20 20 20 ",
    '"' * 7,
    "\u0301a",
    "a'a'",
    "{[\\",
]


@pytest.mark.parametrize("seed", ADVERSARIAL)
def test_the_rules_take_linear_time(seed: str) -> None:
    """Four times the text costs at most four times the steps, and a bounded number of steps for each word."""
    tree = load_rules().tree
    steps = []
    for length in (2_000, 8_000):
        text = words.split((seed * length)[:length])
        tree.find(text)
        steps.append(tree.steps)
        assert tree.steps <= 40 * len(text)

    assert steps[1] <= 4.2 * steps[0] + 100
