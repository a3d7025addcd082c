"""Downloads over real HTTP on loopback: a plain server, one that drops connections, and moto's S3 server."""

import hashlib
import http.server
import re
import socket
import socketserver
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from s3_server import s3_server

from gan3d.data.sources import download
from gan3d.data.sources.download import deliver, fetch
from gan3d.errors import UserError

CONTENT = np.random.default_rng(0).bytes(3 * 2**20 + 17)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with range requests; the next `drops` answers stop in the middle."""

    content = CONTENT
    drops = 0
    ranges = True
    tag = '"1"'
    requests: list[str] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, body: bool) -> None:
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        if self.path.startswith("/secret"):
            self.send_error(403)
            return
        cls = type(self)
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if cls.ranges else None
        start, stop = (int(part[1]), min(int(part[2]) + 1, len(cls.content))) if part else (0, len(cls.content))
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(cls.content)}")
        if cls.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", cls.tag)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body:
            cls.requests.append(self.headers.get("Range", "all"))
            if cls.drops > 0 and stop - start > 1:
                cls.drops -= 1
                self.wfile.write(cls.content[start : start + (stop - start) // 2])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(cls.content[start:stop])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "BLOCK", 2**20)
    handler = type("Handler", (Server,), {"requests": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        handler.address = f"http://127.0.0.1:{listening.server_address[1]}"
        yield handler
        listening.shutdown()


def test_a_file_is_downloaded_with_progress_and_then_cached(server, tmp_path):
    seen = []
    path = fetch(f"{server.address}/deep/data.bin", tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert path.name == "data.bin"
    assert path.read_bytes() == CONTENT
    assert [total for _, total in seen] == [len(CONTENT)] * 4
    assert seen[-1][0] == len(CONTENT)
    before = len(server.requests)
    assert fetch(f"{server.address}/deep/data.bin", tmp_path) == path
    assert len([one for one in server.requests[before:] if one != "all"]) == 0
    assert deliver(path, tmp_path / "raw/x.bin").read_bytes() == CONTENT
    with pytest.raises(UserError, match="exists"):
        deliver(path, tmp_path / "raw/x.bin")


def test_a_dropped_connection_is_retried(server, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    server.drops = 2
    assert fetch(f"{server.address}/data.bin", tmp_path).read_bytes() == CONTENT


def test_concurrent_fetches_download_once(server, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(f"{server.address}/data.bin", tmp_path), range(4)))
    assert {path.read_bytes() == CONTENT for path in paths} == {True}
    assert len([one for one in server.requests if one.startswith("bytes=0-1048575")]) == 1


def test_a_partial_file_that_is_too_long_is_discarded(server, tmp_path, monkeypatch):
    class Stop(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        fetch(f"{server.address}/data.bin", tmp_path, progress=stop)
    (partial,) = tmp_path.rglob("*.partial")
    partial.write_bytes(CONTENT + b"more")
    with pytest.raises(UserError, match="gave more bytes than its size"):
        fetch(f"{server.address}/data.bin", tmp_path)
    assert fetch(f"{server.address}/data.bin", tmp_path).read_bytes() == CONTENT


def test_an_interrupted_download_resumes(server, tmp_path):
    class Stop(BaseException):
        pass

    def stop(done: int, total: int) -> None:
        if done > 2**20:
            raise Stop

    with pytest.raises(Stop):
        fetch(f"{server.address}/data.bin", tmp_path, progress=stop)
    server.requests.clear()
    path = fetch(f"{server.address}/data.bin", tmp_path)
    assert path.read_bytes() == CONTENT
    assert [one for one in server.requests if one.startswith("bytes=0-1048575")] == []
    assert not list(tmp_path.rglob("*.partial"))


def test_a_new_version_on_the_server_restarts_the_download(server, tmp_path):
    fetch(f"{server.address}/data.bin", tmp_path)
    server.content, server.tag = b"other" * 100, '"2"'
    assert fetch(f"{server.address}/data.bin", tmp_path).read_bytes() == b"other" * 100


def test_a_server_without_ranges_is_read_from_the_start(server, tmp_path):
    server.ranges = False
    assert fetch(f"{server.address}/data.bin", tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_is_rejected_and_the_file_deleted(server, tmp_path):
    right = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(f"{server.address}/data.bin", tmp_path, sha256=right.upper()).exists()
    with pytest.raises(UserError, match=f"hash {right}, not 0000"):
        fetch(f"{server.address}/data.bin", tmp_path, sha256="0" * 64)
    assert not list(tmp_path.rglob("data.bin"))


def test_failures_give_a_one_sentence_error_within_seconds(server, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(UserError, match=r"cannot be downloaded .*check the address and the network"):
            fetch(f"https://127.0.0.1:{nobody}/data.zip", tmp_path)
    with pytest.raises(UserError, match="check the address"):
        fetch(f"{server.address}/gone.zip", tmp_path)
    with pytest.raises(UserError, match="download it by hand"):
        fetch(f"{server.address}/secret.zip", tmp_path)
    server.content = b"<!DOCTYPE html><html>Sign in</html>"
    with pytest.raises(UserError, match="gave a web page"):
        fetch(f"{server.address}/data.zip", tmp_path)
    assert time.monotonic() - start < 30


# --- S3 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3():
    with s3_server() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def bucket(s3, keys):
    import boto3

    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="shapes")
    yield client
    for item in client.list_objects_v2(Bucket="shapes").get("Contents", []):
        client.delete_object(Bucket="shapes", Key=item["Key"])
    client.delete_bucket(Bucket="shapes")


def test_an_object_and_a_prefix(s3, bucket, tmp_path):
    bucket.put_object(Bucket="shapes", Key="deep/data.bin", Body=CONTENT)
    bucket.put_object(Bucket="shapes", Key="set/chair/a.off", Body=b"a")
    bucket.put_object(Bucket="shapes", Key="set/table/b.off", Body=b"b")
    assert fetch("s3://shapes/deep/data.bin", tmp_path, endpoint=s3).read_bytes() == CONTENT
    for address in ("s3://shapes/set/", "s3://shapes/set"):
        folder = fetch(address, tmp_path, endpoint=s3)
        assert {str(path.relative_to(folder)) for path in folder.rglob("*.off")} == {"chair/a.off", "table/b.off"}
    bucket.delete_object(Bucket="shapes", Key="set/table/b.off")
    bucket.put_object(Bucket="shapes", Key="set/chair/a.off", Body=b"new")
    folder = fetch("s3://shapes/set/", tmp_path, endpoint=s3)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.off")} == {"a.off": b"new"}


def test_s3_errors_give_one_sentence(s3, bucket, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="check the address"):
        fetch("s3://shapes/nothing.zip", tmp_path, endpoint=s3)
    with pytest.raises(UserError, match="cannot be downloaded"):
        fetch("s3://no-such-bucket/a.zip", tmp_path, endpoint=s3)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UserError, match="check the credentials"):
        fetch("s3://shapes/a.zip", tmp_path, endpoint=s3)
