"""What the words of a prompt say."""

from __future__ import annotations

import pytest

from imagerouter.api.common.v1 import task_pb2
from imagerouter.normalizer.core import load_tables
from imagerouter.normalizer.features import Reading, read

TABLES = load_tables()


def reading(prompt: str, *, text_heavy: bool | None = None) -> Reading:
    """Read a prompt by the packaged rules."""
    return read(prompt, TABLES.rules, TABLES.languages, text_heavy=text_heavy)


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Create a clean bilingual event poster for a Tokyo design meetup", "poster"),
        ("an infographic about how coffee is roasted", "infographic"),
        ("a flyer for our school fair", "flyer"),
        ("UI mockup of a banking app", "ui_mockup"),
        ("a restaurant menu with six dishes", "menu"),
        ("business card for a florist", "business_card"),
        ("a presentation slide on rainfall", "slide"),
        ("flowchart of a login", "diagram"),
        ("book cover for a sea novel", "book_cover"),
        ("YouTube thumbnail about chess", "thumbnail"),
        ("design a logo for a bakery", "logo"),
        ("夏祭りのポスターを作って", "poster"),
        ("インフォグラフィックで説明して", "infographic"),
        ("商店街のチラシ", "flyer"),
        ("名刺のデザイン", "business_card"),
        ("一张咖啡店的菜单", "menu"),
        ("音乐节海报", "poster"),
        ("做一张信息图", "infographic"),
        ("un cartel para un concierto", "poster"),
        ("커피 축제 포스터", "poster"),
        ("une affiche pour un concert", "poster"),
        ("eine Speisekarte für ein Café", "menu"),
    ],
)
def test_lettered_works_are_recognised(prompt: str, kind: str) -> None:
    """The kind is named, lettering carries the message, and the picture must communicate."""
    found = reading(prompt)

    assert found.deliverable == kind
    assert found.text_heavy
    assert found.content_class == task_pb2.CONTENT_CLASS_STRUCTURED_TEXT


@pytest.mark.parametrize(
    ("prompt", "content_class"),
    [
        ("portrait photo of an old fisherman, 85mm, shallow depth of field", task_pb2.CONTENT_CLASS_PHOTOREAL),
        ("a watercolor painting of a fox in an anime style", task_pb2.CONTENT_CLASS_CREATIVE),
        ("pixel art sprite of a dragon", task_pb2.CONTENT_CLASS_CREATIVE),
        ("夕方の海の写真", task_pb2.CONTENT_CLASS_PHOTOREAL),
        ("水彩插画\uff0c一只狐狸", task_pb2.CONTENT_CLASS_CREATIVE),
        ("a red cat", task_pb2.CONTENT_CLASS_UNSPECIFIED),
    ],
)
def test_pictures_are_told_apart(prompt: str, content_class: int) -> None:
    """Photographs and drawings are recognised, and neither counts as lettering."""
    found = reading(prompt)

    assert found.content_class == content_class
    assert not found.text_heavy


def test_a_poster_far_down_is_a_prop() -> None:
    """What a photograph shows on its wall is not what is wanted."""
    prompt = "Portrait photo of a young woman with long hair, natural skin texture, 50mm, bokeh. " + "She waits. " * 40

    assert reading(prompt + "A film poster hangs behind her.").deliverable == ""
    assert not reading(prompt + "A film poster hangs behind her.").text_heavy


def test_the_caller_knows_better() -> None:
    """The caller's flag settles lettering and the family, either way."""
    assert reading("a red cat", text_heavy=True).content_class == task_pb2.CONTENT_CLASS_STRUCTURED_TEXT
    assert reading("a red cat", text_heavy=True).text_heavy
    assert not reading("a poster for a jazz concert", text_heavy=False).text_heavy


@pytest.mark.parametrize(
    ("prompt", "action"),
    [
        ("Replace the background with a beach and add a hat", "BACKGROUND"),
        ("Remove the lamp post", "REMOVE"),
        ("Add a red scarf to the dog", "ADD"),
        ("Replace the apple with a pear", "REPLACE"),
        ('Change the headline to "Spring"', "TEXT"),
        ("Turn this photo into a watercolor painting", "RESTYLE"),
        ("Change the color of the car to blue", "RECOLOR"),
        ("Combine these two images into one", "COMPOSE"),
        ("背景を海に変えて", "BACKGROUND"),
        ("帽子を追加して", "ADD"),
        ("把背景换成海滩", "BACKGROUND"),
        ("去掉路灯", "REMOVE"),
        ("quita la farola", "REMOVE"),
        ("배경을 바꿔 줘", "BACKGROUND"),
        ("supprime le lampadaire", "REMOVE"),
        ("entferne die Laterne", "REMOVE"),
        ("a quiet lake", "UNSPECIFIED"),
    ],
)
def test_edits_are_named(prompt: str, action: str) -> None:
    """The first edit asked for is named, the more particular name first."""
    assert reading(prompt).edit_action == task_pb2.EditAction.Value(f"EDIT_ACTION_{action}")


@pytest.mark.parametrize(
    "prompt",
    [
        "put a hat on him but keep the face",
        "the same person in a suit",
        "preserve her identity exactly",
        "do not change the subject's facial features",
        "顔はそのままで背景を変えて",
        "保持人物一致\uff0c换一件衣服",
        "manten el rostro",
        "같은 사람으로",
        "garde le visage",
        "dieselbe Person im Anzug",
    ],
)
def test_a_subject_to_preserve_is_heard(prompt: str) -> None:
    """Words that ask for likeness are recognised."""
    assert reading(prompt).preserve_subject


@pytest.mark.parametrize(
    "prompt", ["the same girl as before, now in Paris", "同じキャラで別のポーズ", "同一个角色\uff0c换个姿势"]
)
def test_the_same_character_is_a_preserved_subject(prompt: str) -> None:
    """A character that recurs must stay recognisable."""
    found = reading(prompt)

    assert found.same_character
    assert found.preserve_subject


@pytest.mark.parametrize("prompt", ["a quiet lake at dawn", "a shop that keeps bees", "people on the same street"])
def test_plain_scenes_preserve_nobody(prompt: str) -> None:
    """Words that only resemble the cues do not fire."""
    assert not reading(prompt).preserve_subject


@pytest.mark.parametrize(
    "prompt",
    [
        "something nice",
        "make a poster",
        "a picture for my website",
        "make it better",
        "好看的图",
        "随便画一张",
        "いい感じの画像を作って",
        "algo bonito",
        "etwas Schönes",
        "예쁜 이미지",
        "surprise me",
        "image",
    ],
)
def test_vague_prompts_are_told(prompt: str) -> None:
    """Words that leave nearly everything open are vague."""
    assert reading(prompt).vague


@pytest.mark.parametrize(
    "prompt",
    [
        "a red cat",
        "draw a cat",
        "poster for a jazz night",
        "a nice picture of the Matterhorn at dawn with two climbers",
    ],
)
def test_a_named_subject_is_not_vague(prompt: str) -> None:
    """A subject, however short, says what is wanted."""
    assert not reading(prompt).vague


@pytest.mark.parametrize(
    ("prompt", "bulk"),
    [
        ("20 options of a coffee logo", True),
        ("give me 8 variations", True),
        ("cheap bulk variations of this banner", True),
        ("ロゴを 10 案", True),
        ("20 个方案", True),
        ("3 variations of a chair", False),
        ("12 variations of the face in one sheet", False),
        ("a bulky chair", False),
    ],
)
def test_bulk_orders_are_told(prompt: str, bulk: bool) -> None:
    """Many images are bulk; many motifs in one image are not."""
    assert reading(prompt).bulk is bulk


def test_rule_ids_are_in_the_order_of_the_rules() -> None:
    """The explanation reads the same whatever the order of the words."""
    order = [rule.id for rule in TABLES.rules.data.rule]
    ids = reading("keep the face, add a hat, and make a poster with the title in serif").rule_ids

    assert ids == sorted(ids, key=order.index)
    assert {"deliverable.poster", "preserve.subject", "edit.add", "text.typography"} <= set(ids)


def test_reading_is_deterministic() -> None:
    """The same words always read the same."""
    prompt = 'poster "A" with "B", keep the face, 20 options, 夏祭り'

    assert reading(prompt) == reading(prompt)
