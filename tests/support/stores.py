"""Stores for tests, and the shortest way to a version in any state."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from pydantic import SecretStr

from galaxy.adapters.store.heartbeats import HeartbeatStore
from galaxy.adapters.store.keys import Keys
from galaxy.adapters.store.leases import LeaseStore
from galaxy.adapters.store.outbox import Outbox
from galaxy.adapters.store.versions import VersionStore
from galaxy.domain.models import Attempt, BuiltImage, NewVersion, StepTiming, VersionRef
from galaxy.domain.reasons import cancelled_by, failed
from galaxy.domain.states import Step, VersionState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

APP = "www.example.com"
BUNDLE_URL = "https://bundles.example.com/app.tgz?signature=Zm9vYmFyYmF6"
SETTINGS = '{"galaxy.meteor.com": {"env": {"MONGO_URL": "mongodb://ada:s3cret-word@secret-host/app"}}}'
ENV_VALUE = "mongodb://ada:s3cret-word@secret-host/app"
BUILT = BuiltImage(
    image=f"registry.test/apps/{APP}:1",
    image_digest=f"sha256:{'a' * 64}",
    base_digest=f"sha256:{'b' * 64}",
)
STEPS = (StepTiming(step=Step.PULL, started_at_ms=1, duration_ms=2),)


#: Why attempts fail in tests.
RAINED = failed("setup_failed", "It rained.")
#: Why versions are cancelled in tests.
BY_BOB = cancelled_by("bob")


class AllStores(VersionStore, LeaseStore, Outbox, HeartbeatStore):
    """All stores about versions in one object, so that a test needs to pass one thing around."""

    def __init__(self, redis: Redis, keys: Keys, *, lease_s: float, requeue_after_s: float) -> None:
        VersionStore.__init__(self, redis, keys, requeue_after_s=requeue_after_s)
        LeaseStore.__init__(self, redis, keys, lease_s=lease_s, requeue_after_s=requeue_after_s)
        Outbox.__init__(self, redis, keys)
        HeartbeatStore.__init__(self, redis, keys)


def make_store(redis: Redis, prefix: str, *, lease_s: float = 60, requeue_after_s: float = 60) -> AllStores:
    """The stores; with `lease_s=0` whoever claims is taken for lost at once."""
    return AllStores(redis, Keys(prefix), lease_s=lease_s, requeue_after_s=requeue_after_s)


def new_version(app: str = APP, env: Mapping[str, str] | None = None) -> NewVersion:
    """What a deploy records. `env`: other values than one that is a secret."""
    values = {"MONGO_URL": ENV_VALUE} if env is None else env
    return NewVersion(
        app=app,
        bundle_url=SecretStr(BUNDLE_URL),
        settings=SecretStr(SETTINGS),
        env={name: SecretStr(value) for name, value in values.items()},
        base_image="docker.io/meteor/galaxy-app:latest",
        base_reference="docker.io/meteor/galaxy-app:latest",
        deployed_by="ada",
    )


def deploy(
    store: VersionStore, app: str = APP, *, key: str | None = None, env: Mapping[str, str] | None = None
) -> VersionRef:
    """Makes the app's next version."""
    created = store.create_version(
        new_version(app, env), idempotency_key=key or uuid4().hex, fingerprint="f", retention_s=3600
    )
    return VersionRef(app, created.number)


def claim(store: LeaseStore, ref: VersionRef) -> Attempt:
    """Begins an attempt that can be begun."""
    attempt = store.claim(ref)
    assert isinstance(attempt, Attempt), attempt
    return attempt


def fail(store: LeaseStore, ref: VersionRef) -> Attempt:
    """Begins an attempt that fails, and is tried again at once."""
    attempt = claim(store, ref)
    store.fail(attempt, RAINED, retry_in_s=0, steps=STEPS)
    return attempt


def build(store: LeaseStore, ref: VersionRef) -> Attempt:
    """Begins an attempt that succeeds."""
    attempt = claim(store, ref)
    assert store.finish(attempt, BUILT, STEPS) is None
    return attempt


def bring_to(store: AllStores, state: VersionState, app: str = APP) -> tuple[VersionRef, Attempt | None]:
    """Makes a version in this state; with its last attempt, if it had any."""
    ref = deploy(store, app)
    attempt: Attempt | None = None
    match state:
        case VersionState.BUILDING:
            attempt = claim(store, ref)
        case VersionState.RETRYING:
            attempt = fail(store, ref)
        case VersionState.BUILD_FAILED:
            for _ in range(4):
                attempt = fail(store, ref)
        case VersionState.CANCELLED:
            attempt = claim(store, ref)
            store.cancel(ref, BY_BOB)
        case VersionState.SUPERSEDED:
            attempt = claim(store, ref)
            deploy(store, app)
        case VersionState.BUILT | VersionState.ROLLING_OUT | VersionState.ACTIVE | VersionState.RETIRED:
            attempt = build(store, ref)
            _bring_further(store, ref, state)
        case _:
            pass
    return ref, attempt


def _bring_further(store: AllStores, ref: VersionRef, state: VersionState) -> None:
    if state is VersionState.BUILT:
        return
    store.begin_rollout(ref)
    if state is VersionState.ROLLING_OUT:
        return
    store.activate(ref)
    if state is VersionState.RETIRED:
        newer = deploy(store, ref.app)
        build(store, newer)
        _bring_further(store, newer, VersionState.ACTIVE)
