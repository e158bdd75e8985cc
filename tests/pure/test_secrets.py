"""What the audit log keeps of the directory holds no secret, and yet tells that one has changed."""

from typing import Any

from msgspec.structs import replace

from vonal.domain.directory import Extension, Security, Webhook
from vonal.domain.secrets import CHANGED, HIDDEN, without_secrets

HOOK = Webhook(
    id="log",
    url="https://crm.example/in?key=s3cret",
    events=["call.completed"],
    params={"api_key": "s3cret", "who": "{{ caller }}"},
    headers={"X-Key": "s3cret"},
    security=Security(type="basic", user="vonal", password="s3cret"),
)


def test_no_secret_of_a_webhook_is_kept_but_its_shape_is() -> None:
    kept = without_secrets(HOOK)
    assert "s3cret" not in str(kept)
    assert kept["url"] == f"https://crm.example/in?{HIDDEN}"
    assert kept["params"] == {"api_key": HIDDEN, "who": HIDDEN}
    assert (kept["security"]["user"], kept["security"]["password"]) == ("vonal", HIDDEN)


def _after(**changed: Any) -> Any:
    return without_secrets(replace(HOOK, **changed), before=HOOK)


def test_a_secret_that_has_changed_is_marked() -> None:
    assert _after() == without_secrets(HOOK)
    assert _after(params={"api_key": "other"})["params"] == {"api_key": CHANGED}
    assert _after(url="https://crm.example/in?key=other")["url"] == f"https://crm.example/in?{CHANGED}"
    assert _after(security=Security(type="basic", user="vonal", password="other"))["security"]["password"] == CHANGED
    phone = Extension(number="101", secret="phone-secret")
    assert without_secrets(replace(phone, secret="another"), before=phone)["secret"] == CHANGED
