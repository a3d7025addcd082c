"""Answers that are kept, and those that clients keep."""

import gzip
import json

from loopback import JSON, serving

from gan3d.serving.cache import Answer, AnswerCache, matches


def test_the_cache_is_bounded_and_drops_the_oldest():
    cache = AnswerCache(800)
    for number in range(20):
        cache.put(str(number), Answer(b"x" * 100, "text/plain", 1))
    assert cache.size == 800
    assert cache.get("0") is None
    assert cache.get("19") is not None
    cache.put("large", Answer(b"x" * 101, "text/plain", 1))
    assert cache.get("large") is None


def test_tags_are_compared_weakly():
    assert matches('"a", W/"b"', '"b"')
    assert matches("*", '"b"')
    assert not matches('"a"', '"b"')
    assert not matches(None, '"b"')


def ask(server, fields, **headers):
    return server.ask("POST", "/shapes", json.dumps(fields).encode(), {**JSON, **headers})


def test_the_same_request_has_the_same_tag_and_is_drawn_once(holder):
    with serving(holder) as server:
        fields = {"class": "chair", "seed": 1, "output": "glb"}
        first = ask(server, fields)
        drawn = server.running.scheduler.rate
        again = ask(server, dict(reversed(fields.items())))
        assert (again.body, again.headers["etag"]) == (first.body, first.headers["etag"])
        assert server.running.scheduler.rate == drawn
        assert ask(server, fields | {"seed": 2}).headers["etag"] != first.headers["etag"]
        same = ask(server, fields, **{"If-None-Match": first.headers["etag"]})
        assert (same.status, same.body, same.headers["etag"]) == (304, b"", first.headers["etag"])
        assert ask(server, fields, **{"If-None-Match": '"other"'}).status == 200
        assert "gan3d_cache_hits_total 3.0" in server.ask("GET", "/metrics").body.decode()


def test_only_json_is_compressed_and_only_for_who_reads_it(server):
    fields = {"class": "chair", "count": 4}
    plain = ask(server, fields)
    zipped = ask(server, fields, **{"Accept-Encoding": "br, gzip;q=0.5"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["vary"] == "Accept-Encoding"
    assert zipped.headers["etag"] != plain.headers["etag"]
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 4
    for reply in (
        plain,
        ask(server, fields, **{"Accept-Encoding": "gzip;q=0"}),
        ask(server, fields | {"output": "bits"}, **{"Accept-Encoding": "gzip"}),
    ):
        assert "content-encoding" not in reply.headers
