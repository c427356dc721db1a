"""The floor of a build: the least that makes the same image, by the engine's SDK in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.measure import CannotRun
from galaxy.domain.base_images.contract import SETUP_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import APIClient


def build(api: APIClient, *, base: str, bundle_url: str, image: str, network: str) -> str:
    """Pull, create, attach, start, wait, commit, push, remove. Nothing is checked, recorded or logged.

    Args:
        api: Client of the engine.
        base: `HOST/REPOSITORY:TAG` as the engine pulls it.
        bundle_url: The only argument of setup.sh.
        image: `HOST/REPOSITORY:TAG` to push.
        network: What the container is attached to. It takes the engine longer to start and end a container on a network
            of its own than on the default bridge, whoever asks for it.

    Returns:
        The digest that was pushed.
    """
    repository, _, tag = image.rpartition(":")
    _last_aux(api.pull(base, stream=True, decode=True))
    created = api.create_container(
        base,
        entrypoint=[SETUP_SCRIPT],
        command=[bundle_url],
        host_config=api.create_host_config(network_mode=network),
    )
    container = created["Id"]
    try:
        output = api.attach(container, stdout=True, stderr=True, stream=True)
        api.start(container)
        printed = b"".join(output)
        if api.wait(container)["StatusCode"]:
            raise CannotRun(f"{SETUP_SCRIPT} failed: {printed.decode(errors='replace').strip()}")
        api.commit(container, repository, tag)
        pushed = _last_aux(api.push(repository, tag=tag, stream=True, decode=True))
    finally:
        api.remove_container(container, force=True, v=True)
    return str(pushed["Digest"])


def _last_aux(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for event in events:
        if "error" in event:
            raise CannotRun(f"The engine said: {event['error']}")
        last = event.get("aux") or last
    return last
