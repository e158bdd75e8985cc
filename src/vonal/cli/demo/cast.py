"""Who plays in the demo: one tenant, its phones, its customers. The carrier is played too: no call leaves."""

import hmac
from dataclasses import dataclass

from msgspec.structs import replace

from vonal.domain.directory import (
    ApiKey,
    ApiUser,
    Directory,
    Extension,
    Number,
    Outbound,
    RecordingPolicy,
    Security,
    Tenant,
    Trunk,
    Webhook,
)
from vonal.domain.events import LIVE, RECORDS
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import answer

TENANT = "demo"
API_KEY = "vk_demo_0123456789abcdef"
USER, PASSWORD = "demo", "demo-password"
SWITCHBOARD, DIRECT = "+3612345678", "+3612345679"
SIMULATED = ("101", "102")
SOFTPHONE = "103"
OWNER, OWNER_NAME, OWNER_PASSWORD = "anna@demo.example", "Kovács Anna", "demo-portal-2026"
PICKS_UP_AFTER = 2.0  # seconds, agents and customers alike
TALKS = 12.0  # seconds until a customer says goodbye


@dataclass(frozen=True, kw_only=True)
class Customer:
    """A customer: in the CRM's files, and on the line. The carrier knows by the last two digits how to treat them."""

    id: str
    name: str
    company: str
    number: str
    note: str
    says: str


CUSTOMERS = (
    Customer(
        id="kiss", name="Kiss Anna", company="Napraforgó Bt.", number="+36305550123",
        note="Ordered twelve crates of honey; delivery is on Friday.", says="demo-congrats",
    ),
    Customer(
        id="horvath", name="Horváth Éva", company="Horváth Pékség", number="+36205550134",
        note="Likes to be called before nine.", says="demo-abouttotry",
    ),
    Customer(
        id="muller", name="Müller Johann", company="Müller & Söhne, Wien", number="+4315550134",
        note="Asks for the spring price list.", says="demo-instruct",
    ),
    Customer(
        id="toth", name="Tóth Gábor", company="Tóth Autó", number="+36705550191",
        note="His line is always busy.", says="demo-thanks",
    ),
    Customer(
        id="varga", name="Varga Katalin", company="Varga Virág", number="+36305550192",
        note="Never picks up. Hang up when you have had enough.", says="demo-moreinfo",
    ),
)  # fmt: skip


def directory(*, secret: bytes, webhook_url: str, signing_key: str, carrier: tuple[int, int]) -> Directory:
    """The demo's tenant and trunk. `carrier`: the ports it listens at and calls from.

    `secret` makes the phones' passwords: the same at each start, so that a softphone stays registered.
    """
    webhook = Webhook(
        id="crm",
        url=webhook_url,
        events=[*LIVE, *RECORDS],
        fields="full",
        security=Security(type="hmac", key=signing_key),
    )
    listens, calls_from = carrier
    extensions = [
        Extension(number="101", name="Kovács Anna", secret=phone_secret(secret, "101"), email="anna@demo.example"),
        Extension(number="102", name="Nagy Béla", secret=phone_secret(secret, "102"), email="bela@demo.example"),
        Extension(number=SOFTPHONE, name="Your own phone", secret=phone_secret(secret, SOFTPHONE)),
    ]
    tenant = Tenant(
        id=TENANT,
        name="Demo Kft.",
        country="HU",
        language="hu",
        timezone="Europe/Budapest",
        extensions=extensions,
        numbers=[
            Number(number=SWITCHBOARD, name="Központ", ring=list(SIMULATED), timeout=25),
            Number(number=DIRECT, name="Your own phone", ring=[SOFTPHONE], timeout=25),
        ],
        outbound=Outbound(trunk="carrier", caller_id=SWITCHBOARD, countries=["HU", "AT"]),
        recording=RecordingPolicy(mode="all", format="mp3", retention_days=30),
        api_users=[ApiUser(user=USER, password=PASSWORD)],
        api_keys=[ApiKey(name="crm", key=API_KEY)],
        webhooks=[webhook],
    )
    trunk = Trunk(id="carrier", address=f"127.0.0.1:{listens}", match=[f"127.0.0.1:{calls_from}"])
    return Directory(trunks=[trunk], tenants=[tenant])


def phone_secret(secret: bytes, extension: str) -> str:
    """The password that a phone registers with."""
    return hmac.digest(secret, f"demo phone {extension}".encode(), "sha256").hex()[:12]


def without_softphone(whole: Directory) -> Directory:
    """What the simulated world is made from: nobody there plays the visitor's own phone."""
    tenants = [
        replace(tenant, extensions=[one for one in tenant.extensions if one.number != SOFTPHONE])
        for tenant in whole.tenants
    ]
    return replace(whole, tenants=tenants)


def rehearse(outside: Simulator) -> None:
    """Tells everybody outside what to do when called."""
    for extension in SIMULATED:
        outside.phone(f"{TENANT}-{extension}").behaviour = answer("demo-echotest", after=PICKS_UP_AFTER)
    carrier = outside.carrier("carrier")
    carrier.behaviour = answer("hello-world", after=PICKS_UP_AFTER, talk=TALKS)
    for customer in CUSTOMERS:
        if customer.number[-2:] not in carrier.by_ending:
            carrier.by_number[customer.number] = answer(customer.says, after=PICKS_UP_AFTER, talk=TALKS)
