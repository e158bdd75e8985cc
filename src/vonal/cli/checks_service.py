"""The checks of `vonal doctor` that look at Vonal itself: database, Asterisk, the public address, a webhook."""

import asyncio
import ipaddress
import time
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

import aiohttp
from aiohttp import web
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from vonal.cli.checks import Finding
from vonal.config import Settings, SettingsError
from vonal.delivery.post import Post, said
from vonal.directory import effect
from vonal.domain.call import Call, new_id
from vonal.domain.delivery import Outcome
from vonal.domain.directory import Security, Webhook
from vonal.domain.errors import EngineUnavailable, TelephonyUnavailable, VonalError
from vonal.domain.events import TEST, CallEvent, next_event
from vonal.store import directory
from vonal.store import settings as notes
from vonal.store.opening import open_database
from vonal.telephony.ari import Ari
from vonal.telephony.binary import locate
from vonal.telephony.engine import running
from vonal.telephony.process import Process
from vonal.webhooks import envelope
from vonal.webhooks.sender import CurlSender

LOOKED = "doctor_looked_at"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of the doctor's own receiver, which lives for one request
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PUBLIC_SECONDS = 5
SOON = 14  # days


def database(settings: Settings) -> tuple[Finding, bool]:
    """Connects, brings the tables up to date, writes; and whether a service works on it now."""
    kind = "PostgreSQL" if settings.database_url.startswith("postgresql") else "SQLite"
    do = (
        "look at VONAL_DATABASE_URL and at the server's log"
        if settings.database_url
        else "see `data folder` and `disk`"
    )
    began = time.monotonic()
    try:
        with closing(open_database(settings)) as db:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            db.submit(lambda tx: notes.any_tenant_set(tx, LOOKED, now)).result()
            service = effect.service_runs(settings, db)
    except VonalError as fault:
        return Finding(check="database", state="fail", found=fault.detail, do=do), False
    except Exception as fault:  # noqa: BLE001 - whatever a driver raises is what the doctor was called for
        return Finding(check="database", state="fail", found=f"{kind} cannot be written: {fault}", do=do), False
    took = (time.monotonic() - began) * 1000
    return Finding(
        check="database", state="ok", found=f"{kind} is up to date and can be written ({took:.0f} ms)"
    ), service


def asterisk(settings: Settings, *, service: bool) -> tuple[list[Finding], Process | None]:
    """The program, and the running one."""
    try:
        binary = locate(settings.asterisk, settings.engine_dir)
    except EngineUnavailable as fault:
        return [Finding(check="Asterisk", state="fail", found=fault.detail, do="vonal engine install")], None
    program = Finding(check="Asterisk", state="ok", found=f"{binary.version}, {binary.argv[-1]}")
    process = running(settings.data_dir / "engine")
    return [program, _running(settings, process, service=service)], process


def _running(settings: Settings, process: Process | None, *, service: bool) -> Finding:
    check = "running Asterisk"
    if process is None:
        if service:
            do = f"look into the service's log, and into {settings.data_dir / 'engine' / 'log'}"
            return Finding(check=check, state="fail", found="the service runs, but no Asterisk", do=do)
        return Finding(check=check, state="ok", found="none; `vonal serve` starts it")
    try:
        channels = asyncio.run(_channels(settings))
    except (OSError, TelephonyUnavailable) as fault:
        do = "set VONAL_ARI_PORT to what it was when it was started, or run `vonal engine stop`"
        return Finding(check=check, state="fail", found=f"pid {process.pid} does not answer: {fault}", do=do)
    found = f"pid {process.pid} since {process.started_at:%Y-%m-%d %H:%M} UTC, {channels} channels"
    return Finding(check=check, state="ok", found=found)


async def _channels(settings: Settings) -> int:
    password = (settings.data_dir / "engine" / "ari.secret").read_text(encoding="utf-8").strip()
    async with Ari(f"http://127.0.0.1:{settings.ari_port}", password=password) as ari:
        return len(await ari.channels())


def public_address(settings: Settings, *, service: bool) -> Finding:
    """Whether CRMs can reach us, and safely."""
    check, host = "public address", settings.listen[0]
    if not settings.public_url:
        if host in ("127.0.0.1", "::1", "localhost"):
            do = "put a TLS proxy in front, and set VONAL_PUBLIC_URL=https://… for CRMs on other machines"
            return Finding(check=check, state="ok", found="none: only this machine reaches the API", do=do)
        do = "set VONAL_PUBLIC_URL=https://…, and listen on loopback behind a TLS proxy"
        return Finding(check=check, state="warn", found=f"the API listens on {host} without TLS", do=do)
    if not settings.public_url.startswith("https://"):
        do = "use https: passwords, keys and recordings would pass openly"
        return Finding(check=check, state="warn", found=f"{settings.public_url} has no TLS", do=do)
    return asyncio.run(_reached(settings, service=service))


async def _reached(settings: Settings, *, service: bool) -> Finding:
    check, url = "public address", f"{settings.base_url}/healthz"
    limit = aiohttp.ClientTimeout(total=PUBLIC_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=limit, trust_env=False) as http, http.get(url) as answer:
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as fault:
        do = "look at the certificate, the DNS name and the TLS proxy"
        return Finding(check=check, state="fail", found=f"{url}: {fault or 'no answer'}", do=do)
    if status == HTTPStatus.OK:
        return Finding(check=check, state="ok", found=f"{settings.base_url} answers, its certificate is good")
    do = "point the proxy to VONAL_LISTEN" if service else "start `vonal serve`, then look again"
    return Finding(check=check, state="fail" if service else "warn", found=f"{url} answers {status}", do=do)


def mail(settings: Settings) -> Finding:
    """The mail server is reached and lets us in; nothing is sent."""
    try:
        found = Post.of(settings.mail_url, settings.mail_from).check()
    except SettingsError as fault:
        return Finding(check="mail", state="fail", found=str(fault), do="correct the setting")
    except OSError as fault:
        do = "look at VONAL_MAIL_URL, and into the mail server's log; notices wait meanwhile"
        return Finding(check="mail", state="fail", found=said(fault), do=do)
    return Finding(check="mail", state="ok", found=found)


def delivery() -> Finding:
    """A signed webhook.test, by the real sender, to a receiver of our own."""
    return asyncio.run(_delivery())


async def _delivery() -> Finding:
    verified: list[bool] = []

    async def receive(request: web.Request) -> web.Response:
        try:
            Verifier(KEY).verify(await request.read(), {name.lower(): one for name, one in request.headers.items()})
            verified.append(True)
        except WebhookVerificationError:
            verified.append(False)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        webhook = Webhook(id="doctor", url=url, events=[TEST], security=Security(type="hmac", key=KEY))
        outcome = await _sent(webhook, "doctor", "UTC", "http://127.0.0.1", LOOPBACK)
    finally:
        await runner.cleanup()
    check = "test delivery"
    if verified == [True] and outcome.fault is None:
        return Finding(check=check, state="ok", found=f"signed, sent and verified in {outcome.took_ms} ms")
    do = "report this: the sender cannot reach this very machine"
    return Finding(check=check, state="fail", found=_outcome(outcome), do=do)


def webhook(settings: Settings, named: str) -> Finding:
    """A webhook.test to a stored webhook, `TENANT/ID`, once and outside its queue."""
    check, (tenant_id, _, webhook_id) = f"webhook {named}", named.partition("/")
    with closing(open_database(settings)) as db:
        tenant = db.read_now(partial(directory.load, tenant_id))
    found = next((one for one in tenant.webhooks if one.id == webhook_id), None) if tenant else None
    if tenant is None or found is None:
        known = ", ".join(f"{tenant_id}/{one.id}" for one in tenant.webhooks) if tenant else "see `vonal apply`"
        return Finding(
            check=check, state="fail", found="there is none of this name", do=f"known are: {known or 'none'}"
        )
    outcome = asyncio.run(_sent(found, tenant_id, tenant.timezone, settings.base_url, settings.webhook_allow))
    if outcome.fault is None:
        return Finding(check=check, state="ok", found=_outcome(outcome))
    return Finding(check=check, state="fail", found=_outcome(outcome), do=_advice(outcome))


async def _sent(
    to: Webhook,
    tenant_id: str,
    timezone: str,
    base_url: str,
    allow: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
) -> Outcome:
    now = datetime.now(UTC)
    setting = envelope.Setting(timezone=timezone, base_url=base_url)
    request = envelope.request(_event(tenant_id, now), to, setting, attempt=1, timestamp=int(now.timestamp()))
    sender = CurlSender(allow)
    try:
        return await sender.send(request)
    finally:
        await sender.close()


def _event(tenant_id: str, now: datetime) -> CallEvent:
    call_id = new_id("call")
    return next_event(Call(id=call_id, tenant_id=tenant_id, linkedid=call_id, started_at=now), TEST, now)


def _outcome(outcome: Outcome) -> str:
    answer = f"answered {outcome.status}" if outcome.status else f"{outcome.error}"
    words = f": {outcome.answer.strip()[:200]}" if outcome.answer.strip() else ""
    return f"{answer} in {outcome.took_ms} ms{words}"


def _advice(outcome: Outcome) -> str:
    advice = {
        "address_refused": "use a public https address, or allow its network by VONAL_WEBHOOK_ALLOW",
        "name_not_found": "look at the host in the webhook's url",
        "not_connected": "is the CRM running, and does a firewall let us through?",
        "timeout": "the CRM must answer sooner; let it do its work after the answer",
        "tls_not_trusted": "the CRM's certificate must be valid for its name, of an authority that we trust (tls.ca)",
        "tls_refused": "the CRM wants another certificate of ours: look at tls.certificate",
        "tls_failed": "the CRM may want a certificate of ours: look at tls.certificate and tls.key",
    }
    return advice.get(outcome.error or "", "look into the CRM's log: anything but 2xx is tried again")
