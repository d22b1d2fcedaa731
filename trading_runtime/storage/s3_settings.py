"""How S3 is reached: the usual AWS variables and files, and checks of them.

None of their values is ever shown.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from trading_runtime.errors import StorageError
from trading_runtime.storage.files import read_bytes

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential, S3Store

_MOST_CERTIFICATES = 10_000_000
_CONNECT_SECONDS = 5
_WHOLE_SECONDS = 3_600
_RENEWAL = timedelta(minutes=5)
"""How long credentials from files are used before they are requested again: they are renewed ten
minutes before they expire."""
_FILES = ("AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_GIVERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[!-~]*)?")
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]+")

NO_CREDENTIALS = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class _Settings:
    region: str
    endpoint: str
    """Empty for Amazon's own endpoint."""
    credentials: _Credentials | None
    """From files; else obstore finds them, in variables or where a pod or machine gets them."""


class _Credentials:
    """Credentials that botocore read from files, and renews as they expire."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __call__(self) -> S3Credential:
        """Return the current credentials."""
        now = self._found.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": datetime.now(UTC) + _RENEWAL,
        }


def open_bucket(bucket: str, read_seconds: float) -> S3Store:
    """Return a bucket, as configured by the environment; ``read_seconds`` of silence end a request.

    Raises ``StorageError`` when the environment cannot be right. No request is made.
    """
    # A process that imports obstore, reads five objects and creates six takes 0.03 s of CPU time;
    # with s3fs, and botocore below it, it was 0.43 s. Every pod paid that twice.
    from obstore.store import S3Store

    # obstore would take an empty variable for a value.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        if not os.environ[name]:
            del os.environ[name]
    try:
        settings = _from_files() if _files_are_there() else _from_variables()
        _check(settings)
        options = _client_options(settings, read_seconds)
    except StorageError as error:
        raise StorageError(f"s3://{bucket}: {error}") from error.__cause__
    china = ".cn" if settings.region.startswith("cn-") else ""
    return S3Store(
        bucket,
        region=settings.region,
        aws_endpoint_url_s3=settings.endpoint
        or f"https://s3.{settings.region}.amazonaws.com{china}",
        virtual_hosted_style_request=False,
        conditional_put="etag",
        disable_bulk_delete=True,  # not every server has it
        client_options=options,
        # S3Folder makes, counts and times all retries; nothing below it retries.
        retry_config={"max_retries": 0},
        credential_provider=settings.credentials,
    )


def _client_options(settings: _Settings, read_seconds: float) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": settings.endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=read_seconds),
        "timeout": timedelta(seconds=_WHOLE_SECONDS),
    }
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        try:
            options["root_certificate"] = read_bytes(bundle, _MOST_CERTIFICATES)
        except OSError as error:
            raise StorageError("AWS_CA_BUNDLE is no file that can be read") from error
    return options


def _files_are_there() -> bool:
    if any(os.environ.get(name) for name in _FILES):
        return True
    with suppress(RuntimeError):  # this user has no home
        folder = Path.home() / ".aws"
        return (folder / "credentials").is_file() or (folder / "config").is_file()
    return False


def _from_variables() -> _Settings:
    key, secret, _ = (bool(os.environ.get(name)) for name in _KEYS)
    elsewhere = any(os.environ.get(name) for name in _GIVERS)
    alone = os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
    if key != secret or (not key and not elsewhere and alone):
        raise StorageError(NO_CREDENTIALS)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    return _Settings(_region_of_variables() or "us-east-1", endpoint, None)


def _from_files() -> _Settings:
    """Ask botocore, which knows profiles, roles, single sign-on; it is slow to import."""
    import botocore.session
    from botocore.configprovider import ConfiguredEndpointProvider
    from botocore.exceptions import (
        BotoCoreError,
        ConfigParseError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    try:
        session = botocore.session.Session()
        region = _region_of_variables() or session.get_config_variable("region")
        endpoint = ConfiguredEndpointProvider(
            full_config=session.full_config,
            scoped_config=session.get_scoped_config(),
            client_name="s3",
        ).provide()
        found = session.get_credentials()
    except ConfigParseError as error:
        raise StorageError(
            "AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE is no settings file of AWS"
        ) from error
    except ProfileNotFound as error:
        raise StorageError(
            "AWS_PROFILE names a profile that the settings of AWS do not have"
        ) from error
    except PartialCredentialsError as error:
        raise StorageError(NO_CREDENTIALS) from error
    except BotoCoreError as error:
        raise StorageError(
            f"the settings of AWS give no credentials ({type(error).__name__})"
        ) from error
    if found is None:
        raise StorageError(NO_CREDENTIALS)
    return _Settings(region or "us-east-1", endpoint or "", _Credentials(found))


def _region_of_variables() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")


def _check(settings: _Settings) -> None:
    """Reject settings that would only make obstore fail later."""
    for name in _KEYS:
        if not _PRINTABLE.fullmatch(os.environ.get(name, "-")):
            raise StorageError(f"{name} holds a space or the end of a line, which no key has")
    if not _REGION.fullmatch(settings.region):
        variable = "AWS_REGION" if os.environ.get("AWS_REGION") else "AWS_DEFAULT_REGION"
        raise StorageError(f"{variable} is not the name of a region")
    if settings.endpoint and not _is_endpoint(settings.endpoint):
        variable = "AWS_ENDPOINT_URL"
        if os.environ.get("AWS_ENDPOINT_URL_S3"):
            variable = "AWS_ENDPOINT_URL_S3"
        raise StorageError(f"{variable} is not an address such as http://host:9000")


def _is_endpoint(address: str) -> bool:
    scheme, _, rest = address.partition("://")
    if scheme not in {"http", "https"} or not _HOST.fullmatch(rest):
        return False
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False
