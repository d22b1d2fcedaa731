"""A run in S3 has one holder: of two takers one gets the lease, and who has lost it is told."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.s3.servers import LOST_ANSWER, Clock, Proxy, S3Server, move_servers_by
from trading_runtime import api
from trading_runtime.errors import LeaseLostError, StorageError, TransientError, UsageError
from trading_runtime.results.store import open_store
from trading_runtime.runs import lock
from trading_runtime.runs.lock import Lease, is_leased
from trading_runtime.runs.opening import acquire_run
from trading_runtime.storage import s3
from trading_runtime.storage.files import write_file
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.small_experiment import SmallExperiment
    from trading_runtime.runs.opening import OpenRun

LEASE = "runs/one/lock"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of storage and holders in a test; no thread renews a lease by it."""
    clock = Clock()
    move_servers_by(clock, monkeypatch)
    return clock


@pytest.fixture
def objects(bucket: str) -> S3Folder:
    """A folder of results."""
    return S3Folder(f"{bucket}/results")


@pytest.fixture
def leases(storage: S3Server) -> Iterator[list[Lease]]:
    """Leases that a test takes; they are released when it ends, before its server goes."""
    assert storage.endpoint
    taken: list[Lease] = []
    yield taken
    for lease in taken:
        lease.release()


def behind(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Lead all requests to ``endpoint`` from now on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    s3._opened.cache_clear()


def test_a_lease_is_taken_over_only_after_it_has_expired(
    objects: S3Folder, clock: Clock, leases: list[Lease]
) -> None:
    leases.append(Lease(objects, "one", clock))
    clock.now += 119
    with pytest.raises(UsageError, match="run 'one' is running already"):
        Lease(objects, "one", clock)
    clock.now += 3
    leases.append(Lease(objects, "one", clock))

    leases[1].check()


@pytest.mark.parametrize("ahead", [300, -300])
def test_a_lease_depends_on_no_clock_of_a_machine(
    ahead: float,
    objects: S3Folder,
    clock: Clock,
    leases: list[Lease],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Lease(objects, "one", clock)
    real = time.time
    # Another machine, whose clocks differ from the holder's.
    monkeypatch.setattr(time, "time", lambda: real() + clock.passed + ahead)

    def elsewhere() -> float:
        return clock() + ahead

    clock.now += 60
    with pytest.raises(UsageError, match="running already"):
        Lease(objects, "one", elsewhere)
    first.renew()
    clock.now += 100
    assert is_leased(objects, "one")
    with pytest.raises(UsageError, match="running already"):
        Lease(objects, "one", elsewhere)
    clock.now += 22
    assert not is_leased(objects, "one")
    leases.append(Lease(objects, "one", elsewhere))
    leases[0].check()

    with pytest.raises(LeaseLostError):
        first.check()
    first.release()


def test_of_two_takers_that_read_the_same_expired_lease_one_gets_it(
    objects: S3Folder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.write(LEASE, b"{}")
    both_have_read = threading.Barrier(2)
    replace = S3Folder.replace

    def replace_together(folder: S3Folder, name: str, content: bytes, version: str) -> str | None:
        both_have_read.wait(60)
        return replace(folder, name, content, version)

    outcomes: list[Lease | UsageError] = []

    def take() -> None:
        try:
            outcomes.append(Lease(objects, "one", clock))
        except UsageError as error:
            outcomes.append(error)

    with monkeypatch.context() as patched:
        patched.setattr(S3Folder, "replace", replace_together)
        takers = [threading.Thread(target=take) for _ in range(2)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()

    refused = [outcome for outcome in outcomes if isinstance(outcome, UsageError)]
    held = [outcome for outcome in outcomes if isinstance(outcome, Lease)]
    assert len(refused) == len(held) == 1
    assert "running already" in str(refused[0])
    held[0].check()
    held[0].release()
    assert not objects.has(LEASE)


def test_a_holder_that_has_lost_its_lease_is_told_and_leaves_it_to_the_other(
    objects: S3Folder, clock: Clock, leases: list[Lease]
) -> None:
    first = Lease(objects, "one", clock)
    clock.now += 121
    leases.append(Lease(objects, "one", clock))
    content = objects.read(LEASE)

    with pytest.raises(LeaseLostError, match="another process has taken it over"):
        first.check()
    first.renew()
    first.release()

    assert objects.read(LEASE) == content
    leases[0].check()


def test_an_expired_lease_that_nobody_took_is_renewed_before_it_is_used(
    objects: S3Folder, clock: Clock, leases: list[Lease]
) -> None:
    leases.append(Lease(objects, "one", clock))
    clock.now += 1_000
    leases[0].check()

    with pytest.raises(UsageError, match="running already"):
        Lease(objects, "one", clock)


def test_a_lease_that_was_removed_is_lost(objects: S3Folder, clock: Clock) -> None:
    lease = Lease(objects, "one", clock)
    objects.remove(LEASE)
    lease.check()

    for question in (lease.confirm, lease.check):
        with pytest.raises(StorageError, match=r"results/runs/one: was removed, moved or replaced"):
            question()
    lease.release()


def test_a_holder_that_cannot_ask_whether_it_has_the_lease_stores_nothing(
    objects: S3Folder,
    clock: Clock,
    leases: list[Lease],
    storage: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)
    leases.append(Lease(objects, "one", clock))
    clock.now += 121
    with Proxy(storage.port, lambda _: 503) as proxy:
        behind(monkeypatch, proxy.endpoint)
        with pytest.raises(TransientError, match="could not be reached") as raised:
            leases[0].check()
    behind(monkeypatch, storage.endpoint)

    assert not isinstance(raised.value, LeaseLostError)
    leases[0].check()


@pytest.mark.parametrize("lost", ["taken", "taken over", "renewed"])
def test_a_change_whose_answer_was_lost_is_known_by_its_content(
    lost: str,
    objects: S3Folder,
    clock: Clock,
    storage: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if lost == "taken over":
        objects.write(LEASE, b"{}")
    number_lost = {"taken": 1, "taken over": 3, "renewed": 2}[lost]
    with Proxy(
        storage.port, lambda number: LOST_ANSWER if number == number_lost else None
    ) as proxy:
        behind(monkeypatch, proxy.endpoint)
        lease = Lease(objects, "one", clock)
        clock.now += 60
        lease.renew()
        assert proxy.faults == 1
        lease.check()
        lease.release()
    behind(monkeypatch, storage.endpoint)

    assert not objects.has(LEASE)


def test_a_lost_answer_hides_no_lease_of_another(
    objects: S3Folder, clock: Clock, storage: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Lease(objects, "one", clock)
    with Proxy(storage.port, lambda number: 503 if number == 1 else None) as proxy:
        behind(monkeypatch, proxy.endpoint)
        with pytest.raises(UsageError, match="running already"):
            Lease(objects, "one", clock)
        assert proxy.faults == 1
    behind(monkeypatch, storage.endpoint)
    held.release()


@pytest.fixture
def always_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each lease expire at once: it is renewed whenever it is checked, and only then."""
    monkeypatch.setattr(lock, "_LEASE_SECONDS", 1e-6)
    monkeypatch.setattr(lock, "_RENEWALS", 1e-9)


@pytest.mark.usefixtures("always_expired")
def test_a_run_that_was_taken_over_stores_nothing_more(bucket: str) -> None:
    objects = S3Folder(f"{bucket}/results")
    store = open_store(f"{bucket}/results")
    taken = b'{"holder": "another"}'

    def work_after_it_was_taken() -> None:
        with acquire_run(store, "one") as opened:
            write_file(opened.files.metadata, "ours")
            objects.write(LEASE, taken)
            objects.write("runs/one/plan.json", b"theirs")
            opened.publish_when_due()

    with pytest.raises(LeaseLostError) as raised:
        work_after_it_was_taken()

    assert raised.value.exit_code == 75
    assert objects.sizes("runs/").keys() == {LEASE, "runs/one/plan.json"}
    assert objects.read(LEASE) == taken


@pytest.mark.usefixtures("always_expired")
def test_a_run_that_loses_its_lease_at_work_ends_and_says_so(
    small: SmallExperiment, bucket: str
) -> None:
    results = f"{bucket}/results"
    objects = S3Folder(results)
    path = small.write(results=results, parameters={"every": [20]})
    taken = b'{"holder": "another"}'

    def take_over() -> bool:
        """Asked while the tasks are being computed."""
        objects.write(LEASE, taken)
        return False

    with pytest.raises(LeaseLostError, match="--run-id one again when it has ended"):
        api.run(path, run_id="one", workers=1, should_stop=take_over)

    assert objects.read(LEASE) == taken
    assert not objects.has("runs/one/result.json")


def test_a_holder_that_was_suspended_between_check_and_write_writes_no_metadata(
    bucket: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_RENEWALS", 1e-3)
    objects, store = S3Folder(f"{bucket}/results"), open_store(f"{bucket}/results")

    def publish(opened: OpenRun, content: str) -> None:
        write_file(opened.files.metadata, content)
        opened.publish(opened.files.metadata)

    def work_after_it_was_suspended() -> None:
        with acquire_run(store, "one") as first:
            publish(first, "ours")
            # Its lease has expired, and as far as it knows it has not.
            clock.now += 122
            with acquire_run(open_store(f"{bucket}/results"), "one") as second:
                publish(second, "theirs")
                publish(first, "ours, and too late")

    with pytest.raises(LeaseLostError):
        work_after_it_was_suspended()

    assert objects.read("runs/one/metadata.json") == b"theirs"


def test_a_run_whose_objects_are_removed_at_work_ends_with_8_and_is_not_stored_again(
    small: SmallExperiment, bucket: str
) -> None:
    results = f"{bucket}/results"
    objects = S3Folder(results)
    path = small.write(results=results, parameters={"every": [20]})

    def remove_it() -> bool:
        """Asked while the tasks are being computed."""
        objects.remove_all(list(objects.sizes("runs/")))
        return False

    with pytest.raises(StorageError, match="runs/one: was removed, moved or replaced") as raised:
        api.run(path, run_id="one", workers=1, should_stop=remove_it)

    assert raised.value.exit_code == 8
    assert not objects.has("runs/one/result.json")
