"""A few sandbox processes, kept warm, replaced when they are spent, stuck or dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from imagerouter.evaluator.measurement import Limits, Measurement, Problem
from imagerouter.evaluator.worker import Worker, WorkerDied
from imagerouter.runtime.errors import Unavailable
from imagerouter.runtime.log import get_log

_P = ParamSpec("_P")
_T = TypeVar("_T")

_TRIES: Final = 2
_START_S: Final = 20.0
_BACKOFF_S: Final = 0.5
_log = get_log(__name__)


class SandboxPool:
    """Measures images in child processes, `workers` at a time.

    A process is replaced after `images_per_worker` images, and at once when it did not answer within `timeout_s`
    seconds, died, or its caller went away in the middle: it is then in no state that anyone should rely on.
    """

    def __init__(self, limits: Limits, *, workers: int, timeout_s: float, images_per_worker: int) -> None:
        self._limits = limits
        self._workers = workers
        self._timeout_s = timeout_s
        self._images_per_worker = images_per_worker
        self._idle: asyncio.Queue[Worker | None] = asyncio.Queue()
        self._live: set[Worker] = set()
        self._answers: set[asyncio.Future[bytes]] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        # One blocking call per process at a time, and never in the default executor, which others share.
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._closed = False
        self._cannot_start = False

    async def __aenter__(self) -> Self:
        """Start all processes and wait until each is confined. WorkerDied or OSError if one cannot be started."""
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _start(self) -> None:
        confined = await asyncio.gather(*(self._start_worker() for _ in range(self._workers)))
        log = _log.info if set(confined) == {"seccomp"} else _log.warning
        log("sandbox_started", workers=self._workers, confined=sorted(set(confined)))

    async def ready(self) -> bool:
        """Say whether an image would be measured: not closed, and processes can be started."""
        return not self._closed and (bool(self._live) or not self._cannot_start)

    async def measure(self, data: bytes) -> Measurement:
        """Measure an image. Unavailable if the pool is closed; else the answer is a measurement, whatever happens.

        A process that dies is tried again once with another: it may have been killed from outside, and an image is
        not to be thrown away, and paid for again, for that.
        """
        for _ in range(_TRIES):
            worker = await self._take()
            found = await self._ask(worker, data)
            if found is not None:
                return found
        return Measurement(Problem.CRASHED)

    async def close(self) -> None:
        """End all processes. Measurements under way end with Problem.CRASHED or Unavailable."""
        self._closed = True
        self._idle.put_nowait(None)
        for worker in self._live:
            worker.kill()
        while self._answers or self._replacing:
            pending: list[asyncio.Future[Any]] = [*self._answers, *self._replacing]
            await asyncio.wait(pending)
        await asyncio.gather(*(self._in_thread(worker.close) for worker in self._live))
        self._live.clear()
        self._threads.shutdown(wait=False)

    async def _take(self) -> Worker:
        worker = await self._idle.get()
        if worker is None or self._closed:
            self._idle.put_nowait(None)
            raise Unavailable("the sandbox is closed", metadata={"dependency": "sandbox"}, retry_after_s=1.0)
        return worker

    async def _ask(self, worker: Worker, data: bytes) -> Measurement | None:
        """One image, one process; None if the process died on it."""
        answer = self._in_thread(worker.exchange, data)
        self._answers.add(answer)
        sound = False
        try:
            async with asyncio.timeout(self._timeout_s):
                found = Measurement.from_json(await asyncio.shield(answer))
            sound = True
        except TimeoutError:
            return Measurement(Problem.TOO_SLOW)
        except WorkerDied as died:
            _log.warning("sandbox_died", out_of_time=died.out_of_time)
            return Measurement(Problem.TOO_SLOW) if died.out_of_time else None
        except ValueError:
            _log.error("sandbox_answer_unreadable")
            return None
        finally:
            if sound and worker.served < self._images_per_worker and not self._closed:
                self._idle.put_nowait(worker)
            else:
                worker.kill()
                self._in_background(self._replace(worker, answer))
            self._answers.discard(answer)
        return found

    async def _replace(self, worker: Worker, answer: asyncio.Future[bytes]) -> None:
        with contextlib.suppress(WorkerDied, OSError):
            await answer
        self._live.discard(worker)
        await self._in_thread(worker.close)
        wait_s = _BACKOFF_S
        while not self._closed:
            try:
                await self._start_worker()
            except (OSError, WorkerDied) as error:
                self._cannot_start = True
                _log.error("sandbox_not_started", error=type(error).__name__, again_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, 10 * _BACKOFF_S)
            else:
                return

    async def _start_worker(self) -> str:
        worker = await self._in_thread(Worker, self._limits, self._images_per_worker)
        timer = asyncio.get_running_loop().call_later(_START_S, worker.kill)
        try:
            confined = await self._in_thread(worker.wait_ready)
        except BaseException:
            worker.kill()
            await self._in_thread(worker.close)
            raise
        finally:
            timer.cancel()
        self._cannot_start = False
        self._live.add(worker)
        if self._closed:
            worker.kill()
        self._idle.put_nowait(worker)
        return confined

    def _in_thread(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)
