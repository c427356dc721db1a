"""Every knob of the pipeline: environment variables `GALAXY_*`, with unit, default and reason."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

#: A time of 0 or less means nothing anywhere, nor does one without an end.
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(gt=0)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The operator's choices, read from the environment when a value is made. What is malformed is refused.

    Processes use `current()`, which makes one value and keeps it.
    """

    model_config = SettingsConfigDict(env_prefix="GALAXY_", frozen=True, extra="ignore")

    # Redis: one server with three databases, or three servers
    broker_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Celery's broker and result backend: queues and short-lived results."""
    store_url: SecretStr = SecretStr("redis://127.0.0.1:6379/1")
    """Versions, leases, activity: the authority. Needs AOF and `noeviction`."""
    logs_url: SecretStr = SecretStr("redis://127.0.0.1:6379/2")
    """The apps' logs."""
    key_prefix: str = "galaxy"
    """First part of every Redis key, so that several pipelines can share a server."""

    # Registries
    registry: str = "127.0.0.1:5000"
    """Host and port of the registry that app images are pushed to."""
    docker_hub_mirror: str | None = None
    """`http://HOST:PORT` that stands in for Docker Hub, for reading manifests and for pulling."""
    allowed_registries: Annotated[tuple[str, ...], NoDecode] = ()
    """Registries other than Docker Hub that base images may come from; comma-separated hosts."""
    registry_timeout_s: Seconds = 10.0
    """For one question to a registry's API, its token and redirects included; the engine's pulls and pushes have
    `engine_timeout_s`."""

    # What a deploy may say
    settings_section: str = "galaxy.meteor.com"
    """The key of settings.json whose value is ours."""
    settings_max_bytes: int = 32 * 1024
    """Most bytes that a settings.json may have. It is Galaxy's limit: settings travel in an environment variable."""
    default_base_image: str = "meteor/galaxy-app:latest"
    """For settings without a `baseImage`."""
    idempotency_retention_s: WholeSeconds = 30 * 24 * 3600
    """How long a deploy's idempotency key is remembered."""

    # The build stage
    engine_timeout_s: Seconds = 600.0
    """For one answer of the engine: the longest silence of a pull, commit or push."""
    build_timeout_s: Seconds = 3600.0
    """Deadline of one attempt, all steps together."""
    build_silence_timeout_s: float = Field(default=1200.0, ge=0)
    """How long setup.sh may print nothing, or a pull or push make no progress; 0 for any time."""
    build_network: str = "bridge"
    """The engine's network that build containers are attached to: one that deploy/build-network made. On the default,
    which every engine has, they reach everything."""
    build_memory_bytes: int = Field(default=4 * 1024**3, ge=0)
    """Memory of a build container, swap included; 0 for no limit. Package managers are hungry."""
    build_cpus: float = Field(default=2.0, ge=0)
    """Processors' worth of time of a build container; 0 for no limit."""
    build_pids: int = Field(default=2048, ge=0)
    """Processes and threads of a build container; 0 for no limit."""
    build_disk_bytes: int = Field(default=10 * 1024**3, ge=0)
    """Files that a build may write, its volumes included; 0 for no limit. Looked at every few seconds."""
    build_disk_reserve_bytes: int = Field(default=512 * 1024**2, ge=0)
    """Room that has to stay on the engine's filesystem, or builds fail; 0 for none. For engines on this machine."""
    build_runtime: str | None = None
    """An OCI runtime for build containers that the engine knows, such as gVisor's `runsc`."""
    name: str = "galaxy"
    """Name of this pipeline, first part of every container name: several can share an engine."""
    retry_backoff_s: Pause = 5.0
    """Wait before the first retry; doubles with each further one."""
    outage_backoff_s: Pause = 20.0
    """The same after an error that is not the app's, such as a registry or an engine that is away: with the default,
    the four attempts outlast an outage of a minute."""
    retry_backoff_max_s: Pause = 300.0
    """The longest wait before a retry."""
    lease_s: Seconds = 20.0
    """How long a worker may be silent before its attempt counts as lost. Renewed every third of it, or every 2 s."""
    reconcile_period_s: Seconds = 5.0
    """How often beat looks for versions that wait or whose lease ran out."""
    beat_lock_s: float = Field(default=15.0, ge=1)
    """How long the leading beat may be silent before another one leads. It gives a sign of life every third of it."""
    reap_period_s: Seconds = 20.0
    """How often a build worker looks for what dead attempts left on its engine."""
    requeue_after_s: Seconds = 20.0
    """How long a version may wait unclaimed before it is enqueued again."""
    redeliver_after_s: Seconds = 60.0
    """How long a worker that builds nothing may keep a message, such as a deploy, before another one gets it too.
    Longer than its tasks take, and no longer than the caller of a deploy should wait when a worker was killed."""

    # Operators
    flower_url: str = "http://127.0.0.1:5555"
    """Where Flower listens. Used to test that build containers don't reach it."""

    # Base image updates
    base_image_poll_s: float = Field(default=300.0, gt=0)
    """How often a base image's registry is asked whether it changed; up to twelve times less often if it never does."""
    base_image_tick_s: float = Field(default=2.0, gt=0)
    """How often beat looks for base images whose check is due."""
    base_image_poll_threads: int = Field(default=16, ge=1, le=128)
    """How many registries' answers one poller waits for at a time."""
    registry_requests_per_s: float = Field(default=20.0, gt=0)
    """Most checks a second that one registry gets from all pollers together: Docker Hub limits requests by address."""
    base_image_compare: Literal["platform", "tag"] = "platform"
    """What counts as a change: `platform`, what the tag holds for `build_platform`; or `tag`, whatever it points to."""
    build_platform: str = Field(default="linux/amd64", pattern=r"^[a-z0-9]+/[a-z0-9]+(/v\d+)?$")
    """What the build workers' engines run: `os/architecture`, with `/variant` where there is one."""
    bulk_builds_in_flight: int = Field(default=8, ge=1)
    """How many automatic versions are enqueued or built at a time: about as many as the fleet has build slots."""
    update_waves: str = Field(default="1,10%,100%", pattern=r"^[1-9]\d{0,8}%?(,[1-9]\d{0,8}%?)*$")
    """How many apps, or which share of them, have a new version after each wave of an update."""
    update_failure_allowance: float = Field(default=0.02, ge=0, le=1)
    """Share of a wave's builds that may fail, besides those whose previous build had failed too, before it pauses."""

    # Logs
    log_retention_s: WholeSeconds = 7 * 24 * 3600
    """How long an app's log lines are kept."""
    log_max_bytes: int = 64 * 1024 * 1024
    """Size of an app's log in Redis, where it is compressed; the oldest lines go first."""
    log_attempt_max_bytes: int = Field(default=12 * 1024 * 1024, ge=1024)
    """How much output of one attempt is kept; above it, its first three quarters and its last. Four fit in a log."""

    @field_validator("broker_url", "store_url", "logs_url")
    @classmethod
    def _redis_url(cls, value: SecretStr) -> SecretStr:
        try:
            return SecretStr(_with_tls_checked(value.get_secret_value()))
        except ValueError:
            # without what was found: it may hold a password
            raise ValueError(
                "must be redis://USER:PASSWORD@HOST:PORT/DATABASE, or rediss://... for TLS; characters of the password"
                " that mean something in a URL are written as %XX"
            ) from None

    @field_validator("docker_hub_mirror")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://x")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
        return value

    @field_validator("allowed_registries", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @property
    def broker_tls(self) -> dict[str, str | bool] | None:
        """The TLS options in the broker's URL; Flower reads them from Celery's configuration only."""
        options = dict(parse_qsl(urlsplit(self.broker_url.get_secret_value()).query))
        tls: dict[str, str | bool] = {name: it for name, it in options.items() if name.startswith("ssl_")}
        if "ssl_check_hostname" in tls:
            tls["ssl_check_hostname"] = options["ssl_check_hostname"].lower() != "false"
        return tls or None

    def agreed(self) -> dict[str, str]:
        """What all processes of a pipeline have to agree on, as text by variable name. No secret is among it."""
        return {f"GALAXY_{name.upper()}": str(getattr(self, name)) for name in _AGREED}

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """Names of all environment variables that are read."""
        return tuple(f"GALAXY_{name.upper()}" for name in cls.model_fields)


@cache
def current() -> Settings:
    """The settings of this process, read once. They never change, so processes that are forked share them.

    Raises:
        pydantic.ValidationError: A variable is malformed.
    """
    return Settings()


#: Not the limits of build containers and the like: these may differ from machine to machine.
_AGREED = (
    "key_prefix", "name", "registry", "settings_section", "settings_max_bytes", "default_base_image",
    "allowed_registries", "idempotency_retention_s", "build_timeout_s", "retry_backoff_s", "outage_backoff_s",
    "retry_backoff_max_s", "lease_s", "reconcile_period_s", "requeue_after_s", "redeliver_after_s", "log_retention_s",
    "log_max_bytes", "log_attempt_max_bytes", "base_image_compare", "bulk_builds_in_flight", "update_waves",
)  # fmt: skip

#: redis-py knows the first spelling only, and Celery wants to be told in any case.
_CERT_REQS = {"CERT_REQUIRED": "required", "CERT_OPTIONAL": "optional", "CERT_NONE": "none"}


def _with_tls_checked(url: str) -> str:
    """One spelling of a Redis URL that redis-py, kombu, Celery and Flower understand alike.

    Raises:
        ValueError: It is no URL of a Redis.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix", "redis+socket"} or parts.fragment:
        raise ValueError("not a Redis URL")
    if parts.scheme != "rediss":
        _ = parts.port  # raises when it is no number
        return url
    query = dict(parse_qsl(parts.query))
    asked = query.get("ssl_cert_reqs", "required")
    query["ssl_cert_reqs"] = _CERT_REQS.get(asked, asked)
    if query["ssl_cert_reqs"] not in _CERT_REQS.values():
        raise ValueError("not a way to check certificates")
    return parts._replace(query=urlencode(query, safe="/")).geturl()
