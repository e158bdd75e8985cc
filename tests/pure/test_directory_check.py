"""Which faults of a directory are found, and how they are told."""

import re
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from directories import EXAMPLE, directory, example
from vonal.directory import check, reading
from vonal.directory.check import Surroundings
from vonal.domain.errors import DirectoryError
from vonal.domain.passwords import hash_key

Data = dict[str, Any]


def form_faults(text: str | bytes) -> list[str]:
    try:
        reading.read(text if isinstance(text, bytes) else text.encode())
    except DirectoryError as fault:
        return str(fault).splitlines()
    return []


def faults(data: Data, stays: Surroundings | None = None) -> list[str]:
    found = check.faults_of(directory(data), stays or Surroundings())
    return [f"{path}: {reason}" for path, reason in found]


def changed(change: Callable[[Data, Data], Any]) -> Data:
    """The example after `change(data, tenant)`."""
    data = example()
    change(data, data["tenants"][0])
    return data


def test_the_contracts_example_has_no_fault() -> None:
    document = reading.read(EXAMPLE.encode())
    assert check.faults_of(document.directory, Surroundings()) == []
    assert document.directory.tenants[0].numbers[0].ring == ["101", "102"]


def test_a_ring_member_that_does_not_exist_is_told_as_the_contract_tells_it() -> None:
    data = changed(lambda _, tenant: tenant["numbers"][0].update(ring=["101", "109"]))
    assert faults(data) == ["tenants[0].numbers[0].ring[1]: extension 109 does not exist"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tenants:\n  - {id: acme, coun", ["line 3, column 1: while parsing a flow mapping, did not find expected"]),
        ("a: 1\na: 2", ['line 2, column 1: the key "a" stands twice']),
        ("", ["the file is empty"]),
        (b"a: \xff", ["line 1: not UTF-8 text"]),
        ("a: 1\nb: \x01", ["line 2: the character U+0001 may not stand in YAML"]),
        ("[" * 200_000, ["line 1, column 32: nested too deeply"]),
        ("trunks: &a [*a]", ["line 1, column 13: *a stands inside itself"]),
        ("trunks: *nowhere", ["line 1, column 9: found undefined alias"]),
        ("a: !!python/object:os.system x", ["line 1, column 4: could not determine a constructor"]),
        ("a: 1\n---\nb: 2", ["line 2, column 1: expected a single document"]),
        ("[1, 2]", ["expected a mapping (key: value), got a list"]),
        ("? [a]\n: 1", ["line 1, column 3: a key must be text"]),
        ("trunk: []", ["trunk: unknown key; did you mean trunks?"]),
        ("tenants:", ["tenants: expected a list, got nothing; write [] for an empty one"]),
        ("tenants: [{id: Acme, country: HU}]", ['tenants[0].id: "Acme" is not lower-case letters']),
        ("tenants: [{id: acme}]", ["tenants[0].country: is missing"]),
        ("tenants: [{id: acme, country: hu}]", ['tenants[0].country: "hu" is not a country\'s two capital letters']),
        ('tenants: [{id: a, country: HU, name: "a\\nb"}]', ["tenants[0].name: contains the control character U+000A"]),
        (
            "tenants: [{id: a, country: HU, nmae: x, recording: {mode: al, retention_days: soon}}]",
            [
                "tenants[0].nmae: unknown key; did you mean name?",
                'tenants[0].recording.mode: "al" is none of all, inbound, none, outbound; did you mean all?',
                'tenants[0].recording.retention_days: expected a whole number, got "soon"',
            ],
        ),
        ("tenants: [{id: a, country: HU, api_keys: [{name: a, key: short}]}]", ["tenants[0].api_keys[0].key: is sh"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(text: str | bytes, expected: list[str]) -> None:
    found = form_faults(text)
    assert len(found) == len(expected)
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True)), found


def test_a_cut_file_is_told_where_the_cut_thing_began() -> None:
    assert form_faults("tenants:\n  - {id: acme, coun")[0].endswith("begun at line 2, column 5")


def test_aliases_that_unfold_to_a_giant_are_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert form_faults("\n".join(lines))[0].endswith("unfolds to too much")


def test_a_file_too_large_is_refused() -> None:
    assert form_faults(b"#" * (reading.MAX_BYTES + 1)) == ["the file is larger than 16 MiB"]


def test_scalars_mean_what_the_field_means_not_what_yaml_guesses() -> None:
    text = EXAMPLE.replace('"101"', "101").replace('"102"', "102").replace('"+3612345678"', "+3612345678")
    text = text.replace("[HU, AT]", "[HU, NO]").replace(
        "params: {api_key: abc,", "enabled: yes\n        params: {api_key: 0123,"
    )
    tenant = reading.read(text.encode()).directory.tenants[0]
    assert tenant.numbers[0].number == "+3612345678"
    assert tenant.extensions[0].number == "101"
    assert tenant.outbound is not None
    assert tenant.outbound.countries == ["HU", "NO"]
    assert tenant.webhooks[0].params["api_key"] == "0123"
    assert tenant.webhooks[0].enabled is True


def test_anchors_and_merge_keys_may_be_used() -> None:
    text = "tenants:\n- &base {id: a, country: HU}\n- {<<: *base, id: b}\n"
    assert [one.id for one in reading.read(text.encode()).directory.tenants] == ["a", "b"]


FITTING = """
extensions[2]             | {number: "101"}                  | .number: 101 stands twice
extensions[0].email       | nobody                           | : expected an e-mail address
extensions[0].contact     | 127.0.0.1                        | : expected a SIP URI
extensions[0].contact     | "sip:a b@c"                      | : expected a SIP URI
numbers[1]                | {number: 0612345678, ring: [101]}| .number: +3612345678 stands twice
numbers[1]                | {number: "12", ring: [101]}      | .number: 12 is no phone number
numbers[0].ring           | [101, 101]                       | [1]: 101 stands twice
country                   | ZZ                               | : no country ZZ is known
timezone                  | Europe/Budapset                  | : no time zone Europe/Budapset is known; did you mean Europe/Budapest?
timezone                  | ../../etc/passwd                 | : no time zone ../../etc/passwd is known
id                        | trunk                            | : trunk begins like a trunk's name
outbound.trunk            | carier                           | : trunk carier does not exist; did you mean carrier?
outbound.caller_id        | +3611111111                      | : +3611111111 is none of the tenant's numbers
outbound.caller_id        | me                               | : me is no phone number
outbound.countries        | [HU, ZZ]                         | [1]: no country ZZ is known
api_users[1]              | {user: crm, password: other}     | .user: crm stands twice
api_users[0].networks     | [10.0.0.1/8]                     | [0]: 10.0.0.1/8 is no network
api_keys[1]               | {name: b, key: vk_test_0123456789abcdef} | .key: another API key is the same
api_keys[1]               | {name: crm, key: vk_test_another_key_0000} | .name: crm stands twice
webhooks[1].id            | screen-pop                       | : screen-pop stands twice
webhooks[0].url           | ftp://crm.example                | : expected an address
webhooks[0].url           | https://crm.example:99999/       | : expected an address
webhooks[0].url           | https://u:p@crm.example/         | : holds a user or password
webhooks[0].events        | [call.incomming]                 | [0]: no event call.incomming is known; did you mean call.incoming?
webhooks[0].events        | [call.ended, call.ended]         | [1]: call.ended stands twice
webhooks[0].recording     | inline                           | : inline needs the method POST
webhooks[2]               | {id: d, url: "https://a.example", dialect: zammad, method: GET, events: [call.incoming]} | .method: the dialect zammad needs POST
webhooks[2]               | {id: d, url: "https://a.example", dialect: sipgate, events: [call.completed]} | .events[0]: the dialect sipgate cannot tell call.completed; it tells call.incoming,
webhooks[2]               | {id: d, url: "https://a.example", dialect: zammad, events: [call.ended]} | .events: call.answered and call.ended are told after
webhooks[2]               | {id: d, url: "https://a.example", dialect: placetel, events: [call.incoming], fields: [call.id]} | .fields: mean nothing
webhooks[2]               | {id: d, url: "https://a.example", dialect: placetel, events: [call.incoming], recording: inline} | .recording: the dialect placetel carries no
webhooks[2]               | {id: d, url: "https://a.example", dialect: zammad, events: [call.incoming], scope: {extensions: [101]}} | .scope.extensions: with the dialect
webhooks[2]               | {id: d, url: "https://a.example", dialect: morse, events: [call.incoming]} | .dialect: "morse" is none of native,
webhooks[0].mask          | {from.numer: last4}              | ["from.numer"]: no text about people stands there; did you mean from.number?
webhooks[0].mask          | {call.id: hash}                  | ["call.id"]: cannot be masked
webhooks[0].mask          | {from.number: first4}            | ["from.number"]: "first4" is none of
webhooks[1].fields        | [call.id, call..id]              | [1]: expected a path
webhooks[0].scope         | {extensions: [109]}              | .extensions[0]: extension 109 does not exist
webhooks[0].scope         | {numbers: [+3611111111]}         | .numbers[0]: +3611111111 is none of the tenant's numbers
webhooks[0].security      | {type: basic, user: u}           | .password: is missing: security of type basic needs user and password
webhooks[0].security      | {key: a-secret-key}              | .key: means nothing with security of type none
webhooks[0].security      | {type: hmac}                     | .key: is missing
webhooks[0].security      | {type: hmac, key: whsec_a b}     | .key: what follows whsec_ is not Base64
webhooks[0].security      | {hmac: {key: short}}             | .hmac.key: a signing secret has at least
/trunks[1]                | {id: carrier, address: a.example}| .id: carrier stands twice
/trunks[0].address        | no host                          | : expected HOST or HOST:PORT
/trunks[0].address        | 127.0.0.1:70000                  | : expected HOST or HOST:PORT
/trunks[0].match          | [300.1.2.3]                      | [0]: expected ADDRESS or ADDRESS:PORT
/trunks[1]                | {id: b, address: b, register: true, username: u} | .password: is missing
/tenants[1]               | {id: acme, country: HU}          | .id: acme stands twice
/tenants[1]               | {id: b, country: HU, extensions: [{number: 101}], numbers: [{number: +3612345678, ring: [101]}]} | .numbers[0].number: +3612345678 belongs to tenant acme
/tenants[1]               | {id: b, country: HU, api_users: [{user: crm, password: s3cret-pw}]} | .api_users[0]: tenant acme has the same user with the same password
/tenants[1]               | {id: b, country: HU, api_keys: [{name: crm, key: vk_test_0123456789abcdef}]} | .api_keys[0].key: another API key is the same
"""  # noqa: E501 - a table


def table(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def put(data: Data, path: str, value: Any) -> None:
    """Sets what the path names; the index after a list's last appends."""
    *steps, last = [int(one) if one.isdigit() else one for one in re.findall(r"\w+", path)]
    place: Any = data
    for step in steps:
        place = place[step]
    if isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value


@pytest.mark.parametrize(("place", "value", "expected"), table(FITTING))
def test_parts_that_do_not_fit_are_told_with_path_and_reason(place: str, value: str, expected: str) -> None:
    path = place[1:] if place.startswith("/") else f"tenants[0].{place}"
    data = example()
    put(data, path, yaml.load(value, Loader=yaml.BaseLoader))
    found = form_faults(yaml.safe_dump(data, allow_unicode=True)) or faults(reread(data))
    assert [one.startswith(path + expected) for one in found] == [True], found


def reread(data: Data) -> Data:
    """The data with its scalars in the types of a Directory."""
    document = reading.read(yaml.safe_dump(data, allow_unicode=True).encode())
    return cast("Data", msgspec.to_builtins(document.directory))


def test_all_faults_are_told_at_once() -> None:
    def spoil(data: Data, tenant: Data) -> None:
        tenant["numbers"][0]["ring"] = ["108", "109"]
        tenant["outbound"]["trunk"] = "nobody"
        tenant["webhooks"][1]["events"] = ["call.nothing"]

    assert len(faults(changed(spoil))) == 4


def test_what_is_stored_and_stays_counts() -> None:
    key_hash = hash_key("vk_test_0123456789abcdef")
    data = changed(lambda data, _: data.update(trunks=[]))
    stays = Surroundings(
        trunks=frozenset({"carrier"}), numbers={"+3612345678": "beta"}, keys={("beta", "crm"): key_hash}
    )
    assert faults(data, stays) == [
        "tenants[0].numbers[0].number: +3612345678 belongs to tenant beta",
        "tenants[0].api_keys[0].key: another API key is the same",
    ]


def test_a_key_of_the_file_may_not_replace_one_made_by_command() -> None:
    found = faults(example(), Surroundings(keys={("acme", "crm"): "another hash"}))
    assert found[0].startswith("tenants[0].api_keys[0].name: a key of this name was made by hand")


@pytest.mark.parametrize(
    "address",
    ["sip.example", "sip.example:5060", "127.0.0.1:5080", "[::1]:5060", "::1", "localhost", "a-b.c"],
)
def test_addresses_are_host_or_host_and_port(address: str) -> None:
    assert check.is_address(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.256", "host:0", "host:x", "a..b", "a;b", "", "-a", "127.0.0.1:5060:5061", "10.0.0.0/8", "a b"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert not check.is_address(address)


def test_numbers_are_kept_in_their_e164_form() -> None:
    def national(_: Data, tenant: Data) -> None:
        tenant["numbers"][0]["number"] = "06 (1) 234-5678"
        tenant["outbound"]["caller_id"] = "0612345678"
        tenant["webhooks"][0]["scope"] = {"numbers": ["+36 1 234 5678"]}

    data = changed(national)
    assert faults(data) == []
    tenant = check.normalised(directory(data)).tenants[0]
    assert tenant.numbers[0].number == "+3612345678"
    assert tenant.outbound is not None
    assert tenant.outbound.caller_id == "+3612345678"
    assert tenant.webhooks[0].scope.numbers == ["+3612345678"]


@given(st.integers(min_value=0, max_value=len(EXAMPLE.encode())))
def test_a_file_cut_anywhere_never_breaks_the_reader(end: int) -> None:
    try:
        document = reading.read(EXAMPLE.encode()[:end])
    except DirectoryError:
        return
    check.faults_of(document.directory, Surroundings())


_scalars = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["101", "+3612345678", "HU"])
)
_known_keys = st.sampled_from(
    ["tenants", "trunks", "id", "country", "numbers", "extensions", "ring", "webhooks", "security", "fields"]
)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_known_keys | st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


@given(_trees)
def test_whatever_yaml_says_the_answer_is_a_directory_or_faults(tree: Any) -> None:
    try:
        document = reading.read(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
    except DirectoryError:
        return
    check.faults_of(document.directory, Surroundings())


def test_faults_show_no_secret() -> None:
    text = EXAMPLE.replace("s3cret-pw", '"s3cret\\u0007pw"').replace("phone-secret-1", "s3c")
    text = text.replace("vk_test_0123456789abcdef", "vk_s3cret")
    found = form_faults(text)
    assert len(found) == 3
    assert not any("s3c" in one for one in found)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["it@acme.example", "o'neil+vonal@sub.acme.example"], []),
        (["it"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["it@acme.example", "it@acme.example"], ["notify[1]: it@acme.example stands twice"]),
        (["it@acme.example,boss@acme.example"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["IT <it@acme.example>"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["it@acme..example"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["it@acme.example\nBcc: all@acme.example"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["it@acme.example\n"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["it@-acme.example"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        (["ön@acme.example"], ["notify[0]: expected a mail address, such as it@acme.example"]),
        ([f"n{one}@acme.example" for one in range(10)], []),
        (
            [f"n{one}@acme.example" for one in range(11)],
            ["notify: has more than 10 addresses; use a list of your mail server"],
        ),
    ],
)
def test_addresses_that_are_notified_can_bear_a_mail(addresses: list[str], expected: list[str]) -> None:
    data = changed(lambda _, tenant: tenant.update(notify=addresses))
    assert faults(data) == [f"tenants[0].{one}" for one in expected]
