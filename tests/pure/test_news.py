"""What tenants are mailed about, when, and in which words."""

import pytest

from vonal.delivery.letters import letter
from vonal.delivery.news import STALE_MS, due
from vonal.delivery.words import WORDS
from vonal.domain.directory import Tenant, Webhook
from vonal.store.notices import TYPES, Notice

NOW = 1_795_000_000_000  # ms; 2026-11-18 11:06:40 UTC
ACME = Tenant(
    id="acme",
    name="Acme Kft.",
    country="HU",
    language="hu",
    timezone="Europe/Budapest",
    webhooks=[Webhook(id="log", url="https://crm.example/calls?key=s3cret", events=["call.completed"])],
)


def told(*story: str) -> list[Notice]:
    """`"<seconds ago> <type> [webhook [tenant]]"` each, in the order they were made."""
    notices = []
    for position, line in enumerate(story, 1):
        words = line.split()
        ago, kind, webhook, tenant = words + ["log", "acme"][len(words) - 2 :]
        notices.append(
            Notice(
                position=position,
                tenant_id=tenant,
                at=NOW - int(float(ago) * 1000),
                type=f"webhook.{kind}",
                webhook_id=webhook,
                detail="503",
            )
        )
    return notices


@pytest.mark.parametrize(
    ("story", "tell", "silent"),
    [
        ([], {}, []),
        (["59.999 down"], {}, []),
        (["60 down"], {"acme": [1]}, []),
        (["30 down", "1 up"], {}, [1, 2]),
        (["100 down", "40.001 up"], {}, [1, 2]),
        (["100 down", "40 up"], {"acme": [1]}, []),  # it was down for a minute; whether it is up to stay is to be seen
        (["200 down", "60 up"], {"acme": [1, 2]}, []),
        (["60 up"], {"acme": [1]}, []),  # its mail of being down went before
        (["30 up"], {}, []),
        (["90 up", "60 down"], {}, [1, 2]),  # was up for half a minute: still down, as it was told
        (["500 down", "90 up", "60 down"], {"acme": [1]}, [2, 3]),
        (["90 down", "80 up", "70 down", "60 up"], {}, [1, 2, 3, 4]),
        (["90 down", "80 up", "70 down"], {"acme": [3]}, [1, 2]),
        (["0 disabled"], {"acme": [1]}, []),
        (["10 down", "5 disabled"], {"acme": [2]}, [1]),
        (["500 down", "400 down"], {"acme": [1, 2]}, []),
        (["90 down log", "80 up other"], {"acme": [1, 2]}, []),
        (["90 down log acme", "80 up log beta"], {"acme": [1], "beta": [2]}, []),
        ([f"{STALE_MS / 1000 + 1} down", "70 up"], {"acme": [2]}, [1]),
        (["-3600 down"], {}, []),  # the clock was set back
    ],
)
def test_what_lasts_is_told_once_and_what_flaps_is_not(
    story: list[str], tell: dict[str, list[int]], silent: list[int]
) -> None:
    found = due(told(*story), now=NOW)
    assert {tenant: [one.position for one in some] for tenant, some in found.tell.items()} == tell
    assert sorted(found.silent) == silent


def test_a_letter_in_hungarian_says_what_happened_since_when_and_what_to_do() -> None:
    subject, text = letter(ACME, told("60 down"), waiting={"log": 37}, where="https://pbx.example")
    assert subject == "[Vonal] Acme Kft.: Nem válaszol megfelelően a webhook: log"
    for words in (
        "log (crm.example): ez a webhook 2026. 11. 18. 12:05 (Europe/Budapest) óta nem veszi át, amit küldünk.",
        "Az utolsó válasz állapotkódja: 503.",
        "Várakozó hívásadatok száma: 37.",
        "Semmi sem vész el",
        "mit ír a CRM saját naplója",
        "https://pbx.example/api/v1/notices",
    ):
        assert words in text
    assert "s3cret" not in text


def test_a_letter_in_english_with_several_notices_tells_each() -> None:
    english = Tenant(id="acme", country="AT", timezone="Nowhere/Land")
    notices = told("200 down", "60 up", "0 disabled other")
    subject, text = letter(english, notices, waiting={"log": 10_000}, where="https://pbx.example")
    assert subject == "[Vonal] acme: 3 notices about webhooks"
    titles = ("log does not answer as it should", "log works again", "other is disabled")
    assert [one for one in titles if one in text] == list(titles)
    assert "2026-11-18 11:03 (UTC)" in text
    assert "Records waiting: more than 10000" in text


@pytest.mark.parametrize("language", ["hu", "en"])
@pytest.mark.parametrize(
    "detail", ["", "503", "401", "404", "301", "timeout", "tls_not_trusted", "something_new", "{x}"]
)
@pytest.mark.parametrize("type_", TYPES)
def test_every_letter_can_be_written(language: str, detail: str, type_: str) -> None:
    tenant = Tenant(id="acme", name="{0} {x}\r\nBcc: all@example.com", country="HU", language=language)
    notice = Notice(position=1, tenant_id="acme", at=NOW, type=type_, webhook_id="log", detail=detail)
    subject, text = letter(tenant, [notice], waiting={}, where="https://pbx.example")
    assert subject.isprintable()
    assert text.count("\n\n") >= 3


def test_both_languages_have_the_same_words() -> None:
    first, *others = WORDS.values()
    for other in others:
        for name in ("titles", "texts", "errors", "checks"):
            assert getattr(first, name).keys() == getattr(other, name).keys()
