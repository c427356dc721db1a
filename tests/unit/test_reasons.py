"""Why things happened: codes and facts in the store, sentences for people."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from galaxy.adapters import store
from galaxy.domain.reasons import (
    MAX_MESSAGE_BYTES,
    SENTENCES,
    Reason,
    cancelled_by,
    cut,
    failed,
)

LUA = Path(store.__file__).parent / "lua"
FACTS: dict[str, str | int | float] = {
    "newer": 7, "active": 7, "app": "www.example.com", "who": "ada", "base_image": "meteor/galaxy-app:latest",
    "digest": "sha256:ab", "version": 8, "source": 5,
}  # fmt: skip


@pytest.mark.parametrize("code", SENTENCES)
def test_every_code_of_ours_has_a_whole_sentence(code: str) -> None:
    sentence = Reason(code=code, facts=FACTS).sentence
    assert sentence.endswith(".")
    assert not re.search(r"[{}_]", sentence)


def test_every_code_that_a_script_records_has_a_sentence() -> None:
    scripts = "\n".join(file.read_text() for file in LUA.glob("*.lua"))
    codes = {
        *re.findall(r"reason_of\('(\w+)'", scripts),
        *re.findall(r"'(updates_turned_off|pinned_elsewhere)'", scripts),
    }
    assert codes >= {"deployed_newer", "updates_turned_off", "rebuild"}
    assert codes <= {*SENTENCES}


def test_no_script_holds_a_sentence() -> None:
    for file in LUA.glob("*.lua"):
        code = re.sub(r"--.*", "", file.read_text())
        sentences = [
            text for text in re.findall(r"'([^'\n]*)'", code) if re.search(r"[a-z] [a-z]+ [a-z]", text)
        ]
        assert not sentences, file.name


def test_the_text_of_an_error_is_kept_as_it_is() -> None:
    reason = failed("setup_failed", 'It said {"code": 1} and {newer}.')
    assert reason.sentence == 'It said {"code": 1} and {newer}.'
    assert Reason.parse(reason.model_dump_json()) == reason


def test_who_cancelled_is_named() -> None:
    assert cancelled_by("{ada}").sentence == "Cancelled by {ada}."


@pytest.mark.parametrize("text", ["It rained.", '{"code": 5}', "{", '{"error": "from a registry"}'])
def test_what_is_no_reason_is_read_as_the_sentence_of_an_earlier_release(text: str) -> None:
    reason = Reason.parse(text)
    assert reason
    assert (reason.is_plain, reason.sentence) == (True, text)


def test_there_may_be_no_reason() -> None:
    assert Reason.parse("") is None


@pytest.mark.parametrize(
    ("code", "said"), [("sun_spots", "Sun spots."), ("deployed_newer", "Deployed newer.")]
)
def test_a_reason_of_a_later_release_is_shown_by_its_code(code: str, said: str) -> None:
    assert Reason(code=code, facts={"unknown": 1}).sentence == said


@pytest.mark.parametrize("letter", ["a", "é", "€", "😀"])
@pytest.mark.parametrize("offset", range(4))
def test_long_messages_are_cut_at_whole_characters_and_say_so(letter: str, offset: int) -> None:
    text = "x" * offset + letter * 100_000
    message = str(failed("engine_error", text).facts["message"])
    assert len(message.encode()) <= MAX_MESSAGE_BYTES
    assert len(message.encode()) > MAX_MESSAGE_BYTES - 8
    assert message.startswith("x" * offset + letter)
    assert message.endswith(f" … [cut: it had {len(text.encode())} bytes]")


def test_a_message_of_just_4_kib_is_whole() -> None:
    text = "a" * MAX_MESSAGE_BYTES
    assert cut(text) == text
    assert cut(text + "a") != text + "a"


def test_half_a_character_in_a_message_does_not_keep_it_from_the_store() -> None:
    reason = failed("engine_error", "bad \udcff byte")
    assert json.loads(reason.model_dump_json())["facts"]["message"] == r"bad \udcff byte"
