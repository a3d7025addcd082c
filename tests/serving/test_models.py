"""Several models behind one server, and versions that are not served."""

import json
from dataclasses import replace

import numpy as np
import pytest
from candidates import tiny
from loopback import serving

from gan3d import model_file
from gan3d.errors import UserError
from gan3d.sampling.sampler import Sampler
from gan3d.serving.models import LoadingError, ModelHolder, parse_models


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["models:/furniture@champion"], {"furniture": "models:/furniture@champion"}),
        (
            ["furniture@champion", "chairs@7"],
            {"furniture": "models:/furniture@champion", "chairs": "models:/chairs/7"},
        ),
        (["old=chairs@1", "new=chairs@2"], {"old": "models:/chairs/1", "new": "models:/chairs/2"}),
        (["models/r16"], {"r16": "models/r16"}),
        (["runs:/abc/model"], {"model": "runs:/abc/model"}),
        (["small=/some/r16"], {"small": "/some/r16"}),
    ],
)
def test_models_are_named(given, expected):
    assert parse_models(given) == expected


@pytest.mark.parametrize(
    ("given", "words"), [(["chairs@1", "chairs@2"], "the name of two models"), (["a/b=x"], "part of a route")]
)
def test_names_of_routes_are_checked(given, words):
    with pytest.raises(UserError, match=words):
        parse_models(given)


@pytest.fixture(scope="module")
def chairs(tmp_path_factory):
    """A model of one class."""
    folder = tmp_path_factory.mktemp("models") / "chairs"
    model_file.save(folder, replace(tiny(3, ("chair",)), threshold=0.3))
    return ModelHolder(str(folder)).load()


def test_each_model_has_its_route(holder, chairs):
    with serving(holder, chairs, names=("furniture", "chairs")) as server:
        described = json.loads(server.ask("GET", "/models").body)
        assert {name: one["classes"] for name, one in described.items()} == {
            "furniture": ["chair", "table"],
            "chairs": ["chair"],
        }
        assert json.loads(server.ask("GET", "/models/chairs").body) == described["chairs"]
        for name, one in (("furniture", holder), ("chairs", chairs)):
            reply = server.ask("POST", f"/models/{name}/shapes", b'{"class": "chair", "seed": 4, "output": "bits"}')
            expected = one.current.sampler.shapes(0, 1, 4)
            assert reply.body == np.packbits(expected).tobytes()
        assert server.shapes(seed=1, class_="table").status == 200  # the first one, without its name
        assert server.ask("POST", "/models/chairs/shapes", b'{"seed": 1}').status == 200
        reply = server.ask("POST", "/models/sofas/shapes", b"{}")
        assert (reply.status, reply.detail) == (
            404,
            "model 'sofas' is not served: choose one of furniture, chairs.",
        )
        paths = json.loads(server.ask("GET", "/openapi.json").body)["paths"]
        assert {"/shapes", "/models/furniture/shapes", "/models/chairs/shapes", "/models/chairs"} <= set(paths)


def test_a_model_that_is_not_loaded_is_not_ready(folder, holder):
    waiting = ModelHolder(str(folder))
    with pytest.raises(LoadingError):
        _ = waiting.current
    with serving(holder, waiting, names=("a", "b")) as server:
        assert server.ask("GET", "/livez").status == 200
        assert server.ask("GET", "/v2/health/live").status == 200
        for path in ("/readyz", "/v2/health/ready", "/v2/models/b/ready"):
            assert server.ask("GET", path).status == 503
        for reply in (server.ask("GET", "/readyz"), server.ask("POST", "/models/b/shapes", b"{}")):
            assert (reply.status, reply.detail) == (503, "the model is being loaded: try again in 2 s.")
            assert reply.headers["retry-after"] == "2"
        waiting.load()
        assert server.ask("GET", "/readyz").status == 200


@pytest.mark.parametrize(("threshold", "words"), [(1.0, "are empty"), (0.0, "are full")])
def test_a_version_of_empty_or_full_shapes_is_not_served(tmp_path, threshold, words):
    model_file.save(tmp_path / "m", replace(tiny(), threshold=threshold))
    with pytest.raises(UserError, match=words):
        ModelHolder(str(tmp_path / "m")).load()


def test_a_version_of_shapes_that_are_not_finite_is_not_served(tmp_path):
    model = tiny()
    model_file.save(
        tmp_path / "m", replace(model, ema={name: np.full_like(value, 3e38) for name, value in model.ema.items()})
    )
    with pytest.raises(UserError, match="not finite"):
        ModelHolder(str(tmp_path / "m")).load()


def test_alone_and_among_others_a_shape_has_the_same_voxels(server, folder):
    """Sixteen clients at once, with other classes, counts and truncations: each gets what it gets alone."""
    from concurrent.futures import ThreadPoolExecutor

    sampler = Sampler(model_file.load(folder))
    asked = [{"class": ("chair", "table")[n % 2], "seed": n, "count": 1 + n % 5, "output": "bits"} for n in range(160)]

    def ask(fields):
        return server.ask("POST", "/shapes", json.dumps(fields).encode())

    with ThreadPoolExecutor(16) as clients:
        replies = list(clients.map(ask, asked))
    assert {reply.status for reply in replies} == {200}
    for fields, reply in zip(asked, replies, strict=True):
        label = ("chair", "table").index(fields["class"])
        assert reply.body == np.packbits(sampler.shapes(label, fields["count"], fields["seed"])).tobytes()
