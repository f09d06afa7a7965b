"""Serves an ordinary function as a worker of async-reduce's process pool. docs/workers.md has the protocol.

    my-udf --strategy process-pool --worker-command 'python3 async_reduce_worker.py legacy:score'

The function gets an event's payload, decoded as JSON, and returns what JSON can express. It may raise CallError; any other
exception is counted as `panic`. What it prints goes to standard error.
"""

import importlib
import json
import os
import signal
import struct
import sys
import time
import traceback

GREETING = b"async-reduce worker 1"


class CallError(Exception):
    """A failure with a kind of its own; `retry` if another attempt may help, after at least `after_ms`."""

    def __init__(self, kind: str, reason: object = "", retry: bool = False, after_ms: int = 0):
        super().__init__(reason)
        self.error = {"kind": kind, "reason": str(reason), "retry": retry, "after_ms": after_ms}


def attempt(call, payload: bytes) -> bytes:
    try:
        event = json.loads(payload)
    except ValueError:
        return failed("bad-input", "the payload is no JSON")
    try:
        answer = call(event)
    except CallError as error:
        return json.dumps({"error": error.error}).encode()
    except Exception as error:
        traceback.print_exc()
        return failed("panic", type(error).__name__)
    try:
        return json.dumps({"ok": answer}, allow_nan=False).encode()
    except (TypeError, ValueError):
        return failed("bad-body", "the answer cannot be written as JSON")


def failed(kind: str, reason: str) -> bytes:
    return json.dumps({"error": {"kind": kind, "reason": reason, "retry": False}}).encode()


def serve(call, events, answers) -> None:
    def write(content: bytes) -> None:
        answers.write(struct.pack("<I", len(content)) + content)
        answers.flush()

    write(GREETING)
    while len(length := events.read(4)) == 4:
        frame = events.read(struct.unpack("<I", length)[0])
        (head,) = struct.unpack_from("<I", frame)
        began = time.perf_counter_ns()
        answer = attempt(call, frame[4 + head :])
        write(struct.pack("<QI", time.perf_counter_ns() - began, 0) + answer)


def main() -> None:
    # Before the function is imported, as that may print: a line between two frames would end this worker.
    events, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # A Ctrl-C reaches every process of the terminal; this one ends with its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.insert(0, os.getcwd())
    module, _, name = sys.argv[1].partition(":")
    serve(getattr(importlib.import_module(module), name), events, answers)


if __name__ == "__main__":
    # The function imports CallError from here, not from a second copy.
    sys.modules["async_reduce_worker"] = sys.modules["__main__"]
    main()
