"""A backend that has only Celery: reads calls as JSON from stdin, makes them, prints the answers as JSON.

Input: `{"url": ..., "events": bool, "calls": [{"task": ..., "args"?, "kwargs"?, "task_id"?, "wait"?}]}`.
Output, a list: `{"id": ..., "result": ...}` or `{"id": ..., "error": CLASS, "text": ...}` for each call, but for those
with `"wait": false`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

sys.modules["galaxy"] = None  # type: ignore[assignment] # as if it were not installed

from celery import Celery  # noqa: E402 - nothing of Celery may have found galaxy before

_TIMEOUT_S = 30


def main() -> None:
    asked = json.load(sys.stdin)
    client = Celery(broker=asked["url"], backend=asked["url"])
    client.conf.task_send_sent_event = asked["events"]
    sent = []
    for call in asked["calls"]:
        result = client.send_task(
            call["task"], call.get("args"), call.get("kwargs"), task_id=call.get("task_id")
        )
        if call.get("wait", True):
            sent.append(result)
    json.dump([_answer(result) for result in sent], sys.stdout)


def _answer(result: Any) -> dict[str, Any]:  # noqa: ANN401 - Celery's AsyncResult is generic in its stubs only
    try:
        return {"id": result.id, "result": result.get(timeout=_TIMEOUT_S)}
    except Exception as error:  # noqa: BLE001 - whatever the caller gets is the answer
        return {"id": result.id, "error": type(error).__name__, "text": str(error)}


if __name__ == "__main__":
    main()
