"""Stores to test: a directory, memory, and S3 as moto emulates it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "emulated",
    "AWS_SECRET_ACCESS_KEY": "emulated",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Serve the address of an S3 emulator with the bucket `artifacts`."""
    from moto.server import ThreadedMotoServer

    # moto's own client must never reach for real credentials.
    before = {name: os.environ.get(name) for name in S3_ENVIRONMENT}
    os.environ.update(S3_ENVIRONMENT)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/artifacts", method="PUT")).close()
    yield f"http://{host}:{port}"
    server.stop()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(params=["file", "memory", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the URL of an empty store, one of each kind in turn."""
    if request.param == "file":
        return tmp_path.as_uri() + "/artifacts"
    if request.param == "memory":
        return "memory://"
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_endpoint"))
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return f"s3://artifacts/{tmp_path.name.replace('[', '-').replace(']', '')}"
