"""What happens when the database, the caller or a message is not as it should be."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest
from ledger_samples import NOW, PROMPT, TENANT, arguments, create, decision, later, new_id, plan, planned, task
from sqlalchemy import Connection, Text, bindparam, select, text
from sqlalchemy.exc import StatementError

from imagerouter.api.images.v1 import images_service_pb2
from imagerouter.ledger import Ledger, open_ledger
from imagerouter.ledger.database import Database, parse_url
from imagerouter.ledger.schema import UtcTime
from imagerouter.runtime.errors import Internal, NotFound, Unavailable
from tests.postgres import PostgresServer


async def test_ledger_says_whether_it_answers(ledger: Ledger) -> None:
    """A ledger that is there is ready."""
    assert await ledger.ping()


async def test_database_that_is_gone_is_unavailable(postgres_server: PostgresServer) -> None:
    """No server, or no such database: typed, worth repeating, and never an exception from the readiness check."""
    gone = postgres_server.url("never_made")
    nowhere = "postgresql+asyncpg://nobody:hunter2@127.0.0.1:1/nowhere"
    for url in (gone, nowhere):
        with pytest.raises(Unavailable) as caught:
            await open_ledger(url)
        assert (caught.value.reason, caught.value.metadata) == ("DEPENDENCY_UNAVAILABLE", {"dependency": "ledger"})
        assert caught.value.retry_after_s
        ledger = Ledger(Database(parse_url(url)))
        assert not await ledger.ping()
        with pytest.raises(Unavailable):
            await ledger.get_image(TENANT, "x")
        await ledger.close()


async def test_lost_connections_are_replaced(postgres_url: str) -> None:
    """After the server has cut every connection, the next call works: readers and writers do not have to know."""
    async with await open_ledger(postgres_url) as ledger:
        made = await asyncio.gather(*(create(ledger) for _ in range(5)))
        other = Database(parse_url(postgres_url))
        cut = text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await other.read(lambda connection: connection.execute(cut).scalar_one()) > 0
        await other.close()

        assert [len(await ledger.events(image.image_id)) for image in made] == [1] * 5
        await create(ledger)


async def test_waiting_for_a_lock_is_limited_and_typed(postgres_url: str) -> None:
    """A row that somebody else holds on to is UNAVAILABLE in time, not for ever."""
    async with await open_ledger(postgres_url) as ledger:
        made = await create(ledger)
        holder, impatient = Database(parse_url(postgres_url)), Database(parse_url(postgres_url))
        held, done = asyncio.Event(), asyncio.Event()
        lock = text("SELECT 1 FROM images WHERE image_id = :id FOR UPDATE").bindparams(id=made.image_id)

        async def hold() -> None:
            async with holder._engine.begin() as connection:
                await connection.execute(lock)
                held.set()
                await done.wait()

        def wait_briefly(connection: Connection) -> None:
            connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            connection.execute(lock)

        holding = asyncio.create_task(hold())
        await held.wait()
        with pytest.raises(Unavailable):
            await impatient.write(wait_briefly)
        done.set()
        await holding
        await holder.close()
        await impatient.close()


async def test_reader_sees_one_moment(postgres_url: str) -> None:
    """All statements of a read see the same commits, so that a receipt's sums are those of its attempts."""
    async with await open_ledger(postgres_url) as ledger:
        database = Database(parse_url(postgres_url))
        count = text("SELECT count(*) FROM images")

        def count_twice(connection: Connection) -> tuple[int, int]:
            before = connection.execute(count).scalar_one()
            connection.execute(text("SELECT pg_sleep(0.3)"))
            return before, connection.execute(count).scalar_one()

        reading = asyncio.create_task(database.read(count_twice))
        await asyncio.sleep(0.1)
        await create(ledger)
        before, after = await reading
        await database.close()
    assert before == after


async def test_cancelled_caller_does_not_break_a_transaction(ledger: Ledger) -> None:
    """A call that is cancelled at any moment is carried out whole, and the ledger goes on working."""
    made = await create(ledger)
    for number in range(1, 21):
        call = asyncio.create_task(plan(ledger, made, number, 1))
        for _ in range(number - 1):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    await ledger.close()  # waits for what is under way; the engine opens anew

    receipt = (await ledger.get_image(TENANT, made.image_id)).receipt
    assert len(receipt.decisions) == len(receipt.attempts) == receipt.reserved_micros
    assert len(receipt.attempts) >= 19  # the first may have been cancelled before it began
    assert [event.sequence for event in await ledger.events(made.image_id)] == [*range(1, len(receipt.attempts) + 2)]


async def test_no_error_and_no_log_line_holds_a_prompt(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """Broken constraints and statements fail without showing the row, in message, cause or traceback, or in a log."""
    caplog.set_level(logging.DEBUG)
    calls = [
        ledger.create_image(**arguments(budget_micros=-1)),
        ledger.create_image(**arguments(tenant="nul\0" + PROMPT)),  # SQLite stores it, Postgres does not
        ledger.create_image(**arguments(owner=task())),
        ledger.create_image(**arguments(create_time=NOW.replace(tzinfo=None))),
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [type(error) for error in (answers[0], answers[2])] == [Internal, Internal]
    assert len(errors) >= 3
    for error in errors:
        shown = "".join(traceback.format_exception(error))
        assert PROMPT not in shown
        assert PROMPT.encode().hex() not in shown
    assert PROMPT not in caplog.text


async def test_failing_statement_does_not_show_its_values(ledger_url: str) -> None:
    """An error that the ledger does not translate, because the caller is wrong, shows no values either."""
    database = Database(parse_url(ledger_url))
    query = select(bindparam("prompt", type_=Text), bindparam("time", type_=UtcTime))
    values = {"prompt": PROMPT, "time": NOW.replace(tzinfo=None)}
    with pytest.raises(StatementError) as caught:
        await database.read(lambda connection: connection.execute(query, values))
    await database.close()
    assert PROMPT not in str(caught.value)


async def test_naive_times_are_refused(ledger: Ledger) -> None:
    """A time without a zone is the caller's mistake, and nothing is written."""
    made = await create(ledger)
    with pytest.raises(Exception, match="aware"):
        await ledger.request_cancel(made.image_id, NOW.replace(tzinfo=None))
    assert not await ledger.cancel_requested(made.image_id)


async def test_negative_reservation_is_refused(ledger: Ledger) -> None:
    """Nobody can make room in a budget by reserving less than nothing."""
    made = await create(ledger, budget_micros=10)
    with pytest.raises(Internal):
        await ledger.record_decision_and_attempts(
            made.image_id, decision(), [planned(1, -5), planned(2, 15)], NOW, made.epoch
        )
    assert (await ledger.get_image(TENANT, made.image_id)).receipt == images_service_pb2.Receipt()


async def test_two_processes_share_a_file(sqlite_url: str) -> None:
    """Writers that do not share a lock wait for each other instead of failing."""
    async with await open_ledger(sqlite_url) as first, await open_ledger(sqlite_url) as second:
        made = await asyncio.gather(*(create((first, second)[number % 2]) for number in range(40)))
        assert len({image.image_id for image in made}) == 40
        with pytest.raises(NotFound):
            await second.request_cancel(new_id(), later(1))
