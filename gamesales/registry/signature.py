"""Signatures of statements: that a version may be used, that an alias may be set to it, or that a policy may be set.

A person signs a statement with a key. The statement is canonical JSON, and it names everything that it is about. So a
signature does not hold for another model, version, alias or policy. It also names the event before the change, so it
does not hold a second time.

The signature is a Sigstore bundle that OpenSSF's ``model_signing`` makes and checks, for a folder with one file,
``statement.json``. Keys are PEM files with a key on the curves P-256, P-384 or P-521.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gamesales.errors import UsageError, format_install
from gamesales.registry.bundle import compute_sha256
from gamesales.registry.event import encode_canonical_json

# What a signature allows.
USE, PROMOTION, POLICY = "use", "promotion", "policy"
PURPOSES = (USE, PROMOTION, POLICY)

_FORM = "gamesales statement 1"
_STATEMENT_FILE = "statement.json"
_OPENSSL = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout -out key.pub"


@dataclass(frozen=True)
class Statement:
    """What a person signs.

    Attributes:
        purpose: USE of a version by its number, PROMOTION of a version to an alias, or POLICY, a change of the policy.
        model: the model.
        log: the digest of the first registration of the model, so that a statement holds in one registry only.
        version: the version's number; None for a policy.
        digest: the digest of the version's bundle, or of the policy.
        alias: the alias that may be set; only for PROMOTION.
        previous: the digest of the event that last changed the alias or the policy; empty if there is none.
    """

    purpose: str
    model: str
    log: str
    version: int | None
    digest: str
    alias: str | None = None
    previous: str = ""

    def encode(self) -> bytes:
        """Return the bytes that are signed."""
        return encode_canonical_json({"form": _FORM, **asdict(self)})

    @cached_property
    def sha256(self) -> str:
        return compute_sha256(self.encode())

    def __str__(self) -> str:
        if self.purpose == POLICY:
            return f"the policy {self.digest[:12]} of {self.model}"
        to = f"the promotion of version {self.version} to @{self.alias}"
        return to if self.purpose == PROMOTION else f"the use of version {self.version}"


@dataclass(frozen=True)
class PublicKey:
    """A public key.

    Attributes:
        pem: the key as text in the PEM format, as the library writes it.
        fingerprint: the SHA-256 of the text, 64 hex digits. A signature names its key by it.
    """

    pem: str
    fingerprint: str


def read_public_key(path: Path) -> PublicKey:
    """Read a public key from a PEM file.

    Raises:
        UsageError: the file is missing, or has no public key that can be used.
    """
    try:
        return parse_public_key(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint=f"Make a key: {_OPENSSL}") from None


def parse_public_key(pem: bytes, where: str) -> PublicKey:
    """Parse a public key in the PEM format. ``where`` names it in messages.

    Raises:
        UsageError: it is not a public key that can be used.
    """
    _import_library()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
        raise UsageError(
            f"{where} is not a public key on the curve P-256, P-384 or P-521 in the PEM format",
            hint=f"Make a key: {_OPENSSL}",
        )
    text = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(text.decode("ascii"), compute_sha256(text))


def sign_statement(statement: Statement, key: Path, password: str | None) -> dict[str, Any]:
    """Sign a statement.

    Args:
        statement: what to sign.
        key: the PEM file of the private key.
        password: the password of the file; None for a file without one.

    Returns:
        The signature, a Sigstore bundle as JSON.

    Raises:
        UsageError: the key can't be read.
    """
    signing = _import_library().signing
    with _write_statement(statement) as (folder, signature_path):
        try:
            signer = signing.Config().use_elliptic_key_signer(private_key=key, password=password)
            signer.sign(folder, signature_path)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"{key} can't sign: {' '.join(str(error).split())}",
                hint=f"Make a key: {_OPENSSL}; the password of a key is read from GAMESALES_KEY_PASSWORD",
            ) from None
        signature: dict[str, Any] = json.loads(signature_path.read_bytes())
    return signature


def read_fingerprint(signature: Mapping[str, Any]) -> str:
    """Return the fingerprint of the key that a signature names. It is not checked."""
    return str(signature["verificationMaterial"]["publicKey"]["hint"])


def is_signed(statement: Statement, signature: Mapping[str, Any], key: PublicKey) -> bool:
    """Return whether a signature is of exactly this statement by this key."""
    verifying = _import_library().verifying
    with _write_statement(statement) as (folder, signature_path):
        signature_path.write_text(json.dumps(signature), encoding="utf-8")
        public_key = folder.with_name("key.pub")
        public_key.write_text(key.pem, encoding="ascii")
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=public_key).verify(folder, signature_path)
            return _list_signed_files(signature) == [(_STATEMENT_FILE, statement.sha256)]
        except Exception:  # the library raises any exception for a damaged signature
            return False


def _list_signed_files(signature: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the names and digests of the files that a signature is of.

    The library leaves out files that the signature says to ignore. A signature of an empty folder that ignores
    ``statement.json`` would hold for any statement.
    """
    payload = json.loads(base64.b64decode(signature["dsseEnvelope"]["payload"]))
    return [(file["name"], file["digest"]) for file in payload["predicate"]["resources"]]


@contextmanager
def _write_statement(statement: Statement) -> Iterator[tuple[Path, Path]]:
    """Write a statement into a temporary folder; yield the folder and a path for the signature."""
    with tempfile.TemporaryDirectory(prefix="gamesales-") as temporary:
        folder = Path(temporary) / "statement"
        folder.mkdir()
        (folder / _STATEMENT_FILE).write_bytes(statement.encode())
        yield folder, folder.with_name("statement.sig")


def _import_library() -> Any:
    try:
        import model_signing
        from model_signing import signing, verifying  # noqa: F401 - attributes of the module
    except ImportError as error:
        raise UsageError(
            f"signatures need model-signing, which is not installed ({error})",
            hint="Install it: " + format_install("gamesales[sign]"),
        ) from None
    return model_signing
