"""Requests made up from the OpenAPI, good and bad: no 5xx, no answer that the OpenAPI does not tell of."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from api_house import KEY, House, in_talk, running, sound_file
from sample_calls import answered_call, events_of_call, recording
from vonal.api.app import openapi
from vonal.domain.telephony import Ring
from vonal.store import events, migrate
from vonal.store.database import Database

# What is left out judges taste: whether bad input must be refused (CRMs send what they send) and the like.
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)


# Whoever does not ask for JSON gets the events as a stream, which never ends.
HEADERS = {"X-API-Key": KEY, "Accept": "application/json"}
EXAMPLES = 20
PATIENT = list(HealthCheck)
SCHEMA = schemathesis.openapi.from_dict(openapi(base_url="http://127.0.0.1"))
OPERATIONS = [one.ok() for one in SCHEMA.get_all_operations()]


@pytest.fixture(scope="module")
def crowded_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("schemathesis")
    db = Database(f"sqlite:///{folder / 'vonal.db'}", owner=True)
    migrate.upgrade(db.engine)
    with running(db) as house:
        house.keep(answered_call(id="call_aaaaaaaaaaaaaaaaaaaaaaaaaa", recordings=[recording()]))
        house.keep(in_talk(answered_call(id="call_live", linkedid="call_live", state="live")))
        db.submit(lambda tx: events.any_tenant_add(tx, events_of_call())).result()
        house.sounds["acme", "rec_a"] = sound_file(folder / "a.mp3", b"sound")
        house.telephony.on_ring = lambda ring: _answer(house, ring)
        yield house
    db.close()


def test_the_description_is_openapi_3_1() -> None:
    SCHEMA.validate()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_answer_is_one_the_openapi_tells_of(
    crowded_house: House, operation: APIOperation, mode: GenerationMode
) -> None:
    @given(case=operation.as_strategy(mode))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=PATIENT)
    def answered_as_told(case: schemathesis.Case) -> None:
        crowded_house.steady += 7  # the limits on clicks are tested elsewhere
        crowded_house.telephony.up = {"call_live": None, "17.2": None}
        crowded_house.telephony.talking = {"call_live"}
        case.call_and_validate(crowded_house.url, headers=HEADERS, checks=list(CHECKS), timeout=30)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request without parameters
        answered_as_told()


def _answer(house: House, ring: Ring) -> None:
    def answer() -> None:
        call = house.call(ring.call_id)
        if call:
            house.keep(in_talk(call), tell=True)

    house.loop.run_in_executor(None, answer)
