"""Who asks S3, and where: variables, files, roles; as for all tools of AWS."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.s3.certificates import make_certificate
from tests.s3.conftest import SECRET
from tests.s3.servers import LOOPBACK, Teller
from trading_runtime.errors import StorageError
from trading_runtime.storage import s3 as s3_module
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}


@pytest.fixture
def s3() -> Iterator[Teller]:
    """A server that has every object."""
    with Teller((200, b"content")) as server:
        yield server


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """No variable of AWS, and no home with files of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    s3_module._opened.cache_clear()
    yield monkeypatch
    s3_module._opened.cache_clear()


def set_all(variables: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        variables.setenv(f"AWS_{name}", value)


def signature(server: Teller) -> str:
    """Read an object; return how the request was signed: key, day, region, service."""
    assert S3Folder("s3://research").read("a") == b"content"
    assert server.asked[-1][":path"] == "/research/a"
    return server.asked[-1]["authorization"].partition("Credential=")[2].partition(",")[0]


def test_keys_and_endpoint_come_from_variables(s3: Teller, variables: pytest.MonkeyPatch) -> None:
    set_all(variables, **KEYS, ENDPOINT_URL=s3.endpoint)

    assert signature(s3).startswith("key/")
    assert signature(s3).endswith("/us-east-1/s3/aws4_request")
    assert "x-amz-security-token" not in s3.asked[-1]


def test_the_more_special_variable_counts(s3: Teller, variables: pytest.MonkeyPatch) -> None:
    set_all(variables, **KEYS | {"SESSION_TOKEN": "token"})
    set_all(variables, ENDPOINT_URL="http://127.0.0.1:1", ENDPOINT_URL_S3=s3.endpoint)
    set_all(variables, DEFAULT_REGION="eu-central-1", REGION="eu-west-1")

    assert "/eu-west-1/" in signature(s3)
    assert s3.asked[-1]["x-amz-security-token"] == "token"


def test_a_variable_that_is_set_to_nothing_is_not_set(
    s3: Teller, variables: pytest.MonkeyPatch
) -> None:
    set_all(variables, **KEYS, ENDPOINT_URL=s3.endpoint)
    set_all(variables, SESSION_TOKEN="", REGION="", ENDPOINT_URL_S3="", PROFILE="", CONFIG_FILE="")

    assert "/us-east-1/" in signature(s3)
    assert "x-amz-security-token" not in s3.asked[-1]


def test_a_profile_gives_keys_region_and_endpoint(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text(
        "[desk]\naws_access_key_id = of-a-file\naws_secret_access_key = secret\n"
    )
    (tmp_path / "config").write_text(
        f"[profile desk]\nregion = eu-north-1\nendpoint_url = {s3.endpoint}\n"
    )
    set_all(variables, PROFILE="desk", CONFIG_FILE=str(tmp_path / "config"))
    set_all(variables, SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"))

    assert signature(s3).startswith("of-a-file/")
    assert "/eu-north-1/" in signature(s3)


def test_files_in_the_home_are_found(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = of-home\naws_secret_access_key = secret\n"
    )
    set_all(variables, ENDPOINT_URL=s3.endpoint)

    assert signature(s3).startswith("of-home/")


def test_variables_come_before_files(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    set_all(variables, CONFIG_FILE=str(tmp_path / "config"), ENDPOINT_URL=s3.endpoint)
    set_all(variables, **KEYS, REGION="eu-west-1")

    assert signature(s3).startswith("key/")
    assert "/eu-west-1/" in signature(s3)


def test_credentials_of_a_profile_are_renewed_before_they_lapse(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "give.py"
    program.write_text(
        "import json, pathlib, time\n"
        "calls = pathlib.Path(__file__).with_name('calls')\n"
        "number = len(calls.read_text()) if calls.exists() else 0\n"
        "calls.write_text('x' * (number + 1))\n"
        "until = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 60))\n"
        "print(json.dumps(dict(Version=1, AccessKeyId=f'key-{number}', SecretAccessKey='secret',"
        " SessionToken='token', Expiration=until)))\n"
    )
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} {program}\n"
    )
    set_all(variables, CONFIG_FILE=str(tmp_path / "config"), ENDPOINT_URL=s3.endpoint)
    variables.setattr("trading_runtime.storage.s3_settings._RENEWAL", timedelta())

    first, second = signature(s3), signature(s3)

    assert first.partition("/")[0] != second.partition("/")[0]


def give_a_role(variables: pytest.MonkeyPatch, s3: Teller, folder: Path) -> Path:
    """Set what Kubernetes sets for a pod with a role; return the certificate of the giver."""
    (folder / "token").write_text(SECRET)
    bundle, certificate = make_certificate(folder, LOOPBACK)
    set_all(variables, ROLE_ARN="arn:aws:iam::123456789012:role/x", ENDPOINT_URL=s3.endpoint)
    set_all(variables, WEB_IDENTITY_TOKEN_FILE=str(folder / "token"), CA_BUNDLE=str(bundle))
    return certificate


def test_a_pod_trades_its_token_for_keys_with_a_server_of_its_own_authority(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = (
        b"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        b"<AccessKeyId>of-a-role</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        b"<SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>"
        b"</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    certificate = give_a_role(variables, s3, tmp_path)
    with Teller((200, answer), certificate=certificate) as roles:
        set_all(variables, ENDPOINT_URL_STS=roles.endpoint)

        assert signature(s3).startswith("of-a-role/")
        assert signature(s3).startswith("of-a-role/")
        assert len(roles.asked) == 1


def test_a_role_that_is_refused_is_said_to_be_and_no_token_is_shown(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusal = f"<ErrorResponse><Error><Code>AccessDenied</Code>{SECRET}</Error></ErrorResponse>"
    certificate = give_a_role(variables, s3, tmp_path)
    with Teller((403, refusal.encode()), certificate=certificate) as roles:
        set_all(variables, ENDPOINT_URL_STS=roles.endpoint)
        with pytest.raises(StorageError, match="access denied") as raised:
            S3Folder("s3://research").read("a")

    assert SECRET not in str(raised.value)


def test_a_container_gets_its_keys_from_the_agent_beside_it(
    s3: Teller, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("token")
    keys = {"AccessKeyId": "of-an-agent", "SecretAccessKey": "s", "Token": "t"}
    answer = json.dumps(keys | {"Expiration": "2999-01-01T00:00:00Z"}).encode()
    with Teller((200, answer)) as agent:
        set_all(variables, CONTAINER_CREDENTIALS_FULL_URI=f"{agent.endpoint}/v1/credentials")
        set_all(variables, CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token), ENDPOINT_URL=s3.endpoint)

        assert signature(s3).startswith("of-an-agent/")


@pytest.mark.parametrize(
    "machine", [{"METADATA_ENDPOINT": "http://127.0.0.1:1"}, {"EC2_METADATA_DISABLED": "true"}]
)
def test_a_machine_that_gives_no_credentials_has_none(
    machine: dict[str, str], variables: pytest.MonkeyPatch
) -> None:
    set_all(variables, **machine)

    with pytest.raises(StorageError, match=r"s3://research.*: no credentials; set AWS_ACCESS_KEY"):
        S3Folder("s3://research").read("a")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"SECRET_ACCESS_KEY": f"{SECRET}\n"}, "AWS_SECRET_ACCESS_KEY holds a space or the end of"),
        ({"SESSION_TOKEN": f"{SECRET} x"}, "AWS_SESSION_TOKEN holds a space"),
        ({"REGION": "no region!"}, "AWS_REGION is not the name of a region"),
        ({"ENDPOINT_URL_S3": "host:9000"}, "AWS_ENDPOINT_URL_S3 is not an address such as http:"),
        ({"ENDPOINT_URL": "http://host:99999"}, "AWS_ENDPOINT_URL is not an address such as http:"),
        ({"ENDPOINT_URL": f"http://{SECRET}@host"}, "AWS_ENDPOINT_URL is not an address such as"),
        ({"CA_BUNDLE": "nowhere.pem"}, "AWS_CA_BUNDLE is no file that can be read"),
    ],
)
def test_a_value_that_cannot_be_right_is_named_and_not_shown(
    values: dict[str, str], words: str, variables: pytest.MonkeyPatch
) -> None:
    set_all(variables, **KEYS | values)

    with pytest.raises(StorageError, match=words) as raised:
        S3Folder("s3://research").read("a")

    assert SECRET not in str(raised.value)


def test_a_profile_without_keys_has_no_credentials(
    variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    set_all(variables, CONFIG_FILE=str(tmp_path / "config"), EC2_METADATA_DISABLED="true")

    with pytest.raises(StorageError, match="no credentials"):
        S3Folder("s3://research").read("a")


def test_a_program_of_a_profile_that_fails_is_named_and_not_shown(
    variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        f"[default]\ncredential_process = {sys.executable} -c 'exit(\"{SECRET}\")'\n"
    )
    set_all(variables, CONFIG_FILE=str(tmp_path / "config"))

    with pytest.raises(StorageError, match="CredentialRetrievalError") as raised:
        S3Folder("s3://research").read("a")

    assert SECRET not in str(raised.value)
