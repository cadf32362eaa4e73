"""One sandbox process, from the service's side. Its methods block: call them in a thread."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import IO, Final

from imagerouter.evaluator.frames import read_frame, write_frame
from imagerouter.evaluator.measurement import Limits

_MAX_REPLY_BYTES: Final = 4096
_REAP_S: Final = 5.0
_OUT_OF_TIME: Final = frozenset({-signal.SIGPROF, -signal.SIGXCPU})


class WorkerDied(Exception):
    """The process ended, or was ended, before it answered. `out_of_time` if the kernel did for too much work."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"exit code {exit_code}")
        self.out_of_time = exit_code in _OUT_OF_TIME


class Worker:
    """A process of `imagerouter.evaluator.sandbox`.

    Begun by exec, never by a bare fork: gRPC's threads do not survive one. It gets nothing of the environment, where
    the object store's keys are, and its own session, so that Ctrl-C in a terminal leaves it to finish.
    """

    def __init__(self, limits: Limits, images: int) -> None:
        command = [sys.executable, "-I", "-m", "imagerouter.evaluator.sandbox", limits.to_json(), str(images)]
        self._process = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        self._input = _pipe(self._process.stdin)
        self._output = _pipe(self._process.stdout)
        self.served = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self) -> str:
        """Wait for the first word: how the process is confined, "seccomp" or "limits". WorkerDied if none comes."""
        return self._read().decode("ascii", "replace")

    def exchange(self, data: bytes) -> bytes:
        """Send an image and return the answer. WorkerDied if none comes; `kill` from another thread makes it so."""
        self.served += 1
        try:
            write_frame(self._input, data)
        except OSError as error:
            raise WorkerDied(self._reap()) from error
        return self._read()

    def kill(self) -> None:
        """End the process at once. Does not block, and may be called from any thread, more than once."""
        self._process.kill()

    def close(self) -> None:
        """Reap a killed process and close its pipes. No other method may be running."""
        self._process.kill()
        self._reap()
        for pipe in (self._input, self._output):
            try:
                pipe.close()
            except OSError:
                # What was buffered for a dead process cannot be flushed; the descriptor is closed all the same.
                continue

    def _read(self) -> bytes:
        try:
            return read_frame(self._output, _MAX_REPLY_BYTES)
        except (EOFError, ValueError) as error:
            # One that sends too much is alive: without the kill nobody would ever reap it.
            self._process.kill()
            raise WorkerDied(self._reap()) from error

    def _reap(self) -> int | None:
        try:
            return self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            return None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("no pipe to the sandbox")
    return pipe
