"""What recordings are called, on disk and for people."""

from datetime import UTC, datetime

import pytest

from sample_calls import answered_call
from vonal.domain.call import Call, Party
from vonal.domain.sound import download_name, stored_path

AT = datetime(2026, 11, 22, 9, 20, tzinfo=UTC)


def _outbound(to: Party) -> Call:
    return answered_call(at=AT, direction="outbound", to=to)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (answered_call(at=AT), "2026-11-22_10-20_inbound_+36305550123_102.mp3"),
        (answered_call(at=AT, agent=None), "2026-11-22_10-20_inbound_+36305550123.mp3"),
        (answered_call(at=AT, from_=Party(anonymous=True)), "2026-11-22_10-20_inbound_102.mp3"),
        (_outbound(Party(number="+3612345678")), "2026-11-22_10-20_outbound_+3612345678_102.mp3"),
        (_outbound(Party(raw='../../etc/\r\n"x";é\0')), "2026-11-22_10-20_outbound_etcx_102.mp3"),
    ],
)
def test_a_download_is_named_by_local_time_direction_customer_and_agent(call: Call, name: str) -> None:
    assert download_name(call, "Europe/Budapest", "mp3") == name


def test_a_recording_lies_in_its_tenants_folder_of_the_month() -> None:
    assert stored_path("acme", "rec_abc", AT, "ogg") == "acme/2026/11/rec_abc.ogg"
