"""fakeredis as the contract tests use it: the Redis of production in this process, scripts included."""

from __future__ import annotations

import hashlib
from typing import Any

import fakeredis


def fake_redis(*, decode_responses: bool = False) -> fakeredis.FakeRedis:
    """A client of a new, empty server."""
    server = fakeredis.FakeServer(version=(7, 0))
    client = fakeredis.FakeRedis(server=server, decode_responses=decode_responses)
    client.eval("return 1", 0)  # the first script creates the server's Lua
    _add_sha1hex(server._lua_runtime)
    return client


def same_server(client: fakeredis.FakeRedis, *, decode_responses: bool = False) -> fakeredis.FakeRedis:
    """Another client of the client's server, which `fake_redis` made."""
    server = client.connection_pool.connection_kwargs["server"]
    return fakeredis.FakeRedis(server=server, decode_responses=decode_responses)


def _add_sha1hex(lua: Any) -> None:  # noqa: ANN401 - lupa ships no types
    """Adds `redis.sha1hex`, which Redis gives its scripts and fakeredis 2.40 does not."""
    lua.globals()[b"redis"][b"sha1hex"] = lambda text: hashlib.sha1(text).hexdigest().encode()
