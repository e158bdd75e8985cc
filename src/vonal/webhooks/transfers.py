"""libcurl's transfers on our event loop. See docs/decisions/0013-libcurl-has-an-epoll-of-its-own.md.

The sockets are watched by one epoll, and the loop watches that. libcurl watches a socket anew for each request, so a
loop that is told of every one of them does more for a request than libcurl does.
"""

import asyncio
import select
from contextlib import suppress

import pycurl

_EVENTS = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_READABLE = select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP
_WRITABLE = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP
NEVER = float("inf")


class Transfers:
    """`await perform(handle)`, on one event loop; `connections` are kept when nothing goes over them."""

    def __init__(self, connections: int) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._wake_in)
        self._sockets = select.epoll()
        self._watched: set[int] = set()
        self._waiting: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings = NEVER  # when the timer does; uvloop's cannot be asked when it is over
        self._due = NEVER  # when libcurl wants to be asked; the timer may be earlier, and then waits once more
        self._soon = False

    async def perform(self, curl: pycurl.Curl) -> None:
        """The whole transfer. Raises pycurl.error; when cancelled, the transfer is broken off."""
        loop = self._loop or self._begin()
        done = self._waiting[curl] = loop.create_future()
        try:
            self._multi.add_handle(curl)
            await done
        finally:
            if self._waiting.pop(curl, None) is not None:
                self._multi.remove_handle(curl)

    def close(self) -> None:
        """Breaks off what is under way, and ends all connections."""
        for curl, done in list(self._waiting.items()):
            self._multi.remove_handle(curl)
            del self._waiting[curl]
            done.cancel()
        self._multi.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._sockets.fileno())
        self._sockets.close()

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sockets.fileno(), self._act)
        return self._loop

    def _watch(self, what: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            with suppress(OSError):  # it was closed already
                self._sockets.unregister(fd)
        elif fd in self._watched:
            self._sockets.modify(fd, _EVENTS[what])
        else:
            self._watched.add(fd)
            self._sockets.register(fd, _EVENTS[what])

    def _act(self) -> None:
        for fd, events in self._sockets.poll(0):
            ready = pycurl.CSELECT_IN if events & _READABLE else 0
            if events & _WRITABLE:
                ready |= pycurl.CSELECT_OUT
            self._multi.socket_action(fd, ready)
        self._finish_done()

    def _wake_in(self, ms: int) -> None:
        loop = self._loop
        if loop is None or self._multi.closed:
            return
        if ms == 0:
            if not self._soon:
                self._soon = True
                loop.call_soon(self._wake)
            return
        self._due = NEVER if ms < 0 else loop.time() + ms / 1000
        if self._due < self._rings:
            self._set_timer()

    def _set_timer(self) -> None:
        assert self._loop is not None  # noqa: S101 - libcurl asks for a timer when it has a transfer
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings = self._loop.call_at(self._due, self._tick), self._due

    def _tick(self) -> None:
        assert self._loop is not None  # noqa: S101 - as above
        self._timer, self._rings = None, NEVER
        if self._due <= self._loop.time():
            self._wake()
        elif self._due < NEVER:
            self._set_timer()

    def _wake(self) -> None:
        self._soon = False
        if self._multi.closed:
            return
        self._due = NEVER
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._finish_done()

    def _finish_done(self) -> None:
        left = 1
        while left:
            left, answered, failed = self._multi.info_read()
            for curl in answered:
                self._finish(curl, None)
            for curl, code, words in failed:
                self._finish(curl, pycurl.error(code, words))

    def _finish(self, curl: pycurl.Curl, failure: pycurl.error | None) -> None:
        self._multi.remove_handle(curl)
        done = self._waiting.pop(curl)
        if done.cancelled():
            return
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
