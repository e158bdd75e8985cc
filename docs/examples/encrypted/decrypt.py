"""Opens an encrypted event: the token from standard input, the webhook's key from VONAL_KEY. Needs: cryptography."""

import json
import os
import sys
from base64 import urlsafe_b64decode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def decrypt(token, key):
    """The event. ValueError when the token was not made with this key, or was changed."""
    header, wrapped, iv, ciphertext, tag = token.split(".")
    told = json.loads(decoded(header))
    if (told.get("alg"), told.get("enc"), wrapped) != ("dir", "A256GCM", ""):
        raise ValueError("encrypted in another way")
    iv, tag = decoded(iv), decoded(tag)
    if (len(iv), len(tag)) != (12, 16):
        raise ValueError("no token")
    content_key = HKDF(hashes.SHA256(), length=32, salt=None, info=b"").derive(key.encode())
    try:
        plaintext = AESGCM(content_key).decrypt(iv, decoded(ciphertext) + tag, header.encode())
    except InvalidTag:
        raise ValueError("another key, or the token was changed") from None
    return json.loads(plaintext)


def decoded(text):
    """Base64 of URLs, without its padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


if __name__ == "__main__":
    try:
        event = decrypt(sys.stdin.read().strip(), os.environ["VONAL_KEY"])
    except (ValueError, AttributeError) as fault:
        sys.exit(f"refused: {fault}")
    print(json.dumps(event, ensure_ascii=False))
