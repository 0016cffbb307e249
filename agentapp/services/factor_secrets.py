"""The secrets of second factors, as they are stored: sealed by keys that are derived from SECRET_KEY. Who reads the
database alone can sign in with none of them.

After a change of SECRET_KEY they are read by SECRET_KEY_FALLBACKS, and sealed anew at the next use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

# Before what is sealed; no secret of before has it, which is hexadecimal.
_SEALED = "v1:"
_TOKEN_BYTES = 10


def sealed(secret: str, *, user_id: int) -> str:
    """A secret of an app, in hexadecimal, as it is stored for a person: for another one it cannot be opened."""
    ciphertext = _cipher(settings.SECRET_KEY).encrypt(bytes.fromhex(secret), _about(user_id))
    return _SEALED + base64.urlsafe_b64encode(ciphertext).decode().rstrip("=")


def opened(stored: str, *, user_id: int) -> str | None:
    """The secret in hexadecimal; None where no key that is known has sealed it."""
    from cryptography.exceptions import InvalidTag

    if not stored.startswith(_SEALED):
        return stored
    text = stored.removeprefix(_SEALED)
    for key in _keys():
        try:
            return _cipher(key).decrypt(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), _about(user_id)).hex()
        except InvalidTag:
            continue
    return None


def tokens(code: str) -> list[str]:
    """What may be stored of a code on paper, the newest first: a keyed hash of it, and as it was before, itself."""
    hashed = [hmac.digest(_derived(key, "paper"), code.encode(), hashlib.sha256)[:_TOKEN_BYTES] for key in _keys()]
    return [*(base64.b32encode(each).decode().lower() for each in hashed), code]


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _cipher(key: str) -> AESSIV:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(_derived(key, "app"))


def _derived(key: str, purpose: str) -> bytes:
    return hmac.digest(key.encode(), f"agentapp second factor {purpose}".encode(), hashlib.sha512)


def _about(user_id: int) -> list[bytes]:
    return [str(user_id).encode()]
