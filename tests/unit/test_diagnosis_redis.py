from __future__ import annotations

import pytest

from galaxy.domain.diagnosis.finding import Finding, Severity
from galaxy.domain.diagnosis.redis import RedisFacts, Role, judge_log_room, judge_redis

GIB = 1024**3
HEALTHY: dict[str, str | int | float] = {
    "run_id": "one", "redis_version": "7.0.15", "role": "master", "loading": 0, "maxmemory": 0, "used_memory": 1024,
    "total_system_memory": 8 * GIB, "maxmemory_policy": "noeviction", "aof_enabled": 1, "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok", "rdb_last_bgsave_status": "ok", "evicted_keys": 0, "rejected_connections": 0,
}  # fmt: skip


def facts(role: Role = Role.STORE, **differing: object) -> RedisFacts:
    base = {
        "role": role, "address": "10.0.0.1:6379", "info": HEALTHY, "config": {"appendfsync": "everysec"},
        "latency_ms": 0.3,
    }  # fmt: skip
    return RedisFacts.model_validate({**base, **differing})


def info(**differing: object) -> dict[str, object]:
    return {**HEALTHY, **differing}


def judged(*servers: RedisFacts) -> list[Finding]:
    return list(judge_redis(servers, message_expires_s=60))


def test_a_healthy_server_is_told_once_whatever_it_serves() -> None:
    (finding,) = judged(*(facts(role) for role in Role))
    assert finding.level is Severity.OK
    assert finding.subject == "redis"
    assert "7.0.15" in finding.found


def test_three_servers_are_told_apart() -> None:
    findings = judged(*(facts(role, info=info(run_id=role)) for role in Role))
    assert [finding.subject for finding in findings] == ["redis: broker", "redis: store", "redis: logs"]


def test_a_user_who_sees_nothing_is_counted_to_the_server_that_another_sees() -> None:
    findings = judged(facts(Role.STORE), facts(Role.LOGS, info={}, config={}, refused=("INFO", "CONFIG")))
    assert [finding.subject for finding in findings] == ["redis: store, logs"]


@pytest.mark.parametrize(
    ("differing", "level", "told"),
    [
        ({"info": info(maxmemory_policy="allkeys-lru")}, Severity.PROBLEM, "drops versions"),
        ({"info": info(evicted_keys=3)}, Severity.PROBLEM, "dropped 3 keys"),
        ({"info": info(aof_enabled=0)}, Severity.PROBLEM, "loses versions"),
        ({"config": {"appendfsync": "no"}}, Severity.WARNING, "power cut"),
        ({"info": info(aof_last_write_status="err")}, Severity.PROBLEM, "refuses all writes"),
        ({"info": info(rdb_last_bgsave_status="err")}, Severity.PROBLEM, "snapshot failed"),
        ({"info": info(aof_last_bgrewrite_status="err")}, Severity.WARNING, "only grows"),
        ({"info": info(role="slave", master_host="h", master_port=1)}, Severity.PROBLEM, "replica"),
        ({"info": info(cluster_enabled=1)}, Severity.PROBLEM, "cluster"),
        ({"info": info(loading=1, loading_eta_seconds=9)}, Severity.PROBLEM, "loading its data"),
        ({"info": info(redis_version="6.0.16")}, Severity.PROBLEM, "too old"),
        ({"info": info(maxmemory=1000, used_memory=750)}, Severity.WARNING, "75% of maxmemory"),
        ({"info": info(maxmemory=1000, used_memory=900)}, Severity.PROBLEM, "90% of maxmemory"),
        ({"info": info(used_memory=7 * GIB)}, Severity.WARNING, "has no maxmemory"),
        ({"info": info(rejected_connections=1)}, Severity.WARNING, "refused 1 connection "),
        ({"latency_ms": 80.0}, Severity.WARNING, "80 ms"),
        ({"clock_ahead_s": 2.0}, Severity.WARNING, "2.0 s ahead"),
        ({"clock_ahead_s": -61.0}, Severity.PROBLEM, "61.0 s behind"),
        ({"private": False}, Severity.WARNING, "without TLS"),
        ({"refused": ("CONFIG",), "config": {}}, Severity.WARNING, "may not run CONFIG"),
        ({"refused": ("INFO",), "info": {}}, Severity.WARNING, "may not run INFO"),
    ],
)
def test_what_is_wrong_is_told_with_advice(differing: dict[str, object], level: Severity, told: str) -> None:
    (finding,) = [each for each in judged(facts(**differing)) if each.level is not Severity.OK]
    assert finding.level is level
    assert told in finding.found
    assert finding.advice
    assert not finding.unreachable


@pytest.mark.parametrize(
    "differing",
    [
        {"info": info(redis_version="6.2.0")},
        {"info": info(redis_version="8.0")},
        {"info": info(maxmemory=1000, used_memory=749)},
        {"clock_ahead_s": 0.9},
        {"private": False, "tls": True},
        {"config": {"appendfsync": "always"}},
    ],
)
def test_what_is_right_is_not_complained_about(differing: dict[str, object]) -> None:
    assert [each.level for each in judged(facts(**differing))] == [Severity.OK]


@pytest.mark.parametrize("role", [Role.BROKER, Role.LOGS])
def test_a_broker_or_logs_without_a_file_are_a_warning_only(role: Role) -> None:
    levels = [each.level for each in judged(facts(role, info=info(aof_enabled=0)))]
    assert levels == [Severity.OK, Severity.WARNING]


def test_a_server_that_is_away_is_unreachable_for_each_use() -> None:
    away = {"failure": "It is away.", "advice": "Start it."}
    findings = judged(*(facts(role, **away) for role in Role))
    assert [(each.subject, each.unreachable) for each in findings] == [
        ("redis: broker", True), ("redis: store", True), ("redis: logs", True),
    ]  # fmt: skip


def test_logs_that_could_outgrow_their_server_are_a_warning() -> None:
    logs = facts(Role.LOGS, info=info(maxmemory=GIB))
    assert [*judge_log_room(logs, apps=16, log_max_bytes=64 * 1024**2)] == []
    (finding,) = judge_log_room(logs, apps=17, log_max_bytes=64 * 1024**2)
    assert finding.level is Severity.WARNING
    assert "17 apps" in finding.found
    assert [*judge_log_room(facts(Role.LOGS), apps=10**6, log_max_bytes=GIB)] == []
