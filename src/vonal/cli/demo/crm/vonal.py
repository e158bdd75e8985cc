"""Vonal as seen from the CRM: six requests."""

from typing import Any, Self
from urllib.parse import quote

import aiohttp

LONGEST_SECONDS = 90  # an agent may take 30 to pick up


class Refused(Exception):
    """Vonal's answer when it will not: the problem's `detail` is meant for people."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Vonal:
    """Use as an async context manager. Raises Refused when Vonal refuses or is not there."""

    def __init__(self, url: str, api_key: str) -> None:
        self._api = f"{url}/api/v1"
        self._headers = {"X-API-Key": api_key}

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=LONGEST_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def click_to_call(self, extension: str, number: str) -> dict[str, Any]:
        """The agent's phone rings; comes back when it was picked up, and the number is dialled, or was not."""
        wanted = {"extension": extension, "number": number, "wait": "agent"}
        return dict(await self._ask("POST", "click-to-call", json=wanted))

    async def hang_up(self, call_id: str) -> None:
        """Ends a call."""
        await self._ask("DELETE", f"calls/{quote(call_id, safe='')}")

    async def call(self, call_id: str) -> dict[str, Any]:
        """One call, as it is now."""
        return dict(await self._ask("GET", f"calls/{quote(call_id, safe='')}"))

    async def calls(self, limit: int) -> list[dict[str, Any]]:
        """The newest calls, newest first."""
        return list((await self._ask("GET", "calls", params={"limit": str(limit)}))["items"])

    async def extensions(self) -> list[dict[str, Any]]:
        """The agents and their phones."""
        return list((await self._ask("GET", "extensions"))["items"])

    async def recording(self, recording_id: str, asked: dict[str, str]) -> aiohttp.ClientResponse:
        """A call's sound, whole or in part, for the caller to read and release."""
        return await self._http.get(f"{self._api}/recordings/{quote(recording_id, safe='')}", headers=asked)

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self._http.request(method, f"{self._api}/{path}", **options) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise Refused(503, "Vonal does not answer.") from fault
        if answer.ok:
            return body
        raise Refused(answer.status, body.get("detail") or body.get("title") or f"Vonal answers {answer.status}.")
