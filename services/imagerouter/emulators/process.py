"""Start an emulator as a process of its own, talk to its control endpoints, stop it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import quote

_START_S = 30.0
_STOP_S = 15.0


class EmulatorFailed(Exception):
    """The process ended, or said nothing, before it was ready; the message ends with what it wrote."""


class EmulatorProcess:
    """A running emulator. A context: leaving it sends SIGTERM and waits.

    `url` is the server's root, `base_url` what the provider's SDK is given. `journal` is the folder of its file.
    """

    def __init__(
        self,
        provider: str,
        *,
        journal: Path,
        port: int = 0,
        speed: float = 0.02,
        seed: int = 0,
        extra_models: Sequence[str] = (),
    ) -> None:
        command = [sys.executable, "-m", "imagerouter.emulators.main", provider, "--port", str(port)]
        command += ["--journal", str(journal), "--speed", str(speed), "--seed", str(seed)]
        for model in extra_models:
            command += ["--with-model", model]
        self._log = journal / f"{provider}.log"
        journal.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        try:
            ready = self._ready()
        except BaseException:
            self.stop()
            raise
        self.url: str = ready["url"]
        self.base_url: str = ready["base_url"]
        self.journal = Path(ready["journal"])

    def _ready(self) -> dict[str, Any]:
        lines: queue.Queue[bytes] = queue.Queue()
        out = self.process.stdout
        if out is None:
            raise EmulatorFailed("no standard output")
        # A thread, because a pipe cannot be read with a time limit.
        threading.Thread(target=lambda: lines.put(out.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=_START_S)
        except queue.Empty:
            line = b""
        if not line:
            raise EmulatorFailed(f"the emulator did not start:\n{self._log.read_text('utf-8', 'replace')[-2000:]}")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def stop(self) -> int:
        """SIGTERM, and wait; its exit code. A process that does not end is killed."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def control(self, path: str, body: object = None, *, method: str = "") -> Any:
        """Call `/_control/<path>`: GET, or POST if there is a body. ValueError with the answer for a 4xx."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback, our own URL
            f"{self.url}/_control/{path}", data=data, method=method or ("POST" if data is not None else "GET")
        )
        with contextlib.ExitStack() as stack:
            try:
                reply = stack.enter_context(urllib.request.urlopen(request, timeout=10))  # noqa: S310
            except HTTPError as error:
                with error:
                    raise ValueError(error.read().decode()) from None
            return json.loads(reply.read())

    def fault(self, preset: str = "", **order: Any) -> int:
        """Order a fault, once unless `times` says otherwise; the rule's id."""
        wanted = {"times": 1, **order, **({"preset": preset} if preset else {})}
        return int(self.control("faults", wanted)["faults"][0]["id"])

    def requests(self, correlation_id: str = "", path: str = "") -> list[dict[str, Any]]:
        """The history of requests."""
        query = f"requests?correlation_id={quote(correlation_id)}&path={quote(path)}"
        found: list[dict[str, Any]] = self.control(query)["requests"]
        return found

    def executions(self) -> list[dict[str, Any]]:
        """The journal."""
        found: list[dict[str, Any]] = self.control("journal")["executions"]
        return found

    def reset(self) -> None:
        """Forget faults, history and journal."""
        self.control("reset", {})
