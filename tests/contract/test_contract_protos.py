"""The contracts: lint, compatibility with what was released, and generated code that matches its source."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).parent / "buf"
RELEASED = ROOT / "protos" / "released.binpb"
API = ROOT / "services" / "imagerouter" / "api"


def buf(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BUF), *arguments], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the contracts that a test may spoil."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


def spoil(root: Path, file: str, old: str, new: str) -> None:
    path = root / "protos" / "imagerouter" / "api" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_protos_are_clean() -> None:
    """STANDARD and COMMENTS, without network, and formatted."""
    lint = buf("lint")
    formatted = buf("format", "--diff", "--exit-code")

    assert lint.returncode == 0, lint.stdout
    assert formatted.returncode == 0, formatted.stdout


def test_lint_finds_a_field_without_comment(copied: Path) -> None:
    """The lint above can fail."""
    spoil(copied, "common/v1/artifact.proto", "  // `width` in pixels. 0 means unknown.\n", "")

    assert 'Field "width"' in buf("lint", cwd=copied).stdout


def test_nothing_released_is_broken() -> None:
    """Every message that a released client sends or reads is still understood, on the wire and as JSON."""
    result = buf("breaking", "--against", str(RELEASED))

    assert result.returncode == 0, result.stdout


def test_breaking_finds_a_changed_type(copied: Path) -> None:
    """The comparison above can fail."""
    spoil(copied, "common/v1/artifact.proto", "int64 size_bytes = 2;", "string size_bytes = 2;")

    assert "size_bytes" in buf("breaking", "--against", str(RELEASED), cwd=copied).stdout


def test_generated_code_is_up_to_date() -> None:
    """Regenerating gives the committed files, byte for byte."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gen_protos.py"), "--check"], capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stdout) == (0, "")


def test_stale_generated_code_is_found(tmp_path: Path) -> None:
    """The check above can fail: it names a file that was changed, and one that is missing."""
    shutil.copytree(API, tmp_path / "api", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "api" / "common" / "v1" / "route_pb2.py"
    changed.write_text(changed.read_text() + "\n")
    (tmp_path / "api" / "common" / "v1" / "task_pb2.pyi").unlink()
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gen_protos.py"), "--check", "--out", str(tmp_path / "api")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "common/v1/route_pb2.py",
        "common/v1/task_pb2.pyi",
    ]


def test_contracts_import_only_what_is_here() -> None:
    """Only google/protobuf/* and this tree: `buf` and `protoc` work offline. Services know common and errors only."""
    for path in (ROOT / "protos").rglob("*.proto"):
        imports = [line.split('"')[1] for line in path.read_text().splitlines() if line.startswith("import ")]
        own = [name for name in imports if not name.startswith("google/protobuf/")]
        assert all(name.startswith(("imagerouter/api/common/v1/", "imagerouter/api/errors/v1/")) for name in own), path


def test_a_third_of_each_contract_is_prose() -> None:
    """The contract is where prose goes."""
    for path in (ROOT / "protos").rglob("*.proto"):
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        prose = sum(line.startswith("//") for line in lines)
        assert prose / len(lines) > 1 / 3, f"{path.name}: {prose} of {len(lines)} lines"
