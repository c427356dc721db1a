"""Rules about the Redis servers behind broker, store and logs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pydantic import Field

from galaxy.domain.diagnosis.finding import fine, problem, unreachable, warning
from galaxy.domain.diagnosis.words import counted, duration, size
from galaxy.domain.models import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from galaxy.domain.diagnosis.finding import Finding

SUBJECT: Final = "redis"
#: Exclusive ranges of streams, which the logs are read by.
_MIN_VERSION: Final = (6, 2)
_TESTED: Final = "7.0"
_SLOW_MS: Final = 50.0
_MEMORY_WARNING, _MEMORY_PROBLEM = 0.75, 0.9
#: Clocks that a time service keeps are closer than this.
_SKEW_WARNING_S: Final = 1.0


class Role(StrEnum):
    """What the pipeline uses a Redis database for."""

    BROKER = "broker"
    STORE = "store"
    LOGS = "logs"


class RedisFacts(Frozen):
    """What one of the three URLs leads to.

    Attributes:
        address: Host and port, or the socket's path.
        private: Nobody can listen on the way: loopback or a unix socket.
        failure: Why nothing could be asked, as a sentence; empty when it answered.
        advice: What to do about the failure.
        refused: Commands that this user may not run, or that the server does not have.
        info: What INFO says; empty if refused.
        config: What CONFIG GET says; empty if refused.
        clock_ahead_s: The server's clock minus this machine's.
    """

    role: Role
    address: str
    private: bool = True
    tls: bool = False
    failure: str = ""
    advice: str = ""
    refused: tuple[str, ...] = ()
    info: dict[str, str | int | float] = Field(default_factory=dict)
    config: dict[str, str] = Field(default_factory=dict)
    latency_ms: float = 0.0
    clock_ahead_s: float = 0.0

    @property
    def variable(self) -> str:
        """The setting that holds the URL."""
        return f"GALAXY_{self.role.upper()}_URL"

    def number(self, name: str) -> float:
        """A number of INFO; 0 when it is not there."""
        value = self.info.get(name, 0)
        return float(value) if isinstance(value, int | float) else 0.0

    def text(self, name: str) -> str:
        """A word of INFO or, failing that, of CONFIG."""
        return str(self.info.get(name, self.config.get(name.replace("_", "-"), "")))


def judge_redis(facts: Sequence[RedisFacts], *, message_expires_s: float) -> Iterator[Finding]:
    """What is wrong with the three databases, or that nothing is. One server behind several of them is named once."""
    for each in facts:
        if each.failure:
            yield unreachable(f"{SUBJECT}: {each.role}", each.failure, each.advice)
    for group in _servers([each for each in facts if not each.failure]):
        roles = [each.role for each in group]
        # roles may have different users: whoever may see most speaks for the server
        best = min(group, key=lambda each: len(each.refused))
        subject = SUBJECT if len(roles) == len(Role) else f"{SUBJECT}: {', '.join(roles)}"
        yield fine(subject, _summary(best))
        yield from _unseen(subject, best)
        yield from _open_line(group)
        yield from _clock(subject, best, message_expires_s)
        if best.info:
            yield from _state(subject, best)
            yield from _eviction(subject, best, roles)
            yield from _persistence(subject, best, roles)
            yield from _memory(subject, best)


def judge_log_room(logs: RedisFacts, *, apps: int, log_max_bytes: int) -> Iterator[Finding]:
    """Whether the logs' server could hold every app's log at its largest."""
    room = logs.number("maxmemory")
    if logs.failure or not room or apps * log_max_bytes <= room:
        return
    yield warning(
        f"{SUBJECT}: {Role.LOGS}",
        f"{counted(apps, 'app')} with logs of up to {size(log_max_bytes)} may need {size(apps * log_max_bytes)}, and"
        f" maxmemory is {size(room)}.",
        "Give Redis more memory, or lower GALAXY_LOG_MAX_BYTES or GALAXY_LOG_RETENTION_S.",
    )


def _servers(facts: Sequence[RedisFacts]) -> list[list[RedisFacts]]:
    servers: dict[str, list[RedisFacts]] = {}
    known = {each.address: str(each.info["run_id"]) for each in facts if "run_id" in each.info}
    for each in facts:
        identity = str(each.info.get("run_id", "")) or known.get(each.address, each.address)
        servers.setdefault(identity, []).append(each)
    return list(servers.values())


def _summary(facts: RedisFacts) -> str:
    version = facts.info.get("redis_version")
    parts = [f"Redis {version} at {facts.address}" if version else f"answers at {facts.address}"]
    parts += ["TLS"] if facts.tls else []
    if facts.info:
        policy = facts.config.get("appendfsync")
        parts.append(f"{size(facts.number('used_memory'))} used")
        parts.append(f"AOF {policy or 'on'}" if facts.number("aof_enabled") else "no AOF")
    return f"{', '.join([*parts, f'{facts.latency_ms:.1f} ms'])}."


def _unseen(subject: str, facts: RedisFacts) -> Iterator[Finding]:
    if not facts.refused:
        return
    blind = "eviction, persistence, memory and role" if "INFO" in facts.refused else "how often AOF is synced"
    yield warning(
        subject,
        f"This user may not run {' and '.join(facts.refused)}, so nothing is known of {blind}.",
        "Run the doctor as a user with +info and +config|get; docs/operating.md has an ACL file.",
    )


def _open_line(group: Sequence[RedisFacts]) -> Iterator[Finding]:
    for each in group:
        if not each.tls and not each.private:
            yield warning(
                f"{SUBJECT}: {each.role}",
                f"{each.address} is reached without TLS: password and settings can be read on the way.",
                f"Use rediss:// in {each.variable}, unless the network between is private.",
            )


def _clock(subject: str, facts: RedisFacts, message_expires_s: float) -> Iterator[Finding]:
    skew = facts.clock_ahead_s
    if abs(skew) < _SKEW_WARNING_S:
        return
    found = f"Its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's."
    advice = "Run a time service (chrony, systemd-timesyncd) on all machines."
    # beat's messages carry the time at which they expire, by the clock of its machine
    yield (problem if abs(skew) >= message_expires_s else warning)(subject, found, advice)


def _state(subject: str, facts: RedisFacts) -> Iterator[Finding]:
    version = str(facts.info.get("redis_version", ""))
    if _parsed(version) < _MIN_VERSION:
        yield problem(
            subject,
            f"Redis {version} is too old: the pipeline needs {'.'.join(map(str, _MIN_VERSION))}.",
            f"Update it; {_TESTED} is what the tests run on.",
        )
    if facts.info.get("role") == "slave":
        yield problem(
            subject,
            "It is a replica: it can't be written to, and what it says may be old.",
            f"Point {facts.variable} to its primary, {facts.info.get('master_host')}:{facts.info.get('master_port')}.",
        )
    if facts.info.get("cluster_enabled"):
        yield problem(
            subject,
            "It is a cluster, and scripts touch several keys.",
            "Use a single Redis, with replicas if need be.",
        )
    if facts.number("loading"):
        left = duration(facts.number("loading_eta_seconds"))
        yield problem(subject, f"It is loading its data and serves nobody; {left} to go.", "Wait for it.")
    if facts.latency_ms > _SLOW_MS:
        yield warning(
            subject,
            f"It took {facts.latency_ms:.0f} ms to answer.",
            "Look at SLOWLOG, at its disk (INFO persistence: aof_delayed_fsync) and at the network between.",
        )
    if facts.number("rejected_connections"):
        yield warning(
            subject,
            f"It has refused {counted(int(facts.number('rejected_connections')), 'connection')} since its start.",
            "Raise maxclients; a build worker takes about 10 connections and 5 a slot.",
        )


def _eviction(subject: str, facts: RedisFacts, roles: Sequence[Role]) -> Iterator[Finding]:
    policy = facts.text("maxmemory_policy")
    lost = {Role.STORE: "versions", Role.BROKER: "deploys that wait", Role.LOGS: "logs"}
    what = " and ".join(lost[role] for role in sorted(roles, key=list(lost).index))
    if policy and policy != "noeviction":
        yield problem(
            subject,
            f"maxmemory-policy is {policy}: when memory is full, Redis drops {what}.",
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.",
        )
    if facts.number("evicted_keys"):
        yield problem(
            subject,
            f"It has dropped {counted(int(facts.number('evicted_keys')), 'key')} for want of memory since its start.",
            "Give it memory and noeviction, then look for apps whose versions are gone, and deploy them again.",
        )


def _persistence(subject: str, facts: RedisFacts, roles: Sequence[Role]) -> Iterator[Finding]:
    sync = facts.config.get("appendfsync")
    if not facts.number("aof_enabled"):
        advice = "CONFIG SET appendonly yes, and the same in redis.conf."
        if Role.STORE in roles:
            yield problem(subject, "appendonly is off: a crash of Redis loses versions.", advice)
        elif Role.BROKER in roles:
            yield warning(
                subject, "appendonly is off: a crash loses deploys that no worker has taken yet.", advice
            )
        else:
            yield warning(subject, "appendonly is off: a crash of Redis loses log lines.", advice)
    elif sync == "no":
        yield warning(
            subject,
            "appendfsync is no: a power cut can lose half a minute of versions.",
            "CONFIG SET appendfsync everysec, and the same in redis.conf.",
        )
    if facts.text("aof_last_write_status") == "err":
        yield problem(
            subject,
            "The last write to its append-only file failed: it refuses all writes.",
            "Look at its disk and its log; it goes on by itself when it can write again.",
        )
    if facts.text("aof_last_bgrewrite_status") == "err":
        yield warning(
            subject, "The last rewrite of its append-only file failed, so the file only grows.", _LOOK_AT_DISK
        )
    if facts.text("rdb_last_bgsave_status") == "err":
        yield problem(
            subject,
            "The last snapshot failed; with stop-writes-on-bgsave-error it refuses all writes.",
            _LOOK_AT_DISK,
        )


_LOOK_AT_DISK: Final = "Look at its disk and its log. A fork needs memory too: set vm.overcommit_memory to 1."


def _memory(subject: str, facts: RedisFacts) -> Iterator[Finding]:
    used, limit = facts.number("used_memory"), facts.number("maxmemory")
    room = limit or facts.number("total_system_memory")
    if not room or used < _MEMORY_WARNING * room:
        return
    of = "maxmemory" if limit else "the machine's memory, and has no maxmemory"
    found = f"It uses {size(used)}, {used / room:.0%} of {of}."
    advice = "Give it more memory, or let logs be shorter: GALAXY_LOG_MAX_BYTES, GALAXY_LOG_RETENTION_S."
    yield (problem if used >= _MEMORY_PROBLEM * room else warning)(subject, found, advice)


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
