"""A storage that accepts connections and answers nothing, while a session trades."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.s3.servers import Proxy
from tests.sessions.live_session import SYMBOL, LiveSession
from tests.sessions.small_session import PATIENCE_SECONDS, until
from tests.sessions.test_account import asked
from trading_runtime.errors import Kind, LeaseLostError, StorageError, TransientError
from trading_runtime.records.events import Mode, RunInitialised
from trading_runtime.records.run_files import RunFiles
from trading_runtime.results.store import open_store
from trading_runtime.runs.opening import acquire_run
from trading_runtime.runs.run_check import check_run
from trading_runtime.sessions import storing
from trading_runtime.sessions.account import SessionAccount
from trading_runtime.sessions.ending import Ending
from trading_runtime.sessions.session import Session
from trading_runtime.sessions.storing import Outbox, Question
from trading_runtime.sessions.trading import Trading
from trading_runtime.storage import s3
from trading_runtime.storage.s3 import S3Folder
from trading_runtime.storage.scratch import remove_abandoned_scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.s3.servers import S3Server


@pytest.fixture
def proxy(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:  # noqa: ARG001
    """Stands between this test and its bucket."""
    with Proxy(server.port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        s3._opened.cache_clear()
        yield between
        between.answers.set()


class Stored(LiveSession):
    """A live deployment whose results are in S3."""

    def __init__(self, folder: Path, bucket: str) -> None:
        super().__init__(folder)
        self.bucket = S3Folder(f"{bucket}/results")

    def journal(self, run_id: str = "one") -> list[dict[str, Any]]:
        """Return the lines that are in the bucket."""
        names = self.bucket.sizes(f"runs/{run_id}/journal/")
        return lines(b"".join(self.bucket.read(name) for name in sorted(names)))


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def booked_in_what_is_kept(text: str) -> list[str]:
    """Return the ids of the fills in the journal that the end of a session names."""
    kept = Path(text.partition("its journal is in ")[2].partition(";")[0])
    entries = lines(b"".join(path.read_bytes() for path in kept.glob("journal/*/*.jsonl")))
    return [item["payload"]["trade_id"] for item in entries if item["event"] == "order_filled"]


@pytest.mark.parametrize("signalled", [None, signal.SIGTERM])
def test_a_session_whose_storage_falls_silent_sends_nothing_and_loses_no_fill(
    tmp_path: Path, bucket: str, proxy: Proxy, signalled: int | None
) -> None:
    with Stored(tmp_path, bucket) as live:
        live.write(results=f"{bucket}/results", health={"port": 0})
        process = live.connect()
        address = live.events("health_served")[0]["address"]
        proxy.stalls_in_content = signalled is None
        proxy.answers.clear()
        live.order("buy 0.010", "rest 0.020 40000.0")
        until(lambda: len(asked(f"{address}/status")[1]["resting"]) == 1)
        until(lambda: asked(f"{address}/status")[1]["fills"] == 1)
        if signalled is not None:
            process.send_signal(signalled)
        until(lambda: not live.exchange.open_orders)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)

        text = output + errors
        assert process.returncode == (10 if signalled is None else 75), text
        assert ("the kill switch cannot be read, and so counts as on" in text) == (not signalled)
        assert booked_in_what_is_kept(text) == live.executed
        assert len(live.accepted) == 2
        assert live.exchange.positions[SYMBOL] == Decimal("0.010")


def test_a_session_that_its_storage_denies_halts_and_loses_no_fill(
    tmp_path: Path, bucket: str, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = threading.Event()
    with (
        Proxy(server.port, lambda _: 403 if denied.is_set() else None) as between,
        Stored(tmp_path, bucket) as live,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.endpoint)
        s3._opened.cache_clear()
        live.write(results=f"{bucket}/results")
        process = live.connect()
        live.order("buy 0.010", "rest 0.020 40000.0")
        until(lambda: live.executed and len(live.exchange.open_orders) == 1)
        denied.set()
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)

    text = output + errors
    # Either the kill switch or the account is asked for first.
    assert process.returncode in {Kind.KILLED.exit_code, Kind.STORAGE.exit_code}, text
    assert "access denied" in text
    assert live.exchange.open_orders == []
    assert len(live.executed) == 1
    assert booked_in_what_is_kept(text) == live.executed


def test_what_a_session_keeps_on_the_machine_is_no_scratch_whatever_its_run_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = RunFiles(tmp_path / "run")
    files.journals.mkdir(parents=True)
    store = SimpleNamespace(objects=SimpleNamespace(give_up=lambda: None))
    prepared = SimpleNamespace(store=store)
    ended: Any = SimpleNamespace(run_id="scratch-1", _files=files, prepared=prepared)
    kept = Session._kept_apart(ended)

    remove_abandoned_scratch()

    assert (kept / files.journals.name).is_dir()


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_blocked_session_is_stored_as_failed_or_kept_where_its_message_says(
    tmp_path: Path, bucket: str, proxy: Proxy, *, is_silent: bool
) -> None:
    with Stored(tmp_path, bucket) as live:
        live.write(results=f"{bucket}/results", limits={"blocked": "4s"})
        if is_silent:
            live.change("trading_runtime.sessions.session", _LAST_SECONDS=1.0)
        process = live.connect()
        live.order("block", "buy 0.010")
        until((tmp_path / "blocked").exists)
        if is_silent:
            proxy.answers.clear()
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        proxy.answers.set()
        assert live.accepted == [], "the callback has returned, and the session is ending"

    stored = open_store(f"{bucket}/results").run("one")
    ended = stored
    if is_silent:
        kept = errors.partition("its journal is in ")[2].partition(";")[0]
        ended = RunFiles(Path(shutil.move(kept, tmp_path / "one")))
    check = check_run(ended)
    metadata = json.loads(ended.metadata.read_bytes())
    failed = [item for item in lines(ended.journal.read_bytes()) if item["event"] == "run_failed"]
    assert process.returncode == 9, errors
    assert "longer than limits.blocked (4s)" in errors
    assert (f"could not be stored in {bucket}/results/runs/one" in errors) == is_silent
    assert metadata["status"] == "failed"
    assert [item["payload"]["kind"] for item in failed] == ["timeout"]
    assert check.findings == []
    assert (json.loads(stored.metadata.read_bytes())["status"] == "running") == is_silent


class Asked:
    """A storage whose answers a test gives: a value, an error, or none for as long as it likes."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.answers = 0

    def __call__(self) -> Any:
        """Answer."""
        self.answers += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list whose only item is the time by the clock of the room."""
    now = [1_000.0]
    monkeypatch.setattr(storing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(storing, "_PAUSE_SECONDS", 0.001)
    return now


def repeated(question: Question[Any]) -> threading.Event:
    """Let a thread ask until the event is set."""
    ended = threading.Event()
    threading.Thread(target=question.repeat, args=(ended,), daemon=True).start()
    return ended


def test_an_answer_counts_until_there_was_none_for_eight_seconds(seconds: list[float]) -> None:
    storage = Asked()
    storage.answer = "on"
    question = Question(storage, "s3://there", is_remote=True)
    assert (question.is_answered, question()) == (False, None)
    ended = repeated(question)
    until(lambda: question.is_answered)
    assert question() == "on"
    storage.answer = TransientError("away")
    before = storage.answers
    until(lambda: storage.answers > before + 2)
    for _ in range(8):
        seconds[0] += 1
        assert question() == "on"
    seconds[0] += 0.1
    with pytest.raises(TransientError, match="s3://there: the storage has not answered for 8 s"):
        question()
    storage.answer = "off"
    before = storage.answers
    until(lambda: storage.answers > before + 2)
    assert question() == "off"
    ended.set()


def test_a_suspended_process_has_not_waited_for_an_answer(seconds: list[float]) -> None:
    question = Question(Asked(), "s3://there", is_remote=True)
    question()
    seconds[0] += 3600

    assert question() is None


@pytest.mark.parametrize("error", [LeaseLostError("lost"), StorageError("denied")])
def test_an_error_that_no_repeat_helps_is_told_at_once(error: Exception) -> None:
    storage = Asked()
    storage.answer = error
    question = Question(storage, "s3://there", is_remote=True)
    ended = repeated(question)
    until(lambda: question.is_answered)
    with pytest.raises(type(error)):
        question()
    ended.set()


def test_of_what_waits_to_be_stored_only_the_newest_of_a_name_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storing, "_AGAIN_SECONDS", 0.001)
    outbox, stored, may_go = Outbox(is_remote=True), list[str](), threading.Event()
    failures = [TransientError("away")] * 2

    def state(text: str) -> None:
        if text == "first":
            may_go.wait(PATIENCE_SECONDS)
        elif failures:
            raise failures.pop()
        stored.append(text)

    threading.Thread(target=outbox.work, daemon=True).start()
    outbox.put("account", lambda: state("first"))
    until(lambda: not outbox._waiting)
    for text in ("second", "third"):
        outbox.put("account", partial(state, text))
    outbox.put("tables", lambda: state("tables"))
    may_go.set()
    until(lambda: outbox.is_empty)
    outbox.close()

    assert sorted(stored) == ["first", "tables", "third"]
    outbox.check()


def test_a_job_that_takes_a_disk_long_does_not_wait_for_it() -> None:
    outbox, stored, may_go = Outbox(is_remote=False), list[str](), threading.Event()

    def slow() -> None:
        may_go.wait(PATIENCE_SECONDS)
        stored.append("slow")

    threading.Thread(target=outbox.work, daemon=True).start()
    outbox.put("account", slow, beside=True)
    outbox.put("tables", lambda: stored.append("at once"))
    assert (stored, outbox.is_empty) == (["at once"], False)

    may_go.set()
    outbox.wait(PATIENCE_SECONDS)
    outbox.close()
    assert (stored, outbox.is_empty) == (["at once", "slow"], True)


def test_an_error_of_a_job_is_raised_in_the_loop() -> None:
    outbox = Outbox(is_remote=True)
    threading.Thread(target=outbox.work, daemon=True).start()

    def fail() -> None:
        raise LeaseLostError("lost")

    outbox.put("progress", fail)
    until(lambda: outbox.is_empty)
    outbox.close()
    with pytest.raises(LeaseLostError):
        outbox.check()


class Stopped(Trading):
    """A session that is stopped at once, and cannot save its account."""

    async def _run_node(self) -> None:
        def denied() -> None:
            raise StorageError("denied")

        self.storage.outbox.put("account", denied)
        self.reasons.note(Ending(Kind.STOPPED, "'runs stop' asked for it"))


def test_an_account_that_cannot_be_saved_at_the_end_fails_the_session(bucket: str) -> None:
    limits = SimpleNamespace(venue_lost="1m", clock_skew="1m", blocked="1m")
    deployment: Any = SimpleNamespace(
        pace="burst", health=SimpleNamespace(port=None), stale_after=None, limits=limits
    )
    unused: Any = None
    node: Any = SimpleNamespace(failures=SimpleNamespace())
    store = open_store(bucket)
    account = SessionAccount(store, "small")
    with account.held("one"), acquire_run(store, "one") as opened:
        session = Stopped(
            *(deployment, store, "one", opened, unused, account, node),
            *(unused, "terms", None, unused, unused),
        )
        with pytest.raises(StorageError, match="denied"):
            asyncio.run(session.run())


def test_a_question_for_a_stop_request_that_had_no_answer_is_asked_again(
    bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_BRIEF_SECONDS", 0.2)
    with acquire_run(open_store(bucket), "one") as opened:
        proxy.answers.clear()
        answers = []
        for _ in range(2):
            with suppress(TransientError):
                answers.append(opened.stop_requested(brief=True))
        proxy.answers.set()
        answers.append(opened.stop_requested(brief=True))

    assert answers == [False]


def test_a_part_of_a_journal_that_was_not_stored_is_stored_the_next_time(
    bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket)
    with acquire_run(store, "one") as opened, opened.open_journal("session") as journal:
        journal.write(RunInitialised(run_id="one", mode=Mode.PAPER))
        opened.end_parts()
        proxy.answers.clear()
        with monkeypatch.context() as brief:
            brief.setattr(s3, "_READ_SECONDS", 0.2)
            brief.setattr(s3, "_ATTEMPTS", 1)
            with pytest.raises(TransientError):
                opened.publish_parts()
        proxy.answers.set()
        opened.publish_parts()
        names = list(S3Folder(bucket).sizes("runs/one/journal/"))

    assert [name.rpartition("/")[2] for name in names] == ["000001.jsonl"]
