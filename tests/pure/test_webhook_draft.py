"""The webhook form: every webhook that can be stored survives it, and whatever is sent gives faults beside fields."""

from urllib.parse import parse_qs, urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from vonal.directory import check_webhook, webhook_form
from vonal.domain import masks
from vonal.domain.directory import HmacSigning, Security, Tenant, Tls, Webhook, WebhookScope
from vonal.domain.errors import InvalidParts
from vonal.domain.events import SUBSCRIBABLE
from vonal.domain.secrets import HIDDEN
from vonal.portal import webhook_draft as draft

TEXT = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" +&=%;•"), min_size=1, max_size=20)
NAME = st.text("abcXYZ-_09", min_size=1, max_size=12)
PATH = st.sampled_from([*draft.GROUPS, *masks.FIXED, *masks.MASKABLE, "custom.deal", "custom.a.b"])
KEYS = st.sampled_from(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a long signing key", "another long signing key"])
SIGNING = st.builds(HmacSigning, key=KEYS, previous_key=st.none() | KEYS)
BESIDE = st.none() | SIGNING
SECURITY = st.one_of(
    st.builds(Security, type=st.just("none"), hmac=BESIDE),
    st.builds(Security, type=st.sampled_from(["basic", "userpass_params"]), user=TEXT, password=TEXT, hmac=BESIDE),
    st.builds(Security, type=st.just("api_key_header"), key=TEXT, header=st.none() | NAME, hmac=BESIDE),
    st.builds(Security, type=st.just("api_key_param"), key=TEXT, param=st.none() | TEXT, hmac=BESIDE),
    st.builds(Security, type=st.just("hmac"), key=KEYS, previous_key=st.none() | KEYS),
    st.builds(Security, type=st.just("encrypted"), key=st.just("a key that is long enough to encrypt"), hmac=BESIDE),
)
PEM = st.just("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
WEBHOOKS = st.builds(
    Webhook,
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
    url=st.just("https://crm.example/calls?key=ő&x=1"),
    method=st.sampled_from(["GET", "POST"]),
    encoding=st.sampled_from(["json", "form"]),
    events=st.lists(st.sampled_from(SUBSCRIBABLE), min_size=1, unique=True),
    params=st.dictionaries(TEXT, TEXT, max_size=4),
    headers=st.dictionaries(NAME, TEXT, max_size=4),
    security=SECURITY,
    fields=st.sampled_from(["minimal", "standard", "full"]) | st.lists(PATH, max_size=12, unique=True),
    recording=st.sampled_from(["none", "reference", "inline"]),
    timeout=st.integers(1, 30),
    scope=st.builds(
        WebhookScope,
        extensions=st.lists(st.sampled_from(["101", "102"]), unique=True),
        numbers=st.lists(st.just("+3612345678"), unique=True),
        directions=st.lists(st.sampled_from(["inbound", "outbound", "internal"]), unique=True),
    ),
    mask=st.dictionaries(st.sampled_from([*masks.MASKABLE, "custom.deal"]), st.sampled_from(["last4", "hash", "hide"])),
    tls=st.none() | st.builds(Tls, ca=PEM, certificate=st.none() | PEM, key=st.none() | PEM),
    enabled=st.booleans(),
)
SPOKEN = st.builds(
    Webhook,
    id=st.just("crm"),
    url=st.just("https://crm.example/calls"),
    events=st.lists(st.sampled_from(["call.incoming", "call.outgoing", "webhook.test"]), min_size=1, unique=True),
    dialect=st.sampled_from(["sipgate", "zammad", "placetel"]),
    encoding=st.sampled_from(["json", "form"]),
    recording=st.sampled_from(["none", "reference"]),
    mask=st.dictionaries(st.sampled_from(masks.MASKABLE), st.just("hide"), max_size=2),
)


def as_sent(form: dict[str, list[str]]) -> dict[str, list[str]]:
    """The form as it comes back from a browser: lines end as in mail, and what is empty has no name."""
    fields = [(name, one.replace("\n", "\r\n")) for name, values in form.items() for one in values]
    sent = parse_qs(urlencode(fields), keep_blank_values=True)
    return {name: [one.replace("\r\n", "\n") for one in values] for name, values in sent.items()}


FEWER = settings(max_examples=60)  # of a hundred


@FEWER
@given(WEBHOOKS | SPOKEN)
def test_every_webhook_survives_the_form(webhook: Webhook) -> None:
    sent = as_sent(draft.form_of(webhook))
    assert webhook_form.read(draft.json_of(sent), id_=webhook.id, stored=webhook) == webhook


SECRET_FIELDS = ("password", "signing_key", "previous_key", "api_key", "encryption_key", "tls_key")


@FEWER
@given(WEBHOOKS)
def test_no_secret_stands_in_the_form(webhook: Webhook) -> None:
    form = draft.form_of(webhook)
    assert {draft.one(form, name) for name in SECRET_FIELDS} <= {"", HIDDEN}


FIELD_NAMES = st.sampled_from([*draft.form_of(Webhook(id="x", url="x", events=["x"])), "previous_key"])


@FEWER
@given(st.dictionaries(FIELD_NAMES, st.lists(st.text(max_size=30), min_size=1, max_size=4), max_size=30))
def test_whatever_is_sent_gives_faults_beside_fields_that_there_are(form: dict[str, list[str]]) -> None:
    faults: list[tuple[str, str]] = []
    try:
        webhook = webhook_form.read(draft.json_of(form), id_="x")
        faults = [(path.partition(".")[2], reason) for path, reason in check_webhook.faults_of("w", webhook, TENANT)]
    except InvalidParts as fault:
        faults = list(fault.faults)
    for field in draft.placed(faults, form):
        assert draft.step_of(field) in draft.STEPS
        assert field != "", faults


TENANT = Tenant(id="acme", country="HU")


def test_what_the_present_choice_hides_is_kept_in_the_form_but_not_in_the_webhook() -> None:
    form = draft.form_of(Webhook(id="x", url="https://crm.example/", events=["call.ringing", "call.incoming"]))
    form |= {"dialect": ["sipgate"], "method": ["GET"], "password": ["typed before"], "fields": ["full"]}
    data = draft.json_of(form)
    assert (data["method"], data["fields"], data["events"]) == ("POST", "standard", ["call.incoming"])
    assert "password" not in data["security"]


def test_a_name_that_stands_twice_is_told() -> None:
    form = {"param_name": ["a", "b", "a"], "param_value": ["1", "2", "3"]}
    assert draft.twice(form) == [("params.a", "a")]
