"""A Redis server for a benchmark alone, so that nobody else's commands, keys and messages count."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from bench.measure import CannotRun
from galaxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_TIMEOUT_S: Final = 10


@contextmanager
def own_redis() -> Iterator[str]:
    """Starts one, without persistence; yields its URL. It ends with the block.

    Raises:
        CannotRun: redis-server is missing or does not start.
    """
    program = shutil.which("redis-server")
    if not program:
        raise CannotRun("There is no redis-server.")
    with tempfile.TemporaryDirectory(prefix="galaxy-bench-") as folder, ExitStack() as stack:
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"unix://{socket}"
        with Redis.from_url(url) as redis:
            began = time.monotonic()
            while not _answers(redis):
                if process.poll() is not None or time.monotonic() - began > _START_TIMEOUT_S:
                    raise CannotRun("redis-server did not start.")
                time.sleep(0.01)
        yield url


def settings_on(url: str, prefix: str, **knobs: str | float) -> Settings:
    """Settings of a pipeline that has its broker, store and logs on this server.

    Args:
        url: As `own_redis` yields it.
        prefix: Of its keys.
        knobs: What else differs from the stack's.
    """
    address, broker = SecretStr(url), SecretStr(url.replace("unix://", "redis+socket://"))
    places = {"broker_url": broker, "store_url": address, "logs_url": address, "key_prefix": prefix}
    return Settings().model_copy(update={**places, **knobs})


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False
