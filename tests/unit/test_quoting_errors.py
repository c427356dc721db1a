"""Errors that repeat what an engine or a Redis said tell which part of their message that is."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, cast

import pytest
from docker.errors import APIError
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, ResponseError  # noqa: A004

from galaxy.adapters import redis_errors
from galaxy.adapters.engine.docker.client import last_word, translated
from galaxy.adapters.engine.docker.container import DockerBuildContainer
from galaxy.domain.cancellation import never_cancelled
from galaxy.domain.errors import BaseImageUnusable, EngineError, GalaxyError, StoreError
from tests.support.outputs import attempt_output

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from galaxy.adapters.engine.docker.client import DockerClient

SAID = "could not do it with hunter2"
#: The second one stands in our own words too.
ENV = {"A": "hunter2", "B": "could not"}


def _engine_refuses() -> None:
    with translated("push the image"):
        raise APIError("refused", explanation=SAID)


def _engine_reports() -> None:
    last_word([{"error": SAID}], never_cancelled)


def _redis(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        with redis_errors.translated("The store's Redis", "GALAXY_STORE_URL"):
            raise error

    return fail


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (
            _engine_refuses,
            "The engine could not push the image: [redacted] do it with [redacted].",
        ),
        (
            _engine_reports,
            "The engine said: [redacted] do it with [redacted].",
        ),
        (
            _redis(ResponseError(SAID)),
            "The store's Redis refused a command: [redacted] do it with [redacted].",
        ),
        (
            _redis(ConnectionError(SAID)),
            "The store's Redis can't be reached: [redacted] do it with [redacted].",
        ),
    ],
    ids=["refused by the engine", "reported by the engine", "refused by Redis", "no Redis"],
)
def test_what_was_said_is_redacted_our_words_are_not_and_advice_for_operators_is_left_out(
    fail: Callable[[], None], reason: str
) -> None:
    with pytest.raises(GalaxyError) as raised:
        fail()
    assert attempt_output(ENV).reason(raised.value) == reason


@pytest.mark.parametrize("said", [f"unable to find user hunter2: {SAID}", f"exec failed: {SAID}"])
def test_a_container_that_does_not_start_quotes_the_engine(said: str) -> None:
    class Response:
        status_code = 400

    class Api:
        def start(self, _: str) -> None:
            raise APIError("refused", response=Response(), explanation=said)

    container = DockerBuildContainer(cast("DockerClient", None), "c0ffee", None)
    with pytest.raises(BaseImageUnusable) as raised:
        container._start(cast("docker.APIClient", Api()))
    assert raised.value.quotes == (said,)
    assert said in str(raised.value)


@pytest.mark.parametrize("error", [AuthenticationError(SAID), NoPermissionError(SAID)])
def test_an_error_in_our_own_words_says_that_it_quotes_nothing(error: Exception) -> None:
    with pytest.raises(StoreError) as raised:
        _redis(error)()
    assert raised.value.quotes == ()
    assert SAID not in str(raised.value)


def test_what_an_error_quotes_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(EngineError("It said no.", quotes=["no"])))
    assert error.quotes == ("no",)
