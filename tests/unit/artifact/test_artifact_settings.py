"""What the artifact service can be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagerouter.artifact.settings import ArtifactSettings
from imagerouter.runtime.settings import ConfigError, read_settings


def test_without_configuration_artifacts_lie_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is a directory beneath where the service was started, the same for every service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGEROUTER_ARTIFACT_STORE", raising=False)

    assert read_settings(ArtifactSettings).artifact_store == f"{tmp_path.as_uri()}/.imagerouter/artifacts"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "artifacts", "file:artifacts", "file://host/dir", "http://host/dir", "s3:///x"])
def test_a_store_that_is_none_is_a_configuration_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad URL is found when the settings are read, not at the first upload."""
    monkeypatch.setenv("IMAGEROUTER_ARTIFACT_STORE", url)

    with pytest.raises(ConfigError) as caught:
        read_settings(ArtifactSettings)
    assert "IMAGEROUTER_ARTIFACT_STORE" in caught.value.problems[0]


@pytest.mark.parametrize("limit", ["0", "-1", "52428801"])
def test_the_upload_limit_cannot_exceed_the_contract(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 MiB is the contract's limit; a deployment may take less, not more."""
    monkeypatch.setenv("IMAGEROUTER_MAX_ARTIFACT_BYTES", limit)

    with pytest.raises(ConfigError):
        read_settings(ArtifactSettings)
