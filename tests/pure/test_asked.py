"""What a receiver's answer in sipgate's format asks for, and what it cannot make us do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vonal.domain.directory import HmacSigning, Security, Tls, Webhook
from vonal.webhooks.dialects.asked import Asked, addressed, read

# https://developer.sipgate.io/push-api/api-reference/, the examples of "The XML response".
ANSWER = '<?xml version="1.0" encoding="UTF-8"?>\n<Response onAnswer="http://localhost:3000/answer" />'
HANGUP = '<?xml version="1.0" encoding="UTF-8"?>\n<Response onHangup="http://localhost:3000/hangup" />'
REJECT = '<?xml version="1.0" encoding="UTF-8"?>\n<Response>\n\t<Reject reason="busy" />\n</Response>'
DIAL = """<?xml version="1.0" encoding="UTF-8"?>
<Response>
\t<Dial callerId="492111234567">
\t\t<!-- Originally dialed number, extracted from POST request -->
\t\t<Number>4915799912345</Number>
\t</Dial>
</Response>"""
GATHER = """<?xml version="1.0" encoding="UTF-8"?>
<Response>
\t<Gather onData="http://localhost:3000/dtmf" maxDigits="3" timeout="10000">
\t\t<Play>
\t\t\t<Url>https://example.com/example.wav</Url>
\t\t</Play>
\t</Gather>
</Response>"""


@pytest.mark.parametrize(
    ("published", "asked"),
    [
        (ANSWER, Asked(on_answer="http://localhost:3000/answer")),
        (HANGUP, Asked(on_hangup="http://localhost:3000/hangup")),
        (REJECT, Asked(unsupported=("Reject",))),
        (DIAL, Asked(unsupported=("Dial",))),
        (GATHER, Asked(unsupported=("Gather",))),
    ],
)
def test_sipgates_published_answers(published: str, asked: Asked):
    assert read(published) == asked
    assert read("\ufeff" + published.replace("\n", "\ufffd\n")) == asked  # as we keep what had a BOM and CR LF


@pytest.mark.parametrize("name", ["onHangup", "onHangUp"])
def test_the_spelling_of_sipgates_own_library_is_understood(name: str):
    """https://github.com/sipgate-io/sipgateio-node, lib/webhook/webhook.ts, before and after its correction."""
    xml = f'<?xml version="1.0" encoding="utf-8"?>\n<Response {name}="https://crm.example/h"/>'
    assert read(xml).on_hangup == "https://crm.example/h"


def test_escaped_addresses_are_read_as_xml_means_them():
    assert read('<Response onAnswer="https://crm.example/?a=1&amp;b=2"/>').on_answer == "https://crm.example/?a=1&b=2"


def test_an_answer_that_was_cut_off_still_asks():
    long = '<Response onAnswer="https://crm.example/a"><Play><Url>' + "x" * 3000
    assert read(long[:2048]) == Asked(on_answer="https://crm.example/a", unsupported=("Play",))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "ok",
        "{}",
        "<html><body>hello</body></html>",
        '<Response onAnswer="https://crm.example/a"',
        '<Error message="No handler for newCall event" />',
        '<x><Response onAnswer="https://crm.example/a"/></x>',
        '<!DOCTYPE Response [<!ENTITY a "https://crm.example/">]><Response onAnswer="&a;"/>',
        '<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response onAnswer="https://crm.example/a"/>',
        '<Response onAnswer="&nothere;"/>',
        '<Response onAnswer="https://a.example/" onAnswer="https://b.example/"/>',
        "<Response/><Response onAnswer='https://crm.example/a'/>",
        "\x00\x01",
        "<" * 2048,
    ],
)
def test_what_is_no_such_answer_asks_for_nothing(answer: str):
    assert read(answer) == Asked()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://crm.example/a",
        "gopher://crm.example/a",
        "javascript:alert(1)",
        "/answer",
        "localhost:9999",
        "https://",
        "https://user:pass@crm.example/a",
        "https://crm.example:0/a",
        "https://crm.example:99999/a",
        "https://[::1/a",
        "https://crm.example/a b",
        "https://crm.example/&#10;X-Evil: 1",
        "https://crm.example/ő",
        "https://crm.example/?key=…",
        "https://crm.example/" + "a" * 1024,
    ],
)
def test_only_addresses_of_web_servers_are_taken(url: str):
    found = read(f'<Response onAnswer="{url}" onHangup="https://crm.example/h"/>')
    assert found.on_answer is None
    assert found.on_hangup == "https://crm.example/h"
    assert found.unsupported == ("onanswer: not an address",)


@given(st.text(max_size=300))
def test_no_answer_breaks_the_reading(answer: str):
    read(answer)
    read(f'<Response onAnswer="{answer}">')


HOOK = Webhook(
    id="x",
    url="https://crm.example/new",
    events=["call.incoming"],
    params={"key": "abc"},
    headers={"X-Team": "a"},
    tls=Tls(certificate="c" * 32, key="k" * 32),
    security=Security(type="basic", user="u", password="pass", hmac=HmacSigning(key="a-signing-secret")),
)


@pytest.mark.parametrize("url", ["https://crm.example/answer", "https://crm.example:443/answer"])
def test_credentials_go_to_the_webhooks_own_server(url: str):
    there = addressed(HOOK, url)
    assert there == replace(HOOK, url=url)


@pytest.mark.parametrize(
    "url", ["https://other.example/a", "http://crm.example/a", "https://crm.example:8443/a", "https://x.crm.example/a"]
)
def test_credentials_go_nowhere_else_and_signatures_do(url: str):
    there = addressed(HOOK, url)
    assert there.security == Security(type="none", hmac=HmacSigning(key="a-signing-secret"))
    assert (there.params, there.headers, there.tls) == ({}, {}, None)
