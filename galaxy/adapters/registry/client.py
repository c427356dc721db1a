"""The registry client: what a base image's tag means at this moment."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from galaxy.adapters.interruptible import interruptible
from galaxy.adapters.registry.endpoints import Reach, RegistryEndpoint
from galaxy.adapters.registry.limits import HostGates, RateLimit
from galaxy.adapters.registry.manifest import MEDIA_TYPES, MalformedManifest, Manifest, as_digest
from galaxy.adapters.registry.tokens import Credential, Tokens
from galaxy.adapters.registry.transport import RegistryCall, RegistryResponse, Transport
from galaxy.domain.base_images.image_reference import DOCKER_HUB, DOCKER_HUB_API
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import BaseImageNotFound, RegistryDenied, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from galaxy.domain.base_images.image_reference import ImageReference

_ACCEPT: Final = ", ".join(MEDIA_TYPES)
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _NO_SUCH_METHOD = 200, 401, 403, 404, 405
_NO_CREDENTIALS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({})


class RegistryClient:
    """Asks registries for manifests. One object a process, shared by its threads, made after the fork.

    Args:
        docker_hub_mirror: `http://HOST:PORT` that is asked and pulled from in Docker Hub's place.
        timeout_s: For one call, all its requests together.
        internal_hosts: Hosts (with ports) that may have addresses inside our network: the operator's own. Loopback
            hosts and those written with `http://` are spoken to in plain http. Nothing else ever is, and no
            reference, redirect or token service leads to an internal address that is not named here.
        credentials: User and password by host as in references; `docker.io` is Docker Hub or its mirror.
        connections: Kept-alive connections a host: as many as threads that ask at once.
        ca_bundle: File or folder of certificates to trust instead of the usual ones.
        clock: Seconds since the epoch, for pauses and the life of tokens.

    Raises:
        ValueError: A host that is malformed.
    """

    def __init__(  # noqa: PLR0913 - the operator's choices, all by name
        self,
        *,
        docker_hub_mirror: str | None = None,
        timeout_s: float = 10.0,
        internal_hosts: Collection[str] = (),
        credentials: Mapping[str, tuple[str, str]] = _NO_CREDENTIALS,
        connections: int = 32,
        ca_bundle: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._timeout_s = timeout_s
        self._mirror = RegistryEndpoint.as_written(docker_hub_mirror) if docker_hub_mirror else None
        own = [RegistryEndpoint.as_written(host) for host in internal_hosts]
        self._own_by_authority = {endpoint.authority: endpoint for endpoint in own}
        self._gates = HostGates(clock)
        reach = Reach([*own, self._mirror] if self._mirror else own)
        self._transport = Transport(reach, self._gates, connections=connections, ca_bundle=ca_bundle)
        logins = {self._endpoint(host): Credential(*login) for host, login in credentials.items()}
        self._tokens = Tokens(self._transport, logins, clock)

    def close(self) -> None:
        """Closes the kept-alive connections."""
        self._transport.close()

    def resolve(
        self,
        reference: ImageReference,
        *,
        insist: bool = False,
        check_cancelled: Callable[[], None] = never_cancelled,
    ) -> str:
        """The digest that a reference means now, by one HEAD.

        A pinned reference is answered at once: its digest can't come to mean anything else, and whether the image is
        still there is for the pull to find out.

        Args:
            reference: Of an image in any registry.
            insist: Asks also a host that is left alone because it failed several times.
            check_cancelled: Called several times a second. When it raises, so does this, and nobody waits for the
                registry any more.

        Raises:
            BaseImageNotFound: No such repository or tag, or not without a login.
            RegistryDenied: It is there for others.
            RegistryThrottled: The host asked for a pause, which lasts `retry_after_s`.
            RegistryUnavailable: Unreachable, too slow or failing.
            RegistryBlocked: It leads to where we do not go.
            RegistryError: The answer makes no sense.
        """
        if reference.digest is not None:
            return reference.digest
        if check_cancelled is never_cancelled:
            return self._resolve(reference, insist=insist)
        return interruptible(lambda: self._resolve(reference, insist=insist), check_cancelled)

    def _resolve(self, reference: ImageReference, *, insist: bool) -> str:
        call = self._call(reference, insists=insist)
        answer = self._ask(call, "HEAD", reference)
        if answer.status != _NO_SUCH_METHOD:
            self._complain(reference, answer)
            digest = as_digest(answer.headers.get("docker-content-digest"))
            if digest is not None:
                return digest
        return self._manifest(call, reference).digest

    def manifest(self, reference: ImageReference) -> Manifest:
        """The manifest or index itself, by one GET, which counts against Docker Hub's pull limit.

        Raises:
            RegistryError: As `resolve`, and when the bytes do not have the digest that they should have.
        """
        return self._manifest(self._call(reference), reference)

    def pull_source(self, reference: ImageReference) -> str:
        """The repository's name as the engine must be told: the mirror's or the canonical one, without tag."""
        if reference.is_docker_hub and self._mirror is not None:
            return f"{self._mirror.authority}/{reference.repository}"
        return reference.canonical_name

    def rate_limit(self, reference: ImageReference) -> RateLimit | None:
        """What the reference's host last said of its limits; None when it says nothing."""
        return self._gates.of(self._endpoint(reference.registry).authority).rate_limit

    def _call(self, reference: ImageReference, *, insists: bool = False) -> RegistryCall:
        ends_at = time.monotonic() + self._timeout_s
        return RegistryCall(str(reference), self._endpoint(reference.registry), ends_at, insists)

    def _endpoint(self, registry: str) -> RegistryEndpoint:
        """Where a registry's API is, by the host in a reference."""
        if registry == DOCKER_HUB:
            return self._mirror or RegistryEndpoint("https", DOCKER_HUB_API, 443)
        return self._own_by_authority.get(registry) or RegistryEndpoint.as_written(f"https://{registry}")

    def _manifest(self, call: RegistryCall, reference: ImageReference) -> Manifest:
        answer = self._ask(call, "GET", reference)
        self._complain(reference, answer)
        told = reference.digest or as_digest(answer.headers.get("docker-content-digest"))
        try:
            return Manifest.read(answer.body, answer.headers.get("content-type", ""), told)
        except MalformedManifest as error:
            raise call.senseless(answer.endpoint, str(error)) from error

    def _ask(self, call: RegistryCall, method: str, reference: ImageReference) -> RegistryResponse:
        """HEAD or GET of the manifest, with a token if the registry wants one."""
        what = reference.digest or reference.tag
        url = f"{call.registry}/v2/{reference.repository}/manifests/{what}"
        sent = self._tokens.header(call, reference.repository)
        answer = self._transport.send(call, method, url, _headers(sent))
        if answer.status != _UNAUTHORIZED or answer.endpoint != call.registry:
            return answer
        better = self._tokens.after_401(call, reference.repository, answer, sent)
        return self._transport.send(call, method, url, _headers(better)) if better else answer

    def _complain(self, reference: ImageReference, answer: RegistryResponse) -> None:
        """Raises what any status but 200 means."""
        if answer.status == _OK:
            return
        host = answer.endpoint.authority
        if answer.status == _NOT_FOUND:
            raise self._not_found(host, reference)
        if answer.status == _UNAUTHORIZED and reference.is_docker_hub:
            # Docker Hub does not tell strangers which of its repositories exist
            raise BaseImageNotFound(
                f"{host} does not show {reference}: it is missing or private.",
                "Check the repository's name, or make it public.",
            )
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise RegistryDenied(
                f"{host} refused access to {reference}.",
                "Make the image public.",
            )
        raise RegistryError(
            f"{host} answered with the status {answer.status} when asked for {reference}.",
            "Check that a registry runs there, and what stands between it and the workers.",
        )

    def _not_found(self, host: str, reference: ImageReference) -> BaseImageNotFound:
        """What a missing image means here: a registry that stands in for Docker Hub has few of Docker Hub's images."""
        facts = {"image": str(reference), "registry": host}
        if not reference.is_docker_hub or self._mirror is None:
            return BaseImageNotFound(
                f"{host} has no image {reference}.",
                "Check the repository and the tag, or push the image.",
                **facts,
            )
        tag = f":{reference.tag}" if reference.tag else ""
        push_as = f"{self._mirror.authority}/{reference.repository}{tag}"
        return BaseImageNotFound(
            f"{host}, which stands in for Docker Hub here, has no image {reference}.",
            "Unless it is a pull-through cache, it has only the images that were pushed to it: push this one as "
            f"{push_as}. docs/writing-a-base-image.md shows how.",
            push_as=push_as,
            **facts,
        )


def _headers(authorization: str | None) -> dict[str, str]:
    headers = {"Accept": _ACCEPT, "User-Agent": "galaxy-pipeline"}
    return {**headers, "Authorization": authorization} if authorization else headers
