"""What a deploy is: check everything, record the version, then say so on the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from pydantic import SecretStr

from galaxy.domain.deploy_request import DeployRequest
from galaxy.domain.errors import GalaxyError
from galaxy.domain.models import Frozen, NewVersion, VersionRef

if TYPE_CHECKING:
    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store import RedisStore
    from galaxy.domain.app_settings import DeployRules
    from galaxy.services.logbook import Logbook

logger = structlog.get_logger(__name__)


class Deployed(Frozen):
    """A deploy that was accepted.

    Attributes:
        repeated: The idempotency key had made this version before; nothing was done now.
        warnings: What the settings hold that we do not know, by name.
        log_cursor: Where the app's log stood before this deploy.
    """

    app: str
    version: int
    repeated: bool
    warnings: tuple[str, ...]
    log_cursor: str


class Releases:
    """Makes versions of apps."""

    def __init__(
        self, store: RedisStore, queue: TaskQueue, logs: Logbook, rules: DeployRules, *, retention_s: int
    ) -> None:
        self._store = store
        self._queue = queue
        self._logs = logs
        self._rules = rules
        self._retention_s = retention_s

    def deploy(
        self,
        *,
        app: object,
        settings: object,
        bundle_url: object,
        deployed_by: object = None,
        idempotency_key: object = None,
    ) -> Deployed:
        """Deploys a bundle of an app: the one function behind the command line, the task and the API.

        Args:
            app: Hostname.
            settings: JSON text, or an object that was decoded from JSON.
            bundle_url: http or https URL of the gzipped tarball.
            deployed_by: Who asks, for the app's history.
            idempotency_key: The same key with the same content makes one version, however often it is sent.

        Raises:
            InvalidInput: Any of it is wrong; the message lists every mistake, and no version was made.
            IdempotencyConflict: The key was used with other content.
            StoreError: Redis can't be reached.
        """
        request = DeployRequest.parse(
            app=app,
            settings=settings,
            bundle_url=bundle_url,
            deployed_by=deployed_by,
            idempotency_key=idempotency_key,
            rules=self._rules,
        )
        cursor = self._logs.cursor_now(request.app)
        base_image = request.settings.base_image
        created = self._store.create_version(
            NewVersion(
                app=request.app,
                bundle_url=SecretStr(request.bundle_url),
                settings=SecretStr(request.settings.text),
                env={name: SecretStr(value) for name, value in request.settings.env.items()},
                base_image=str(base_image),
                base_reference="" if base_image.pinned else base_image.canonical,
                deployed_by=request.deployed_by,
            ),
            # a key of our own makes the call safe to repeat when Redis went away before it answered
            idempotency_key=request.idempotency_key or uuid4().hex,
            fingerprint=request.fingerprint,
            retention_s=self._retention_s,
        )
        ref = VersionRef(request.app, created.number)
        if not created.repeated:
            self._announce(ref, request, created.superseded)
        return Deployed(
            app=ref.app,
            version=ref.number,
            repeated=created.repeated,
            warnings=request.settings.warnings,
            log_cursor=cursor,
        )

    def _announce(self, ref: VersionRef, request: DeployRequest, superseded: tuple[int, ...]) -> None:
        """The version is recorded: from here on nothing may fail the deploy, the reconciler makes up for it."""
        sentences = [
            f"{request.deployed_by} deployed version {ref.number} on base image {request.settings.base_image}.",
            *request.settings.warnings,
            *(f"Version {number} is superseded by version {ref.number}." for number in superseded),
        ]
        try:
            self._logs.say(ref, *sentences)
            self._queue.build(ref)
        except GalaxyError as error:
            logger.warning("deploy.not_announced", app=ref.app, version=ref.number, error=str(error))
