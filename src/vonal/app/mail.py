"""Letters to people, sent in the background: nobody waits for a mail server, or learns from it who has an account."""

import asyncio
import threading

import structlog

from vonal.delivery.post import NotAccepted, Post, said
from vonal.domain.call import new_id

log = structlog.get_logger(__name__)
PAUSES_S = (20, 120)  # before it is tried again


class Letters:
    """What is not sent when the process ends is lost: every page that sends a letter shows a way without."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, to: str, subject: str, text: str) -> None:
        """Sends it."""
        task = asyncio.get_running_loop().create_task(self._send(to, subject, text))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Sends no more."""
        for task in tuple(self._tasks):
            task.cancel()

    async def _send(self, to: str, subject: str, text: str) -> None:
        number = f"vonal.{new_id('ltr')}"
        for pause in (*PAUSES_S, None):
            why = await _in_thread(self._post, to, subject, text, number)
            if why is None:
                log.info("letter.sent")
                return
            log.warning("letter.not_sent", reason=why, again_in_s=pause)
            if pause is None:
                return
            await asyncio.sleep(pause)


async def _in_thread(post: Post, to: str, subject: str, text: str, number: str) -> str | None:
    """Why it was not sent. A mail server that hangs does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def settle(why: str | None) -> None:
        if not done.done():
            done.set_result(why)

    def run() -> None:
        why = _sent(post, to, subject, text, number)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, why)

    threading.Thread(target=run, name="letter", daemon=True).start()
    return await done


def _sent(post: Post, to: str, subject: str, text: str, number: str) -> str | None:
    try:
        post.send(post.message([to], subject, text, number=number))
    except (NotAccepted, ValueError) as fault:  # ValueError: an address that no mail can bear
        return str(fault)
    except OSError as fault:
        return said(fault)
    return None
