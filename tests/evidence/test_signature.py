"""A bundle that was signed is known to be from whoever signed it, byte for byte."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from trading_runtime.errors import DataError, UsageError
from trading_runtime.evidence.signature import check_signature, sign, signature_path

if TYPE_CHECKING:
    from pathlib import Path


def key(folder: Path, name: str) -> Path:
    """A new private key; the public one lies beside it."""
    path = folder / name
    program = shutil.which("ssh-keygen")
    assert program is not None
    subprocess.run(
        [program, "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@desk", "-f", path],
        check=True,
    )
    return path


def public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "x.evidence.zip"
    path.write_bytes(b"whatever it holds")
    return path


def test_the_signer_of_a_bundle_is_named(bundle: Path, tmp_path: Path) -> None:
    ada = key(tmp_path, "ada")

    assert sign(bundle, ada) == signature_path(bundle)
    assert check_signature(bundle, public(ada)) == "ada@desk"


def test_a_bundle_that_was_changed_after_it_was_signed_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    ada = key(tmp_path, "ada")
    sign(bundle, ada)
    bundle.write_bytes(bundle.read_bytes() + b".")

    with pytest.raises(DataError, match="changed since it was signed"):
        check_signature(bundle, public(ada))


def test_another_signer_a_missing_and_a_damaged_signature_are_refused(
    bundle: Path, tmp_path: Path
) -> None:
    ada, eve = key(tmp_path, "ada"), key(tmp_path, "eve")
    with pytest.raises(DataError, match="it is not signed"):
        check_signature(bundle, public(ada))
    sign(bundle, eve)
    with pytest.raises(DataError, match="its signer is not among those"):
        check_signature(bundle, public(ada))
    signature_path(bundle).write_text("no signature")
    with pytest.raises(DataError, match="its signer is not among those"):
        check_signature(bundle, public(ada))


def test_one_of_several_allowed_signers_is_named_as_their_file_does(
    bundle: Path, tmp_path: Path
) -> None:
    ada, eve = key(tmp_path, "ada"), key(tmp_path, "eve")
    allowed = tmp_path / "allowed"
    allowed.write_text(
        f"# who may\nada@example.org {public(ada).read_text()}eve@example.org "
        f"{public(eve).read_text()}"
    )
    sign(bundle, eve)

    assert check_signature(bundle, allowed) == "eve@example.org"


def test_what_is_no_key_is_refused(bundle: Path, tmp_path: Path) -> None:
    no_key = tmp_path / "no-key"
    with pytest.raises(UsageError, match="there is no such file"):
        sign(bundle, no_key)
    no_key.write_text("hello")
    no_key.chmod(0o600)
    with pytest.raises(UsageError, match="it does not sign"):
        sign(bundle, no_key)
    no_key.write_text("\n")
    sign(bundle, key(tmp_path, "ada"))
    with pytest.raises(UsageError, match="it names no key"):
        check_signature(bundle, no_key)
