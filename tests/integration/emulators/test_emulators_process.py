"""An emulator as a process: starting, stopping, killing, speed."""

import json
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from imagerouter.emulators.process import EmulatorFailed, EmulatorProcess


def post(emulator: EmulatorProcess, prompt: str, timeout: float = 20) -> float:
    """One small picture; the seconds it took."""
    body = json.dumps({"model": "gpt-image-2", "prompt": prompt, "size": "1024x640", "quality": "low"}).encode()
    headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
    request = urllib.request.Request(f"{emulator.base_url}/images/generations", data=body, headers=headers)
    began = time.monotonic()
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        reply.read()
    return time.monotonic() - began


def test_process_life(tmp_path: Path) -> None:
    """Latency follows the speed; SIGTERM ends it with 0; after SIGKILL the journal has every answered execution."""
    with EmulatorProcess("openai", journal=tmp_path, speed=0.02) as emulator:
        slow = post(emulator, "a fox")
        emulator.control("speed", {"speed": 0})
        fast = post(emulator, "a fox")
        # 15 s is the median of the setting: at 0.02 the answer takes about 0.3 s, drawn or not.
        assert slow > 0.1
        assert fast < slow + 0.5
        emulator.control("speed", {"speed": 1})
        with pytest.raises(OSError, match="timed out"):
            post(emulator, "a slow fox", timeout=0.3)
        emulator.process.send_signal(signal.SIGKILL)
        emulator.process.wait(10)

    with EmulatorProcess("openai", journal=tmp_path, speed=0) as again:
        assert [line["id"] for line in again.executions()] == ["openai-000001", "openai-000002", "openai-000003"]
        assert again.stop() == 0


def test_a_port_that_is_taken_is_reported(tmp_path: Path) -> None:
    """No hanging: the error says what the process wrote."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EmulatorFailed, match="Address already in use"):
        EmulatorProcess("google", journal=tmp_path, port=taken.getsockname()[1])
