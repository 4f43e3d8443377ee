"""Filling of commands, questions and files."""

from __future__ import annotations

import pytest

from chaos.core.errors import BadInput
from chaos.experiment.target.templates import Context, Others, Peer, by_address, fill, fill_words, split, with_nodes

PEERS = (Peer("n1", "127.9.1.1"), Peer("n2", "127.9.101.2"))
CONTEXT = Context(
    node="n1", address="127.9.1.1", data="/data/n1", python="/usr/bin/python3", target="/kv", ports={"client": 7000, "peer": 7001},
    settings={"heartbeat": "50ms"}, peers=PEERS,
)  # fmt: skip


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"),
        ("", ""),
        ("http://{address}:{client}/status", "http://127.9.1.1:7000/status"),
        ("{node} {data} {python} {target} {heartbeat}", "n1 /data/n1 /usr/bin/python3 /kv 50ms"),
        ("{peers:{node}=http://{address}:{peer}}", "n1=http://127.9.1.1:7001,n2=http://127.9.101.2:7001"),
        ("[{peers:{address}}]", "[127.9.1.1,127.9.101.2]"),
        ("{peers:x}", "x,x"),
        ('{{"id": "{node}"}}', '{"id": "n1"}'),
        ("{{{node}}}", "{n1}"),
        ("{{node}}", "{node}"),
    ],
)
def test_names_are_filled_in(template, filled):
    """Every kind of name, repetition over the peers, escaped braces."""
    assert fill(template, CONTEXT) == filled


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{adress}", "unknown name '{adress}' in '{adress}' (did you mean 'address'?)"),
        ("{}", "unknown name '{}' in '{}'"),
        ("{peers:{nod}}", "unknown name '{nod}' in '{nod}' (did you mean 'node'?)"),
        ("{node", "'{' without '}' in '{node' (write '{{' for a brace)"),
        ("{peers:{node}", "'{' without '}'"),
        ("node}", "'}' without '{' in 'node}' (write '}}' for a brace)"),
        ("{key}", "unknown name '{key}'"),
    ],
)
def test_what_cannot_be_filled_is_refused(template, says):
    """An unknown name never reaches a command line."""
    with pytest.raises(BadInput) as refused:
        fill(template, CONTEXT)
    assert str(refused.value).startswith(says)


def test_a_first_filling_leaves_what_the_second_one_knows():
    """The request's own names and escaped braces survive until each request fills them."""
    first = fill('PUT http://{address}:{client}/kv/{key} {{"v": "{value}"}}', CONTEXT, keep=("key", "value"))
    assert first == 'PUT http://127.9.1.1:7000/kv/{key} {{"v": "{value}"}}'
    request = Context(node="", address="", ports={}, settings={"key": "k1", "value": "7"})
    assert fill(first, request) == 'PUT http://127.9.1.1:7000/kv/k1 {"v": "7"}'


def test_peers_inside_peers_are_nobody():
    """Repetition does not nest without end."""
    assert fill("{peers:<{peers:{node}}>}", CONTEXT) == "<>,<>"


ACROSS = Context(
    node="sentinel-1", address="10.0.0.9", ports={"watch": 26379}, settings={}, peers=(Peer("sentinel-1", "10.0.0.9"),),
    parts={
        "data": Others({"client": 6379}, (Peer("data-1", "10.0.0.1"), Peer("data-2", "10.0.0.2"))),
        "sentinel": Others({"watch": 26379}, (Peer("sentinel-1", "10.0.0.9"),)),
    },
)  # fmt: skip


def test_nodes_of_another_part_are_named_with_its_own_ports() -> None:
    """All of them, or the first; beside it the node's own names mean what they always do."""
    text = "{node}:{watch} monitors {first of data:{address} {client}}; all: {peers of data:{node}={address}:{client}}"
    assert fill(text, ACROSS) == "sentinel-1:26379 monitors 10.0.0.1 6379; all: data-1=10.0.0.1:6379,data-2=10.0.0.2:6379"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{data:n1:address}", "unknown name '{data:n1:address}'"),
        ("{peers of dta:{address}}", "there is no part 'dta' in '{peers of dta:{address}}' (did you mean 'data'?)"),
        ("{first of data:{watch}}", "unknown name '{watch}'"),
        ("{peers of data:{peers of sentinel:{node}}}", "there is no part 'sentinel'"),
    ],
)
def test_what_no_part_has_is_refused_with_what_there_is(text: str, says: str) -> None:
    """A port belongs to its part."""
    with pytest.raises(BadInput) as refused:
        fill(text, ACROSS)
    assert says in str(refused.value)
    assert "data:n1" not in text or "{first of data:{address}}" in str(refused.value)


THREE = Context(
    node="zk2", address="10.0.0.2", ports={"client": 2181}, settings={}, number=2, count=3, data="/d",
    peers=tuple(Peer(f"zk{number}", f"10.0.0.{number}", number=number) for number in (1, 2, 3)),
    parts={
        "zk": Others({"client": 2181}, tuple(Peer(f"zk{number}", f"10.0.0.{number}", number=number) for number in (1, 2, 3))),
        "web": Others({"http": 80}, tuple(Peer(f"web{number}", f"10.0.1.{number}", number=number) for number in (1, 2, 3, 4))),
    },
)  # fmt: skip


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{number} of {count}, {quorum} decide", "2 of 3, 2 decide"),
        ("{each:server.{number}={address}:{client}\n}", "server.1=10.0.0.1:2181\nserver.2=10.0.0.2:2181\nserver.3=10.0.0.3:2181\n"),
        ("{each of web:{node} {count};}", "web1 4;web2 4;web3 4;web4 4;"),
        ("{count of web} {quorum of web}", "4 3"),
        ("{addresses:web}", "10.0.1.1,10.0.1.2,10.0.1.3,10.0.1.4"),
        ("{addresses:zk:{address}:{client}}", "10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181"),
        ("{addresses:web:{node}={http}}", "web1=80,web2=80,web3=80,web4=80"),
    ],
)
def test_numbers_counts_and_addresses(template: str, filled: str) -> None:
    """Of the node's own part, and of another one; a majority of four is three."""
    assert fill(template, THREE) == filled


def test_words_of_a_targets_own_come_first() -> None:
    """A setting that was called 'quorum' before Nines had the word still means itself."""
    own = Context(node="n1", address="", ports={"number": 9}, settings={"quorum": "7"}, count=3)
    assert fill("{quorum} {number} {count}", own) == "7 9 3"


def test_a_command_line_is_split_around_what_stands_in_braces() -> None:
    """Blanks and quotes of a name or of its inside are no matter of the shell's."""
    line = 'redis-cli --cluster create {each:{address}:{client} } --note "a b" {first of web:{address} {http}} {{x}}'
    words = split(line)
    assert words[3] == "{each:{address}:{client} }"
    assert fill_words(words, THREE) == [
        "redis-cli", "--cluster", "create", "10.0.0.1:2181", "10.0.0.2:2181", "10.0.0.3:2181", "--note", "a b", "10.0.1.1 80", "{x}",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="close every quote"):
        split('say "hello')


def test_operations_know_all_nodes_and_keep_the_rest_for_each_request() -> None:
    """Braces of a body and the words of a slot stay as they are."""
    text = 'client.py {addresses:web:{address}:{http}} {peers:{address}} {{x}} {key} {"n": {slot}} {'
    told = "10.0.1.1:80,10.0.1.2:80,10.0.1.3:80,10.0.1.4:80 10.0.0.1,10.0.0.2,10.0.0.3"
    assert with_nodes(text, THREE) == f'client.py {told} {{{{x}}}} {{key}} {{"n": {{slot}}}} {{'
    with pytest.raises(BadInput, match="there is no part 'wbe'"):
        with_nodes("{addresses:wbe}", THREE)


def test_a_name_is_kept_where_an_address_is_not() -> None:
    """Without a name of its own a node is known by its address, on the network that the word is of."""
    peers = (Peer("n1", "10.0.0.1", name="n1.test"), Peer("n2", "10.0.0.2", "10.9.0.2"))
    context = Context(node="n1", address="10.0.0.1", ports={}, settings={}, peers=peers, name="n1.test")
    assert fill("{address} {name} {peer_name}", context) == "10.0.0.1 n1.test n1.test"
    assert fill("{peers:{name}/{peer_name}}", context) == "n1.test/n1.test,10.0.0.2/10.9.0.2"
    mine = Context(node="n1", address="10.0.0.1", ports={}, settings={"name": "shop"})
    assert fill("{name}", mine) == "shop"


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("--listen {address}:{client}", ""),
        ("{peers:{node}=http://{peer_name}:{peer}}", ""),
        ("x{peers:{node}=http://{peer_address}:{peer}}", "{peers:{node}=http://{peer_address}:{peer}}"),
        ("{each of data:server {address};}", "{each of data:server {address};}"),
        ("{addresses:data}", "{addresses:data}"),
        ("{count of data} {{address}}", ""),
    ],
)
def test_whether_others_are_known_by_their_addresses(template: str, found: str) -> None:
    assert by_address(template) == found
