"""The Kubernetes manifest: valid by Kubernetes' own schema, and in accord with the command and the image."""

import re

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from paths import REPOSITORY

from gan3d.cli.app import cli

MANIFEST = REPOSITORY / "deploy" / "kubernetes.yaml"
DOCUMENTS = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
def test_every_object_is_valid(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_container_runs_the_command_as_the_image_does():
    (deployment,) = [document for document in DOCUMENTS if document["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    offered = CliRunner().invoke(cli, ["serve", "--help"]).output
    for argument in container["args"][4:]:
        assert re.search(rf"{argument.split('=')[0]}\b", offered)
    image = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert f"--uid {pod['securityContext']['runAsUser']} " in image
    drain = int(next(one for one in container["args"] if one.startswith("--drain")).split("=")[1])
    waited = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= drain + waited + 5
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in ("/livez", "/readyz")
