"""Proves that nothing is missing of a day: compares Vonal's manifest with the ids that the CRM has.

    python verify.py https://vonal.example API_KEY 2026-11-22 < ids.txt

`ids.txt` has the `id` of each `call.completed` of that UTC day (of its `timestamp`), one a line, in any order.
Needs the package `cryptography`. Ends with 0 when everything is there, else with 1, and prints what is missing.
"""

import hashlib
import json
import sys
from base64 import urlsafe_b64decode
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def get(url, key):
    with urlopen(Request(url, headers={"X-API-Key": key})) as answer:
        return json.load(answer)


def decoded(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(jws, keys):
    """What the JWS signs; raises when the signature, or the key, is none of Vonal's."""
    head, payload, signature = jws.split(".")
    header = json.loads(decoded(head))
    key = next(one for one in keys if header["alg"] == "EdDSA" and one["kid"] == header["kid"])
    public = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
    public.verify(decoded(signature), f"{head}.{payload}".encode())
    return json.loads(decoded(payload))


def chain(tenant, date, ids):
    link = hashlib.sha256(f"vonal:{tenant}:{date}".encode()).digest()
    for one in ids:
        link = hashlib.sha256(link + one.encode()).digest()
    return link.hex()


def all_ids(address, key, date):
    """Vonal's ids, in the chain's order; None when that day's are no longer kept."""
    ids, after = [], ""
    while True:
        page = get(f"{address}/api/v1/manifests/{date}?ids=true&after={after}", key)
        if page["ids"] is None:
            return None
        ids += page["ids"]
        if not page["next_cursor"]:
            return ids
        after = page["next_cursor"]


def main(address, key, date):
    manifest = signed(
        get(f"{address}/api/v1/manifests/{date}", key)["jws"], get(f"{address}/api/v1/jwks.json", key)["keys"]
    )
    ids = all_ids(address, key, date)
    ours = set(sys.stdin.read().split())
    if ids is None:
        print(f"{date}: the ids are no longer kept; {manifest['records']} records there, {len(ours)} here")
        return 0 if manifest["records"] == len(ours) else 1
    if (manifest["records"], manifest["chain"]) != (len(ids), chain(manifest["tenant"], date, ids)):
        print(f"{date}: the ids are not those that were signed; while the day is not final, try again")
        return 1
    for one in ids:
        if one not in ours:
            print(f"missing: {one}")
    print(f"{date}: {len(ids)} records, {len(set(ids) - ours)} missing, final: {manifest['final']}")
    return 1 if set(ids) - ours else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
