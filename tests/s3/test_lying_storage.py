"""S3 that gives cut, changed or old answers: what cannot be right is asked again, then refused."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.s3.servers import Proxy, S3Server
from tests.s3.test_stores import TASK, result
from trading_runtime import api
from trading_runtime.errors import DataError, Kind, StorageError, TransientError
from trading_runtime.results.store import open_store
from trading_runtime.runs.run_check import check_run
from trading_runtime.storage import s3
from trading_runtime.storage.object_store import MissingError
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.small_experiment import SmallExperiment

    type Lie = Callable[[str, str, bytes], bytes | None]

CONTENT = b"0123456789" * 20


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again without waiting."""
    monkeypatch.setattr(s3, "_FIRST_WAIT_SECONDS", 0.0)


@contextlib.contextmanager
def lying(storage: S3Server, lie: Lie) -> Iterator[None]:
    """Lead all requests through a proxy that lies."""
    with pytest.MonkeyPatch.context() as patch, Proxy(storage.port, lie=lie) as proxy:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        yield
    s3._opened.cache_clear()


def of_reads(change: Callable[[bytes], bytes | None], *, times: int | None = None) -> Lie:
    """Change the answers to the first ``times`` reads of objects, or to all of them."""
    reads = Counter[str]()

    def lie(method: str, path: str, content: bytes) -> bytes | None:
        if method != "GET" or "list-type" in path:
            return content
        reads["all"] += 1
        return change(content) if times is None or reads["all"] <= times else content

    return lie


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def gone(_: bytes) -> None:
    return None


@pytest.mark.parametrize("change", [half, flipped, gone])
def test_a_false_answer_is_asked_for_again(
    change: Callable[[bytes], bytes | None], bucket: str, storage: S3Server
) -> None:
    S3Folder(bucket).write("a", CONTENT)

    with lying(storage, of_reads(change, times=2)):
        assert S3Folder(bucket).read("a") == CONTENT


@pytest.mark.parametrize("change", [half, flipped])
def test_content_that_stays_wrong_is_damaged_data(
    change: Callable[[bytes], bytes | None], bucket: str, storage: S3Server
) -> None:
    S3Folder(bucket).write("a", CONTENT)

    with (
        lying(storage, of_reads(change)),
        pytest.raises(DataError, match=f"{bucket}/a: damaged: its length or sha256"),
    ):
        S3Folder(bucket).read("a")


def test_an_object_that_is_there_and_is_not_is_a_passing_fault(
    bucket: str, storage: S3Server
) -> None:
    S3Folder(bucket).write("a", CONTENT)

    with lying(storage, of_reads(gone)), pytest.raises(TransientError, match="says both"):
        S3Folder(bucket).read("a")


def test_an_object_that_is_not_there_is_missing_and_of_the_kind_storage(bucket: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{bucket}/a: there is no such object") as raised:
        S3Folder(bucket).read("a")

    assert isinstance(raised.value, StorageError)
    assert raised.value.kind == Kind.STORAGE


@pytest.mark.parametrize("change", [half, flipped])
def test_an_object_of_another_program_is_held_to_its_tag(
    change: Callable[[bytes], bytes | None], bucket: str, storage: S3Server
) -> None:
    storage.put(f"{bucket.removeprefix('s3://')}/theirs", CONTENT)

    with lying(storage, of_reads(change, times=1)):
        assert S3Folder(bucket).read("theirs") == CONTENT


def test_an_object_whose_tag_is_no_digest_is_what_two_readings_agree_on(
    bucket: str, storage: S3Server
) -> None:
    # As a service tags that encrypts with keys of its own: 32 digits, but not the MD5.
    storage.put(f"{bucket.removeprefix('s3://')}/theirs", CONTENT)

    with lying(storage, of_reads(lambda content: content[::-1])):
        assert S3Folder(bucket).read("theirs") == CONTENT[::-1]


@contextlib.contextmanager
def behind_a_gateway(storage: S3Server, gives_a_page: Callable[[int], bool]) -> Iterator[None]:
    """Lead all requests through a gateway that answers some, by number, with a page of its own."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Proxy(storage.port, lambda number: 200 if gives_a_page(number) else None) as proxy,
    ):
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3._opened.cache_clear()
        yield
    s3._opened.cache_clear()


def test_a_page_that_a_gateway_gives_for_an_object_is_no_answer(
    bucket: str, storage: S3Server
) -> None:
    objects = S3Folder(bucket)
    objects.write("a", CONTENT)
    requests: list[Callable[[], object]] = [
        lambda: objects.read("a"),
        lambda: objects.read_version("a"),
        lambda: objects.has("never"),
        lambda: objects.write("a", b"b"),
        lambda: objects.create("c", b"c"),
        lambda: objects.replace("a", b"b", "1"),
    ]

    with behind_a_gateway(storage, lambda _: True):
        for request in requests:
            with pytest.raises(TransientError, match="no storage's"):
                request()

    assert objects.sizes() == {"a": len(CONTENT)}


def test_a_gateway_that_gives_a_page_now_and_then_changes_nothing(
    bucket: str, storage: S3Server
) -> None:
    with behind_a_gateway(storage, lambda number: number % 3 == 1):
        objects = S3Folder(bucket)
        assert objects.create("a", CONTENT) is not None
        assert objects.read("a") == CONTENT
        assert objects.has("a")
        assert not objects.has("never")
        assert objects.sizes() == {"a": len(CONTENT)}
        with pytest.raises(MissingError):
            objects.read("never")


def test_a_run_that_a_list_leaves_out_is_not_begun_anew(bucket: str, storage: S3Server) -> None:
    results = f"{bucket}/results"
    S3Folder(results).write("runs/one/metadata.json", b"{}")

    with (
        lying(storage, without_entries),
        pytest.raises(TransientError, match=r"runs/one/metadata\.json: is there, but the storage"),
    ):
        open_store(results).run("one")


def test_a_result_that_a_list_leaves_out_is_not_taken_for_missing(
    bucket: str, storage: S3Server
) -> None:
    results = f"{bucket}/results"
    open_store(results).write_task(TASK, result())

    with lying(storage, without_entries):
        store = open_store(results)
        with pytest.raises(TransientError, match="the storage's list of objects lacks it"):
            store.refresh([TASK])
        assert store.read_task(TASK) == result()


def test_a_file_that_is_listed_and_not_there_is_a_passing_fault(
    bucket: str, storage: S3Server
) -> None:
    objects = S3Folder(f"{bucket}/results")
    objects.write("runs/one/metadata.json", b"{}")
    lists: list[bytes] = []

    def old_list(_method: str, path: str, content: bytes) -> bytes:
        if "list-type" not in path:
            return content
        lists.append(content)
        return lists[0]

    with lying(storage, old_list):
        assert objects.sizes() == {"runs/one/metadata.json": 2}
        objects.remove("runs/one/metadata.json")
        with pytest.raises(TransientError, match="although it was listed just before"):
            open_store(f"{bucket}/results").fetch("")


def test_a_damaged_result_is_quarantined_as_it_is(bucket: str, storage: S3Server) -> None:
    store = open_store(f"{bucket}/results")
    store.write_task(TASK, result())
    name = f"tasks/{TASK[:2]}/{TASK}/orders.parquet"

    with lying(storage, of_reads(flipped)):
        with pytest.raises(DataError, match="damaged"):
            open_store(store.place).read_task(TASK)
        store.quarantine(TASK)

    kept = store.objects.read(name.replace(TASK, f"{TASK}.damaged"))
    assert kept == result()["orders.parquet"]


@pytest.mark.parametrize("change", [half, flipped, gone])
def test_a_run_over_answers_of_which_every_fifth_is_false_is_that_of_before(
    change: Callable[[bytes], bytes | None],
    small: SmallExperiment,
    bucket: str,
    storage: S3Server,
) -> None:
    digest = api.run(small.path, run_id="one").result["run_digest"]
    path = small.write(results=f"{bucket}/results")
    count = Counter[str]()

    def every_fifth(method: str, path: str, content: bytes) -> bytes | None:
        if method != "GET" or "list-type" in path or len(content) < len(CONTENT):
            return content
        count["reads"] += 1
        return change(content) if count["reads"] % 5 == 0 else content

    with lying(storage, every_fifth):
        first = api.run(path, run_id="one", workers=1)
        again = api.run(path, run_id="one", workers=1)

    assert count["reads"] >= 10
    assert [run.result["run_digest"] for run in (first, again)] == [digest, digest]
    assert (first.computed, again.computed) == (12, 0)
    store = open_store(f"{bucket}/results")
    files = store.run("one")
    store.fetch("runs/one/")
    assert check_run(files).findings == []


def without_entries(_method: str, path: str, content: bytes) -> bytes:
    """A list with nothing in it."""
    if "list-type" not in path:
        return content
    return re.sub(rb"<Contents>.*</Contents>", b"", content, flags=re.DOTALL)
