"""The ledger's public face: every method is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Self

from imagerouter.api.common.v1 import artifact_pb2, attempt_pb2, evaluation_pb2, route_pb2, task_pb2
from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import attempts as attempt_rows
from imagerouter.ledger import events, findings, images, leases, migrate, notifier, queries
from imagerouter.ledger.database import Database, parse_url
from imagerouter.ledger.values import Claim, Created, Existing, PlannedAttempt, UnknownAttempt
from imagerouter.runtime.errors import ImageRouterError

_PING_S = 2.0


class Ledger:
    """An open ledger. Use it as an async context manager, or call `close`.

    Ids are strings and times aware datetimes, both given by the caller; money is in micro-dollars. A method that takes
    `epoch` raises LostLease, and writes nothing, if another replica has taken the image over since. NotFound if there
    is no such image. Unavailable (DEPENDENCY_UNAVAILABLE) if the database does not answer: what was asked for may or
    may not have been written then, and each method says what repeating it does. A call that is cancelled is carried out
    all the same.
    """

    def __init__(self, database: Database) -> None:
        """Wrap an open database whose schema is known to fit. See `open_ledger`."""
        self._database = database
        self._notifier = notifier.Notifier()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what is under way and close every connection."""
        await self._database.close()

    @staticmethod
    async def migrate(url: str) -> str:
        """Bring the schema at `url` up to date and give its revision. Safe to run from several places at once."""
        database = Database(parse_url(url), limits=False)
        try:
            return await database.write(migrate.upgrade)
        finally:
            await database.close()

    async def ping(self) -> bool:
        """Say whether the database answers within two seconds. Never raises: it is meant for readiness."""
        try:
            async with asyncio.timeout(_PING_S):
                await self._database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        except (ImageRouterError, TimeoutError):
            return False
        return True

    # Images.

    async def create_image(
        self,
        *,
        image_id: str,
        tenant: str,
        request_id: str,
        fingerprint: bytes,
        task: task_pb2.Task,
        labels: Mapping[str, str],
        create_time: datetime,
        deadline: datetime,
        budget_micros: int | None,
        trace_id: str,
        parent: str,
        owner: str,
        lease_until: datetime,
    ) -> Created | Existing:
        """Record a new image in state RUNNING, owned by `owner`, with the event `accepted`.

        If the tenant has an image of this `request_id`, nothing is written and that one is returned, however many ask
        at once; the caller compares fingerprints. An empty `request_id` never meets another.
        """
        return await self._database.write(
            partial(
                images.create,
                image_id=image_id,
                tenant=tenant,
                request_id=request_id,
                fingerprint=fingerprint,
                task=task,
                labels=labels,
                create_time=create_time,
                deadline=deadline,
                budget_micros=budget_micros,
                trace_id=trace_id,
                parent=parent,
                owner=owner,
                lease_until=lease_until,
            ),
            lambda made: self._notifier.notify(made.image_id),
        )

    async def find_request(self, tenant: str, request_id: str) -> tuple[str, bytes] | None:
        """Give id and fingerprint of the tenant's image of a request_id, or None."""
        return await self._database.read(lambda connection: images.find(connection, tenant, request_id))

    async def finish_image(
        self,
        image_id: str,
        state: images_service_pb2.ImageState.ValueType,
        artifacts: Sequence[artifact_pb2.ArtifactRef],
        error: images_service_pb2.ImageError | None,
        now: datetime,
        epoch: int,
        *,
        reset: bool = False,
    ) -> images_service_pb2.Image:
        """End an image, once, with the event `ended`, and give it whole.

        Attempts still PLANNED end as REJECTED. InvalidState while one is SENT: it must be finished first, as UNKNOWN if
        need be. `reset` says that the picture was made anew from the chain's anchor, so that it is the anchor of its
        edits. Repeating it with the same ending changes nothing; InvalidState for another ending.
        """
        return await self._database.write(
            lambda connection: images.finish(connection, image_id, state, artifacts, error, now, epoch, reset=reset),
            lambda _: self._notifier.notify(image_id),
        )

    async def request_cancel(self, image_id: str, now: datetime) -> bool:
        """Ask whoever owns the image to stop; from now on `mark_sent` refuses. False if the image had ended before."""
        return await self._database.write(
            lambda connection: images.request_cancel(connection, image_id, now),
            lambda _: self._notifier.notify(image_id),
        )

    async def cancel_requested(self, image_id: str) -> bool:
        """Say whether cancellation was asked for, by any replica's caller. `renew_lease` says so too."""
        return (await self._database.read(lambda connection: queries.find_state(connection, image_id)))[1]

    async def get_image(self, tenant: str, name: str) -> images_service_pb2.Image:
        """Give an image ("images/{id}" or the id) with task and receipt. NotFound if it is not the tenant's."""
        return await self._database.read(lambda connection: queries.get(connection, tenant, name))

    async def list_images(
        self,
        tenant: str,
        page_size: int = 0,
        page_token: str = "",
        state: images_service_pb2.ImageState.ValueType = images_service_pb2.IMAGE_STATE_UNSPECIFIED,
    ) -> images_service_pb2.ListImagesResponse:
        """Give a page of the tenant's images, newest first, without task and receipt.

        InvalidField for a `page_size` beyond 0 to 100 (0 means 20), and for a `page_token` that is not from the same
        tenant and state.
        """
        return await self._database.read(
            lambda connection: queries.page(connection, tenant, page_size, page_token, state)
        )

    async def lineage(self, tenant: str, parent: str) -> task_pb2.Lineage:
        """Give the place in its chain that an edit of `parent` ("images/{id}" or the id) takes.

        NotFound or PreconditionFailed (WRONG_STATE, field `parent`) if the parent is not the tenant's or has not
        SUCCEEDED.
        """
        return await self._database.read(lambda connection: queries.lineage(connection, tenant, parent))

    # Decisions and attempts.

    async def record_decision_and_attempts(
        self,
        image_id: str,
        decision: route_pb2.Decision,
        attempts: Sequence[PlannedAttempt],
        now: datetime,
        epoch: int,
    ) -> list[attempt_pb2.Attempt]:
        """Record a decision, its attempts as PLANNED, and their reservations, all or nothing, with event `decision`.

        PreconditionFailed (BUDGET_EXHAUSTED) if what was spent, what is reserved and what is wanted exceed the budget.
        Repeating it with the same ids changes nothing.
        """
        return await self._database.write(
            lambda connection: attempt_rows.plan(connection, image_id, decision, attempts, now, epoch),
            lambda _: self._notifier.notify(image_id),
        )

    async def mark_sent(self, attempt_id: str, now: datetime, epoch: int) -> attempt_pb2.Attempt:
        """Let an attempt out, once: PLANNED to SENT, with the event `attempt_sent`. Call it before any byte leaves.

        Any exception means that the attempt must not be sent: InvalidState if it is not PLANNED or its image has ended,
        Cancelled if cancellation was asked for. After Unavailable it may be SENT in the ledger although nothing went
        out: finish it as not sent.
        """
        _, attempt = await self._database.write(
            lambda connection: attempt_rows.send(connection, attempt_id, now, epoch),
            lambda changed: self._notifier.notify(changed[0]),
        )
        return attempt

    async def finish_attempt(
        self, attempt_id: str, outcome: attempt_pb2.Outcome, now: datetime, epoch: int
    ) -> attempt_pb2.Attempt:
        """End an attempt by its outcome and settle its reservation, with the event `attempt_ended`.

        An unknown outcome keeps the reservation. Repeating it with the same outcome changes nothing; InvalidState for
        another.
        """
        _, attempt = await self._database.write(
            lambda connection: attempt_rows.finish(connection, attempt_id, outcome, now, epoch),
            lambda changed: self._notifier.notify(changed[0]),
        )
        return attempt

    async def record_evaluation(self, image_id: str, evaluation: evaluation_pb2.Evaluation, now: datetime) -> None:
        """Record what was found about an attempt's output, with the event `evaluation`.

        Repeating it changes nothing. InvalidState after the end.
        """
        await self._database.write(
            lambda connection: findings.evaluate(connection, image_id, evaluation, now),
            lambda _: self._notifier.notify(image_id),
        )

    async def record_hop(self, image_id: str, *hops: images_service_pb2.Hop) -> None:
        """Note calls to other services. They are no events, and may come after the image's end."""
        await self._database.write(lambda connection: findings.note_hops(connection, image_id, hops))

    # Events.

    async def events(self, image_id: str, after_sequence: int = 0) -> list[images_service_pb2.ImageEvent]:
        """Give the events with numbers above `after_sequence`, in order and without gaps."""
        found, _ = await self._database.read(lambda connection: events.after(connection, image_id, after_sequence))
        return found

    async def watch(
        self, image_id: str, after_sequence: int = 0, *, poll_s: float = 1.0
    ) -> AsyncIterator[images_service_pb2.ImageEvent]:
        """Give every event above `after_sequence` as it comes, to the last.

        This process's changes are seen at once, another replica's within `poll_s` seconds.
        """
        with self.changed(image_id) as change:
            while True:
                change.clear()
                found, ended = await self._database.read(
                    partial(events.after, image_id=image_id, after_sequence=after_sequence)
                )
                for event in found:
                    after_sequence = event.sequence
                    yield event
                if ended:
                    return
                await notifier.wait(change, poll_s)

    def changed(self, image_id: str) -> AbstractContextManager[asyncio.Event]:
        """Give an event that this process sets whenever it has written about the image. Clear it before you read."""
        return self._notifier.listen(image_id)

    # Leases.

    async def renew_lease(self, image_id: str, owner: str, epoch: int, until: datetime) -> bool:
        """Keep an image. LostLease if it is another's or has ended. True if its cancellation was asked for."""
        return await self._database.write(lambda connection: leases.renew(connection, image_id, owner, epoch, until))

    async def release_lease(self, image_id: str, owner: str, epoch: int, now: datetime) -> None:
        """Hand an image back, so that another replica can claim it at once: for a drain."""
        await self._database.write(lambda connection: leases.release(connection, image_id, owner, epoch, now))

    async def acquire_lease(self, image_id: str, owner: str, now: datetime, until: datetime) -> Claim | None:
        """Take one image over if its lease has run out. None if it is held or has ended."""
        return await self._database.write(lambda connection: leases.acquire(connection, image_id, owner, now, until))

    async def claim_expired(
        self, owner: str, now: datetime, until: datetime, limit: int, *, held: Collection[str] = ()
    ) -> list[Claim]:
        """Take over up to `limit` running images whose lease has run out, oldest lease first. No two replicas get one.

        `held` are images that the caller works on itself, however late it comes to renew them.
        """
        return await self._database.write(
            lambda connection: leases.claim_expired(connection, owner, now, until, limit, held)
        )

    # The books.

    async def sums(self, tenant: str | None = None) -> int:
        """Give what all attempts cost together, of a tenant or of all, in micro-dollars."""
        return await self._database.read(lambda connection: queries.cost(connection, tenant))

    async def unknown_attempts(self, older_than: datetime) -> list[UnknownAttempt]:
        """Give the attempts that ended as UNKNOWN before a time, oldest first: somebody has to look at them."""
        return await self._database.read(lambda connection: queries.unknown(connection, older_than))
