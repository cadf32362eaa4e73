"""Cleaning prompts, and telling their languages."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerouter.normalizer import words
from imagerouter.normalizer.languages import load_languages
from imagerouter.normalizer.text import clean, hides_characters

LANGUAGES = load_languages()


@pytest.mark.parametrize(
    ("given_text", "cleaned"),
    [
        ("  a cat \n", "a cat"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\tb\n\nc", "a\tb\n\nc"),
        ("a\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u200b\ufeffa cat\u200d", "a cat"),
        ("abc\u202edef\u202c", "abcdef"),
        ("\u200b\u2060 \ufeff\u00ad", ""),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("hi\U000e0068\U000e0069", "hi"),
        (
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
        ("{{x}} %s '; DROP TABLE", "{{x}} %s '; DROP TABLE"),
    ],
)
def test_what_nobody_sees_goes_and_what_is_seen_stays(given_text: str, cleaned: str) -> None:
    """Controls, overrides and invisible tags go; tabs, line feeds, emoji and the words themselves stay."""
    assert clean(given_text) == cleaned


@given(st.text())
@settings(deadline=None)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    """Cleaning is idempotent, gives NFC, and leaves nothing blank at the ends."""
    once = clean(text)

    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip()
    assert not any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in once)


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "Zs"))))
@settings(deadline=None)
def test_plain_text_hides_nothing(text: str) -> None:
    """Letters, digits, punctuation and spaces give no warning."""
    assert not hides_characters(text)


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("Create a clean bilingual event poster for a Tokyo design meetup", ["en"]),
        ("東京デザイン会のポスターを作ってください", ["ja"]),
        ("一张关于东京的海报", ["zh"]),
        ("도쿄 디자인 모임 포스터", ["ko"]),
        ("Афиша для вечера поэзии", ["ru"]),
        ("Афіша вечора поезії", ["uk"]),
        ("ملصق لمهرجان", ["ar"]),
        ("पोस्टर बनाओ", ["hi"]),
        ("โปสเตอร์", ["th"]),
        ("un cartel para un concierto de jazz en la playa", ["es"]),
        ("une affiche pour un concert de jazz dans la rue", ["fr"]),
        ("ein Plakat für ein Konzert in der Stadt", ["de"]),
        ("um cartaz para um concerto na praia, com uma foto do mar", ["pt"]),
        ("un manifesto per il concerto della città con una foto del mare", ["it"]),
        ("a poster that says 夏祭り in the middle", ["en", "ja"]),
        ("a poster with the title 音乐节 for the city", ["en", "zh"]),
        ("箱根駅伝\n完全ガイド", ["ja"]),
        ("这是一张海报\n夏のまつり", ["zh", "ja"]),
        ("qwrtp zxcvb", []),
        ("1234 !!", []),
        ("", []),
    ],
)
def test_languages_are_told_by_what_is_written(text: str, languages: list[str]) -> None:
    """The main language comes first; the name of a place adds none; what cannot be told is left out."""
    assert LANGUAGES.detect(text, words.split(text)) == languages
