"""SSH signatures over bundles, made and verified by ``ssh-keygen -Y``, which every machine has.

The signature is next to the bundle, as ``<bundle>.sig``. It shows who vouches for a bundle: digests
alone reveal a change only to someone who recorded them before.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.files import text_of_file
from trading_runtime.storage.scratch import Scratch

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE = "trading-runtime-evidence"
SUFFIX = ".sig"
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")
_NAME = "signer"
_SECONDS = 60

_MOST_KEYS = 1_000_000


def signature_path(bundle: Path) -> Path:
    """Return the path of a bundle's signature."""
    return bundle.with_name(f"{bundle.name}{SUFFIX}")


def sign(bundle: Path, key: Path) -> Path:
    """Sign a bundle with the SSH key in the file ``key``, and return the signature's path.

    Raises ``UsageError`` when there is no such key, or it cannot sign.
    """
    if not key.is_file():
        raise UsageError(f"--sign {key}: there is no such file; give a private SSH key")
    signature_path(bundle).unlink(missing_ok=True)
    ended = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, str(bundle))
    if ended.returncode != 0:
        raise UsageError(f"--sign {key}: it does not sign: {_reason(ended)}")
    return signature_path(bundle)


def check_signature(bundle: Path, signer: Path) -> str:
    """Return who signed a bundle, among those that the file ``signer`` names.

    ``signer`` is a public SSH key, or a file of allowed signers as ``ssh-keygen`` describes it.
    Raises ``UsageError`` when it is neither, ``DataError`` when the bundle is not signed by one of
    them, or has changed since.
    """
    signature = signature_path(bundle)
    if not signature.is_file():
        raise DataError(f"{bundle}: it is not signed: {signature.name} is not beside it")
    try:
        lines = text_of_file(signer, _MOST_KEYS).splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--signer {signer}: cannot be read: {error}") from error
    keys = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise UsageError(f"--signer {signer}: it names no key; give a public SSH key (KEY.pub)")
    with Scratch() as scratch:
        allowed = scratch.path / "allowed"
        named = [f"{_NAME} {line}" if line.startswith(_KEY_TYPES) else line for line in keys]
        allowed.write_text("".join(f"{line}\n" for line in named), encoding="utf-8")
        place = ("-f", str(allowed), "-s", str(signature))
        found = _ssh_keygen("find-principals", *place)
        names = found.stdout.decode(errors="replace").splitlines()
        if found.returncode != 0 or not names:
            raise DataError(f"{bundle}: its signer is not among those that {signer} names")
        with bundle.open("rb") as content:
            ended = _ssh_keygen(
                "verify", *place, "-I", names[0], "-n", NAMESPACE, content=content.fileno()
            )
    if ended.returncode != 0:
        raise DataError(f"{bundle}: its signature is not valid: it was changed since it was signed")
    return _key_name(keys) if names[0] == _NAME else names[0]


def _key_name(keys: list[str]) -> str:
    """Return the name of the only public key, taken from its comment."""
    parts = keys[0].split(maxsplit=2)
    return parts[2] if len(keys) == 1 and len(parts) > 2 else "a key that it names"  # noqa: PLR2004


def _ssh_keygen(
    action: str, *options: str, content: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UsageError("ssh-keygen is not installed; signing and checking take OpenSSH")
    try:
        return subprocess.run(
            [program, "-Y", action, *options],
            stdin=content,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"ssh-keygen took {_SECONDS} s; add a key with a passphrase to the agent first"
        ) from error


def _reason(ended: subprocess.CompletedProcess[bytes]) -> str:
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"ssh-keygen ended with {ended.returncode}"
