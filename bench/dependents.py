"""Many apps on one base image, as if a person had deployed each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import uuid4

from pydantic import SecretStr

from bench.measure import CannotRun
from galaxy.domain.base_images.image_reference import ImageReference
from galaxy.domain.models import Attempt, BuiltImage, NewVersion, VersionRef
from galaxy.domain.states import Step

if TYPE_CHECKING:
    from redis import Redis

    from galaxy.bootstrap import Pipeline

#: Copies one app's keys to further apps, in the order of their names. KEYS 1: apps, 2: dependents. ARGV 1: the app,
#: 2: number of the first copy, 3: how many, 4...: keys of the app.
_COPY: Final = """
for number = ARGV[2], ARGV[2] + ARGV[3] - 1 do
  local app = string.format('app-%07d.example.com', number)
  for i = 4, #ARGV do
    local first, last = string.find(ARGV[i], ARGV[1], 1, true)
    local key = string.sub(ARGV[i], 1, first - 1) .. app .. string.sub(ARGV[i], last + 1)
    redis.call('COPY', ARGV[i], key, 'REPLACE')
    if redis.call('TYPE', key).ok == 'hash' and redis.call('HEXISTS', key, 'app') == 1 then
      redis.call('HSET', key, 'app', app)
    end
  end
  redis.call('ZADD', KEYS[1], 0, app)
  redis.call('ZADD', KEYS[2], 0, app)
end
"""
_AT_ONCE: Final = 10_000


def app_name(number: int) -> str:
    """Name of a dependent, from 0; in the order in which dependents are walked."""
    return f"app-{number:07}.example.com"


def deploy_dependents(here: Pipeline, redis: Redis, image: str, digest: str, count: int) -> None:
    """Lets so many apps have an active version on a base image.

    The first is deployed through the store, as all are; the others are copies of what that left.

    Args:
        here: The pipeline whose apps they become.
        redis: Client of its store.
        image: The base image as settings say it.
        digest: What its tag pointed to when they were built.
        count: How many.
    """
    first = app_name(0)
    _deploy(here, first, image, digest)
    here.reconciler.run()  # tells the log what is outbox
    keys, canonical = here.keys, ImageReference.parse(image).canonical
    copied = [keys.app(first), keys.version(first, 1), keys.activity(first)]
    script = redis.register_script(_COPY)
    for number in range(1, count, _AT_ONCE):
        so_many = min(_AT_ONCE, count - number)
        script(keys=[keys.apps(), keys.dependents(canonical)], args=[first, number, so_many, *copied])


def _deploy(here: Pipeline, app: str, image: str, digest: str) -> None:
    new = NewVersion(
        app=app,
        bundle_url=SecretStr("https://bundles.example.com/www-42.tar.gz"),
        settings=SecretStr('{"public": {"title": "My app"}}'),
        env={},
        base_image=image,
        base_reference=ImageReference.parse(image).canonical,
        deployed_by="jane@example.com",
    )
    created = here.store.create_version(new, idempotency_key=uuid4().hex, fingerprint="", retention_s=3600)
    attempt = here.leases.claim(VersionRef(app, created.number))
    if not isinstance(attempt, Attempt):
        raise CannotRun(f"{app} can't be built: {attempt}.")
    here.leases.record_progress(attempt, step=Step.PULL, base_digest=digest)
    built = BuiltImage(image=f"registry.invalid/apps/{app}:1", image_digest=digest, base_digest=digest)
    here.leases.finish(attempt, built, [])
    here.rollout.run(attempt.ref)
