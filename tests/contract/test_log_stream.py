"""The logs on a real Redis and on fakeredis; the writer's behaviour in outages on the real one only."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from galaxy.adapters.logs.entry import ENTRY_OVERHEAD_BYTES
from galaxy.adapters.logs.stream import LogStream
from galaxy.adapters.logs.writer import LogWriter
from galaxy.adapters.store.keys import Keys
from galaxy.domain.errors import StoreError, StoreUnavailable
from galaxy.domain.log import START, Batch, LogBlock, LogFilter, LogLine, Source, Stream
from tests.support.outputs import attempt_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import RedisServer

APP = "www.example.com"
DAY_S = 86_400


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.service), "fake"])
def redis(request: pytest.FixtureRequest) -> Iterator[Redis]:
    if request.param == "fake":
        with fakeredis.FakeRedis(version=(7, 0)) as client:
            yield client
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client() as client:
        yield client


@pytest.fixture
def keys(key_prefix: str) -> Keys:
    return Keys(key_prefix)


@pytest.fixture
def log(redis: Redis, keys: Keys) -> LogStream:
    return LogStream(redis, keys, retention_s=DAY_S, max_bytes=10**7)


def _block(*lines: str, **changes: Any) -> LogBlock:  # noqa: ANN401 - any field
    return LogBlock(text="\n".join(lines), at_ms=1_700_000_000_123, **changes)


def _texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def _everything(log: LogStream, app: str = APP) -> list[str]:
    return [line.text for page in log.pages(app) for line in page.lines]


def _wait_until(holds: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


# What is written is read


def test_every_field_and_character_is_read_back(log: LogStream) -> None:
    block = LogBlock(
        text="a\0b\x1b[0m\n\né日😀\\xff",
        at_ms=1_700_000_000_123,
        source=Source.APP,
        stream=Stream.STDERR,
        version=3,
        attempt=2,
        error=True,
    )
    log.append(APP, [block, _block("piece", continued=True)])
    lines = log.read(APP).lines
    assert lines == [*block.lines(), *_block("piece", continued=True).lines()]
    assert _texts(lines) == ["a\0b\x1b[0m", "", "é日😀\\xff", "piece"]


@pytest.mark.parametrize("piece", ["line\n", "é日😀\n", "("])
def test_long_texts_take_less_of_redis_and_are_read_back(
    redis: Redis, keys: Keys, log: LogStream, piece: str
) -> None:
    text = piece * 5000
    log.append(APP, [_block(text), _block("short", piece)])
    assert "\n".join(_everything(log)) == f"{text}\nshort\n{piece}"
    assert _redis_size(redis, keys)[0] < len(text.encode()) / 4


def test_a_log_nobody_wrote_to_is_empty(log: LogStream) -> None:
    assert log.read(APP) == ([], START)
    assert log.tail(APP, 10) == ([], START)
    assert log.cursor_now(APP) == START


def test_apps_do_not_see_each_other(log: LogStream) -> None:
    log.append(APP, [_block("mine")])
    log.append("other.example.com", [_block("theirs")])
    assert _everything(log) == ["mine"]


def test_a_batch_that_is_sent_again_is_in_the_log_once(log: LogStream) -> None:
    first, second = Batch("writer", 1), Batch("writer", 2)
    log.append(APP, [_block("a"), _block("b")], first)
    cursor = log.append(APP, [_block("c")], second)
    assert log.append(APP, [_block("c")], second) == cursor
    log.append(APP, [_block("a"), _block("b")], first)
    log.append(APP, [_block("of another writer")], Batch("other", 1))
    assert _everything(log) == ["a", "b", "c", "of another writer"]


def test_pages_end_and_miss_nothing(log: LogStream) -> None:
    expected = [f"line {number}" for number in range(500)]
    for start in range(0, 500, 5):
        log.append(APP, [_block(*expected[start : start + 2]), _block(*expected[start + 2 : start + 5])])
    page, found, cursors = log.read(APP, limit=7), [], []
    while page.lines:
        found += _texts(page.lines)
        cursors.append(page.cursor)
        page = log.read(APP, page.cursor, limit=7)
    assert found == expected
    assert page.cursor == cursors[-1] == log.cursor_now(APP)
    assert _everything(log) == expected


# The last lines, filters, times


@pytest.fixture
def three_versions(log: LogStream) -> LogStream:
    """Versions 1, 2, 3 in turns, three lines each, 300 in all; every tenth block is an error."""
    for number in range(100):
        texts = [f"{number}.{part}" for part in range(3)]
        log.append(APP, [_block(*texts, version=number % 3 + 1, error=number % 10 == 0)])
    return log


def test_tail_gives_the_last_lines_and_where_to_go_on(three_versions: LogStream) -> None:
    page = three_versions.tail(APP, 5)
    assert _texts(page.lines) == ["98.1", "98.2", "99.0", "99.1", "99.2"]
    assert page.cursor == three_versions.cursor_now(APP)
    assert len(three_versions.tail(APP, 1000).lines) == 300
    assert three_versions.tail(APP, 0) == ([], page.cursor)


def test_tail_gives_as_many_lines_as_asked_for_after_filtering(three_versions: LogStream) -> None:
    page = three_versions.tail(APP, 40, LogFilter(version=3, errors=True))
    assert _texts(page.lines) == [f"{number}.{part}" for number in (20, 50, 80) for part in range(3)]
    page = three_versions.tail(APP, 10, LogFilter(version=3))
    assert _texts(page.lines)[-4:] == ["95.2", "98.0", "98.1", "98.2"]
    assert len(page.lines) == 10
    assert page.cursor == three_versions.cursor_now(APP), "also past lines that the filter left out"


def test_reading_on_respects_the_filter(log: LogStream) -> None:
    log.append(APP, [_block("s"), _block("a", source=Source.APP), _block("e", source=Source.APP, error=True)])
    assert _texts(log.read(APP, only=LogFilter(source=Source.APP)).lines) == ["a", "e"]
    assert _texts(log.read(APP, only=LogFilter(errors=True)).lines) == ["e"]
    assert _texts(log.read(APP, only=LogFilter(source=Source.SERVICE)).lines) == ["s"]


def test_since_begins_at_a_time(log: LogStream) -> None:
    log.append(APP, [_block("before")])
    before_ms = int(log.cursor_now(APP).partition("-")[0])
    _wait_until(lambda: time.time() * 1000 > before_ms + 5)
    log.append(APP, [_block("after")])
    at_ms = int(log.cursor_now(APP).partition("-")[0])
    assert _texts(log.read(APP, log.since(at_ms)).lines) == ["after"]
    assert _texts(log.tail(APP, 10, since_ms=at_ms).lines) == ["after"]
    assert _texts(log.read(APP, log.since(before_ms)).lines) == ["before", "after"]


# Retention


def _redis_size(redis: Redis, keys: Keys) -> tuple[int, int]:
    """What the bookkeeping says, and what is there."""
    kept = sum(_cost(fields[b"text"]) for _, fields in redis.xrange(keys.log(APP)))
    return int(redis.get(keys.log_size(APP)) or 0), kept


def _cost(text: bytes) -> int:
    return ENTRY_OVERHEAD_BYTES + len(text) + len(text) // 4


def test_the_oldest_entries_go_when_a_log_is_too_large(redis: Redis, keys: Keys) -> None:
    log = LogStream(redis, keys, retention_s=DAY_S, max_bytes=10_000)
    for number in range(200):
        log.append(APP, [_block(f"{number} " + "x" * (number * 7 % 500)), _block(f"{number} second")])
        booked, kept = _redis_size(redis, keys)
        assert booked == kept <= 10_000
    texts = _everything(log)
    assert kept > 9_000, "no more goes than has to"
    assert texts[-1] == "199 second"
    assert [int(text.split()[0]) for text in texts] == sorted(int(text.split()[0]) for text in texts)


@pytest.mark.parametrize("line_bytes", [2, 1000, 32_768, 70_000])
def test_a_full_log_takes_no_more_of_redis_than_its_limit(
    redis_server: RedisServer, keys: Keys, line_bytes: int
) -> None:
    max_bytes = 1_000_000
    # what can't be compressed, for otherwise the log would not be full
    noise = Random(0).choices(range(0x21, 0x7F), k=line_bytes - 1)
    chunk = bytes(noise) + b"\n"
    with redis_server.client() as client:
        log = LogStream(client, keys, retention_s=DAY_S, max_bytes=max_bytes)
        with _writer(log) as writer:
            for _ in range(max(100, min(20_000, 3 * max_bytes // len(chunk)))):
                writer.output(Stream.STDOUT, chunk)
                writer.output(Stream.STDERR, chunk)
        assert max_bytes / 5 < client.memory_usage(keys.log(APP), samples=0) <= max_bytes


def test_a_smaller_limit_is_met_at_the_next_append(redis: Redis, keys: Keys) -> None:
    LogStream(redis, keys, retention_s=DAY_S, max_bytes=10**7).append(APP, [_block("x" * 1000)] * 50)
    small = LogStream(redis, keys, retention_s=DAY_S, max_bytes=4000)
    small.append(APP, [_block("new")])
    booked, kept = _redis_size(redis, keys)
    assert booked == kept <= 4000
    assert _everything(small) == ["x" * 1000] * 2 + ["new"]


def test_lines_that_are_too_old_go(redis: Redis, keys: Keys) -> None:
    old_ms = int(time.time() * 1000) - 3600_000
    log = LogStream(redis, keys, retention_s=3600, max_bytes=10**7)
    redis.set(keys.log_size(APP), 20 * _cost(b"old"))
    for number in range(20):
        redis.xadd(keys.log(APP), {"at": 1, "text": "old"}, id=f"{old_ms - 1000 + number}-0")
    log.append(APP, [_block("new")])
    assert _everything(log) == ["new"]
    booked, kept = _redis_size(redis, keys)
    assert booked == kept


def test_a_log_nobody_writes_to_any_more_goes_as_a_whole(redis: Redis, keys: Keys, log: LogStream) -> None:
    log.append(APP, [_block("last")], Batch("writer", 1))
    for key in (keys.log(APP), keys.log_size(APP)):
        assert DAY_S - 60 < redis.ttl(key) <= DAY_S
    assert 0 < redis.ttl(keys.log_writer(APP, "writer")) <= 3600


def test_bookkeeping_starts_again_after_the_log_was_deleted(redis: Redis, keys: Keys, log: LogStream) -> None:
    log.append(APP, [_block("x" * 1000)])
    redis.delete(keys.log(APP))
    log.append(APP, [_block("new")])
    assert _redis_size(redis, keys) == (_cost(b"new"),) * 2


# Following


def test_following_after_tail_has_no_gap_and_no_repetition(log: LogStream) -> None:
    log.append(APP, [_block("seen")])
    page = log.tail(APP, 10)
    log.append(APP, [_block("in between")])
    following = log.follow(APP, page.cursor, block_ms=20)
    assert _texts(next(following).lines) == ["in between"]
    assert next(following).lines == [], "it looks up now and then"
    log.append(APP, [_block("a", "b", version=1), _block("c", version=2)])
    assert _texts(next(following).lines) == ["a", "b", "c"]


def test_following_with_a_filter_goes_past_other_lines(log: LogStream) -> None:
    following = log.follow(APP, START, LogFilter(version=2), block_ms=20)
    log.append(APP, [_block("one", version=1)])
    log.append(APP, [_block("two", version=2)])
    found = [text for _ in range(2) for text in _texts(next(following).lines)]
    assert found == ["two"]


def test_a_follower_sees_every_line_of_concurrent_writers_once(log: LogStream) -> None:
    def write(name: str) -> None:
        for number in range(200):
            log.append(APP, [_block(f"{name}{number}")])

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    following = log.follow(APP, log.cursor_now(APP), block_ms=50)
    for writer in writers:
        writer.start()
    found: list[str] = []
    deadline = time.monotonic() + 20
    while len(found) < 600 and time.monotonic() < deadline:
        found += _texts(next(following).lines)
    for writer in writers:
        writer.join()
    found += _texts(next(following).lines)
    for name in "abc":
        assert [text for text in found if text[0] == name] == [f"{name}{number}" for number in range(200)]


def test_a_redis_that_is_not_there_is_a_store_error(tmp_path: Path, keys: Keys) -> None:
    with Redis(unix_socket_path=str(tmp_path / "none"), retry=Retry(NoBackoff(), 0)) as nowhere:
        log = LogStream(nowhere, keys, retention_s=1, max_bytes=1)
        with pytest.raises(StoreUnavailable) as raised:
            log.append(APP, [_block("x")])
        assert raised.value.facts["setting"] == "GALAXY_LOGS_URL"
        with pytest.raises(StoreError):
            log.tail(APP, 1)


# The writer


def _writer(
    log: LogStream, *secrets: str, max_output_bytes: int = 10**7, patience_s: float = 10
) -> LogWriter:
    return LogWriter(
        log,
        app=APP,
        version=3,
        attempt=2,
        attempt_output=attempt_output(
            {f"SECRET_{number}": secret for number, secret in enumerate(secrets)}, max_bytes=max_output_bytes
        ),
        patience_s=patience_s,
    )


def test_sentences_and_output_are_in_the_log_in_order_with_what_others_wrote_redacted(log: LogStream) -> None:
    with _writer(log, "hunter2hunter2") as writer:
        writer.say(f"Running it with {writer.redact('hunter2hunter2')}.")
        writer.output(Stream.STDOUT, b"out 1\nout hunter2hun")
        writer.output(Stream.STDERR, b"err \xff 1\n")
        writer.output(Stream.STDOUT, b"ter2\nno end")
        writer.end_output()
        writer.say("It failed.\nTwice.", error=True)
    lines = log.read(APP).lines
    assert [(line.stream.value, line.error, line.text) for line in lines] == [
        ("stdout", False, "Running it with [redacted]."),
        ("stdout", False, "out 1"),
        ("stderr", True, "err \\xff 1"),
        ("stdout", False, "out [redacted]"),
        ("stdout", False, "no end"),
        ("stdout", True, "It failed."),
        ("stdout", True, "Twice."),
    ]
    assert {(line.version, line.attempt, line.source) for line in lines} == {(3, 2, Source.SERVICE)}
    assert abs(lines[0].at_ms - time.time() * 1000) < 60_000


def test_a_very_long_line_is_in_the_log_in_pieces_that_say_so(log: LogStream) -> None:
    line = "0123456789é" * 30_000
    with _writer(log) as writer:
        for at in range(0, len(line), 20_000):
            writer.output(Stream.STDOUT, line[at : at + 20_000].encode())
        writer.output(Stream.STDOUT, b"\nnext\n")
    *pieces, end, following = log.read(APP).lines
    assert "".join(_texts([*pieces, end])) == line
    assert [piece.continued for piece in [*pieces, end, following]] == [True] * len(pieces) + [False, False]
    assert following.text == "next"


def test_a_line_is_in_the_log_soon_although_nothing_follows(log: LogStream) -> None:
    with _writer(log) as writer:
        for number in range(5):
            writer.output(Stream.STDOUT, f"{number}\n".encode())
            printed = time.monotonic()
            _wait_until(lambda number=number: len(_everything(log)) == number + 1)  # type: ignore[misc]
            assert time.monotonic() - printed < 1


def test_many_lines_share_few_entries(log: LogStream, redis: Redis, keys: Keys) -> None:
    lines = [f"line {number}" for number in range(20_000)]
    with _writer(log) as writer:
        for line in lines:
            writer.output(Stream.STDOUT, line.encode() + b"\n")
    assert _everything(log) == lines
    assert redis.xlen(keys.log(APP)) < 500


def test_output_above_the_limit_has_its_gap_told_in_the_log(log: LogStream) -> None:
    printed = b"".join(b"line %06d\n" % number for number in range(50_000))
    with _writer(log, max_output_bytes=100_000) as writer:
        for at in range(0, len(printed), 4096):
            writer.output(Stream.STDOUT, printed[at : at + 4096])
    texts = _everything(log)
    (told,) = [text for text in texts if not text.startswith("line ")]
    left_out = int(told.removeprefix("Left out here: ").split()[0])
    assert len(texts) - 1 + left_out == 50_000
    assert (texts[0], texts[-1]) == ("line 000000", "line 049999")


def test_an_abandoned_writer_writes_nothing_any_more(log: LogStream) -> None:
    writer = _writer(log)
    writer.say("before")
    _wait_until(lambda: _everything(log) == ["before"])
    writer.abandon()
    writer.say("after")
    writer.output(Stream.STDOUT, b"after\n")
    writer.close()
    assert _everything(log) == ["before"]


# The writer, when the connection to Redis is not what it should be


class _Proxy:
    """Stands between client and server: can refuse, or lose answers after the server has done its work."""

    def __init__(self, path: Path, server: Path) -> None:
        self.path = path
        self.lose_answers = 0
        self.lost = 0
        self._server = server
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        self.path.unlink(missing_ok=True)
        for one in (self._listener, *self._open):
            if one:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._open += [client, server]
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                # an entry's id: the script has run
                if self.lose_answers and data.startswith(b"$") and b"-" in data:
                    self.lose_answers -= 1
                    self.lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[_Proxy]:
    proxy = _Proxy(redis_server.socket.with_name("proxy.sock"), redis_server.socket)
    proxy.start()
    yield proxy
    proxy.stop()


@contextmanager
def _through(proxy: _Proxy, keys: Keys) -> Iterator[LogStream]:
    with Redis(unix_socket_path=str(proxy.path), retry=Retry(NoBackoff(), 0)) as client:
        yield LogStream(client, keys, retention_s=DAY_S, max_bytes=10**8)


def _straight(redis_server: RedisServer, keys: Keys) -> list[str]:
    with redis_server.client() as client:
        return _everything(LogStream(client, keys, retention_s=DAY_S, max_bytes=10**8))


def test_lost_answers_double_no_line(redis_server: RedisServer, proxy: _Proxy, keys: Keys) -> None:
    lines = [f"line {number} " + "x" * 100 for number in range(20_000)]
    proxy.lose_answers = 5
    with _through(proxy, keys) as log, _writer(log) as writer:
        for line in lines:
            writer.output(Stream.STDOUT, line.encode() + b"\n")
    assert proxy.lost == 5
    assert _straight(redis_server, keys) == lines


def test_an_outage_loses_no_line_and_makes_the_writer_wait(
    redis_server: RedisServer, proxy: _Proxy, keys: Keys
) -> None:
    lines = [f"line {number} " + "x" * 1000 for number in range(20_000)]
    with _through(proxy, keys) as log, _writer(log, max_output_bytes=10**8) as writer:
        writer.say("before")
        _wait_until(lambda: _straight(redis_server, keys) == ["before"])
        proxy.stop()
        written = 0

        def write() -> None:
            nonlocal written
            for line in lines:
                writer.output(Stream.STDOUT, line.encode() + b"\n")
                written += 1

        thread = threading.Thread(target=write)
        thread.start()
        _wait_until(lambda: writer._sender._size >= 4 * 1024 * 1024)
        thread.join(0.1)
        assert thread.is_alive(), "20 MB do not fit in its memory"
        assert written < len(lines) / 2
        proxy.start()
        thread.join(20)
        assert not thread.is_alive()
    assert _straight(redis_server, keys) == ["before", *lines]


def test_a_long_outage_ends_nothing_and_the_log_says_how_many_lines_it_cost(
    redis_server: RedisServer, proxy: _Proxy, keys: Keys
) -> None:
    with _through(proxy, keys) as log, _writer(log, max_output_bytes=10**8, patience_s=0.3) as writer:
        proxy.stop()
        for number in range(20_000):
            writer.output(Stream.STDOUT, b"%d " % number + b"x" * 1000 + b"\n")
        assert writer._sender._size < 5 * 1024 * 1024, "what waits is bounded"
        proxy.start()
        _wait_until(lambda: writer._sender._size == 0)
        writer.output(Stream.STDERR, b"20000 after it\n")
    lines = _straight(redis_server, keys)
    *before, gap, last = lines
    assert [int(line.split()[0]) for line in before] == [*range(len(before))]
    assert 3000 < len(before) < 8000
    assert gap.startswith(f"Left out here: {20_000 - len(before)} lines (")
    assert last == "20000 after it"


def test_lines_that_a_long_outage_cost_are_told_although_nothing_follows(
    redis_server: RedisServer, proxy: _Proxy, keys: Keys
) -> None:
    with _through(proxy, keys) as log, _writer(log, max_output_bytes=10**8, patience_s=1.5) as writer:
        proxy.stop()
        for _ in range(9000):
            writer.output(Stream.STDOUT, b"x" * 1000 + b"\n")
        proxy.start()
    *before, gap = _straight(redis_server, keys)
    assert gap.startswith(f"Left out here: {9000 - len(before)} lines (")


def test_an_outage_that_does_not_end_is_an_error(proxy: _Proxy, keys: Keys) -> None:
    with _through(proxy, keys) as log:
        writer = _writer(log, patience_s=0.3)
        proxy.stop()
        writer.say("nobody will read this")
        with pytest.raises(StoreError, match=r"up to 1 lines are missing\..*can't be reached"):
            writer.close()
        with pytest.raises(StoreError):
            writer.say("nor this")


def test_whoever_waits_for_redis_is_woken_when_the_writer_is_abandoned(proxy: _Proxy, keys: Keys) -> None:
    with _through(proxy, keys) as log:
        writer = _writer(log)
        proxy.stop()
        chunk = b"x" * 1000 + b"\n"
        thread = threading.Thread(target=lambda: [writer.output(Stream.STDOUT, chunk) for _ in range(9000)])
        thread.start()
        _wait_until(lambda: writer._sender._size >= 4 * 1024 * 1024)
        writer.abandon()
        thread.join(5)
        assert not thread.is_alive()
        writer.close()


def test_what_is_flushed_is_in_the_log_and_the_writer_goes_on(log: LogStream) -> None:
    with _writer(log) as writer:
        writer.say("before")
        writer.output(Stream.STDOUT, b"no line end")
        writer.flush()
        assert [line.text for line in log.tail(APP, 10).lines] == ["before", "no line end"]
        writer.say("after")
    assert log.tail(APP, 1).lines[0].text == "after"
