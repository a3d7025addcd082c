"""Who may ask: hosts, keys, rates; and what pages tell browsers."""

import base64
import hashlib
import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from loopback import JSON, serving

from gan3d.cli.app import cli
from gan3d.errors import UserError
from gan3d.serving.access import parse_rate
from gan3d.serving.keys import Keys, add_key, hash_key

BODY = json.dumps({"class": "chair"}).encode()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:9", 200),
        ("10.1.2.3", 200),  # a name can be pointed here by its owner, an address cannot
        ("LOCALHOST", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
    ],
)
def test_only_addresses_and_known_names_are_hosts(server, host, status):
    for method, path, body in (("POST", "/shapes", BODY), ("GET", "/docs", None), ("GET", "/metrics", None)):
        reply = server.ask(method, path, body, {**JSON, "Host": host})
        assert reply.status == status
    if status == 400:
        assert "this host is not allowed" in reply.detail


def test_further_hosts_are_allowed_by_name(holder):
    with serving(holder, hosts=("shapes.example",)) as server:
        assert server.ask("GET", "/model", headers={"Host": "Shapes.example:443"}).status == 200
        assert server.ask("GET", "/model", headers={"Host": "other.example"}).status == 400
    with serving(holder, hosts=("*",)) as server:
        assert server.ask("GET", "/model", headers={"Host": "other.example"}).status == 200


def test_a_trailing_slash_is_not_redirected(server):
    assert server.ask("GET", "/docs/", headers={"Host": "localhost"}).status == 404


def test_without_a_key_only_probes_and_the_page_answer(holder, tmp_path):
    key = add_key(tmp_path / "keys", "alice")
    with serving(holder, keys=Keys(tmp_path / "keys")) as server:
        for path in ("/livez", "/readyz", "/healthz", "/", "/docs", "/v2/health/ready"):
            assert server.ask("GET", path).status == 200
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {key}"},
            {"X-API-Key": key[:-1]},
            {"X-API-Key": "ü".encode("latin-1")},
        ):
            reply = server.ask("POST", "/shapes", BODY, {**JSON, **headers})
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        for path in ("/model", "/models", "/metrics", "/openapi.json", f"/model?key={key}", "/nothing"):
            assert server.ask("GET", path).status == 401
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
            assert server.ask("POST", "/shapes", BODY, {**JSON, **headers}).status == 200
            api = json.loads(server.ask("GET", "/openapi.json", headers=headers).body)
        assert api["security"] == [{"key": []}]


def test_keys_are_stored_as_hashes_and_followed_when_the_file_changes(holder, tmp_path):
    path = tmp_path / "keys"
    alice = add_key(path, "alice")
    assert alice not in path.read_text()
    assert hash_key(alice) in path.read_text()
    keys = Keys(path)
    with serving(holder, keys=keys, poll=0.05) as server:
        bob = add_key(path, "bob")
        path.write_text("".join(line for line in path.read_text().splitlines(True) if line.startswith("bob")))
        deadline = time.monotonic() + 10
        while keys.owner(bob) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert server.ask("GET", "/model", headers={"X-API-Key": alice}).status == 401
        path.write_text("damaged")
        time.sleep(0.2)
        assert server.ask("GET", "/model", headers={"X-API-Key": bob}).status == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no keys"),
        ("alice 123", "line 1 of .* is not a name and a SHA-256"),
        (f"a {'0' * 64}\na {'1' * 64}", "line 2 of .* names a again"),
    ],
)
def test_a_wrong_file_of_keys_is_one_sentence(tmp_path, text, words):
    (tmp_path / "keys").write_text(text)
    with pytest.raises(UserError, match=words):
        Keys(tmp_path / "keys")


def test_the_command_makes_keys(tmp_path):
    path = tmp_path / "keys"
    done = CliRunner().invoke(cli, ["key", "alice", "--keys", str(path)])
    assert done.exit_code == 0
    assert Keys(path).owner(done.output.strip()) == "alice"
    with pytest.raises(UserError, match="a key of alice already"):
        add_key(path, "alice")
    with pytest.raises(UserError, match="cannot name a key"):
        add_key(path, "a b")


def test_a_device_is_no_file_of_keys():
    """It may be read for ever."""
    with pytest.raises(UserError, match="/dev/full is not a regular file: name another"):
        add_key(Path("/dev/full"), "alice")


def test_requests_above_the_rate_wait(holder, tmp_path):
    keys = {name: add_key(tmp_path / "keys", name) for name in ("alice", "bob")}
    with serving(holder, keys=Keys(tmp_path / "keys"), rate=parse_rate("3/minute")) as server:
        replies = [server.ask("GET", "/model", headers={"X-API-Key": keys["alice"]}) for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
        assert server.ask("GET", "/model", headers={"X-API-Key": keys["bob"]}).status == 200
        assert server.ask("GET", "/livez").status == 200
    with pytest.raises(UserError, match="100/minute"):
        parse_rate("often")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_run_only_their_own_script_and_are_not_framed(server, path):
    reply = server.ask("GET", path)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    for tag in ("script", "style"):
        (part,) = re.findall(rf"<{tag}(?: type=\"module\")?>(.*?)</{tag}>".encode(), reply.body, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(part).digest()).decode() in policy
    assert not re.search(rb"\son\w+=|\sstyle=", reply.body)


@pytest.mark.parametrize("path", ["/docs", "/model", "/nothing", "/metrics"])
def test_every_answer_has_its_headers(server, path):
    headers = server.ask("GET", path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])
    assert server.ask("GET", path, headers={"X-Request-ID": "my-id.7"}).headers["x-request-id"] == "my-id.7"
    assert server.ask("GET", path, headers={"X-Request-ID": "no good"}).headers["x-request-id"] != "no good"
