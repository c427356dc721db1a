"""What a deploy is: check everything, record the version, then say so on the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from pydantic import SecretStr

from galaxy.domain.deploys.app_name import parse_app_name
from galaxy.domain.deploys.deploy_request import DeployRequest, parse_who
from galaxy.domain.errors import IllegalTransition, QueueError, StoreError
from galaxy.domain.log import START
from galaxy.domain.models import Frozen, NewVersion, VersionRef
from galaxy.domain.reasons import cancelled_by
from galaxy.domain.states import VersionState
from galaxy.services.queries import find_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galaxy.adapters.queue import TaskQueue
    from galaxy.adapters.store.versions import VersionStore
    from galaxy.domain.deploys.app_settings import DeployRules
    from galaxy.domain.deploys.problem import Problem
    from galaxy.services.announcer import Announcer
    from galaxy.services.logbook import Logbook

logger = structlog.get_logger(__name__)


class Deployed(Frozen):
    """A deploy that was accepted.

    Attributes:
        repeated: The idempotency key had made this version before; nothing was done now.
        warnings: What was accepted and yet may be a mistake, as sentences.
        log_cursor: Where the app's log stood before this deploy; its beginning if the log could not be read.
    """

    app: str
    version: int
    repeated: bool
    warnings: tuple[str, ...]
    log_cursor: str


class Releases:
    """Makes versions of apps, and cancels them."""

    def __init__(  # noqa: PLR0913 - the parts of the outside world, and the operator's rules
        self,
        store: VersionStore,
        queue: TaskQueue,
        logs: Logbook,
        announcer: Announcer,
        *,
        rules: DeployRules,
        retention_s: int,
    ) -> None:
        self._store = store
        self._queue = queue
        self._logs = logs
        self._announcer = announcer
        self._rules = rules
        self._retention_s = retention_s

    def deploy(  # noqa: PLR0913 - the arguments of a deploy, by name
        self,
        *,
        app: object,
        settings: object,
        bundle_url: object,
        deployed_by: object = None,
        idempotency_key: object = None,
        mistakes: Sequence[Problem] = (),
    ) -> Deployed:
        """Deploys a bundle of an app: the one function behind the command line, the task and the API.

        Args:
            app: Hostname.
            settings: JSON text, or an object that was decoded from JSON.
            bundle_url: http or https URL of the gzipped tarball.
            deployed_by: Who asks, for the app's history.
            idempotency_key: The same key with the same content makes one version, however often it is sent.
            mistakes: What the caller has found wrong already; it is told with the other mistakes.

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
            mistakes=mistakes,
        )
        cursor = self._cursor_now(request.app)
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
                warnings=request.warnings,
            ),
            # a key of our own makes the call safe to repeat when Redis went away before it answered
            idempotency_key=request.idempotency_key or uuid4().hex,
            fingerprint=request.fingerprint,
            retention_s=self._retention_s,
        )
        ref = VersionRef(request.app, created.number)
        if not created.repeated:
            self._announcer.announce(ref.app)
            self._enqueue(ref)
        return Deployed(
            app=ref.app,
            version=ref.number,
            repeated=created.repeated,
            warnings=request.warnings,
            log_cursor=cursor,
        )

    def cancel(self, *, app: object, number: int, by: object = None) -> VersionState:
        """Ends a version that is not active yet; a running build stops within seconds.

        Args:
            app: Hostname.
            number: The version's.
            by: Who asks, for the app's history.

        Returns:
            The state that it was in; `cancelled` when somebody had cancelled it before.

        Raises:
            InvalidInput: The name or `by` is malformed.
            AppNotFound: The app was never deployed.
            VersionNotFound: There is no such version.
            IllegalTransition: It is active or final.
            StoreError: Redis can't be reached.
        """
        ref = VersionRef(parse_app_name(app), number)
        who = parse_who(by, path="by")
        find_version(self._store, ref)
        try:
            state = self._store.cancel(ref, cancelled_by(who))
        except IllegalTransition:
            now = self._store.version(ref).state
            raise IllegalTransition(
                f"Version {number} of {ref.app} is {now} and can't be cancelled.",
                "Deploy another version to replace it." if now is VersionState.ACTIVE else "",
                app=ref.app,
                version=number,
                state=now,
            ) from None
        self._announcer.announce(ref.app)
        return state

    def _cursor_now(self, app: str) -> str:
        """A log that is away is no reason to refuse a deploy."""
        try:
            return self._logs.cursor_now(app)
        except StoreError as error:
            logger.warning("deploy.log_not_read", app=app, error=str(error))
            return START

    def _enqueue(self, ref: VersionRef) -> None:
        """The version is recorded: from here on nothing may fail the deploy, the reconciler makes up for it."""
        try:
            self._queue.build(ref)
        except QueueError as error:
            logger.warning("deploy.not_enqueued", app=ref.app, version=ref.number, error=str(error))
