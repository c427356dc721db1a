"""What others may see of a task's arguments: names and numbers."""

from __future__ import annotations

from typing import Any, Final

from celery.worker.request import Request

_HIDDEN: Final = "(hidden)"


class PrivateRequest(Request):
    """A request that shows nothing but names and numbers: in events, so in Flower, and by remote control.

    Celery's own way, a `kwargsrepr` of the sender, would not do. A caller that knows nothing of us (a bare
    `send_task`) sends a representation of settings and bundle URL along, which is dropped here; `Task.retry` forgets
    a `kwargsrepr` (https://github.com/celery/celery/issues/6086); and remote control shows the arguments themselves.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's own signature
        super().__init__(*args, **kwargs)
        self._argsrepr = _HIDDEN if self.args else "()"
        ids = ids_in(self.kwargs)
        self._kwargsrepr = repr(ids) if ids else _HIDDEN

    def info(self, safe: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Celery's own signature
        """What remote control shows of this task."""
        return {**super().info(safe=safe), "args": self._argsrepr, "kwargs": self._kwargsrepr}


def ids_in(kwargs: object) -> dict[str, str | int]:
    """What names the work of a task, if its arguments are those of a task that has no others, else nothing.

    In a deploy nothing has been checked yet: what it calls an app may be a bundle URL.
    """
    match kwargs:
        case {"app": str(app), "version": int(version), **others} if not others:
            return {"app": app, "version": version}
        case {"image": str(image), "update": int(update), **others} if not others:
            return {"image": image, "update": update}
        case {"image": str(image), "update": int(update), "apps": [[str(app), *_]], **others} if not others:
            return {"app": app, "image": image, "update": update}
        case {"image": str(image), "update": int(update), "apps": [*apps], **others} if not others:
            return {"apps": len(apps), "image": image, "update": update}
    return {}
