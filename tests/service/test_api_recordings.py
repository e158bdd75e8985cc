"""Sound over HTTP: both addresses, parts, conditions, and what is said when there is none."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from api_house import OTHER_KEY, House, sound_file
from vonal.domain.errors import RecordingDeleted, RecordingNotReady

CONTENT = bytes(range(256)) * 2048  # several chunks
ETAG = f'"{"0f" * 32}"'


@pytest.fixture
def sounding(shared_house: House, tmp_path: Path) -> House:
    shared_house.sounds = {("acme", "rec_a"): sound_file(tmp_path / "a.mp3", CONTENT)}
    return shared_house


@pytest.mark.parametrize("address", ["/api/v1/recordings/rec_a", "/api/v1/recording?id=rec_a"])
def test_the_sound_is_sent_whole_from_both_addresses(sounding: House, address: str) -> None:
    with sounding.client() as client:
        answer = client.get(address)
        head = client.head(address)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert (head.status_code, head.content) == (200, b"")
    for one in (answer, head):
        assert one.headers["content-type"] == "audio/mpeg"
        assert one.headers["content-length"] == str(len(CONTENT))
        assert one.headers["etag"] == ETAG
        assert one.headers["accept-ranges"] == "bytes"
        assert 'filename="2026-11-22_10-20_inbound_101.mp3"' in one.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=524000-", 524_000, 524_287),
        ("bytes=-10", 524_278, 524_287),
        ("bytes=0-99999999", 0, 524_287),
        ("bytes=130000-400000", 130_000, 400_000),
    ],
)
def test_a_part_of_the_sound_is_sent(sounding: House, asked: str, first: int, last: int) -> None:
    with sounding.client() as client:
        answer = client.get("/api/v1/recordings/rec_a", headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


def test_a_part_beyond_the_end_is_refused_with_the_size(sounding: House) -> None:
    with sounding.client() as client:
        answer = client.get("/api/v1/recordings/rec_a", headers={"Range": "bytes=524288-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_who_has_the_sound_already_is_told_so(sounding: House) -> None:
    with sounding.client() as client:
        for tag in (ETAG, f'"other", W/{ETAG}', "*"):
            answer = client.get("/api/v1/recordings/rec_a", headers={"If-None-Match": tag})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == ETAG
        assert client.get("/api/v1/recordings/rec_a", headers={"If-None-Match": '"other"'}).status_code == 200
        part = {"Range": "bytes=0-9"}
        assert client.get("/api/v1/recordings/rec_a", headers={**part, "If-Range": ETAG}).status_code == 206
        assert client.get("/api/v1/recordings/rec_a", headers={**part, "If-Range": '"old"'}).content == CONTENT


def test_why_there_is_no_sound_is_told(sounding: House, tmp_path: Path) -> None:
    sounding.sounds["acme", "rec_unready"] = RecordingNotReady("Being made ready.", retry_after=5)
    sounding.sounds["acme", "rec_deleted"] = RecordingDeleted("Its time was up.")
    sounding.sounds["acme", "rec_gone"] = sound_file(tmp_path / "gone.mp3", b"x")
    (tmp_path / "gone.mp3").unlink()
    with sounding.client() as client:

        def refused(address: str) -> tuple[int, str]:
            answer = client.get(address)
            return answer.status_code, answer.json()["code"]

        assert refused("/api/v1/recordings/rec_unready") == (409, "recording_not_ready")
        assert client.get("/api/v1/recordings/rec_unready").headers["retry-after"] == "5"
        assert refused("/api/v1/recordings/rec_deleted") == (410, "recording_deleted")
        assert refused("/api/v1/recordings/rec_gone") == (410, "recording_deleted")
        assert refused("/api/v1/recordings/rec_unknown") == (404, "recording_not_found")
        assert refused("/api/v1/recordings/forged") == (400, "recording_id_undecodable")
        assert refused("/api/v1/recording") == (400, "missing_parameter")
        assert refused("/api/v1/recording?id=rec_a&format=flac") == (400, "invalid_request")
        assert client.head("/api/v1/recordings/rec_unknown").status_code == 404


def test_sound_stays_inside_its_tenant(sounding: House) -> None:
    with sounding.client() as client:
        answer = client.get("/api/v1/recordings/rec_a", headers={"X-API-Key": OTHER_KEY})
    assert (answer.status_code, answer.json()["code"]) == (404, "recording_not_found")


def test_files_are_closed_however_the_request_ends(sounding: House) -> None:
    def held() -> bool:
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # closed since it was listed
                if link.readlink().name == "a.mp3":
                    return True
        return False

    with sounding.client() as client:
        for headers in ({}, {"Range": "bytes=0-9"}, {"Range": "bytes=9999999-"}, {"If-None-Match": ETAG}):
            client.get("/api/v1/recordings/rec_a", headers=headers)
        client.head("/api/v1/recordings/rec_a")
        with client.stream("GET", "/api/v1/recordings/rec_a") as answer:
            next(answer.iter_raw())
    until = time.monotonic() + 10  # the service learns by and by that a caller has gone
    while held() and time.monotonic() < until:
        time.sleep(0.01)
    assert not held()
