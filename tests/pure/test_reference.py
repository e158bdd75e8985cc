"""Recording ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.calls.reference import Keys, decode, mint
from vonal.domain.errors import RecordingIdUndecodable

OLD, NEW = b"the first secret of all", b"the second secret"
KEYS = Keys.of([OLD])
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True)


def _refusal(keys: Keys, tenant_id: str, recording_id: str) -> tuple[str, str | None]:
    with pytest.raises(RecordingIdUndecodable) as fault:
        decode(keys, tenant_id, recording_id)
    return fault.value.detail, fault.value.param


@given(TENANTS, st.text(), st.text())
def test_an_id_is_short_the_same_every_time_and_decodes_for_its_tenant(tenant: str, call: str, file: str) -> None:
    made = mint(KEYS, tenant, call, file)
    assert made == mint(KEYS, tenant, call, file)
    assert made.startswith("rec_")
    assert made.isascii()
    assert len(made) == 60
    assert decode(KEYS, tenant, made) == decode(KEYS, tenant, made)


def test_ids_of_different_recordings_differ() -> None:
    parts = [
        ("acme", "call_1", "a.raw"),
        ("acme", "call_1", "b.raw"),
        ("acme", "call_2", "a.raw"),
        ("b", "call_1", "a.raw"),
    ]
    assert len({mint(KEYS, *one) for one in parts}) == len(parts)


def test_forged_cut_foreign_and_nonsense_ids_are_refused_in_the_same_words() -> None:
    good = mint(KEYS, "acme", "call_1", "1.raw")
    forged = mint(Keys.of([NEW]), "acme", "call_1", "1.raw")
    foreign = mint(KEYS, "other", "call_1", "1.raw")
    wrong = [forged, foreign, good[:-1], good + "a", good[:-1] + ("a" if good[-1] != "a" else "b"), good.upper()]
    wrong += [
        "",
        "rec_",
        "rec_a",
        "rec_" + "a" * 56,
        "rec_é",
        good[4:],
        " " + good,
        good + "=" * 8,
        "rec_rec_" + good[4:],
    ]
    assert len({_refusal(KEYS, "acme", one) for one in wrong}) == 1


@given(st.integers(0, 59), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567_A=é\0"))
def test_no_letter_of_an_id_can_be_changed(place: int, letter: str) -> None:
    good = mint(KEYS, "acme", "call_1", "1.raw")
    changed = good[:place] + letter + good[place + 1 :]
    if changed != good:
        _refusal(KEYS, "acme", changed)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    _refusal(KEYS, "acme", text)
    _refusal(KEYS, "acme", "rec_" + text)


def test_after_a_change_of_key_old_ids_are_still_read_and_new_ones_need_the_new_key() -> None:
    old = mint(KEYS, "acme", "call_1", "1.raw")
    both = Keys.of([OLD, NEW])
    new = mint(both, "acme", "call_1", "1.raw")
    assert new != old
    assert decode(both, "acme", old) == decode(both, "acme", new) == decode(KEYS, "acme", old)
    _refusal(KEYS, "acme", new)
    _refusal(Keys.of([NEW]), "acme", old)


def test_a_key_ring_needs_a_key() -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        Keys.of([])
    with pytest.raises(ValueError, match="1 to 255"):
        Keys.of([b"x" * 16] * 256)
