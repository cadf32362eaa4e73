"""From a URL to a store."""

from pathlib import Path

import pytest

from imagerouter.storage import open_store


@pytest.mark.parametrize(
    "url", ["", "/var/data", "file://relative/dir", "file:///", "file:dir", "http://host/x", "s3://", "ftp://h/x"]
)
def test_a_url_that_is_no_store_is_refused(url: str) -> None:
    """A typo in the configuration is reported at the start, with the forms that are possible."""
    with pytest.raises(ValueError, match="store is file:///"):
        open_store(url)


async def test_a_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """A missing directory is made, special characters in its name included, and others may not look into it."""
    store = open_store(f"{tmp_path.as_uri()}/new%20dir/artifacts")
    await store.put("acme", b"x")

    directory = tmp_path / "new dir" / "artifacts"
    assert directory.is_dir()
    assert directory.stat().st_mode & 0o077 == 0


async def test_each_memory_store_is_its_own() -> None:
    """Two memory stores share nothing, so that tests cannot disturb one another."""
    one, other = open_store("memory://"), open_store("memory://")
    ref = await one.put("acme", b"x")

    assert await one.get("acme", ref.digest) == b"x"
    assert await other.ready()
    with pytest.raises(Exception, match="no such artifact"):
        await other.get("acme", ref.digest)
