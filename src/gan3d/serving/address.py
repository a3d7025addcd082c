"""The address that the server listens on."""

import socket

from gan3d.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; clients that come before the server runs wait in its backlog.

    Args:
        port: 0 for any that is free.

    Raises:
        UserError: when the address is taken or none of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UserError(f"{host}:{port} cannot be listened on ({error}): name another --host or --port.") from None


def url(listening: socket.socket) -> str:
    """Where a client finds it, as http://127.0.0.1:8000."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
