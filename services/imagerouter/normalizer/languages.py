"""Which languages a prompt is written in."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from imagerouter.normalizer import words
from imagerouter.normalizer.words import BREAK, Word

# A Han or kana character says about as much as three letters, a hangul syllable as two.
_HAN_WEIGHT: Final = 3
_HAN: Final = re.compile(f"[{words.HAN}]")
_KANA: Final = re.compile(f"[{words.KANA}]")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Data):
    """From how much text on a language is named."""

    script_letters: int = Field(gt=0)
    second_words: int = Field(gt=0)
    second_share: float = Field(gt=0, lt=1)


class ScriptException(_Data):
    """Letters that tell one language of a script from the script's usual one."""

    script: str
    letters: str


class Han(_Data):
    """How Chinese and Japanese are told apart."""

    chinese_only: str


class LanguagesFile(_Data):
    """`languages.toml`."""

    version: str
    date: dt.date
    thresholds: Thresholds
    scripts: dict[str, tuple[str, ...]]
    script_exceptions: dict[str, ScriptException]
    han: Han
    latin: dict[str, str]


class Languages:
    """Tells languages by script and by function words."""

    def __init__(self, data: LanguagesFile) -> None:
        self._thresholds = data.thresholds
        self._scripts = {
            language: re.compile("[" + "".join(_range(text) for text in ranges) + "]")
            for language, ranges in data.scripts.items()
        }
        self._exceptions = data.script_exceptions
        self._chinese_only = re.compile(f"[{data.han.chinese_only}]")
        self._latin = {
            language: frozenset(words.fold(word) for word in text.split()) for language, text in data.latin.items()
        }

    def detect(self, text: str, split: Sequence[Word]) -> list[str]:
        """Name the languages of a text as BCP 47 tags, the main one first; empty if none can be told.

        `split` is `words.split(text)`. Only what is written counts: the name of a country adds no language.
        """
        amounts: Counter[str] = Counter()
        for language, pattern in self._scripts.items():
            found = len(pattern.findall(text))
            if found >= self._thresholds.script_letters:
                amounts[self._exception(language, text)] += found * (2 if language == "ko" else 1)
        amounts += self._chinese_and_japanese(text)
        amounts += self._latin_languages(split)
        return [language for language, _ in sorted(amounts.items(), key=lambda item: (-item[1], item[0]))]

    def _exception(self, script: str, text: str) -> str:
        for language, exception in self._exceptions.items():
            if exception.script == script and any(letter in text for letter in exception.letters):
                return language
        return script

    def _chinese_and_japanese(self, text: str) -> Counter[str]:
        chinese = japanese = 0
        kana_anywhere = len(_KANA.findall(text)) >= self._thresholds.script_letters
        for line in text.split("\n"):
            han, kana = len(_HAN.findall(line)), len(_KANA.findall(line))
            # Japanese headings are often Han alone, so beside kana only characters foreign to Japanese mean Chinese.
            if kana or (kana_anywhere and not self._chinese_only.search(line)):
                japanese += han + kana
            else:
                chinese += han
        found: Counter[str] = Counter()
        for language, letters in (("zh", chinese), ("ja", japanese)):
            if letters >= self._thresholds.script_letters:
                found[language] = letters * _HAN_WEIGHT
        return found

    def _latin_languages(self, split: Sequence[Word]) -> Counter[str]:
        hits: Counter[str] = Counter()
        distinct: dict[str, set[str]] = {}
        letters = 0
        for word in split:
            if word.text == BREAK or not ("a" <= word.text[0] <= "z"):
                continue
            letters += len(word.text)
            for language, known in self._latin.items():
                if word.text in known:
                    hits[language] += 1
                    distinct.setdefault(language, set()).add(word.text)
        found: Counter[str] = Counter()
        if not hits:
            return found
        main, most = max(hits.items(), key=lambda item: (item[1], len(distinct[item[0]]), item[0] == "en"))
        found[main] = letters
        for language, count in hits.items():
            own = distinct[language] - distinct[main]
            enough = len(own) >= self._thresholds.second_words and count >= most * self._thresholds.second_share
            if language != main and enough and not self._is_shadow(language, hits, distinct):
                found[language] = letters * count // (2 * most)
        return found

    @staticmethod
    def _is_shadow(language: str, hits: Counter[str], distinct: dict[str, set[str]]) -> bool:
        """Say whether a sister language that is in the text explains most of this one's words."""
        return any(
            hits[other] > hits[language] and 2 * len(distinct[language] & distinct[other]) > len(distinct[language])
            for other in hits
            if other != language
        )


def _range(text: str) -> str:
    first, last = (int(part, 16) for part in text.split("-"))
    return f"{re.escape(chr(first))}-{re.escape(chr(last))}"


@lru_cache(maxsize=1)
def load_languages() -> Languages:
    """Read the packaged tables. ValueError if they are not well-formed: a defect of the release."""
    text = files("imagerouter.normalizer").joinpath("languages.toml").read_text(encoding="utf-8")
    return Languages(LanguagesFile.model_validate(tomllib.loads(text)))
