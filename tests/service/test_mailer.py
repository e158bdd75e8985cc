"""Tenants are told by mail, by a real conversation with a mail server: once, in time, and whatever the server does."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from delivery_house import webhook
from directories import directory, example
from mail_server import MailServer, mailing
from sample_calls import START, events_of_call
from vonal.app import Service
from vonal.cli import checks_service
from vonal.config import Settings, SettingsError
from vonal.delivery.mailer import PAUSES_S, Mailer
from vonal.delivery.post import Post
from vonal.directory.apply import apply
from vonal.domain.directory import Tenant
from vonal.store import deliveries, notices
from vonal.store import settings as notes
from vonal.store.database import Database
from vonal.store.sql import to_ms

SENDER = "vonal@pbx.example"
NOW = to_ms(START)
MINUTE = 60_000


class Office:
    """A mailer with a clock that stands still, and tenants that want to be told."""

    def __init__(self, db: Database, server: MailServer) -> None:
        self.db, self.server, self.now = db, server, NOW
        self.tenants = {
            "acme": Tenant(id="acme", country="HU", notify=["it@acme.example", "boss@acme.example"]),
            "beta": Tenant(id="beta", country="HU", language="hu", notify=["it@beta.example"]),
            "quiet": Tenant(id="quiet", country="HU"),
        }

    def mailer(self, url: str = "") -> Mailer:
        post = Post.of(url or self.server.url, SENDER)
        return Mailer(self.db, post, tenant=self.tenants.get, where="https://pbx.example", clock=lambda: self.now)

    def tell(self, type_: str, tenant: str = "acme", *, webhook: str = "log", ago: int = 2 * MINUTE) -> None:
        add = partial(notices.add, type=f"webhook.{type_}", webhook_id=webhook, detail="503", at=self.now - ago)
        self.db.submit(lambda tx: add(tenant, tx)).result()

    def unmailed(self) -> int:
        return len(self.db.read_now(partial(notices.any_tenant_unmailed, before=1 << 60)))


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    async with mailing() as server:
        yield Office(database, server)


async def test_a_notice_becomes_one_mail_to_all_who_want_it(office: Office) -> None:
    mailer = office.mailer()
    office.tell("down", ago=MINUTE - 1)
    await mailer.look()
    assert office.server.mails == []
    office.now += 1
    await mailer.look()
    await mailer.look()
    (mail,) = office.server.mails
    assert (mail.sender, mail.to) == (SENDER, ["it@acme.example", "boss@acme.example"])
    assert mail.message["Subject"] == "[Vonal] acme: Webhook log does not answer as it should"
    assert mail.message["From"] == SENDER
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert "The last answer was the status 503." in mail.text
    assert office.unmailed() == 0


async def test_several_notices_of_a_tenant_are_one_mail_and_each_tenant_gets_its_own(office: Office) -> None:
    office.tell("down")
    office.tell("disabled", webhook="other")
    office.tell("down", "beta", webhook="pop")
    await office.mailer().look()
    first, second = office.server.mails
    assert first.message["Subject"] == "[Vonal] acme: 2 notices about webhooks"
    assert "pop" not in first.text
    assert second.to == ["it@beta.example"]
    assert second.message["Subject"] == "[Vonal] beta: Nem válaszol megfelelően a webhook: pop"
    assert "Semmi sem vész el" in second.text
    assert "other" not in second.text


async def test_flapping_is_not_mailed_and_not_looked_at_again(office: Office) -> None:
    office.tell("down", ago=50_000)
    office.tell("up", ago=10_000)
    await office.mailer().look()
    assert (office.server.mails, office.unmailed()) == ([], 0)


async def test_a_tenant_without_addresses_or_that_is_no_more_gets_none(office: Office) -> None:
    office.tell("down", "quiet")
    office.tell("down", "removed")
    await office.mailer().look()
    assert (office.server.mails, office.unmailed()) == ([], 0)


async def test_the_mail_says_how_many_records_wait(office: Office) -> None:
    told = events_of_call(at=START, types=("call.incoming", "call.completed", "recording.ready"))
    enqueue = partial(deliveries.enqueue, events=told, matches=lambda *_: True, now=START)
    await office.db.write(lambda tx: enqueue("acme", tx, webhooks=[webhook("log"), webhook("other")]))
    office.tell("down")
    await office.mailer().look()
    assert "Records waiting: 2." in office.server.mails[0].text  # the live event is none


@pytest.mark.parametrize("how", ["broken", "data", "password"])
async def test_a_server_that_cannot_be_used_loses_no_notice_and_is_left_in_peace(office: Office, how: str) -> None:
    mailer = office.mailer()
    office.tell("down")
    office.tell("down", "beta")
    before = {"broken": False, "data_status": 250, "password": ""}
    trouble = {"broken": {"broken": True}, "data": {"data_status": 451}, "password": {"password": "other"}}[how]
    vars(office.server).update(trouble)
    for _ in range(3):
        await mailer.look()
    tried = 2 if how == "data" else 1  # a mail that is not taken says nothing of the next tenant's
    assert (office.server.connections, office.unmailed()) == (tried, 2)
    vars(office.server).update(before)
    office.now += PAUSES_S[0] * 1000
    await mailer.look()
    assert sorted(mail.to[0] for mail in office.server.mails) == ["it@acme.example", "it@beta.example"]
    assert office.unmailed() == 0


async def test_pauses_grow(office: Office) -> None:
    mailer = office.mailer()
    office.server.broken = True
    office.tell("down")
    for tried, pause in enumerate(PAUSES_S, 1):
        await mailer.look()
        office.now += pause * 1000 - 1
        await mailer.look()
        assert office.server.connections == tried
        office.now += 1


async def test_a_server_that_is_not_there_is_no_more_than_a_pause(office: Office, free_port: int) -> None:
    office.tell("down")
    await office.mailer(f"smtp://127.0.0.1:{free_port}").look()
    assert office.unmailed() == 1


async def test_an_address_that_is_refused_keeps_nobody_else_from_being_told(office: Office) -> None:
    mailer = office.mailer()
    office.tell("down")
    office.tell("down", "beta")
    office.server.refuse = {"it@beta.example": 550, "boss@acme.example": 550}
    await mailer.look()
    assert [mail.to for mail in office.server.mails] == [["it@acme.example"]]
    assert office.unmailed() == 1
    office.tell("down", webhook="another")
    await mailer.look()
    assert len(office.server.mails) == 2
    office.server.refuse = {}
    office.now += PAUSES_S[0] * 1000
    await mailer.look()
    assert office.server.mails[2].to == ["it@beta.example"]


async def test_whatever_the_server_says_to_our_farewell_the_mail_is_not_sent_again(office: Office) -> None:
    mailer = office.mailer()
    office.server.quit_status = 421
    office.tell("down")
    await mailer.look()
    office.now += 10 * MINUTE
    await mailer.look()
    assert len(office.server.mails) == 1


async def test_a_database_that_is_away_after_the_sending_makes_no_second_mail(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailer = office.mailer()
    office.tell("down")
    with monkeypatch.context() as away:
        away.setattr(notices, "any_tenant_mark_mailed", lambda *_, **__: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await mailer.look()
    await mailer.look()
    assert (len(office.server.mails), office.unmailed()) == (1, 0)


async def test_of_several_processes_one_mails(office: Office) -> None:
    office.server.delay = 0.3
    office.tell("down")
    office.tell("down", "beta")
    await asyncio.gather(*(office.mailer().look() for _ in range(4)))
    assert sorted(mail.to[0] for mail in office.server.mails) == ["it@acme.example", "it@beta.example"]


async def test_a_process_that_died_in_the_middle_is_followed_by_another_with_the_same_mail(office: Office) -> None:
    office.server.delay = 0.5
    office.tell("down")
    dying = asyncio.create_task(office.mailer().look())
    while not office.server.connections:
        await asyncio.sleep(0.01)
    dying.cancel()
    other = office.mailer()
    await other.look()  # the lease is still the dead one's
    assert office.unmailed() == 1
    office.now += 5 * MINUTE + 1
    await other.look()
    assert office.unmailed() == 0
    while len(office.server.mails) < 2:
        await asyncio.sleep(0.01)
    first, second = office.server.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_the_worker_goes_on_when_a_look_fails(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vonal.delivery.mailer.LOOK_S", 0.01)
    mailer, failed = office.mailer(), []
    real = mailer.look

    async def look() -> None:
        if not failed:
            failed.append(1)
            raise RuntimeError("the database is away")
        await real()

    monkeypatch.setattr(mailer, "look", look)
    office.tell("down")
    running = asyncio.create_task(mailer.run())
    while not office.server.mails:
        await asyncio.sleep(0.01)
    running.cancel()


@pytest.mark.parametrize("how", [{"starttls": True}, {"tls": True}, {}])
async def test_passwords_and_tls_are_used_as_the_server_offers_them(database: Database, how: dict[str, bool]) -> None:
    async with mailing(password="p@ss:w/rd", **how) as server:
        office = Office(database, server)
        office.tell("down")
        await office.mailer(server.url.replace("//", "//me%40acme:p%40ss%3Aw%2Frd@")).look()
        (mail,) = server.mails
        assert (mail.user, mail.tls) == ("me@acme", bool(how))


async def test_a_password_is_not_sent_openly_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(password="secret") as server:
        monkeypatch.setattr(Post, "_is_here", False)
        post = Post.of(server.url.replace("//", "//me:secret@"), SENDER)
        with pytest.raises(OSError, match="offers no STARTTLS"):
            await asyncio.to_thread(post.check)


async def test_another_machines_certificate_must_be_good(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(starttls=True) as server:
        monkeypatch.setattr(Post, "_is_here", False)
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await asyncio.to_thread(Post.of(server.url, SENDER).check)


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("smtp://mail.example", ""),
        ("smtp://mail.example", "vonal"),
        ("smtp://mail.example", "a@b.example\nBcc: all@b.example"),
        ("smtp://mail.example", "a@b.example, c@d.example"),
        ("smtp://mail.example", "Vonal <a@b.example>"),
        ("smtp://", SENDER),
        ("smtp://user:hiddén@mail.example", SENDER),
        ("smtp://mail.example:port", SENDER),
        ("http://mail.example", SENDER),
    ],
)
def test_wrong_settings_are_told_without_the_password(url: str, sender: str) -> None:
    with pytest.raises(SettingsError, match="VONAL_MAIL_") as raised:
        Post.of(url, sender)
    assert "hidd" not in str(raised.value)


async def test_the_service_that_delivers_mails(database: Database, database_url: str, tmp_path: Path) -> None:
    data = example()
    data["tenants"][0]["notify"] = ["it@acme.example"]
    await asyncio.to_thread(apply, database, directory(data))
    stop = asyncio.Event()
    async with mailing() as server:
        settings = Settings(data_dir=tmp_path, database_url=database_url, mail_url=server.url, mail_from=SENDER)
        long_ago = time.time_ns() // 1_000_000 - 2 * MINUTE
        add = partial(notices.add, type="webhook.down", webhook_id="call-log", detail="timeout", at=long_ago)
        await database.write(lambda tx: add("acme", tx))
        async with Service(settings, role="delivery") as service:
            running = asyncio.create_task(service.run(stop))
            while not server.mails:
                assert not running.done()
                await asyncio.sleep(0.01)
            stop.set()
            await running
    assert "Nem válaszol megfelelően a webhook: call-log" in server.mails[0].message["Subject"]
    assert "nem érkezett időben válasz" in server.mails[0].text


def test_a_password_stands_in_no_description() -> None:
    assert "hidden-one" not in repr(Post.of("smtp://u:hidden-one@mail.example", SENDER))


@pytest.mark.parametrize(
    ("password", "state", "words"), [("right-one", "ok", "and lets us in"), ("wrong-one", "fail", "does not accept")]
)
async def test_the_doctor_logs_in(tmp_path: Path, password: str, state: str, words: str) -> None:
    async with mailing(password="right-one", starttls=True) as server:
        url = server.url.replace("//", f"//me:{password}@")
        settings = Settings(data_dir=tmp_path, mail_url=url, mail_from=SENDER)
        finding = await asyncio.to_thread(checks_service.mail, settings)
    assert (finding.state, words in finding.found, server.mails) == (state, True, [])
    assert password not in finding.found + finding.do
    assert (finding.do == "") == (state == "ok")


def test_the_doctor_tells_what_is_wrong(tmp_path: Path, free_port: int) -> None:
    for url in (f"smtp://127.0.0.1:{free_port}", "smtp://no-such-host.invalid", "smtp://"):
        finding = checks_service.mail(Settings(data_dir=tmp_path, mail_url=url, mail_from=SENDER))
        assert finding.state == "fail"
        assert finding.do


def test_a_lease_is_one_owners_until_it_runs_out(database: Database) -> None:
    def hold(owner: str, now: int) -> bool:
        take = partial(notes.any_tenant_hold, name="x", owner=owner, now=now, until=now + 100)
        return database.submit(take).result()

    assert [hold("a", 0), hold("b", 50), hold("a", 90), hold("b", 150)] == [True, False, True, False]
    assert [hold("b", 191), hold("a", 200)] == [True, False]
