"""What the portal makes, Asterisk knows when the page is there: a new extension's phone registers at once."""

import asyncio
import hashlib
import re
from functools import partial

import pytest

from portal_house import Browser
from vonal.domain.users import Membership, User
from vonal.store import users
from vonal.store.database import Database
from vonal.users.sessions import Sessions
from world import World

OWNER = User(
    id="usr_live", email="live@acme.example", name="Live", memberships=(Membership(tenant_id="acme", role="owner"),)
)


class _Line(asyncio.DatagramProtocol):
    """A phone's line: the answers that it gets, one after the other."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[str] = asyncio.Queue()

    def datagram_received(self, data: bytes, _address: object) -> None:
        if data.startswith(b"SIP/2.0"):  # Asterisk also asks whether a phone is there that has just registered
            self.got.put_nowait(data.decode())


async def register(server: tuple[str, int], user: str, password: str) -> str:
    """Asterisk's answer to a phone that registers: its first line."""
    line, phone = await asyncio.get_running_loop().create_datagram_endpoint(_Line, remote_addr=server)
    uri = f"sip:{server[0]}:{server[1]}"
    host, port = line.get_extra_info("sockname")[:2]
    proof = ""
    try:
        for turn in (1, 2):
            head = (
                f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{turn};rport\r\nFrom: <sip:{user}@{server[0]}>;tag=1\r\n"
            )
            head += f"To: <sip:{user}@{server[0]}>\r\nCall-ID: {port}\r\nCSeq: {turn} REGISTER\r\nMax-Forwards: 70\r\n"
            head += f"Contact: <sip:{user}@{host}:{port}>\r\nExpires: 60\r\n{proof}Content-Length: 0\r\n\r\n"
            line.sendto(f"REGISTER {uri} SIP/2.0\r\n{head}".encode())
            answer = await asyncio.wait_for(phone.got.get(), 10)
            proof = _proof(answer, user, password, uri)
    finally:
        line.close()
    return answer.splitlines()[0]


def _proof(answer: str, user: str, password: str, uri: str) -> str:
    """RFC 2617, with qop=auth."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', answer))
    if "nonce" not in asked:
        return ""

    def digest(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    who = digest(f"{user}:{asked['realm']}:{password}")
    response = digest(f"{who}:{asked['nonce']}:00000001:0a:auth:{digest(f'REGISTER:{uri}')}")
    given = {"username": user, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri, "response": response}
    given |= {"cnonce": "0a", "opaque": asked.get("opaque", ""), "algorithm": "MD5"}
    fields = ", ".join(f'{name}="{value}"' for name, value in given.items() if name != "algorithm")
    return f"Authorization: Digest {fields}, algorithm=MD5, qop=auth, nc=00000001\r\n"


@pytest.mark.asyncio(loop_scope="session")
async def test_an_extension_made_in_the_portal_registers_at_once(live: World) -> None:
    db = Database(live.settings.sqlalchemy_url)
    try:
        await db.write(partial(users.any_tenant_add, person=OWNER, at=0))
        token = await Sessions(db).begin(OWNER, passed="all", address="127.0.0.1", browser="test")
    finally:
        db.close()
    host, port = live.settings.listen
    with Browser(f"http://{host}:{port}", token) as browser:
        shown = await asyncio.to_thread(browser.send_form, "/extensions/add", number="109", name="Új")
        found = re.search(r'id="secret" value="([^"]+)"', shown.text)
        assert found, shown.text
        assert (await register(live.settings.sip_listen, "acme-109", "wrong")).endswith("401 Unauthorized")
        assert (await register(live.settings.sip_listen, "acme-109", found[1])).endswith("200 OK")
        removed = await asyncio.to_thread(browser.send_form, "/extensions/109/remove-now")
    assert removed.headers["location"] == "/extensions"
