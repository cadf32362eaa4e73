"""Listing images and placing edits in their chain, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_samples import (
    FAILED,
    NOW,
    RUNNING,
    SUCCEEDED,
    TENANT,
    artifact,
    create,
    later,
    task,
)

from imagerouter.api.common.v1 import task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import Ledger
from imagerouter.runtime.errors import InvalidField, NotFound, PreconditionFailed


async def names_of_all(ledger: Ledger, size: int, **how: Any) -> list[str]:
    """Read every page and give the names."""
    names: list[str] = []
    token = ""
    while True:
        page = await ledger.list_images(TENANT, size, token, **how)
        assert len(page.images) <= size
        names.extend(image.name for image in page.images)
        token = page.next_page_token
        if not token:
            return names


async def test_pages_are_newest_first_and_complete(ledger: Ledger) -> None:
    """Pages of any size give each image once, newest first, also among images of the same moment."""
    made = [await create(ledger, create_time=later(second // 3)) for second in range(10)]
    await create(ledger, tenant="other")
    expected = sorted(((later(index // 3), image.image_id) for index, image in enumerate(made)), reverse=True)
    for size in (1, 3, 5, 10, 100):
        assert await names_of_all(ledger, size) == [f"images/{image_id}" for _, image_id in expected]


async def test_new_images_do_not_shift_the_pages(ledger: Ledger) -> None:
    """A page token goes on where it left off, whatever was made in between."""
    made = [await create(ledger, create_time=later(second)) for second in range(4)]
    first = await ledger.list_images(TENANT, 2)
    await create(ledger, create_time=later(9))
    second = await ledger.list_images(TENANT, 2, first.next_page_token)
    assert [image.name for image in second.images] == [f"images/{made[index].image_id}" for index in (1, 0)]
    assert second.next_page_token == ""


async def test_listing_can_be_narrowed_to_a_state(ledger: Ledger) -> None:
    """Only images in the asked state are listed; summaries leave task and receipt out."""
    made = [await create(ledger, labels={"n": str(number)}) for number in range(4)]
    for image in made[:2]:
        await ledger.finish_image(image.image_id, SUCCEEDED, [artifact()], None, NOW, image.epoch)

    page = await ledger.list_images(TENANT, 0, "", SUCCEEDED)

    assert {image.name for image in page.images} == {f"images/{image.image_id}" for image in made[:2]}
    for image in page.images:
        assert (image.state, list(image.artifacts)) == (SUCCEEDED, [artifact()])
        assert image.labels["n"] in {"0", "1"}
        assert not image.HasField("task")
        assert not image.HasField("receipt")
    assert len(await names_of_all(ledger, 1, state=RUNNING)) == 2
    assert await names_of_all(ledger, 1, state=FAILED) == []


@pytest.mark.parametrize("token", ["x", "AAAA", "%%%", "ünïcode", "A" * 4000])
async def test_bad_page_token_is_the_callers_fault(ledger: Ledger, token: str) -> None:
    """What is no token of ours is INVALID_ARGUMENT with the field."""
    with pytest.raises(InvalidField) as caught:
        await ledger.list_images(TENANT, 1, token)
    assert caught.value.metadata["field"] == "page_token"


async def test_page_token_is_good_for_its_own_listing_only(ledger: Ledger) -> None:
    """Another tenant's token, and one of another state, are refused."""
    for _ in range(2):
        await create(ledger)
    token = (await ledger.list_images(TENANT, 1)).next_page_token
    for tenant, state in (("other", images_service_pb2.IMAGE_STATE_UNSPECIFIED), (TENANT, RUNNING)):
        with pytest.raises(InvalidField):
            await ledger.list_images(tenant, 1, token, state)


@pytest.mark.parametrize(("size", "state", "field"), [(-1, 0, "page_size"), (101, 0, "page_size"), (1, 99, "state")])
async def test_bad_listing_names_the_field(ledger: Ledger, size: int, state: Any, field: str) -> None:
    """Sizes beyond 100 and unknown states are INVALID_ARGUMENT with the field."""
    with pytest.raises(InvalidField) as caught:
        await ledger.list_images(TENANT, size, "", state)
    assert caught.value.metadata["field"] == field


async def make_edit(ledger: Ledger, parent: str, prompt: str, output: str, *, reset: bool = False) -> str:
    """Make one finished edit of a parent (none: a first image), and give its name."""
    lineage = await ledger.lineage(TENANT, parent) if parent else None
    made = await create(ledger, parent=parent, task=task(prompt=prompt, lineage=lineage))
    image = await ledger.finish_image(made.image_id, SUCCEEDED, [artifact(output)], None, NOW, made.epoch, reset=reset)
    return image.name


async def test_chain_counts_from_its_anchor(ledger: Ledger) -> None:
    """Depth and instructions grow with each edit; a reset makes its output the anchor; the root stays."""
    root = await make_edit(ledger, "", "a cat", "0")
    first = await make_edit(ledger, root, "add a hat", "1")
    second = await make_edit(ledger, first, "make it blue", "2")
    anew = await make_edit(ledger, second, "at night", "3", reset=True)
    after = await make_edit(ledger, anew, "add stars", "4")

    def expected(parent: str, depth: int, anchor: str, instructions: list[str]) -> task_pb2.Lineage:
        return task_pb2.Lineage(
            parent=parent, depth=depth, anchor=artifact(anchor), root=root, instructions=instructions
        )

    assert await ledger.lineage(TENANT, root) == expected(root, 1, "0", [])
    assert await ledger.lineage(TENANT, first) == expected(first, 2, "0", ["add a hat"])
    assert await ledger.lineage(TENANT, second) == expected(second, 3, "0", ["add a hat", "make it blue"])
    assert await ledger.lineage(TENANT, anew) == expected(anew, 1, "3", [])
    assert await ledger.lineage(TENANT, after) == expected(after, 2, "3", ["add stars"])


async def test_parent_must_be_the_tenants_and_finished(ledger: Ledger) -> None:
    """A parent that is not there is NOT_FOUND, one without a picture is a wrong state; both name the field."""
    running, failed, empty = [await create(ledger) for _ in range(3)]
    await ledger.finish_image(failed.image_id, FAILED, [artifact()], None, NOW, failed.epoch)
    await ledger.finish_image(empty.image_id, SUCCEEDED, [], None, NOW, empty.epoch)
    for image in (running, failed, empty):
        with pytest.raises(PreconditionFailed) as caught:
            await ledger.lineage(TENANT, image.image_id)
        assert (caught.value.reason, caught.value.metadata["field"]) == ("WRONG_STATE", "parent")
    for tenant, parent in ((TENANT, "images/none"), ("other", empty.image_id)):
        with pytest.raises(NotFound) as missing:
            await ledger.lineage(tenant, parent)
        assert missing.value.metadata["field"] == "parent"
