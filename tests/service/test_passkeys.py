"""Passkeys, with an authenticator made of a key: what it signs is what a browser would bring."""

import hashlib
import json
from base64 import urlsafe_b64encode

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from vonal.domain.errors import AuthFailed
from vonal.domain.users import User
from vonal.store import passkeys as store
from vonal.store import users
from vonal.store.database import Database
from vonal.users.ceremony import Ceremonies
from vonal.users.factors import Factors
from vonal.users.guard import Guard
from vonal.users.passkeys import Passkeys
from vonal.users.sessions import Sessions
from vonal.users.sign_in import SignIn

WHERE = "https://pbx.example"
USER = User(id="usr_a", email="a@example.com", name="A")
OTHER = User(id="usr_b", email="b@example.com", name="B")
PRESENT, VERIFIED, ATTESTED = 1, 4, 64


def coded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Device:
    """One passkey. `looks`: the device checks who holds it."""

    def __init__(self, *, origin: str = WHERE, host: str = "pbx.example", looks: bool = True) -> None:
        self.key, self.id, self.origin, self.host = (
            ec.generate_private_key(ec.SECP256R1()),
            b"credential-1",
            origin,
            host,
        )
        self.flags, self.uses = PRESENT | (VERIFIED if looks else 0), 0

    def _data(self, extra: bytes = b"", flags: int = 0) -> bytes:
        self.uses += 1
        host = hashlib.sha256(self.host.encode()).digest()
        return host + bytes([self.flags | flags]) + self.uses.to_bytes(4, "big") + extra

    def _client(self, kind: str, options: str) -> bytes:
        return json.dumps(
            {"type": kind, "challenge": json.loads(options)["challenge"], "origin": self.origin, "crossOrigin": False}
        ).encode()

    def made(self, options: str) -> str:
        """What it answers when a passkey is to be made."""
        point = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        extra = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(public)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": self._data(extra, ATTESTED)})
        return self._answer(
            clientDataJSON=coded(self._client("webauthn.create", options)), attestationObject=coded(attestation)
        )

    def signed(self, options: str) -> str:
        """What it answers when it is to be used."""
        data, client = self._data(), self._client("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            clientDataJSON=coded(client), authenticatorData=coded(data), signature=coded(signature), userHandle=None
        )

    def _answer(self, **response: str | None) -> str:
        return json.dumps({"id": coded(self.id), "rawId": coded(self.id), "type": "public-key", "response": response})


class House:
    def __init__(self, db: Database) -> None:
        self.db, guard, self.sessions = db, Guard(db), Sessions(db)
        sign_in = SignIn(db, self.sessions, guard)
        factors = Factors(db, sign_in, guard, where=WHERE)
        self.passkeys = Passkeys(db, factors, Ceremonies(), where=WHERE)

    async def add(self, device: Device) -> None:
        token = await self.sessions.begin(USER, passed="all", address="192.0.2.7", browser="")
        session = (await self.sessions.find(token)).session
        options, begun = await self.passkeys.begin_adding(USER)
        await self.passkeys.add(session, USER, begun, device.made(options), name="Key", address="192.0.2.7")

    async def use(self, device: Device, whom: User | None = None) -> User:
        options, begun = await self.passkeys.begin_using(whom)
        return await self.passkeys.use(whom, begun, device.signed(options))


@pytest.fixture
async def house(database: Database) -> House:
    for person in (USER, OTHER):
        await database.write(lambda tx, person=person: users.any_tenant_add(tx, person, at=0))
    return House(database)


pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_a_passkey_signs_in_alone_and_as_a_second_factor(house: House) -> None:
    device = Device()
    await house.add(device)
    assert await house.use(device) == USER
    assert await house.use(device, USER) == USER
    (kept,) = await house.db.read(lambda tx: store.any_tenant_of_user(tx, USER.id))
    assert (kept.name, kept.sign_count, kept.used_at is not None) == ("Key", 3, True)


async def test_a_passkey_of_another_person_is_no_second_factor(house: House) -> None:
    device = Device()
    await house.add(device)
    with pytest.raises(AuthFailed):
        await house.use(device, OTHER)


async def test_alone_it_counts_only_where_the_device_looks_at_who_holds_it(house: House) -> None:
    device = Device(looks=False)
    await house.add(device)
    assert await house.use(device, USER) == USER
    with pytest.raises(AuthFailed):
        await house.use(device)


async def test_what_was_signed_is_good_once_and_for_its_own_question(house: House) -> None:
    device = Device()
    await house.add(device)
    options, begun = await house.passkeys.begin_using(None)
    answer = device.signed(options)
    _, another = await house.passkeys.begin_using(None)
    with pytest.raises(AuthFailed):
        await house.passkeys.use(None, another, answer)
    assert await house.passkeys.use(None, begun, answer) == USER
    with pytest.raises(AuthFailed):
        await house.passkeys.use(None, begun, answer)


async def test_another_key_site_or_device_with_old_counts_is_refused(house: House) -> None:
    device = Device()
    await house.add(device)
    await house.use(device)
    with pytest.raises(AuthFailed):
        await house.use(Device())
    device.origin = "https://evil.example"
    with pytest.raises(AuthFailed):
        await house.use(device)
    device.origin, device.uses = WHERE, 0
    with pytest.raises(AuthFailed):  # a copy of the key would count so
        await house.use(device)


async def test_a_passkey_made_for_another_site_is_not_taken(house: House) -> None:
    for device in (Device(origin="https://evil.example"), Device(host="evil.example")):
        with pytest.raises(AuthFailed):
            await house.add(device)
