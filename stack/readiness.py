"""Whether a process can do its work yet. Each check takes what is known about the run, and is asked again and again."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.environment import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Check = Callable[["Run"], bool]

TIMEOUT_S = 2


@dataclass(frozen=True)
class Run:
    """One run of a process: its log file, and where in it the run begins."""

    log: Path
    log_offset: int


def logged(text: str) -> Check:
    """It has printed `text`."""

    def check(run: Run) -> bool:
        with run.log.open("rb") as log:
            log.seek(run.log_offset)
            return any(text.encode() in line for line in log)

    return check


def never(_: Run) -> bool:
    """It is not known ever to be so."""
    return False


def answers_http(port: int, path: str, host: str = LOOPBACK) -> Check:
    """A GET of `path` is answered with 200."""

    def check(_: Run) -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def answers_redis(port: int, password: str) -> Check:
    """Redis takes the password and has loaded its data."""

    def check(_: Run) -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), TIMEOUT_S) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (chunk := connection.recv(1024)):  # noqa: PLR2004 - two replies
                    answer += chunk
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    return check
