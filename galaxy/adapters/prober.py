"""Asks an app container from outside whether it serves."""

from __future__ import annotations

import re
import socket
import time
from typing import Final

from galaxy.domain.health import Probe, ProbeOutcome

#: RFC 9112, section 4: a status line; and the older one of HTTP/1.0 servers without a reason.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
#: Heads of more bytes are no well-formed answer.
_MAX_HEAD_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 4096
_INFORMATIONAL: Final = range(100, 200)


def probe(address: str, port: int, *, path: str, host: str, timeout_s: float) -> Probe:
    """Sends one `GET` and reads the head of the answer; nothing is kept open.

    Args:
        address: IP address of the container.
        port: That the app has to listen on.
        path: Of the request, as in the settings.
        host: The app's name, for the Host header.
        timeout_s: For all of it together.
    """
    give_up_at = time.monotonic() + timeout_s
    found = Probe(ProbeOutcome.TIMED_OUT, port, within_s=timeout_s)
    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            connection.sendall(_request(path, host))
            return _answer(connection, found, give_up_at)
    except ConnectionRefusedError:
        return found._replace(outcome=ProbeOutcome.REFUSED)
    except TimeoutError:
        return found
    except ConnectionError:
        return found._replace(outcome=ProbeOutcome.CLOSED)
    except OSError as error:
        return found._replace(outcome=ProbeOutcome.UNREACHABLE, detail=error.strerror or type(error).__name__)


def _request(path: str, host: str) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: galaxy-health-check",
        "Accept: */*",
        "X-Forwarded-Proto: http",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def _answer(connection: socket.socket, found: Probe, give_up_at: float) -> Probe:
    head = b""
    while True:
        end = _HEAD_END.search(head)
        if end:
            status = _STATUS_LINE.match(head)
            if status is None:
                return found._replace(outcome=ProbeOutcome.NO_HTTP, first_bytes=head)
            if int(status[1]) not in _INFORMATIONAL:
                return found._replace(outcome=ProbeOutcome.ANSWERED, status=int(status[1]))
            head = head[end.end() :]  # the answer itself follows
            continue
        if head and not _may_become_http(head):
            return found._replace(outcome=ProbeOutcome.NO_HTTP, first_bytes=head)
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            return found
        connection.settimeout(left_s)
        data = connection.recv(_READ_BYTES)
        if not data:
            outcome = ProbeOutcome.NO_HTTP if head else ProbeOutcome.CLOSED
            return found._replace(outcome=outcome, first_bytes=head)
        head += data


def _may_become_http(head: bytes) -> bool:
    if len(head) > _MAX_HEAD_BYTES:
        return False
    line = head.partition(b"\n")
    return bool(_STATUS_LINE.match(head)) if line[1] else b"HTTP/1.".startswith(head[:7])
