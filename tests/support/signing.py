"""Keys, signatures and policies for tests, made by the libraries that people use."""

from __future__ import annotations

import hashlib
import tempfile
from functools import cache
from pathlib import Path

from gamesales.registry.policy import Policy
from gamesales.registry.signature import sign_statement

NAMES = ("alice", "bob", "carol")


@cache
def make_key(name: str) -> tuple[bytes, bytes]:
    """Return the private and the public key of a person in the PEM format. They depend on the name only."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest()[1:]), ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def write_keys(folder: Path) -> Path:
    """Write the keys of three people, and return their folder."""
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        private, public = make_key(name)
        (folder / f"{name}.pem").write_bytes(private)
        (folder / f"{name}.pub").write_bytes(public)
    return folder


def sign_as(name: str):
    """Return a function that signs a statement with the key of a person."""

    def sign(statement):
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            Path(file.name).write_bytes(make_key(name)[0])
            return sign_statement(statement, Path(file.name), None)

    return sign


def make_policy(approvals: int, *names: str) -> Policy:
    """Return the policy that a number of these people must approve."""
    return Policy(approvals, {name: make_key(name)[1].decode() for name in names})


def write_policy(folder: Path, approvals: int, *names: str) -> Path:
    """Write a policy file beside the keys, and return its path."""
    path = folder / f"policy-{approvals}-{'-'.join(names)}.toml"
    keys = "".join(f'{name} = "{name}.pub"\n' for name in names)
    path.write_text(f"approvals = {approvals}\n[keys]\n{keys}")
    return path
