"""The address of the server."""

import ipaddress
import socket

from gan3d.errors import UserError

BACKLOG = 128  # connections that wait to be accepted; asyncio accepts as many at once


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; clients that connect before the server runs wait in its backlog.

    Args:
        port: 0 for any free port.

    Raises:
        UserError: when the address is in use or not one of this machine's.
    """
    listening = None
    try:
        # with the protocol's number: asyncio sets TCP_NODELAY only on sockets that name TCP
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        return listening
    except OSError as error:
        if listening is not None:
            listening.close()
        raise UserError(f"cannot listen on {host}:{port} ({error}): choose another --host or --port.") from None


def url(listening: socket.socket, scheme: str = "http") -> str:
    """The URL of the server, as http://127.0.0.1:8000."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches the address."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
