"""One call as the outside world sees it, and what a phone or a carrier's customer does with it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote

_TONE = "tone"
NORMAL, BUSY, NO_ANSWER, REJECTED, CONGESTION, UNALLOCATED = 16, 17, 19, 21, 34, 1

Sound = int | str | None
"""What is heard: a tone of so many Hz, an Asterisk sound by name (`demo-congrats`), or silence."""


@dataclass(frozen=True)
class Said:
    """What a party lets hear once the call is answered, and after how many seconds it hangs up, if ever."""

    sound: Sound = None
    talk: float | None = None


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What is done with a call that comes in: rings `after` seconds (None: for ever), then answers, or hangs up with
    `cause` (Q.850)."""

    after: float | None
    answers: bool = False
    said: Said = Said()
    cause: int = NORMAL


def answer(sound: Sound = 440, *, after: float = 0.0, talk: float | None = None) -> Behaviour:
    """Answers after so many seconds with `sound`; hangs up after `talk` seconds, or never."""
    return Behaviour(after=after, answers=True, said=Said(sound, talk))


def refuse(cause: int, *, after: float = 0.0) -> Behaviour:
    """Hangs up with a Q.850 cause; Asterisk says it in SIP (17: 486, 19: 480, 21: 403, 34: 503, 1: 404)."""
    return Behaviour(after=after, cause=cause)


def ring() -> Behaviour:
    """Rings and is never answered."""
    return Behaviour(after=None)


class Ari(Protocol):
    """How a call acts on its channel. Answers the JSON value, `None` for an empty answer or a channel that is gone."""

    async def __call__(self, method: str, path: str, body: dict[str, Any] | None = None, /, **query: str) -> Any: ...


@dataclass(eq=False, kw_only=True)
class Call:
    """A phone's or a carrier's end of a call. `number` and `name` are the other side's, as shown here.

    `called`: the user of the called URI. `headers`: of the INVITE, those named in `HEADERS`, when present.
    `cause` (Q.850) and `sip_code` (the refusal's, where there was one) are there once it has ended.
    """

    id: str
    ari: Ari = field(repr=False)
    incoming: bool
    called: str
    said: Said = Said()
    number: str = ""
    name: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    placed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    ringing: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    answered: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    back: asyncio.Queue[str] = field(default_factory=asyncio.Queue, repr=False)
    held: bool = False
    digits: str = ""
    cause: int | None = None
    sip_code: int | None = None
    _listening: bool = field(default=False, repr=False)
    _playing: str | None = field(default=None, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def ring(self) -> None:
        await self._do("POST", "ring")
        self.ringing.set()

    async def answer(self) -> None:
        await self._do("POST", "answer")

    async def hang_up(self, cause: int = NORMAL) -> None:
        await self.ari("DELETE", f"channels/{self.id}", reason_code=str(cause))

    async def play(self, sound: Sound) -> None:
        """From now on the other side hears this: a tone for ever, a sentence ten times."""
        async with self._lock:
            await self._hush()
            self.said = replace(self.said, sound=sound)
            await self._speak()

    async def hold(self) -> None:
        async with self._lock:
            await self._hush()
            await self._do("POST", "hold")

    async def unhold(self) -> None:
        async with self._lock:
            await self._do("DELETE", "hold")
            await self._speak()

    async def press(self, digits: str) -> None:
        """Sends DTMF (RFC 4733)."""
        async with self._interrupted():
            await self._do("POST", "dtmf", dtmf=digits)

    async def listen(self) -> str:
        """Records, from the first time this is asked; answers the file's name in `Simulator.heard_folder`.

        Signed 16 bit little-endian stereo at 8 kHz: left is what this side hears, right what it says.
        """
        async with self._interrupted():
            if not self._listening:
                self._listening = True
                await self._through("listen")
        return f"{self.id}.raw"

    async def refer(self, uri: str) -> bool:
        """REFER in the dialog, as a desk phone's transfer key does it. Hangs up when it succeeded."""
        async with self._interrupted():
            await self._do("POST", "variable", variable="REFER_TO", value=uri)
            done = await self._through("refer") == "SUCCESS"
            if done:
                await self.hang_up()
        return done

    async def replaces(self) -> str:
        """This dialog as the value of a Replaces header (RFC 3891), percent-encoded for a URI; from the peer's side."""
        names = ("call-id", "remote_tag", "local_tag")
        async with self._interrupted():
            call_id, theirs, ours = [await self._variable(f"CHANNEL(pjsip,{name})") for name in names]
        return f"{quote(call_id, safe='')}%3Bto-tag%3D{quote(theirs)}%3Bfrom-tag%3D{quote(ours)}"

    async def _variable(self, name: str) -> str:
        answer = await self._do("GET", "variable", variable=name)
        return str(answer["value"]) if answer else ""

    async def _through(self, context: str, extension: str = "s") -> str:
        """Sends the channel through a piece of dialplan and waits until it is back; the piece's word."""
        await self._do("POST", "continue", context=context, extension=extension, priority="1")
        coming, ending = asyncio.ensure_future(self.back.get()), asyncio.ensure_future(self.ended.wait())
        await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
        word = coming.result() if coming.done() else "GONE"
        coming.cancel()
        ending.cancel()
        return word

    @asynccontextmanager
    async def _interrupted(self) -> AsyncIterator[None]:
        """Asterisk queues what a channel is told behind the sound that it plays; a tone is in nothing's way."""
        async with self._lock:
            interrupted = self._playing != _TONE
            if interrupted:
                await self._hush()
            yield
            if interrupted:
                await self._speak()

    async def _speak(self) -> None:
        """Tones by Playtones(), because a channel that plays one for ARI neither hears nor does anything else."""
        sound = self.said.sound
        if not self.answered.is_set() or sound is None:
            return
        if isinstance(sound, int):
            self._playing = _TONE
            await self._through("tone", str(sound))
        else:
            self._playing = secrets.token_hex(8)
            await self._do("POST", "play", media=",".join([f"sound:{sound}"] * 10), playbackId=self._playing)

    async def _hush(self) -> None:
        playing, self._playing = self._playing, None
        if playing == _TONE:
            await self._through("hush")
        elif playing is not None:
            await self.ari("DELETE", f"playbacks/{playing}")

    async def _do(self, method: str, what: str, **query: str) -> Any:
        return await self.ari(method, f"channels/{self.id}/{what}", **query)
