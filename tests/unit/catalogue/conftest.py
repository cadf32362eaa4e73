"""Fixtures of the catalogue's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import imagerouter.catalogue as package
from imagerouter.catalogue import Catalogue, load_catalogue


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue as shipped."""
    return load_catalogue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the shipped data files, to be broken."""
    return Path(shutil.copytree(Path(package.__file__).parent / "data", tmp_path / "data"))
