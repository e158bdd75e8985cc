"""The floor: the HTTP client that Vonal uses, in a loop, with one request made beforehand. It stores and signs nothing.

`option`: "client" is libcurl with nothing around; "sender" is Vonal's own, with guard, limits and the answer's head.
"""

import asyncio
import ipaddress
import itertools
import time
from collections.abc import Awaitable, Callable

import pycurl

import world
from vonal.domain.delivery import Request
from vonal.webhooks import envelope
from vonal.webhooks.sender import CurlSender
from world import Figures, Spec

Post = Callable[[int, Request], Awaitable[object]]


async def main(spec: Spec) -> Figures:
    """Sends `events` requests, `at_once` at a time."""
    setting = envelope.Setting(timezone="UTC", base_url="http://pbx.example")
    told = world.events(spec, spec.lanes)
    requests = [
        envelope.request(one, hook, setting, attempt=1, timestamp=int(time.time()))
        for one, hook in zip(told, world.hooks(spec), strict=True)
    ]
    post = _sender() if spec.option == "sender" else _client(spec.at_once)
    await _all(post, requests, 500, spec.at_once)  # opens connections
    cpu, begin = world.cpu_here(), time.monotonic()
    await _all(post, requests, spec.events, spec.at_once)
    seconds, cpu = time.monotonic() - begin, world.cpu_here() - cpu
    return Figures(events=spec.events, per_s=spec.events / seconds, cpu=cpu / spec.events)


async def _all(post: Post, requests: list[Request], count: int, at_once: int) -> None:
    numbers = iter(range(count))
    turn = itertools.cycle(requests)

    async def one_after_another(place: int) -> None:
        for _ in numbers:
            await post(place, next(turn))

    await asyncio.gather(*map(one_after_another, range(at_once)))


def _client(at_once: int) -> Post:
    multi = pycurl.AsyncCurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, 512)
    handles = [pycurl.Curl() for _ in range(at_once)]
    for curl in handles:
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.WRITEFUNCTION, len)

    async def post(place: int, request: Request) -> None:
        curl = handles[place]
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in request.headers.items()])
        curl.setopt(pycurl.POSTFIELDS, request.body)
        await multi.perform(curl)

    return post


def _sender() -> Post:
    sender = CurlSender((ipaddress.ip_network("127.0.0.0/8"),))

    async def post(_place: int, request: Request) -> None:
        outcome = await sender.send(request)
        assert outcome.status == 200, outcome

    return post


if __name__ == "__main__":
    world.contender(main)
