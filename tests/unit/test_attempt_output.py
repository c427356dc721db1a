"""What is hidden from the log of an attempt, and what people must be able to read there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galaxy.domain.errors import EngineError, GalaxyError, SetupFailed, StoreError
from galaxy.domain.log import Stream
from galaxy.domain.output.quotations import redact_quotations
from tests.support.outputs import attempt_output
from tests.support.stores import APP, BUNDLE_URL

if TYPE_CHECKING:
    from galaxy.domain.output.attempt_output import AttemptOutput

PUBLIC = {
    "ROOT_URL": f"https://{APP}",
    "NODE_ENV": "production",
    "PORT": "3000",
    "MONGO_HOST": "db.example.com:27017",
    "FEATURE": "true",
}
SECRET = {"TOKEN": "hunter2hunter2", "MONGO_URL": "mongodb://ada:s3cret-word@db.example.com/app"}


def shown(output: AttemptOutput, printed: str) -> str:
    """What the log has of it."""
    lines = output.feed(Stream.STDOUT, printed.encode())
    ending = output.end()
    return b"\n".join(portion.data for portion in [*lines, *ending.before, *ending.after]).decode()


def test_public_values_are_shown_and_secrets_are_not() -> None:
    printed = "\n".join([f"{name}={value}" for name, value in (PUBLIC | SECRET).items()])
    hidden = [f"{name}=[redacted]" for name in SECRET]
    expected = "\n".join([*(f"{name}={value}" for name, value in PUBLIC.items()), *hidden])
    assert shown(attempt_output(PUBLIC | SECRET), printed) == expected


def test_a_secret_that_equals_a_public_value_of_another_variable_is_hidden() -> None:
    env = {"LIMIT": "123456", "ADMIN_PIN": "123456"}
    assert shown(attempt_output(env), "123456 modules") == "[redacted] modules"


def test_what_gives_access_within_a_public_variable_is_hidden_and_the_apps_name_is_shown() -> None:
    output = attempt_output({"ROOT_URL": f"https://ada:open-sesame@{APP}"})
    printed = f"login ada:open-sesame, password open-sesame, at https://ada:open-sesame@{APP}: {APP} is up"
    assert shown(output, printed) == f"login [redacted], password [redacted], at [redacted]: {APP} is up"


def test_the_apps_name_is_shown_where_the_bundle_url_names_it_in_its_query() -> None:
    url = f"https://bundles.example.com/get?app={APP}&token=Zm9vYmFyYmF6"
    printed = f"building {APP} with Zm9vYmFyYmF6 from {url}"
    assert shown(attempt_output(bundle_url=url), printed) == f"building {APP} with [redacted] from [redacted]"


def test_a_bundle_url_is_hidden_even_if_it_would_be_public_in_env() -> None:
    url = "https://bundles.example.com/app.tgz"
    output = attempt_output({"BUNDLE": url}, bundle_url=url)
    assert shown(output, f"+ curl {url}") == "+ curl [redacted]"


def test_a_sentence_of_our_own_is_left_as_it_is_but_for_a_bundle_url() -> None:
    output = attempt_output({"TOKEN": "Attempt", "NAME": "exit code"})
    assert output.own("Attempt 1 ended with exit code 3.") == "Attempt 1 ended with exit code 3."
    assert output.own(f"Fetching {BUNDLE_URL} failed.") == "Fetching [redacted] failed."


def test_only_what_an_error_quotes_is_redacted() -> None:
    output = attempt_output({"A": "engine", "B": "hunter2hunter2"})
    said = "no engine takes hunter2hunter2"
    error = EngineError(f"The engine could not push: {said}.", "Ask the engine.", quotes=[said])
    assert output.reason(error) == "The engine could not push: no [redacted] takes [redacted]."


def test_an_error_of_our_own_words_is_left_as_it_is_but_for_a_bundle_url() -> None:
    output = attempt_output({"A": "ended with"})
    assert output.reason(SetupFailed("It ended with 3.")) == "It ended with 3."
    assert output.reason(GalaxyError(f"It has {BUNDLE_URL}.")) == "It has [redacted]."


@pytest.mark.parametrize("error", [EngineError("It has hunter2."), StoreError("It has hunter2.")])
def test_an_error_that_does_not_say_what_it_quotes_is_redacted_as_a_whole(error: GalaxyError) -> None:
    assert attempt_output({"A": "hunter2"}).reason(error) == "It has [redacted]."


def test_an_unexpected_error_keeps_the_name_of_its_class() -> None:
    output = attempt_output({"A": "hunter2", "B": "KeyError"})
    assert output.reason(KeyError("hunter2 in KeyError")) == "Unexpected KeyError: '[redacted] in [redacted]'"


@pytest.mark.parametrize(
    ("message", "quotes", "shown"),
    [
        ("a b c", ["b"], "a <b> c"),
        ("a b c b", ["b"], "a <b> c <b>"),
        ("a bcd e", ["bc", "cd"], "a <bcd> e"),
        ("a bb c", ["b"], "a <bb> c"),
        ("a b c", [], "a b c"),
        ("a b c", [""], "a b c"),
        ("a b c", ["b", "was cut"], "<a b c>"),
    ],
)
def test_quotations_are_found_where_they_stand(message: str, quotes: list[str], shown: str) -> None:
    assert redact_quotations(message, quotes, "<{}>".format) == shown


@given(
    before=st.text("ab ", max_size=9),
    quote=st.text("ab ", min_size=1, max_size=9),
    after=st.text("ab ", max_size=9),
)
def test_no_quotation_is_left_unredacted(before: str, quote: str, after: str) -> None:
    shown = redact_quotations(f"{before}{quote}{after}", [quote], lambda text: "x" * len(text))
    assert quote not in shown
    assert len(shown) == len(before + quote + after)


def test_the_limit_is_of_both_streams_together() -> None:
    output = attempt_output(max_bytes=4000)
    for number in range(200):
        output.feed(Stream.STDOUT, b"out %03d\n" % number)
        output.feed(Stream.STDERR, b"err %03d\n" % number)
    ending = output.end()
    assert ending.left_out
    assert output.max_bytes == 4000
