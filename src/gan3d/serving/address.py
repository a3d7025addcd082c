"""The address of the server."""

import socket

from gan3d.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; clients that connect before the server runs wait in its backlog.

    Args:
        port: 0 for any free port.

    Raises:
        UserError: when the address is in use or not one of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port} ({error}): choose another --host or --port.") from None


def url(listening: socket.socket) -> str:
    """The URL of the server, as http://127.0.0.1:8000."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
