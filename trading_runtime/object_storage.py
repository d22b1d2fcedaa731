"""One folder in S3: objects read, listed and written whole, with retries and plain errors.

Settings are the usual variables of AWS tools, the endpoint included; none is ever shown.
"""

from __future__ import annotations

import functools
import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

from trading_runtime.errors import StorageError, TransientError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import s3fs

_ATTEMPTS = 10
"""Tries of one request; the waits between them add up to 17 s."""
_FIRST_WAIT_SECONDS = 0.1
_WAIT_GROWTH = 1.7
_CONNECTIONS = 16
_TIMEOUT_SECONDS = 20
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
_PASSING_CODES = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"}
_DENIED_CODES = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "403",
}

_SETTINGS = {
    "ConfigParseError": "AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE is no settings file of AWS",
    "EndpointResolutionError": "AWS_ENDPOINT_URL is not an address such as http://host:9000",
    "InvalidRegionError": "AWS_DEFAULT_REGION is not the name of a region",
    "ProfileNotFound": "AWS_PROFILE names a profile that the settings of AWS do not have",
    "ValueError": "AWS_ENDPOINT_URL is not an address such as http://host:9000",
}
"""What is wrong with the variables of AWS when their client raises these; values are not shown."""


def is_s3(place: str) -> bool:
    """Return whether ``place`` is an address in S3 and no path."""
    return place.startswith("s3://")


def refuse_other_address(place: str) -> None:
    """Raise ``UsageError`` when ``place`` can be no path: an address of another kind, or nothing.

    ``pathlib`` would make a folder ``gs:`` of the one, and the current folder of the other.
    """
    if not place or "\0" in place or "://" in place:
        raise UsageError(
            f"{place!r}: neither the path of a folder nor an address in S3; write a path, or "
            "s3://bucket/prefix"
        )


class S3Folder:
    """The objects of a bucket below a prefix; names are relative to it."""

    def __init__(self, url: str) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise UsageError(
                f"{url}: not an address in S3; write s3://bucket/prefix, the bucket in lower case"
            )
        self.url = url.rstrip("/")
        self._bucket = found[1]
        self._prefix = (found[2] or "").strip("/")

    def __truediv__(self, name: str) -> S3Folder:
        """Return the folder ``name`` in this one."""
        return S3Folder(f"{self.url}/{name}")

    def read(self, name: str) -> bytes:
        """Return an object; raises ``FileNotFoundError`` when there is none.

        This and all other methods raise ``StorageError`` when access is denied or the bucket is
        missing, and ``TransientError`` when the storage cannot be reached after all retries.
        """
        content: bytes = self._call(name, lambda fs: fs.cat_file(self._path(name)))
        return content

    def read_all(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return many objects at once; raises ``FileNotFoundError`` when one is missing."""
        if not names:
            return {}
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            return dict(zip(names, threads.map(self.read, names), strict=True))

    def has(self, name: str) -> bool:
        """Return whether there is an object of this name; one request, unlike a listing."""
        key = self._path(name).partition("/")[2]
        try:
            self._call(name, lambda fs: fs.call_s3("head_object", Bucket=self._bucket, Key=key))
        except FileNotFoundError:
            return False
        return True

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; return whether it was written."""
        try:
            self._put(name, content, IfNoneMatch="*")
        except FileExistsError:
            return False
        return True

    def write(self, name: str, content: bytes) -> None:
        """Write an object, in place of one that is there."""
        self._put(name, content)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return the bytes of every object below ``prefix``, by name."""
        return {name: int(facts["size"]) for name, facts in self._find(prefix)}

    def stamps(self, prefix: str = "") -> dict[str, tuple[str, int]]:
        """Return what changes with every object below ``prefix``, by name: its tag and its size."""
        return {
            name: (str(facts.get("ETag")), int(facts["size"])) for name, facts in self._find(prefix)
        }

    def newest(self, prefix: str, ending: str) -> list[str]:
        """Return the names below ``prefix`` that end with ``ending``, the newest object first."""
        found = [
            (str(facts["LastModified"]), name)
            for name, facts in self._find(prefix)
            if name.endswith(ending)
        ]
        return [name for _, name in sorted(found, reverse=True)]

    def written(self, name: str) -> float:
        """Return when an object was written, by the storage's clock: seconds since the epoch."""
        facts = self._call(name, lambda fs: fs.info(self._path(name), refresh=True))
        return float(facts["LastModified"].timestamp())

    def remove(self, name: str) -> None:
        """Remove an object; nothing happens when there is none."""
        key = self._path(name).partition("/")[2]
        self._call(name, lambda fs: fs.call_s3("delete_object", Bucket=self._bucket, Key=key))

    def _find(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        found = self._call(prefix, lambda fs: fs.find(self._path(prefix), detail=True))
        start = len(self._path("")) if self._prefix else len(self._bucket) + 1
        return ((path[start:], facts) for path, facts in found.items())

    def _put(self, name: str, content: bytes, **condition: str) -> None:
        key = self._path(name).partition("/")[2]
        self._call(
            name,
            lambda fs: fs.call_s3(
                "put_object", Bucket=self._bucket, Key=key, Body=content, **condition
            ),
        )

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self._bucket, self._prefix) if part) + f"/{name}"

    def _call(self, name: str, request: Callable[[s3fs.S3FileSystem], Any]) -> Any:
        for attempt in itertools.count(1):
            try:
                return request(_file_system())
            except Exception as error:  # noqa: BLE001 - sorted into our own kinds
                if attempt == _ATTEMPTS or not _is_passing(error):
                    self._explain(name, error)
                time.sleep(_FIRST_WAIT_SECONDS * _WAIT_GROWTH ** (attempt - 1))
        return None

    def _explain(self, name: str, error: Exception) -> NoReturn:
        code = _code(error)
        if code in {"PreconditionFailed", "ConditionalRequestConflict", "412"}:
            raise FileExistsError(name) from error
        if code == "NoSuchBucket" or "bucket does not exist" in str(error):
            raise StorageError(
                f"s3://{self._bucket}: no such bucket; make it, or correct the address"
            ) from error
        if code in _DENIED_CODES or isinstance(error, PermissionError):
            raise StorageError(
                f"{self.url}: access denied; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "what they allow"
            ) from error
        if isinstance(error, FileNotFoundError) or code in {"NoSuchKey", "404"}:
            raise FileNotFoundError(f"{self.url}/{name}") from error
        if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError"}:
            raise StorageError(
                f"{self.url}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from error
        if _is_passing(error):
            raise TransientError(
                f"{self.url}: the storage could not be reached in {_ATTEMPTS} tries "
                f"({type(error).__name__}); try again later"
            ) from error
        what = code or _SETTINGS.get(type(error).__name__) or type(error).__name__
        raise StorageError(f"{self.url}/{name}: {what}") from error


@functools.cache
def _file_system() -> s3fs.S3FileSystem:
    import s3fs

    file_system = s3fs.S3FileSystem(
        skip_instance_cache=True,
        use_listings_cache=False,
        max_concurrency=1,  # one request an object; several objects still come side by side
        config_kwargs={
            # All retries are made, counted and timed here, and by nobody below.
            "retries": {"total_max_attempts": 1},
            "connect_timeout": _TIMEOUT_SECONDS,
            "read_timeout": _TIMEOUT_SECONDS,
        },
    )
    file_system.retries = 1
    return file_system


def _code(error: BaseException) -> str:
    """Return the code that the service gave, from the error or what caused it."""
    at: BaseException | None = error
    while at is not None:
        response = getattr(at, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        at = at.__cause__ or at.__context__
    return ""


def _is_passing(error: BaseException) -> bool:
    """Return whether a request that failed like this may succeed when tried again."""
    from botocore.exceptions import ConnectionError as LostConnectionError
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    lost = (
        ConnectionError,
        TimeoutError,
        LostConnectionError,
        HTTPClientError,
        IncompleteReadError,
    )
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, lost):
            return True
        response = getattr(at, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return status >= 500 or _code(at) in _PASSING_CODES  # noqa: PLR2004 - HTTP's own limit
        at = at.__cause__ or at.__context__
    return False
