"""What others write in one attempt, on its way to the log: secrets are hidden and the size is bounded.

The build stage and the log's writer use this façade; how secrets are found and what is kept is its own business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from galaxy.domain.errors import GalaxyError, InfrastructureError
from galaxy.domain.output.budget import BoundedOutput
from galaxy.domain.output.public_values import is_public
from galaxy.domain.output.quotations import redact_quotations
from galaxy.domain.output.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from galaxy.domain.log import Stream
    from galaxy.domain.output.budget import Ending
    from galaxy.domain.output.lines import Lines


class AttemptOutput:
    """Turns what a build container prints into lines for the log, and makes quoted texts fit to be shown.

    `[redacted]` takes the place of the bundle URL and of every value in `env` that is not public (see `is_public`), in
    all the forms in which programs print them, and of what gives access within URLs.

    Attributes:
        max_bytes: How much output is kept: all of it below, its beginning and its end above.

    Args:
        app: The app's name, which is never hidden.
        bundle_url: Hidden always, its login, its query and the long parts of its path too.
        env: Values of the settings' `env`, by name.
        max_bytes: As above, of both streams together.
    """

    def __init__(
        self, *, app: str, bundle_url: SecretStr, env: Mapping[str, SecretStr], max_bytes: int
    ) -> None:
        url = bundle_url.get_secret_value()
        values = {name: value.get_secret_value() for name, value in env.items()}
        secrets = [value for name, value in values.items() if not is_public(name, value, app)]
        self.max_bytes = max_bytes
        self._redactor = Redactor([url, *secrets], shown=[app])
        self._url_redactor = Redactor([url], whole=True)
        self._output = BoundedOutput(self._redactor, max_bytes)

    def feed(self, stream: Stream, chunk: bytes) -> list[Lines]:
        """Takes the next bytes that were printed, cut anywhere; gives the lines that are ready."""
        return self._output.feed(stream, chunk)

    def end(self) -> Ending:
        """Ends the output of both streams and gives the rest of it, lines without an end among it."""
        return self._output.end()

    def redact(self, foreign: str) -> str:
        """Hides secrets in a text that others wrote, so that a sentence of ours can quote it."""
        return self._redactor.redact_text(foreign)

    def reason(self, error: Exception) -> str:
        """What an error says, with secrets hidden in those parts of its message that others wrote.

        What operators should do about it is left out: people who deploy read this.
        An error that is none of ours is foreign as a whole, but for the name of its class.
        """
        if not isinstance(error, GalaxyError):
            return f"Unexpected {type(error).__name__}: {self.redact(str(error))}"
        said = error.message if isinstance(error, InfrastructureError) else str(error)
        if error.quotes is None:
            return self.redact(said)
        return self.own(redact_quotations(said, error.quotes, self.redact))

    def own(self, sentence: str) -> str:
        """A sentence of our own as it stands. Only a bundle URL would be hidden that is in it by mistake."""
        return self._url_redactor.redact_text(sentence)
