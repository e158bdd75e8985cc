"""The example decryptors of docs/examples do what they say, each in its own language."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwe
from joserfc.jwk import OctKey

from documents import ROOT
from sample_calls import answered_call, event, recording
from vonal.domain.directory import Security, Webhook
from vonal.webhooks import encryption, envelope

EXAMPLES = ROOT / "docs" / "examples" / "encrypted"
PROGRAMS = {"decrypt.py": sys.executable, "decrypt.php": "php", "decrypt.mjs": "node"}
KEY = "egy-API-kulcs, űrhosszú, 32 jellel"

each_language = pytest.mark.parametrize("example", PROGRAMS)


def _run(example: str, token: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS[example], EXAMPLES / example],
        input=token + "\n",
        env={**os.environ, "VONAL_KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _token(security: Security | None = None, **members: Any) -> Any:
    """What is sent: the token; with another security the JSON that stands in it."""
    security = security or Security(type="encrypted", key=KEY)
    hook = Webhook(id="log", url="https://crm.example", events=["call.completed"], security=security, **members)
    setting = envelope.Setting(timezone="UTC", base_url="https://pbx.example", sounds={"rec_a": b"\xff\xfb" * 300_000})
    request = envelope.request(TOLD, hook, setting, attempt=1, timestamp=1_800_000_000)
    query = dict(parse_qsl(urlsplit(request.url).query))
    if hook.method == "GET":
        return query["payload"] if security.type == "encrypted" else query
    if hook.encoding == "form":
        return dict(parse_qsl(request.body.decode()))["payload"]
    return request.body.decode()


TOLD = event(call=answered_call(recordings=[recording(id="rec_a")], custom={"név": "Ő \"'\\ 🙂 <&>", "sum": 12.5}))


@each_language
@pytest.mark.parametrize(
    "members",
    [
        {"fields": "full"},
        {"encoding": "form"},
        {"method": "GET", "params": {"who": "{{ from.name }} ő"}},
        {"recording": "inline"},
    ],
    ids=["json", "form", "get", "inline"],
)
def test_an_example_opens_what_is_sent(example: str, members: dict[str, Any]):
    done = _run(example, _token(**members))
    assert done.returncode == 0, done.stderr
    plain = _token(Security(), **members)
    assert json.loads(done.stdout) == (plain if isinstance(plain, dict) else json.loads(plain))


def _changed(token: str, part: int) -> str:
    parts = token.split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]
    return ".".join(parts)


def _otherwise_encrypted(alg: str, enc: str, size: int) -> str:
    key = OctKey.import_key(encryption.content_key(KEY).raw_value[:size])
    return jwe.encrypt_compact({"alg": alg, "enc": enc}, b"{}", key, algorithms=[alg, enc])


def _cut_tag(token: str) -> str:
    return token[: token.rindex(".") + 1 + 6]  # 4 bytes: what some libraries take for a tag


HOSTILE = {
    "another key": lambda: encryption.sealed(b"{}", KEY + "x"),
    "changed header": lambda: _changed(_token(), 0),
    "changed iv": lambda: _changed(_token(), 2),
    "changed text": lambda: _changed(_token(), 3),
    "changed tag": lambda: _changed(_token(), 4),
    "cut tag": lambda: _cut_tag(_token()),
    "no tag": lambda: _token().rpartition(".")[0] + ".",
    "another enc": lambda: _otherwise_encrypted("dir", "A128GCM", 16),
    "another alg": lambda: _otherwise_encrypted("A256KW", "A256GCM", 32),
    "four parts": lambda: _token().rpartition(".")[0],
    "no token": lambda: "hello",
    "nothing": lambda: "",
}


@each_language
@pytest.mark.parametrize("hostile", HOSTILE)
def test_an_example_refuses_everything_else(example: str, hostile: str):
    done = _run(example, HOSTILE[hostile]())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: ")
    assert len(done.stderr.splitlines()) == 1


@each_language
def test_an_example_refuses_the_right_token_with_the_wrong_key(example: str):
    done = _run(example, _token(), key="a-wrong-key-of-24-chars-")
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
        1,
        "",
        ["refused: another key, or the token was changed"],
    )


def test_every_example_is_tested():
    assert {path.name for path in Path(EXAMPLES).iterdir() if path.is_file()} == set(PROGRAMS)
