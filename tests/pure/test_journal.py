"""The journal's reader: real files, whole and mutilated."""

import asyncio
import csv
import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.domain.journal import Position, endpoint_of
from vonal.telephony import journal
from vonal.telephony.journal import COLUMNS, Journal, parse


def line(event: str = "CHAN_START", **cells: str) -> bytes:
    """A row as `cel_custom` writes it: all quoted, quotes doubled."""
    known = {"EventType": event, "EventTime": "1795374443.123456", "UniqueID": "1.1", "LinkedID": "1.1", **cells}
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow([known.get(name, "") for name in COLUMNS])
    return text.getvalue().encode()


@pytest.fixture
def files(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def append(files: Journal, *lines: bytes) -> None:
    with files.live.open("ab") as file:
        file.write(b"".join(lines))


def age(path: Path) -> None:
    """As if nothing had been written to it for a while."""
    os.utime(path, (0, 0))


HOSTILE = [
    'Anna "Annie" Kovács',
    "a\\",
    'a\\"b',
    '","tenant","',
    "tab\there, comma; semicolon = equals",
    "\x01\x7f\u2028\u0085",
    "<script>alert(1)</script>",
    "x" * 10_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_display_name_stays_in_its_field(name: str) -> None:
    [row] = parse(line(Name=name, Num="06305550123"))
    assert (row.caller_name, row.caller_number, row.linkedid) == (name, "06305550123", "1.1")


def test_eight_bit_bytes_are_replaced_and_nul_is_dropped() -> None:
    [row] = parse(line(Name="NAME").replace(b"NAME", b"\xff\xfe\x00x"))
    assert row.caller_name == "\ufffd\ufffdx"


def test_a_line_that_is_no_row_is_passed_over() -> None:
    good = line()
    bad = [b'"cut', b"\n", b'"a","b"\n', good.replace(b"1795374443.123456", b"never"), b"\xff\x00\n"]
    assert len(list(parse(good + b"".join(bad) + b"\n" + good))) == 2


@given(st.binary(max_size=2000))
def test_no_bytes_make_it_raise(noise: bytes) -> None:
    list(parse(noise))
    list(parse(line(Name="X").replace(b"X", noise)))


def test_a_word_of_our_dialplan_is_decoded() -> None:
    extra = '{"extra":"direction=inbound;tenant=acme;number=%2B3612345678"}'
    [row] = parse(line("USER_DEFINED", userdeftype="call", EventExtra=extra))
    assert (row.event, row.extra["number"]) == ("user.call", "+3612345678")


def test_a_hangup_tells_its_cause_and_what_it_means() -> None:
    [row] = parse(line("HANGUP", EventExtra='{"hangupcause":17,"hangupsource":"PJSIP/acme-101-1","dialstatus":""}'))
    assert (row.cause, row.disposition, row.extra["hangupsource"]) == (17, "busy", "PJSIP/acme-101-1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PJSIP/acme-101-0000002a", ("acme", "101")),
        ("PJSIP/a-b-c-101-0000002a", ("a-b-c", "101")),
        ("PJSIP/trunk-carrier-00000001", (None, "carrier")),
        ("PJSIP/trunk-x-1-00000001", (None, "x-1")),
        ("Local/1@x-00000001;1", None),
        ("N/A", None),
        ("", None),
    ],
)
def test_a_channels_name_tells_its_phone_or_trunk(name: str, expected: tuple[str | None, str] | None) -> None:
    assert endpoint_of(name) == expected


def test_a_line_is_read_when_it_is_whole(files: Journal) -> None:
    append(files, line(), line()[:40])
    batch = files.read(Position())
    assert len(batch.rows) == 1
    append(files, line()[40:])
    assert len(files.read(batch.position).rows) == 1


def test_a_rotated_journal_is_read_to_its_end_and_then_the_next(
    files: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 10)
    append(files, line(UniqueID="1"))
    before = files.read(Position())
    files.rotate(before.position)
    late = files.folder / "journal.000001.dsv"
    with late.open("ab") as file:  # Asterisk had it open when it was renamed
        file.write(line(UniqueID="2"))
    append(files, line(UniqueID="3"))
    old = files.read(before.position)
    assert [row.channel for row in old.rows] == ["2"]
    assert files.read(old.position).rows == [], "another late line may still come"
    age(late)
    new = files.read(old.position)
    assert [row.channel for row in new.rows] == ["3"]
    assert new.position == files.end()
    assert files.backlog(new.position) == 0


def test_a_file_of_the_future_is_left_behind_too(files: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 10)
    append(files, line(UniqueID="1"))
    before = files.read(Position())
    files.rotate(before.position)
    append(files, line(UniqueID="2"))
    an_hour_on = time.time() + 3600  # the clock was set back since
    os.utime(files.folder / "journal.000001.dsv", (an_hour_on, an_hour_on))
    assert [row.channel for row in files.read(before.position).rows] == ["2"]


def test_several_segments_of_backlog_are_read_in_order(files: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 10)
    for number in range(5):
        append(files, line(UniqueID=str(number)))
        files.rotate(Position())
    for path in files.folder.iterdir():
        age(path)
    append(files, line(UniqueID="5"))
    assert files.backlog(Position()) == 6 * len(line(UniqueID="0"))
    position, seen = Position(), []
    while rows := (batch := files.read(position)).rows:
        seen += [row.channel for row in rows]
        position = batch.position
    assert seen == list("012345")


def test_old_segments_go_when_they_are_left_behind(files: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 10)
    monkeypatch.setattr(journal, "KEPT_SEGMENTS", 2)
    for _ in range(5):
        append(files, line())
        files.rotate(Position(1, 0))
    assert len(list(files.folder.iterdir())) == 5, "nothing unread is deleted"
    files.rotate(Position(6, 0))
    assert sorted(path.name for path in files.folder.iterdir()) == ["journal.000004.dsv", "journal.000005.dsv"]


def test_a_truncated_journal_is_read_from_its_beginning(files: Journal) -> None:
    append(files, line(), line())
    position = files.read(Position()).position
    files.live.write_bytes(line(UniqueID="new"))
    assert [row.channel for row in files.read(position).rows] == ["new"]


def test_a_lost_segment_does_not_stop_the_reading(files: Journal) -> None:
    append(files, line())
    assert len(files.read(Position(segment=7, offset=12)).rows) == 1


async def test_following_wakes_at_a_line_and_at_a_new_file(files: Journal) -> None:
    following = files.follow(Position())
    coming = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    append(files, line(UniqueID="a"))
    assert [row.channel for row in (await coming).rows] == ["a"]
    coming = asyncio.ensure_future(anext(following))
    await asyncio.sleep(0)
    append(files, line(UniqueID="b"))
    assert [row.channel for row in (await coming).rows] == ["b"]
    await following.aclose()
