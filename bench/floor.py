"""The floor: the least that can tell a CRM of a call. It hears all of ARI's events, and posts the one that a caller's
channel was made, at once; it stores nothing, promises nothing, and knows of no tenant.

    python floor.py ARI_PORT ARI_PASSWORD URL
"""

import asyncio
import json
import sys

import aiohttp
import uvloop


async def main(port: str, password: str, url: str) -> None:
    events = f"http://127.0.0.1:{port}/ari/events?app=floor&subscribeAll=true&api_key=vonal:{password}"
    tasks: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession() as crm, aiohttp.ClientSession() as ari, ari.ws_connect(events) as heard:
        print("ready", flush=True)
        async for message in heard:
            event = json.loads(message.data)
            if event["type"] == "ChannelCreated" and event["channel"]["name"].startswith("PJSIP/trunk-"):
                task = asyncio.create_task(_post(crm, url, event))
                tasks.add(task)
                task.add_done_callback(tasks.discard)


async def _post(crm: aiohttp.ClientSession, url: str, event: dict[str, object]) -> None:
    async with crm.post(url, json=event) as answer:
        await answer.read()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
