"""No password and no key gets into the log, under whatever name or inside whatever text."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from vonal import logs

SECRET = "hunter2-hunter2"


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(request.param, stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.basicConfig(force=True)


@pytest.mark.parametrize("name", ["password", "ari_password", "api_key", "key", "secret", "Authorization", "token"])
def test_a_secret_is_known_by_its_name(log: io.StringIO, name: str) -> None:
    structlog.get_logger().info("opened", **{name: SECRET}, nested={name: SECRET})
    assert "opened" in log.getvalue()
    assert SECRET not in log.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"GET /api/v1/click-to-call?extension=101&user=crm&password={SECRET}",
        f"https://crm.example/hook?api_key={SECRET}",
        f"postgresql://vonal:{SECRET}@db.example/vonal",
        f"Authorization: Bearer {SECRET}",
        f"key vk_live_{SECRET}",
        f"signed with whsec_{SECRET}",
    ],
)
def test_a_secret_is_known_by_its_look(log: io.StringIO, text: str) -> None:
    structlog.get_logger().info("failed", reason=text, several=[text])
    logging.getLogger("somebody.else").warning("failed: %s", text)
    assert log.getvalue().count("failed") == 2
    assert SECRET not in log.getvalue()


def test_a_traceback_shows_no_local_variables(log: io.StringIO) -> None:
    def fail() -> None:
        password = SECRET  # noqa: F841 - what must not be shown
        raise ValueError("no")

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("broken")
    assert "ValueError: no" in log.getvalue()
    assert SECRET not in log.getvalue().replace("password = SECRET", "")


def test_json_is_one_object_on_each_line() -> None:
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    structlog.get_logger().info("ready", url="http://127.0.0.1:8080", calls=3, name="Kovács\nAnna")
    structlog.reset_defaults()
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told["event"] == "ready"
    assert told["calls"] == 3
    assert told["name"] == "Kovács\nAnna"
