"""Causes and dial statuses mean what telephony people mean by them."""

import pytest

from vonal.telephony.causes import cause_disposition, dial_disposition


@pytest.mark.parametrize(
    ("cause", "disposition"),
    [
        (16, "answered"),
        (17, "busy"),
        (18, "no_answer"),
        (19, "no_answer"),
        (21, "rejected"),
        (26, "no_answer"),
        (1, "failed"),
        (20, "failed"),
        (34, "failed"),
        (38, "failed"),
        (0, "failed"),
        (999, "failed"),
    ],
)
def test_a_cause_tells_a_disposition(cause: int, disposition: str):
    assert cause_disposition(cause) == disposition


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        ("ANSWER", "answered"),
        ("BUSY", "busy"),
        ("NOANSWER", "no_answer"),
        ("CANCEL", "cancelled"),
        ("CHANUNAVAIL", "failed"),
        ("CONGESTION", "failed"),
        ("SOMETHING NEW", "failed"),
        ("", "failed"),
    ],
)
def test_a_dials_status_tells_a_disposition(status: str, disposition: str):
    assert dial_disposition(status) == disposition
