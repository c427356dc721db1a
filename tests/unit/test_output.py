from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.log import Stream
from galaxy.domain.output import budget
from galaxy.domain.output import lines as output_lines
from galaxy.domain.output.budget import BoundedOutput, Ending
from galaxy.domain.output.escape_sequences import without_sequences
from galaxy.domain.output.lines import MAX_PIECE_BYTES, LineAssembler, Lines
from galaxy.domain.output.redaction import Redactor
from tests.support.rounds import rounds

if TYPE_CHECKING:
    from collections.abc import Iterable

OUT, ERR = Stream.STDOUT, Stream.STDERR
NO_SECRETS = Redactor(())


def _lines(portions: Iterable[Lines]) -> list[bytes]:
    """Lines of one stream, with their pieces joined."""
    lines: list[bytes] = []
    joins = False
    for portion in portions:
        first, *more = portion.data.split(b"\n")
        assert not (portion.continued and more)
        if joins:
            lines[-1] += first
        else:
            lines.append(first)
        lines += more
        joins = portion.continued
    return lines


def _assembled(chunks: Iterable[bytes], redactor: Redactor = NO_SECRETS) -> list[bytes]:
    assembler = LineAssembler(OUT, redactor)
    portions = [portion for chunk in chunks for portion in assembler.feed(chunk)]
    portions += assembler.flush()
    assert all(len(portion.data) <= MAX_PIECE_BYTES for portion in portions)
    return _lines(portions)


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"no line end", [b"no line end"]),
        (b"\n\n", [b"", b""]),
        (b"dos\r\nlines\r\n", [b"dos", b"lines"]),
        (b"tty\r\r\n", [b"tty"]),
        (b"10%\r20%\r100%\ndone\n", [b"10%", b"20%", b"100%", b"done"]),
        (b"\r10%\r20%\n", [b"10%", b"20%"]),
        (b"last state\r", [b"last state"]),
        (b"\r", []),
        (b"a\0b\x1b[31m\xff\n", [b"a\0b\x1b[31m\xff"]),
    ],
)
def test_what_is_a_line(printed: bytes, lines: list[bytes]) -> None:
    assert _assembled([printed]) == lines


@given(
    printed=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc", "é€😀".encode(), b"\xff"])).map(
        b"".join
    ),
    seed=st.integers(0, 1000),
)
def test_lines_do_not_depend_on_where_the_chunks_are_cut(printed: bytes, seed: int) -> None:
    choice = random.Random(seed)
    chunks = []
    rest = printed
    while rest:
        size = choice.randint(1, 4)
        chunks.append(rest[:size])
        rest = rest[size:]
    assert _assembled(chunks) == _assembled([printed])


def test_lines_are_given_as_soon_as_they_end() -> None:
    assembler = LineAssembler(OUT, NO_SECRETS)
    assert assembler.feed(b"one\ntwo\nthr") == [Lines(OUT, b"one\ntwo")]
    assert assembler.feed(b"ee\r") == []
    assert assembler.feed(b"next") == [Lines(OUT, b"three")]


@pytest.mark.parametrize("chunk_bytes", [1000, 16 * 1024, 10**7])
def test_a_line_without_an_end_is_passed_on_in_pieces_that_lose_nothing(chunk_bytes: int) -> None:
    line = ("0123456789é" * 60_000).encode()
    assembler = LineAssembler(OUT, NO_SECRETS)
    portions: list[Lines] = []
    for start in range(0, len(line), chunk_bytes):
        portions += assembler.feed(line[start : start + chunk_bytes])
    assert len(portions) >= 10, "memory is bounded: most of it was passed on before the end"
    portions += assembler.flush()
    assert _lines(portions) == [line]
    for portion in portions:
        assert len(portion.data) <= MAX_PIECE_BYTES
        portion.data.decode()  # no character is cut


@pytest.mark.parametrize("chunk_bytes", [1, 7, 5000, 10**6])
def test_secrets_are_masked_across_chunks_and_pieces(chunk_bytes: int) -> None:
    secret = "-".join(str(number) for number in range(60))
    length = 3 * MAX_PIECE_BYTES if chunk_bytes > 100 else MAX_PIECE_BYTES + 2000
    line = b""
    while len(line) < length:
        line += b"x" * (len(line) % 97) + secret.encode()
    printed = b"before " + secret.encode() + b"\n" + line + b"\n" + secret.encode()
    chunks = [printed[at : at + chunk_bytes] for at in range(0, len(printed), chunk_bytes)]
    redactor = Redactor([secret])
    shown = b"\n".join(_assembled(chunks, redactor))
    assert shown == printed.replace(secret.encode(), b"[redacted]")


@pytest.mark.parametrize("secret", [b"0f3c9a7be1d24c55b6aa17e08d92f4c361", b"abc-abc-abd"])
def test_of_a_secret_that_is_cut_off_with_the_output_nothing_is_shown(secret: bytes) -> None:
    redactor = Redactor([secret.decode()])
    for length in range(4, len(secret)):
        for before in (b"", b"x", secret, secret[:5]):
            (shown,) = _assembled([before + secret[:length]], redactor)
            assert not _parts_in(shown.removeprefix(secret[:5]), secret)
    assert _assembled([b"line\n" + secret[:20] + b"\r"], redactor)[-1] == b"[redacted]"
    assert _assembled([secret[:3]], redactor) == [secret[:3]]


def _printed(count: int, start: int = 0) -> list[bytes]:
    return [b"line %07d of the output\n" % number for number in range(start, start + count)]


def _run(output: BoundedOutput, printed: Iterable[tuple[Stream, bytes]]) -> tuple[list[Lines], Ending]:
    head = [lines for stream, chunk in printed for lines in output.feed(stream, chunk)]
    return head, output.end()


@pytest.mark.parametrize("lines", [0, 1, 700, 767, 768, 769, 900, 1023, 1024])
def test_below_the_limit_no_line_is_lost_or_doubled(lines: int) -> None:
    printed = [b"%031d\n" % number for number in range(lines)]
    # what a held chunk takes besides its bytes does not count: there are few of them
    head, ending = _run(BoundedOutput(NO_SECRETS, 1024 * 32 + 2048), [(OUT, chunk) for chunk in printed])
    assert ending.left_out is None
    assert ending.before == []
    assert _lines([*head, *ending.after]) == [line.rstrip() for line in printed]


def test_above_the_limit_the_beginning_and_the_end_are_kept_and_the_rest_is_counted() -> None:
    max_bytes = 1_000_000
    printed = _printed(200_000)
    chunk = b"".join(printed)
    chunks = [(OUT, chunk[at : at + 30_000]) for at in range(0, len(chunk), 30_000)]
    head, ending = _run(BoundedOutput(NO_SECRETS, max_bytes), chunks)
    beginning, end = _lines(head), _lines(ending.after)
    assert ending.left_out is not None
    expected = [line.rstrip() for line in printed]
    assert beginning == expected[: len(beginning)]
    assert end == expected[-len(end) :]
    assert len(beginning) + len(end) + ending.left_out.lines == len(expected)
    kept = len(b"\n".join([*beginning, *end])) + 2
    assert abs(kept + ending.left_out.bytes - len(chunk)) <= 2
    assert 0.85 * max_bytes <= kept <= max_bytes


def test_both_streams_are_counted_and_stay_whole() -> None:
    choice = random.Random(7)
    chunks: list[tuple[Stream, bytes]] = []
    for number in range(30_000):
        line = b"line %07d\n" % number
        cut = choice.randint(0, len(line))
        stream = choice.choice((OUT, ERR))
        chunks += [(stream, line[:cut]), (stream, line[cut:])]
    head, ending = _run(BoundedOutput(NO_SECRETS, 100_000), chunks)
    assert ending.left_out is not None
    total = ending.left_out.lines
    for stream in Stream:
        everything = b"".join(chunk for of, chunk in chunks if of is stream).splitlines()
        shown_first = _lines(lines for lines in head if lines.stream is stream)
        shown_last = _lines(lines for lines in ending.after if lines.stream is stream)
        assert shown_first == everything[: len(shown_first)]
        assert shown_last == everything[-len(shown_last) :]
        total += len(shown_first) + len(shown_last)
    assert total == 30_000


def _shown(head: list[Lines], ending: Ending) -> bytes:
    return b"".join(lines.data for lines in [*head, *ending.before, *ending.after])


def _parts_in(shown: bytes, secret: bytes, length: int = 4) -> set[bytes]:
    """What can be read of a secret: its parts of that length."""
    parts = {secret[at : at + length] for at in range(len(secret) - length + 1)}
    return {part for part in parts if part in shown}


def test_a_stream_of_which_nothing_is_left_out_keeps_its_first_line() -> None:
    _, ending = _run(
        BoundedOutput(NO_SECRETS, 100_000), [*((OUT, line) for line in _printed(20_000)), (ERR, b"why\n")]
    )
    assert ending.left_out
    assert ending.after[-1] == Lines(ERR, b"why")


def test_an_endless_line_is_cut_off_and_its_end_is_kept_without_half_a_secret() -> None:
    secret = "s3cr3t-" * 40
    output = BoundedOutput(Redactor([secret]), 400_000)
    head, ending = _run(output, [(OUT, secret.encode()) for _ in range(10_000)])
    assert ending.left_out is not None
    assert ending.left_out.lines == 0
    assert b"s3cr3t" not in _shown(head, ending)
    assert head[-1].continued
    assert ending.before == [Lines(OUT, b"")]


@pytest.mark.parametrize("chunk_bytes", [1000, 64 * 1024, 256 * 1024])
@pytest.mark.parametrize("max_bytes", [300_000, 4 * 1024 * 1024])
def test_of_a_secret_printed_over_and_over_no_part_stands_at_either_side_of_the_gap(
    max_bytes: int, chunk_bytes: int
) -> None:
    secret = b"0f3c9a7be1d24c55b6aa17e08d92f4c361"
    redactor = Redactor([secret.decode()])
    for offset in range(len(secret) if max_bytes < 10**6 else 1):
        printed = secret[offset:] + secret * ((max_bytes + 300_000) // len(secret))
        chunks = [(OUT, printed[at : at + chunk_bytes]) for at in range(0, len(printed), chunk_bytes)]
        head, ending = _run(BoundedOutput(redactor, max_bytes), chunks)
        assert ending.left_out
        # the first secret is not a whole one, and nobody can know it
        assert _parts_in(_shown(head, ending).removeprefix(secret[offset:]), secret) == set()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and pieces that are shorter than a long secret."""
    monkeypatch.setattr(budget, "_CHUNK_BYTES", 40)
    monkeypatch.setattr(budget, "_CHUNK_OVERHEAD_BYTES", 0)
    monkeypatch.setattr(output_lines, "MAX_PIECE_BYTES", 60)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("chunk_bytes", [7, 40, 1000])
def test_no_end_of_a_secret_is_shown_of_which_the_beginning_was_passed_on(chunk_bytes: int) -> None:
    secret = b"-".join(b"%03d" % number for number in range(40))
    redactor = Redactor([secret.decode()])
    for offset in range(0, len(secret), 5):
        for whole in range(1, 12):
            printed = secret[offset:] + secret * whole
            chunks = [(OUT, printed[at : at + chunk_bytes]) for at in range(0, len(printed), chunk_bytes)]
            head, ending = _run(BoundedOutput(redactor, 800), chunks)
            assert _parts_in(_shown(head, ending).removeprefix(secret[offset:]), secret) == set()


def test_no_middle_of_a_secret_is_shown_of_which_both_ends_are_missing() -> None:
    output = BoundedOutput(Redactor(["QWERTYUIOPASDFGHJKLZ"]), 65_536)
    flood = [(OUT, b"f\n" * 1000)] * 100
    _, ending = _run(output, [*flood, (ERR, b"pw: QWERTYU"), *flood, (ERR, b"IOPASDFG")])
    assert [lines for lines in ending.after if lines.stream is ERR] == [Lines(ERR, b"")]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("colour", [b"", b"\x1b[38;2;255;100;100m" * 8])
def test_no_part_of_a_secret_is_shown_wherever_it_is_cut(colour: bytes) -> None:
    secrets = [b"0f3c9a7be1d24c55b6aa17e08d92f4c361", b"f4c361-QRSTUVWZ", b"JKLMNPQJKLMNPQ" * 10]
    redactor = Redactor([secret.decode() for secret in secrets])
    for seed in range(rounds(300)):
        choice = random.Random(seed)
        printed = [secret[:9] + colour + secret[9:12] + colour + secret[12:] for secret in secrets]
        texts = [*printed, secrets[0] + secrets[1][6:], b"", b"x", b"yyyyyyy", b"\n"]
        weights = [*(choice.random() for _ in texts[1:]), choice.choice([0, 0.02, 0.5])]
        left = {stream: b"".join(choice.choices(texts, weights, k=80)) for stream in Stream}
        largest = choice.choice([2, 30, 300, 3000])
        chunks: list[tuple[Stream, bytes]] = []
        while any(left.values()):
            stream, size = choice.choice([*Stream]), choice.randint(1, largest)
            chunks.append((stream, left[stream][:size]))
            left[stream] = left[stream][size:]
        head, ending = _run(BoundedOutput(redactor, choice.randint(1000, 4000)), chunks)
        for stream in Stream:
            of_stream = (lines for lines in [*head, *ending.before, *ending.after] if lines.stream is stream)
            shown = without_sequences(b"\n".join(_lines(of_stream)))
            assert not [secret for secret in secrets if _parts_in(shown, secret)], f"seed {seed}"


@pytest.mark.parametrize("chunk", [b"x", b"y" * 100_000, b"\r", b"\n"])
def test_memory_is_bounded_whatever_is_printed(chunk: bytes) -> None:
    max_bytes = 200_000
    output = BoundedOutput(NO_SECRETS, max_bytes)
    for _ in range(50_000 if len(chunk) == 1 else 1000):
        output.feed(OUT, chunk)
        output.feed(ERR, chunk)
    held = sum(len(held) for _, held in output._tail._chunks)
    assert held <= max_bytes
    assert len(output._tail._chunks) <= max_bytes / 256
