"""Public data sets by name: where their publishers keep them, and on which terms."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class NamedSource:
    """A data set that `data.source` can name.

    Attributes:
        address: of its publisher.
        licence: on which terms, in one sentence.
        page: about it.
        advice: what to do if the address does not answer.
        up: the axis that points up.
        size: of the download, for people.
        labels: names of its class folders, where they are numbers (`data.labels`).
    """

    address: str
    licence: str
    page: str
    advice: str
    up: str
    size: str
    labels: Mapping[str, str] | None = None


# the thirteen categories of 3D-R2N2, by their WordNet offsets
SYNSETS = {
    "02691156": "airplane",
    "02828884": "bench",
    "02933112": "cabinet",
    "02958343": "car",
    "03001627": "chair",
    "03211117": "display",
    "03636649": "lamp",
    "03691459": "speaker",
    "04090263": "rifle",
    "04256520": "sofa",
    "04379243": "table",
    "04401088": "telephone",
    "04530566": "watercraft",
}
_BY_HAND = "download it by hand and set data.source to the file"

NAMED_SOURCES = {
    "modelnet10": NamedSource(
        "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
        "for academic use; the copyright of each model is its author's (Wu et al. 2015)",
        "https://modelnet.cs.princeton.edu",
        f"its publisher's server may be down; {_BY_HAND}",
        "z",
        "450 MB",
    ),
    "modelnet40": NamedSource(
        "http://modelnet.cs.princeton.edu/ModelNet40.zip",
        "for academic use; the copyright of each model is its author's (Wu et al. 2015)",
        "https://modelnet.cs.princeton.edu",
        f"its publisher's server may be down; {_BY_HAND}",
        "z",
        "1.9 GB",
    ),
    "shapenet-vox32": NamedSource(
        "http://cvgl.stanford.edu/data2/ShapeNetVox32.tgz",
        "the terms of ShapeNet: for research and teaching, not for commercial use, with an account",
        "https://shapenet.org",
        "ShapeNet needs an account: register at https://shapenet.org, download ShapeNetVox32.tgz of 3D-R2N2 (Choy et"
        " al. 2016), and set data.source to the file",
        "y",
        "50 MB",
        {f"ShapeNetVox32/{synset}": name for synset, name in SYNSETS.items()},
    ),
    "3d_gans": NamedSource(
        "https://s3-eu-west-1.amazonaws.com/bsopenbucket/e4040/data.zip",
        "not stated by its owner; volumes made from IKEA furniture and ModelNet10",
        "the repository 3d_gans (2018)",
        "its owner may have removed it; use `synthetic`, or ModelNet10 or volumetric data of your own, with"
        " data.source",
        "y",
        "unknown",
    ),
}


def notice(name: str) -> str:
    """What a person should know before the download: terms and page."""
    source = NAMED_SOURCES[name]
    return f"{name}: {source.licence}; {source.page}"


def axis_advice(name: str, up: str) -> str | None:
    """A sentence where the up axis is not the data set's own."""
    source = NAMED_SOURCES.get(name)
    if source is None or source.up == up:
        return None
    return f"{name} has its {source.up} axis up, but data.up is {up}: set data.up to {source.up}, and prepare it again."
