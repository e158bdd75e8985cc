"""Asterisk's configuration says what the directory says, and nothing that a text in the directory would like it to."""

import re
import stat
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from vonal.domain.directory import Directory, Extension, Number, Outbound, RecordingPolicy, Tenant, Trunk
from vonal.telephony import configuration
from vonal.telephony.configuration import Site

SITE = Site(sip_listen=("0.0.0.0", 5060), rtp_ports=(20000, 24000), ari_port=18088, ari_password="ari-secret")
ANNA = Extension(number="101", name="Kovács Anna", secret="phone-secret-1")
FIXED = Extension(number="103", contact="sip:103@192.0.2.3:5062;transport=udp")
CENTRE = Number(number="+3612345678", ring=["101", "103"])
ACME = Tenant(
    id="acme",
    name="Acme Kft.",
    country="HU",
    extensions=[ANNA, FIXED],
    numbers=[CENTRE],
    outbound=Outbound(trunk="carrier", caller_id="+3612345678", countries=["HU", "AT"]),
)
CARRIER = Trunk(id="carrier", address="192.0.2.9:5080", match=["192.0.2.9:5081", "198.51.100.0/24"])
DIRECTORY = Directory(trunks=[CARRIER], tenants=[ACME])

Sections = dict[tuple[str, str], dict[str, list[str]]]


def asterisks_reading(text: str) -> Sections:
    """(section, its type) → options, as Asterisk's parser understands a file: comments, escapes, templates."""
    sections: Sections = {}
    templates: dict[str, list[tuple[str, str]]] = {}
    options: list[tuple[str, str]] = []
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    for raw in text.split("\n"):
        line = re.sub(r"(?<!\\);.*", "", raw).replace("\\;", ";").strip()
        if head := re.fullmatch(r"\[([^]]+)\](?:\(([^)]*)\))?", line):
            parents = [one for one in (head[2] or "").split(",") if one and one != "!"]
            options = [option for parent in parents for option in templates[parent]]
            if (head[2] or "").startswith("!"):
                templates[head[1]] = options
            else:
                heads.append((head[1], options))
        elif line and not line.startswith("#include"):
            key, _, value = line.partition("=")
            options.append((key.strip(), value.strip()))
    for name, pairs in heads:
        found: dict[str, list[str]] = {}
        for key, value in pairs:
            found.setdefault(key, []).append(value)
        sections[name, found.get("type", [""])[0]] = found
    return sections


def sip(directory: Directory, site: Site = SITE) -> Sections:
    files = configuration.render(directory, site)
    return asterisks_reading(files["pjsip.conf"] + files["pjsip_directory.conf"])


def dialplan(directory: Directory) -> str:
    return configuration.render(directory, SITE)["extensions.conf"]


def contexts(directory: Directory) -> dict[str, list[str]]:
    """Context → its lines, without comments."""
    text = re.sub(r"^;.*\n", "", dialplan(directory), flags=re.MULTILINE)
    pieces = re.split(r"^\[(\S+)\]$", text, flags=re.MULTILINE)
    return {name: body.split("\n") for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def with_acme(**changes: object) -> Directory:
    return replace(DIRECTORY, tenants=[replace(ACME, **changes)])


def test_a_registering_phone_proves_itself_by_digest_and_holds_one_contact():
    sections = sip(DIRECTORY)

    endpoint, aor, auth = (sections["acme-101", kind] for kind in ("endpoint", "aor", "auth"))
    assert endpoint["identify_by"] == ["auth_username,username"]
    assert endpoint["context"] == ["phones-acme"]
    assert endpoint["callerid"] == ['"Kovács Anna" <101>']
    assert (aor["max_contacts"], aor["remove_existing"]) == (["1"], ["yes"])
    assert auth["username"] == ["acme-101"]
    assert "phone-secret-1" not in configuration.render(DIRECTORY, SITE)["pjsip_directory.conf"]


def test_the_digest_is_that_of_rfc_2617():
    # printf 'acme-101:vonal:phone-secret-1' | md5sum
    assert sip(DIRECTORY)["acme-101", "auth"]["md5_cred"] == ["cc4f26bedf3d533a422db30379acbe75"]


def test_a_phone_without_a_secret_is_known_by_its_address_alone():
    sections = sip(DIRECTORY)

    assert sections["acme-103", "endpoint"]["identify_by"][-1] == "ip"
    assert sections["acme-103", "identify"]["match"] == ["192.0.2.3:5062"]
    assert sections["acme-103", "aor"]["contact"] == ["sip:103@192.0.2.3:5062;transport=udp"]
    assert ("acme-103", "auth") not in sections


@pytest.mark.parametrize(
    ("contact", "address"),
    [
        ("sip:103@192.0.2.3", "192.0.2.3:5060"),
        ("sip:192.0.2.3:5070", "192.0.2.3:5070"),
        ("sip:103@[2001:db8::3]:5070", "[2001:db8::3]:5070"),
        ("sip:103@[2001:db8::3]", "[2001:db8::3]:5060"),
    ],
)
def test_a_fixed_contacts_address(contact: str, address: str):
    phone = Extension(number="103", contact=contact)

    assert sip(with_acme(extensions=[ANNA, phone]))["acme-103", "identify"]["match"] == [address]


def test_a_fixed_phone_with_a_secret_must_use_it():
    phone = replace(FIXED, secret="phone-secret-3")

    sections = sip(with_acme(extensions=[ANNA, phone]))

    assert ("acme-103", "identify") not in sections
    assert sections["acme-103", "endpoint"]["auth"] == ["acme-103"]


def test_a_trunk_is_known_by_its_senders_and_may_not_transfer():
    endpoint = sip(DIRECTORY)["trunk-carrier", "endpoint"]

    assert sip(DIRECTORY)["trunk-carrier", "identify"]["match"] == ["192.0.2.9:5081,198.51.100.0/24"]
    assert sip(DIRECTORY)["trunk-carrier", "aor"]["contact"] == ["sip:192.0.2.9:5080"]
    assert endpoint["allow_transfer"] == ["no"]
    assert endpoint["identify_by"] == ["ip"]


def test_a_registering_trunk_registers_with_its_password():
    trunk = Trunk(id="member", address="192.0.2.7", username="us er", password="p;w\\;\\x #", register=True)

    sections = sip(Directory(trunks=[trunk]))

    assert sections["trunk-member", "registration"]["client_uri"] == ["sip:us%20er@192.0.2.7"]
    assert sections["trunk-member", "auth"]["password"] == ["p;w\\;\\x #"]
    assert sections["trunk-member", "identify"]["match"] == ["192.0.2.7"]


def test_a_registering_trunk_known_by_name_asks_no_name_server_at_every_reload():
    trunk = Trunk(id="member", address="sip.carrier.example", username="user", password="secret", register=True)

    assert ("trunk-member", "identify") not in sip(Directory(trunks=[trunk]))


def test_a_phone_listens_on_udp_and_tcp():
    sections = sip(DIRECTORY, replace(SITE, sip_listen=("::1", 5070)))

    assert sections["udp", "transport"]["bind"] == sections["tcp", "transport"]["bind"] == ["[::1]:5070"]


HOSTILE = [
    'a"b',
    "semi;colon",
    "line\nbreak\r\n[evil]\ntype=endpoint",
    "\x00\x1b\u2028\u0085",
    "${SHELL(id)}",
    "$[1+1]",
    "=> x",
    "#exec id",
    "\\",
    "\\;x",
    "a<sip:b>",
    "),1,System(id",
    ";--",
    "{{ 7 * 7 }}",
]


@given(st.sampled_from(HOSTILE) | st.text(max_size=40), st.sampled_from(HOSTILE) | st.text(min_size=4, max_size=40))
def test_no_text_becomes_configuration(name: str, secret: str):
    hostile = with_acme(name=name, extensions=[replace(ANNA, name=name, secret=secret), FIXED])
    harmless = with_acme(name="x", extensions=[replace(ANNA, name="x", secret="secret"), FIXED])

    found, expected = sip(hostile), sip(harmless)

    assert found.keys() == expected.keys()
    for section, options in expected.items():
        for key in options.keys() - {"callerid", "md5_cred"}:
            assert found[section][key] == options[key]
    caller_id = found["acme-101", "endpoint"]["callerid"]
    assert len(caller_id) == 1
    assert re.fullmatch(r'"[^"<>\\\r\n]*" <101>', caller_id[0])
    assert dialplan(hostile) == dialplan(harmless)


@given(st.sampled_from(HOSTILE) | st.text(min_size=4, max_size=40))
def test_no_trunks_text_becomes_configuration(text: str):
    def trunks(text: str) -> Directory:
        return Directory(trunks=[Trunk(id="t", address="192.0.2.1", username=text, password=text, register=True)])

    found, expected = sip(trunks(text)), sip(trunks("harmless"))

    assert found.keys() == expected.keys()
    assert all(found[section].keys() == options.keys() for section, options in expected.items())
    assert len(configuration.render(trunks(text), SITE)["extensions.conf"].split("\n")) <= len(
        configuration.render(trunks("harmless"), SITE)["extensions.conf"].split("\n")
    )


def test_a_tenants_contexts_name_no_other_tenant():
    other = replace(ACME, id="be-ta", numbers=[replace(CENTRE, number="+3619999999")])

    for name, lines in contexts(replace(DIRECTORY, tenants=[ACME, other])).items():
        if name.endswith("-be-ta"):
            assert "acme" not in "".join(lines)
        if name.endswith("-acme"):
            assert "be-ta" not in "".join(lines)


def test_every_form_of_a_number_leads_to_it():
    found = "\n".join(contexts(DIRECTORY)["numbers"])

    assert set(re.findall(r"exten => (\S+),1,Goto\(number-3612345678,", found)) == {
        "+3612345678",
        "3612345678",
        "003612345678",
        "0612345678",
    }


def test_a_national_form_that_two_numbers_share_is_nobodys():
    german = replace(ACME, id="de", country="DE", numbers=[replace(CENTRE, number="+49612345678")])

    found = "\n".join(contexts(replace(DIRECTORY, tenants=[ACME, german]))["numbers"])

    assert "exten => 0612345678," not in found
    assert "exten => 3612345678," in found
    assert "exten => 49612345678," in found


@pytest.mark.parametrize(("strategy", "dials"), [("all", 1), ("in_order", 2)])
def test_a_ring_group_rings_together_or_one_after_the_other(strategy: str, dials: int):
    number = replace(CENTRE, strategy=strategy, timeout=17)

    lines = contexts(with_acme(numbers=[number]))["number-3612345678"]

    assert sum("Dial(" in line for line in lines) == dials
    assert all(",17," in line for line in lines if "Dial(" in line)


@pytest.mark.parametrize(
    ("mode", "recorded"),
    [
        ("none", set()),
        ("all", {"inbound", "outbound", "internal"}),
        ("inbound", {"inbound"}),
        ("outbound", {"outbound"}),
    ],
)
def test_the_policy_says_which_calls_are_recorded(mode: str, recorded: set[str]):
    found = contexts(with_acme(recording=RecordingPolicy(mode=mode)))

    def records(context: str, application: str) -> bool:
        (line,) = {line for line in found[context] if application in line and "+43" not in line}
        return ",yes" in line

    assert records("number-3612345678", "Gosub(inbound") == ("inbound" in recorded)
    assert records("outside-acme", "Gosub(outbound,${EXTEN},1") == ("outbound" in recorded)
    assert all(",yes)" in line for line in found["phones-acme"] if "Gosub(internal" in line) == ("internal" in recorded)


def test_a_tenant_without_a_trunk_calls_nobody_outside():
    lines = contexts(with_acme(outbound=None))["outside-acme"]

    assert not any("Gosub(outbound" in line for line in lines)
    assert any("destination_forbidden" in line for line in lines)


def test_no_line_is_longer_than_asterisk_reads():
    everywhere = sorted(phonenumbers.SUPPORTED_REGIONS)
    outbound = Outbound(trunk="carrier", caller_id="+3612345678", countries=everywhere)

    assert max(map(len, dialplan(with_acme(outbound=outbound)).split("\n"))) < 4096


def test_the_same_directory_gives_the_same_bytes():
    assert configuration.render(DIRECTORY, SITE) == configuration.render(DIRECTORY, SITE)


def test_an_asterisk_without_the_newer_journal_module_writes_the_same_columns():
    old = configuration.render(DIRECTORY, replace(SITE, modules=("cel_custom.so",)))["cel_custom.conf"]
    new = configuration.render(DIRECTORY, replace(SITE, modules=("cel_custom.so", "res_cdrel_custom.so")))

    assert old.count("CSV_QUOTE") + old.count('""') == new["cel_custom.conf"].split("fields =")[1].count(",") + 1


def test_files_are_written_whole_and_private_and_only_when_changed(tmp_path: Path):
    folder = tmp_path / "etc"
    assert configuration.write(folder, {"a.conf": "1", "b.conf": "1"}) == {"a.conf", "b.conf"}
    before = (folder / "a.conf").stat()

    assert configuration.write(folder, {"a.conf": "1", "b.conf": "2"}) == {"b.conf"}

    assert (folder / "b.conf").read_text() == "2"
    assert (folder / "a.conf").stat().st_ino == before.st_ino
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert sorted(path.name for path in folder.iterdir()) == ["a.conf", "b.conf"]


def test_a_kill_in_the_middle_of_writing_is_made_good_by_the_next_write(tmp_path: Path):
    (tmp_path / ".a.conf.new").write_text("half of a much longer te")

    configuration.write(tmp_path, {"a.conf": "whole"})

    assert (tmp_path / "a.conf").read_text() == "whole"


def test_what_changes_with_the_directory_is_reloaded_and_the_rest_needs_a_restart():
    before, grown = (
        configuration.render(DIRECTORY, SITE),
        with_acme(extensions=[ANNA, FIXED, replace(ANNA, number="104")]),
    )
    after = configuration.render(grown, SITE)
    moved = configuration.render(DIRECTORY, replace(SITE, ari_port=18089))

    changed = {name for name in after if after[name] != before[name]}
    assert sorted(configuration.modules_to_reload(changed)) == ["pbx_config.so", "res_pjsip.so"]
    assert not configuration.needs_restart(changed)
    assert configuration.needs_restart({name for name in moved if moved[name] != before[name]})
    assert configuration.modules_to_reload(set()) == []
