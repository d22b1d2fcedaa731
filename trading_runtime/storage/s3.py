"""One folder in S3: whole objects are read, listed and written, with retries and clear errors.

Settings are the usual variables of AWS tools, including the endpoint; none is ever shown.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NoReturn

from trading_runtime.errors import (
    DataError,
    StorageError,
    TradingRuntimeError,
    TransientError,
    UsageError,
)
from trading_runtime.storage.object_store import MissingError
from trading_runtime.storage.s3_faults import S3Fault
from trading_runtime.storage.s3_settings import NO_CREDENTIALS, open_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from obstore import GetResult, ObjectMeta, UpdateVersion
    from obstore.store import S3Store

    from trading_runtime.storage.object_store import Stamp

_ATTEMPTS = 10
"""Attempts per request; the waits between them add up to 17 s."""
_UNSOUND_ATTEMPTS = 5
"""Attempts at a read whose content is not what was written: it may have been cut in transit."""
_CREDENTIAL_ATTEMPTS = 3
"""Attempts to get credentials from the machine: most machines have none, and do not answer."""
_FIRST_WAIT_SECONDS = 0.1
_WAIT_GROWTH = 1.7
_CONNECTIONS = 16
_READ_SECONDS = 20.0
"""How long a server may be silent. Signals wait as long: they reach Python after a request."""
_BRIEF_SECONDS = 2.0
"""The same for callers that ask again soon, and judge by how long there was no answer."""
_LARGE_BYTES = 4_000_000
_LARGE_READ_SECONDS = 600.0
"""The same for a large object: the server is silent while it is being sent."""
_PAGE = 1_000
_SHA256 = "sha256"
"""The metadata key for the digest of an object's content."""
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


def is_s3(place: str) -> bool:
    """Return whether ``place`` is an address in S3 rather than a path."""
    return place.startswith("s3://")


def refuse_other_address(place: str) -> None:
    """Raise ``UsageError`` when ``place`` is not a path: another kind of address, or empty.

    ``pathlib`` would turn the former into a folder ``gs:``, and the latter into the current folder.
    """
    if not place or "\0" in place or "://" in place:
        raise UsageError(
            f"{place!r}: neither the path of a folder nor an address in S3; write a path, or "
            "s3://bucket/prefix"
        )


class S3Folder:
    """The objects of a bucket below a prefix; names are relative to it. See ``ObjectStore``."""

    has_file_locks = False

    def __init__(self, url: str) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise UsageError(
                f"{url}: not an address in S3; write s3://bucket/prefix, the bucket in lower case"
            )
        self.url = url.rstrip("/")
        self._is_brief = False
        self._given_up = threading.Event()
        self._bucket = found[1]
        self._prefix = (found[2] or "").strip("/")
        if _leads_elsewhere(self._prefix):
            raise UsageError(f"{url}: not an address in S3; leave out '//', '.' and '..'")

    def pause(self, seconds: float) -> float:
        """Return ``seconds``: each question is a request."""
        return seconds

    def brief(self) -> S3Folder:
        """Return the same folder for questions that are asked once, and not for long."""
        found = copy.copy(self)
        found._is_brief = True  # noqa: SLF001 - a copy of this one
        return found

    def give_up(self) -> None:
        """Let all later requests fail at once, those of ``brief`` included."""
        self._given_up.set()

    def __truediv__(self, name: str) -> S3Folder:
        """Return the subfolder ``name``."""
        return S3Folder(f"{self.url}/{name}")

    def read(self, name: str, start: int = 0, most: int | None = None) -> bytes:
        """Return an object from byte ``start``, at most ``most`` bytes of it.

        Raises ``MissingError`` when there is none, and ``DataError`` when the content is not what
        was written, however often it is read. This and all other methods raise ``StorageError``
        when access is denied or the bucket is missing, and ``TransientError`` when the storage
        cannot be reached after all retries.
        """
        return self._read(name, start, most)[0]

    def read_version(self, name: str) -> tuple[bytes, str]:
        """Return a whole object, and its version for ``replace``; raises as ``read`` does."""
        return self._read(name, 0, None)

    def _read(self, name: str, start: int, most: int | None) -> tuple[bytes, str]:
        """Return a part of an object, and its version; nothing else is transferred."""
        key = self._key(name)

        def request(store: S3Store) -> tuple[bytes, str]:
            answer = self._get(store, key, start, most)
            content = answer.bytes().to_bytes()
            self._refuse_untagged(answer.meta, key)
            is_sound = _is_sound(answer, content, start, most)
            if is_sound is None:
                again = self._get(store, key, start, most)
                is_sound = again.bytes().to_bytes() == content
            if not is_sound:
                raise _UnsoundError(_UNSOUND_ATTEMPTS, self._damaged(name))
            return content, str(answer.meta["e_tag"])

        try:
            return self._call(name, request)
        except _NothingThereError:
            return b"", ""

    def _get(self, store: S3Store, key: str, start: int, most: int | None) -> GetResult:
        """Request an object; it counts as missing only when the service says so twice."""
        try:
            if most is not None:
                return store.get(key, options={"range": (start, start + most)})
            if start:
                return store.get(key, options={"range": {"offset": start}})
            return store.get(key)
        except FileNotFoundError as error:
            if S3Fault.of(error).code == "NoSuchBucket":
                raise
            try:
                self._refuse_untagged(store.head(key), key)
            except FileNotFoundError:
                raise error from None
            contradiction = TransientError(
                f"s3://{self._bucket}/{key}: the storage says both that the object is there and "
                "that it is not; try again later"
            )
            raise _UnsoundError(_ATTEMPTS, contradiction) from None

    def _refuse_untagged(self, facts: ObjectMeta, key: str) -> None:
        """Raise when what was said of an object lacks its tag, as no answer of a storage does."""
        if facts["e_tag"] is None:
            raise _UnsoundError(
                _ATTEMPTS,
                TransientError(
                    f"s3://{self._bucket}/{key}: the answer is no storage's: it has no ETag; see "
                    "whether a proxy in between gave it, or try again later"
                ),
            )

    def _damaged(self, name: str) -> DataError:
        return DataError(
            f"{self.url}/{name}: damaged: its length or sha256 is not that of what was written"
        )

    def read_all(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return many objects at once; raises ``MissingError`` when one is missing."""
        return dict(zip(names, _side_by_side(self.read, names), strict=True))

    def has(self, name: str) -> bool:
        """Return whether there is an object of this name; one request, unlike a listing."""
        return self._facts(name) is not None

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object unless there is one; return its version, ``None`` if there was one."""
        return self._put_if(name, content, "create")

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Write an object if it still has ``version``; return the new one, ``None`` if it has not.

        ``version`` comes from ``read_version``, ``create`` or an earlier ``replace``.
        """
        return self._put_if(name, content, {"e_tag": version})

    def _put_if(
        self, name: str, content: bytes, mode: Literal["create"] | UpdateVersion
    ) -> str | None:
        key = self._key(name)
        try:
            answer = self._call(
                name,
                lambda store: store.put(
                    key, content, attributes=_digested(content), mode=mode, use_multipart=False
                ),
                self._patience_for(content),
            )
        except _ConditionFailedError as error:
            return self._version_of(name, content) if error.repeated else None
        except MissingError:  # so some services say that it has not the version
            return None
        return str(answer["e_tag"])

    def _version_of(self, name: str, content: bytes) -> str | None:
        """Return the version of an object if it has this content.

        The answer to the first request may have been lost. The repeated request is then refused
        because of what the first one wrote.
        """
        try:
            found, version = self.read_version(name)
        except MissingError:
            return None
        return version if found == content else None

    def write(self, name: str, content: bytes) -> None:
        """Write an object, replacing any existing one."""
        key = self._key(name)
        self._call(
            name,
            lambda store: store.put(
                key, content, attributes=_digested(content), use_multipart=False
            ),
            self._patience_for(content),
        )

    def copy(self, name: str, to: str) -> None:
        """Copy an object as stored, sound or not."""
        source, target = self._key(name), self._key(to)
        self._call(name, lambda store: store.copy(source, target))

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the size of every object in the folder ``prefix``, or with that name, by name."""
        return {name: facts["size"] for name, facts in self._find(prefix)}

    def listing(self, *folders: str) -> ListedObjects:
        """Return what is in these folders now: one request each, or one for a thousand objects."""
        return ListedObjects(
            {name: facts for folder in folders for name, facts in self.tags(f"{folder}/").items()}
        )

    def tags(self, prefix: str) -> dict[str, tuple[str, int]]:
        """Return tag and size of every object in the folder ``prefix``, by name.

        The tag of an object is the version that ``read_version`` gives.
        """
        return {name: (str(facts["e_tag"]), facts["size"]) for name, facts in self._find(prefix)}

    def sizes_and_times(self, prefix: str = "") -> dict[str, tuple[int, float]]:
        """Return the size of every object, and when it was written (see ``written``), by name."""
        return {
            name: (facts["size"], facts["last_modified"].timestamp())
            for name, facts in self._find(prefix)
        }

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in the folder ``prefix``, sorted."""
        below = (name.removeprefix(f"{prefix}/").split("/") for name in self.sizes(f"{prefix}/"))
        names = {parts[0] for parts in below if len(parts) > 1}
        return sorted(names - {"", ".", ".."})

    def newest(self, prefix: str, name: str) -> list[str]:
        """Return the objects ``name`` in the folders directly in ``prefix``, newest first."""
        found = [
            (facts["last_modified"], path)
            for path, facts in self._find(f"{prefix}/")
            if path.endswith(f"/{name}") and path.removeprefix(f"{prefix}/").count("/") == 1
        ]
        return [path for _, path in sorted(found, reverse=True)]

    def written(self, name: str) -> float:
        """Return when an object was written, by the storage's clock: seconds since the epoch."""
        facts = self._facts(name)
        if facts is None:
            raise self._missing(name)
        return facts["last_modified"].timestamp()

    def age(self, name: str) -> float | None:
        """Return the seconds since an object was written, give or take one; ``None`` without one.

        Both moments are the storage's: the clock of this machine plays no part.
        """
        facts = self._facts(name)
        if facts is None:
            return None
        return self._call(name, self._time) - facts["last_modified"].timestamp()

    def _time(self, store: S3Store) -> float:
        from trading_runtime.storage import s3_clock  # rarely needed

        try:
            # Its type has other names than what obstore gives.
            endpoint = dict(store.config)["endpoint_url_s3"]
            return s3_clock.storage_time(f"{endpoint}/{self._bucket}")
        except OSError as error:
            why = type(error).__name__  # its text may contain the address
            unknown = TransientError(f"{self.url}: the storage does not tell the time ({why})")
            raise _UnsoundError(_UNSOUND_ATTEMPTS, unknown) from None

    def remove(self, name: str) -> None:
        """Remove an object; do nothing when there is none."""
        key = self._key(name)
        self._call(name, lambda store: store.delete(key))

    def remove_all(self, names: Sequence[str]) -> None:
        """Remove many objects, concurrently."""
        for _ in _side_by_side(self.remove, names):
            pass

    def _find(self, prefix: str) -> Iterator[tuple[str, ObjectMeta]]:
        """Yield the objects in a folder or, when there is none, the object with that name."""
        key = self._key(prefix)

        def request(store: S3Store) -> list[ObjectMeta]:
            return [
                facts
                for page in store.list(key or None, chunk_size=_PAGE)
                for facts in page
                if facts["path"] != key  # made by a console, to show an empty folder
            ]

        # A list in which nothing can be read looks empty: it is believed when it comes twice.
        found = self._call(prefix, request) or self._call(prefix, request)
        if not found and key and not prefix.endswith("/"):
            facts = self._facts(prefix)
            found = [facts] if facts is not None else []
        start = len(self._prefix) + 1 if self._prefix else 0
        return ((facts["path"][start:], facts) for facts in _without_markers(found))

    def _facts(self, name: str) -> ObjectMeta | None:
        key = self._key(name)
        if name.endswith("/") or not key:
            return None  # not an object that this class writes

        def request(store: S3Store) -> ObjectMeta:
            facts = store.head(key)
            self._refuse_untagged(facts, key)
            return facts

        try:
            return self._call(name, request)
        except MissingError:
            return None

    def _key(self, name: str) -> str:
        if _leads_elsewhere(name.rstrip("/")):
            raise self._no_file(name)
        return "/".join(part for part in (self._prefix, name.rstrip("/")) if part)

    def _missing(self, name: str) -> MissingError:
        return MissingError(f"{self.url}/{name}: there is no such object")

    def _no_file(self, name: str) -> DataError:
        return DataError(
            f"{self.url}/{name}: an object with '//', '.' or '..' in its name is no file; remove it"
        )

    @property
    def _attempts(self) -> int:
        return 1 if self._is_brief else _ATTEMPTS

    @property
    def _patience(self) -> float:
        return _BRIEF_SECONDS if self._is_brief else _READ_SECONDS

    def _patience_for(self, content: bytes) -> float:
        return _LARGE_READ_SECONDS if len(content) > _LARGE_BYTES else self._patience

    def _call[T](
        self, name: str, request: Callable[[S3Store], T], read_seconds: float | None = None
    ) -> T:
        store = _store(self._bucket, read_seconds or self._patience)
        attempt = 0
        while True:
            if self._given_up.is_set():
                raise TransientError(f"{self.url}: the storage did not answer; try again later")
            attempt += 1
            try:
                return request(store)
            except _UnsoundError as error:
                if attempt >= min(error.attempts, self._attempts):
                    raise error.reported from None
            except Exception as error:  # noqa: BLE001 - sorted into our own kinds
                fault = S3Fault.of(error)
                most = (
                    min(self._attempts, _CREDENTIAL_ATTEMPTS)
                    if fault.unattended
                    else self._attempts
                )
                if attempt >= most or not fault.passing:
                    self._explain(name, error, fault, repeated=attempt > 1)
            time.sleep(_FIRST_WAIT_SECONDS * _WAIT_GROWTH ** (attempt - 1))

    def _explain(self, name: str, error: Exception, fault: S3Fault, *, repeated: bool) -> NoReturn:
        """Raise our own error; obstore's is not passed on, since its text may contain secrets."""
        from obstore.exceptions import AlreadyExistsError, InvalidPathError, PreconditionError

        if isinstance(error, AlreadyExistsError | PreconditionError):
            raise _ConditionFailedError(repeated=repeated) from None
        if fault.code == "InvalidRange":
            raise _NothingThereError(name) from None
        if isinstance(error, InvalidPathError):
            raise self._no_file(name) from None
        if fault.code == "NoSuchBucket":
            raise StorageError(
                f"s3://{self._bucket}: no such bucket; make it, or correct the address"
            ) from None
        if fault.unattended:
            raise StorageError(f"{self.url}: {NO_CREDENTIALS}") from None
        if fault.denied:
            raise StorageError(
                f"{self.url}: access denied; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "what they allow"
            ) from None
        if isinstance(error, FileNotFoundError):
            raise self._missing(name) from None
        if fault.passing:
            tries = "one try" if self._attempts == 1 else f"{self._attempts} tries"
            raise TransientError(
                f"{self.url}: the storage could not be reached in {tries} "
                f"({fault.shown}); try again later"
            ) from None
        if fault.redirected:
            raise StorageError(
                f"s3://{self._bucket}: the bucket is in another region; set AWS_DEFAULT_REGION"
            ) from None
        raise StorageError(f"{self.url}/{name}: {fault.shown}") from None


class ListedObjects:
    """Objects as they were listed; see ``Listing``."""

    def __init__(self, stamps: Mapping[str, Stamp]) -> None:
        """``stamps`` has every object by name."""
        self._stamps = stamps
        self._below: dict[str, list[str]] = {}
        for name in sorted(stamps):
            *folders, _ = name.split("/")
            for folder in itertools.accumulate(folders, "{}/{}".format):
                self._below.setdefault(folder, []).append(name)

    def stamp(self, name: str) -> Stamp | None:
        """Return the tag and the size of an object, ``None`` when there is none."""
        return self._stamps.get(name)

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder, sorted."""
        return self._below.get(folder, [])

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly in the folder ``prefix``, sorted."""
        start = f"{prefix}/"
        return sorted(
            folder.removeprefix(start)
            for folder in self._below
            if folder.startswith(start) and "/" not in folder.removeprefix(start)
        )


class _ConditionFailedError(Exception):
    """A conditional write was refused: the object exists, or has another version."""

    def __init__(self, *, repeated: bool) -> None:
        super().__init__()
        self.repeated = repeated
        """Whether only the repeated request was refused."""


class _UnsoundError(Exception):
    """An answer that cannot be right."""

    def __init__(self, attempts: int, reported: TradingRuntimeError) -> None:
        super().__init__()
        self.attempts = attempts
        self.reported = reported
        """The error to raise when every attempt gives such an answer."""


class _NothingThereError(Exception):
    """The requested range begins at or after the end of the object."""


def _digested(content: bytes) -> dict[str, str]:
    """Return the metadata by which readers of an object see that it is complete."""
    return {_SHA256: hashlib.sha256(content).hexdigest()}


def _is_sound(answer: GetResult, content: bytes, start: int, most: int | None) -> bool | None:
    """Compare the content with the object's length and digest; ``None`` when they cannot tell.

    The tag of an object that another program wrote is the MD5 of its content, but not in a service
    that encrypts with its own keys.
    """
    size = answer.meta["size"]
    if len(content) != min(size - start, size if most is None else most):
        return False
    if len(content) < size:
        return True
    if (stated := answer.attributes.get(_SHA256)) is not None:
        return hashlib.sha256(content).hexdigest() == stated
    tag = _MD5.fullmatch(answer.meta["e_tag"] or "")
    is_tag = tag is None or hashlib.md5(content, usedforsecurity=False).hexdigest() == tag[1]
    return True if is_tag else None


def _leads_elsewhere(name: str) -> bool:
    return bool(name) and not {"", ".", ".."}.isdisjoint(name.split("/"))


def _side_by_side[T](call: Callable[[str], T], names: Sequence[str]) -> Iterable[T]:
    if not names:
        return ()
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        return list(threads.map(call, names))


def _without_markers(found: Sequence[ObjectMeta]) -> Iterator[ObjectMeta]:
    """Leave out empty objects that represent folders: obstore drops their trailing ``/``."""
    empty = {facts["path"] for facts in found if not facts["size"]}
    markers = {
        folder
        for facts in found
        if empty
        for folder in itertools.accumulate(facts["path"].split("/")[:-1], "{}/{}".format)
        if folder in empty
    }
    return (facts for facts in found if facts["path"] not in markers)


_opening = threading.Lock()


def _store(bucket: str, read_seconds: float) -> S3Store:
    with _opening:  # once, however many threads ask
        return _opened(bucket, read_seconds)


_opened = functools.cache(open_bucket)
