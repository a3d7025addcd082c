"""The secrets of an address stay in params.yaml: nothing that a command prints or writes holds them."""

import base64
import http.server
import socketserver
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zipfile import ZipFile

import pytest
import yaml

USER, PASSWORD = "Xq7-reader", "Xq7/top:pass@word"
SIGNATURES = ("SIGNATURE-one%2B1%3D", "SIGNATURE-two%2B2%3D")
SECRETS = (PASSWORD, "Xq7%2Ftop%3Apass%40word", "SIGNATURE-one", "SIGNATURE-two", USER)
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves one file to whoever has the password and a signature."""

    content = b""
    sent: list[int] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, body: bool) -> None:
        given = parse_qs(urlsplit(self.path).query).get("sig", [""])[0]
        if self.headers.get("Authorization") != LOGIN or given not in ("SIGNATURE-one+1=", "SIGNATURE-two+2="):
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("Last-Modified", "Fri, 27 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if body:
            type(self).sent.append(len(self.content))
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(fresh_clone):
    """An address of the small project's shapes, without user and query."""
    archive = fresh_clone.root.parent / "shapes.zip"
    with ZipFile(archive, "w") as out:
        for path in sorted((fresh_clone.root / "shapes").rglob("*")):
            out.write(path, path.relative_to(fresh_clone.root / "shapes"))
    handler = type("Handler", (Server,), {"content": archive.read_bytes(), "sent": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield handler, f"127.0.0.1:{listening.server_address[1]}/shapes.zip"
        listening.shutdown()


def holding(folder: Path, texts: tuple[str, ...]) -> list[str]:
    """The files below a folder that hold one of the texts, as UTF-8 or UTF-16, databases included."""
    patterns = [text.encode(code) for text in texts for code in ("utf-8", "utf-16-le")]
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts]
    return [str(path.relative_to(folder)) for path in files if any(p in path.read_bytes() for p in patterns)]


def set_source(clone, place: str, signature: str) -> None:
    source = f"http://{USER}:Xq7%2Ftop%3Apass%40word@{place}?sig={signature}"
    clone.edit(lambda tree: tree["data"].update(source=source))


@pytest.mark.full
def test_no_output_of_the_pipeline_holds_a_secret_of_the_source(fresh_clone, address):
    handler, place = address
    cache = fresh_clone.root.parent / "cache"
    fresh_clone.env["GAN3D_CACHE"] = str(cache)
    set_source(fresh_clone, place, SIGNATURES[0])
    done = fresh_clone.run("dvc", "repro")
    assert handler.sent
    assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
    assert holding(fresh_clone.root, SECRETS) == ["params.yaml"]
    assert holding(cache, SECRETS) == []
    lock = yaml.safe_load((fresh_clone.root / "dvc.lock").read_text(encoding="utf-8"))
    assert "data/source.json" in str(lock["stages"]["prepare"])
    assert f"http://***@{place}?***" in (fresh_clone.root / "data/source.json").read_text(encoding="utf-8")

    before = sum(handler.sent)
    set_source(fresh_clone, place, SIGNATURES[1])  # the signature was renewed
    again = fresh_clone.run("dvc", "repro", "prepare")
    assert "Running stage 'prepare'" not in again.stdout
    fresh_clone.run("gan3d", "prepare")
    assert sum(handler.sent) == before
    assert sum(handler.sent) <= before + 2 * len(handler.content), "a look at the headers at most"
    assert holding(fresh_clone.root, SECRETS) == ["params.yaml"]

    set_source(fresh_clone, place, "SIGNATURE-expired")
    for command in (("gan3d", "prepare"), ("gan3d", "data", "fetch", "ADDRESS", "--out", "x.zip")):
        source = yaml.safe_load((fresh_clone.root / "params.yaml").read_text(encoding="utf-8"))["data"]["source"]
        refused = fresh_clone.run(*(source if part == "ADDRESS" else part for part in command), check=False)
        assert refused.returncode == 1
        assert "error: http://***@" in refused.stderr
        assert not [s for s in (*SECRETS, "SIGNATURE-expired") if s in refused.stdout + refused.stderr]


def test_a_tracking_address_is_masked(fresh_clone):
    address = "http://Xq7-reader:Xq7topPW@127.0.0.1:9/?token=SIGNATURE-one"
    for command in (("gan3d", "registry", "list"), ("gan3d", "sync")):
        done = fresh_clone.run(*command, check=False, MLFLOW_TRACKING_URI=address, MLFLOW_HTTP_REQUEST_TIMEOUT="2")
        assert done.returncode == 1
        assert not [s for s in ("Xq7topPW", "Xq7-reader", "SIGNATURE") if s in done.stdout + done.stderr], done.stderr
        assert "***@127.0.0.1:9" in done.stderr
