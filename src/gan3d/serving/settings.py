"""How a server is set up; the options of `gan3d serve`."""

from dataclasses import dataclass
from pathlib import Path

from limits import RateLimitItem

from gan3d.serving.keys import Keys

MEBI = 2**20


@dataclass(frozen=True)
class Settings:
    """Limits and rules of a server.

    Attributes:
        queue: voxels that may wait, those being drawn included.
        max_body: bytes of a request's body.
        max_upload: bytes of an uploaded shape.
        data: the prepared data set whose training shapes are compared with.
        poll: seconds between two checks of the models' aliases and of the keys.
        drain: seconds to answer what was accepted, when the server stops.
        connections: at once.
        cache: bytes of answers that are kept.
        hosts: names under which the server may be asked, besides addresses and localhost.
        keys: of clients; None lets everybody ask.
        rate: of requests per key or address; None for any.
        certificate, private_key: files of TLS; None for plain HTTP.
    """

    queue: int = 64 * MEBI
    max_body: int = MEBI
    max_upload: int = 16 * MEBI
    data: Path | None = None
    poll: float = 5.0
    drain: float = 30.0
    connections: int = 1000
    cache: int = 64 * MEBI
    hosts: tuple[str, ...] = ()
    keys: Keys | None = None
    rate: RateLimitItem | None = None
    certificate: Path | None = None
    private_key: Path | None = None
