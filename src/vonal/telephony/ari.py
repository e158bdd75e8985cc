"""Asterisk's REST interface: commands, and the stream of ephemeral events.

https://docs.asterisk.org/Asterisk_22_Documentation/API_Documentation/Asterisk_REST_Interface/
ARI cannot transfer a channel that is in the dialplan, so that one command goes to the manager interface, which the same
HTTP server carries.
"""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Self

import aiohttp
import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, WSMsgType

from vonal.domain.errors import OriginateFailed, TelephonyUnavailable
from vonal.domain.telephony import Phone, Ring

log = structlog.get_logger(__name__)

APPLICATION = "vonal"  # the name under which events are asked for; no channel ever enters it
# Asterisk closes idle connections after 15 s; a request that meets the close would be lost.
IDLE_SECONDS = 5
TIMEOUT = ClientTimeout(total=5, connect=2)
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5)

# What makes desk phones pick up by themselves. Call-Info: Snom, Cisco SPA, Grandstream, Gigaset, AudioCodes.
# Alert-Info: Yealink, Mitel/Aastra, Panasonic, Fanvil; Polycom when provisioned for it. Answer-Mode (RFC 5373) and its
# forerunner P-Auto-Answer: softphones. Measured: a function among originate's variables writes to the INVITE it sends.
AUTO_ANSWER = {
    "PJSIP_HEADER(add,Call-Info)": "<sip:vonal.invalid>;answer-after=0",
    "PJSIP_HEADER(add,Alert-Info)": "<http://vonal.invalid>;info=alert-autoanswer;delay=0",
    "PJSIP_HEADER(add,Answer-Mode)": "Auto",
    "PJSIP_HEADER(add,P-Auto-Answer)": "normal",
}

PHONE_EVENTS = frozenset(
    {"EndpointStateChange", "PeerStatusChange", "ContactStatusChange", "ChannelCreated", "ChannelDestroyed"}
)
Event = dict[str, Any]


class Ari:
    """One Asterisk. Use as an async context manager; `url` is such as http://127.0.0.1:18088."""

    def __init__(self, url: str, *, user: str = "vonal", password: str) -> None:
        self._url = url.rstrip("/")
        self._user = user
        self._password = password
        self._listening = False
        self._phones: dict[str, dict[str, Phone]] | None = None
        self._phones_version = 0

    async def __aenter__(self) -> Self:
        authorization = aiohttp.encode_basic_auth(self._user, self._password)
        self._http = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
            timeout=TIMEOUT,
            headers={"Authorization": authorization},
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    # Commands (see vonal.domain.telephony.Telephony)

    async def phone(self, tenant_id: str, extension: str) -> Phone | None:
        """The phone's state at this moment, asked from Asterisk itself."""
        status, endpoint = await self._ask("GET", f"endpoints/PJSIP/{tenant_id}-{extension}")
        return None if status == HTTPStatus.NOT_FOUND else _phone(_good(status, endpoint))

    async def phones(self, tenant_id: str) -> dict[str, Phone]:
        """All of a tenant's phones by extension; asked again only after an event that may have changed one."""
        if self._phones is None or not self._listening:
            version = self._phones_version
            phones = _by_tenant(_good(*await self._ask("GET", "endpoints/PJSIP")))
            if version != self._phones_version:
                return phones.get(tenant_id, {})
            self._phones = phones
        return self._phones.get(tenant_id, {})

    async def ring(self, order: Ring) -> None:
        """Rings the phone; when it is answered, its channel runs `click-TENANT` with the number as extension."""
        try:
            status, answer = await self._ask("POST", "channels", query=_query(order), body={"variables": _told(order)})
        except TelephonyUnavailable:
            if await self._has(order.call_id):
                return
            raise
        if status != HTTPStatus.OK:
            raise OriginateFailed(f"Asterisk refused the call: {_reason(answer)}.")

    async def hang_up(self, channel: str) -> bool:
        """Ends a channel, by its id; False when there is none of this id."""
        status, answer = await self._ask("DELETE", f"channels/{channel}", query={"reason": "normal"})
        if status == HTTPStatus.NOT_FOUND:
            return False
        _good(status, answer)
        return True

    async def transfer(self, channel: str, *, tenant_id: str, to: str) -> bool:
        """Blind transfer of those who talk with `channel` to `to` in `transfer-TENANT`; False when there is nobody."""
        session = await self._manager({"Action": "Login", "Username": self._user, "Secret": self._password})
        action = {"Action": "BlindTransfer", "Channel": channel, "Context": f"transfer-{tenant_id}", "Exten": to}
        try:
            done = await self._manager(action, session=session.session)
        finally:
            await self._manager({"Action": "Logoff"}, session=session.session)
        if not done.success:
            log.info("transfer refused by Asterisk", channel=channel, to=to, answer=done.message)
        return done.success

    # The rest of the house

    async def channels(self) -> list[dict[str, Any]]:
        """All channels that are up now, as Asterisk describes them."""
        return list(_good(*await self._ask("GET", "channels")))

    async def reload(self, module: str) -> None:
        """Has `module` (such as res_pjsip.so) read its configuration again."""
        _good(*await self._ask("PUT", f"asterisk/modules/{module}"))

    async def ping(self) -> None:
        """Raises TelephonyUnavailable when Asterisk does not answer, or not to us."""
        _good(*await self._ask("GET", "asterisk/ping"))

    async def listen(self, handle: Callable[[Event], None], *, types: Sequence[str]) -> None:
        """Hands every event of `types` to `handle`, for ever; connects again whenever the stream breaks.

        Events in between are lost, which `handle` learns by an event {"type": "Connected"} after each connect.
        """
        failures = 0
        while True:
            try:
                async for event in _stream(self._http, self._url, sorted({*types, *PHONE_EVENTS})):
                    failures = 0
                    self._note(event)
                    if event["type"] in types or event["type"] == "Connected":
                        handle(event)
            except (ClientError, OSError, TimeoutError) as fault:
                log.debug("no events from Asterisk", reason=type(fault).__name__)
            finally:
                self._listening = False
            await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
            failures += 1

    def _note(self, event: Event) -> None:
        self._listening = True
        if event["type"] in PHONE_EVENTS or event["type"] == "Connected":
            self._phones_version += 1
            self._phones = None

    async def _has(self, channel: str) -> bool:
        status, _ = await self._ask("GET", f"channels/{channel}")
        return status == HTTPStatus.OK

    async def _ask(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: object = None
    ) -> tuple[int, Any]:
        url = f"{self._url}/ari/{path}"
        try:
            async with self._http.request(method, url, params=query, json=body) as answer:
                text = await answer.text()
                decoded = await answer.json() if text and answer.content_type == "application/json" else text
        except (ClientError, OSError, TimeoutError, ValueError) as fault:
            raise _unavailable(type(fault).__name__) from fault
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE):
            raise _unavailable(f"{method} /{path} is answered {answer.status}")
        return answer.status, decoded

    async def _manager(self, action: dict[str, str], *, session: str = "") -> "_ManagerAnswer":
        headers = {"Cookie": f'mansession_id="{session}"'} if session else {}
        try:
            async with self._http.post(f"{self._url}/rawman", data=action, headers=headers) as answer:
                cookie = answer.cookies.get("mansession_id")
                done = _ManagerAnswer(await answer.text(), cookie.value if cookie else session)
        except (ClientError, OSError, TimeoutError) as fault:
            raise _unavailable(type(fault).__name__) from fault
        if action["Action"] == "Login" and not done.success:
            raise _unavailable(f"its manager interface answers: {done.message}")
        return done


class _ManagerAnswer:
    def __init__(self, text: str, session: str) -> None:
        lines = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        self.success = lines.get("Response") == "Success"
        self.message = lines.get("Message", text[:100])
        self.session = session


async def _stream(http: ClientSession, url: str, types: Sequence[str]) -> Any:
    query = {"app": APPLICATION, "subscribeAll": "true"}
    async with http.ws_connect(f"{url}/ari/events", params=query, heartbeat=20) as socket:
        allowed = {"allowed": [{"type": one} for one in types]}
        async with http.put(f"{url}/ari/applications/{APPLICATION}/eventFilter", json=allowed) as filtered:
            filtered.raise_for_status()
        yield {"type": "Connected"}
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                yield message.json()


def _query(order: Ring) -> dict[str, str]:
    return {
        "endpoint": f"PJSIP/{order.tenant_id}-{order.extension}",
        "extension": order.number,
        "context": f"click-{order.tenant_id}",
        "priority": "1",
        "channelId": order.call_id,
        "callerId": order.number,
        "timeout": str(order.timeout),
    }


def _told(order: Ring) -> dict[str, str]:
    told = {"VONAL_NUMBER": order.number}
    if order.caller_id:
        told["VONAL_CALLER_ID"] = order.caller_id
    if order.record is not None:
        told["VONAL_RECORD"] = "yes" if order.record else "no"
    return {**told, **AUTO_ANSWER} if order.auto_answer else told


def _phone(endpoint: dict[str, Any]) -> Phone:
    return Phone(registered=endpoint["state"] == "online", channels=tuple(endpoint["channel_ids"]))


def _by_tenant(endpoints: list[dict[str, Any]]) -> dict[str, dict[str, Phone]]:
    found: dict[str, dict[str, Phone]] = {}
    for endpoint in endpoints:
        tenant_id, _, extension = endpoint["resource"].rpartition("-")
        if extension.isdigit():
            found.setdefault(tenant_id, {})[extension] = _phone(endpoint)
    return found


def _good(status: int, answer: Any) -> Any:
    if status >= HTTPStatus.BAD_REQUEST:
        raise _unavailable(f"it answers {status} {_reason(answer)}")
    return answer


def _reason(answer: Any) -> str:
    told = answer.get("message") or answer.get("error") if isinstance(answer, dict) else answer
    return str(told)[:200]


def _unavailable(reason: str) -> TelephonyUnavailable:
    log.warning("Asterisk does not answer as it should", reason=reason)
    return TelephonyUnavailable("The phone system does not answer. Try again in a few seconds.", retry_after=5)
