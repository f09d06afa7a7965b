"""A reduce UDF on pynumaflow, as numaflow-python's example `asyncio_reduce` is written: it collects coroutines and
gathers them at close of book. It emits the experiment's record, so that its events are counted by number."""

import asyncio
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterable

import aiohttp
from pynumaflow.reducer import Datum, Message, Messages, Metadata, ReduceAsyncServer

URL = os.environ["ENDPOINT_URL"] + "/ping"
DELAY = os.environ.get("IO_DELAY", "0")
WORKERS = int(os.environ.get("MAX_WORKERS", "1000"))


def now_us() -> int:
    return time.time_ns() // 1000


async def call(session: aiohttp.ClientSession, event: dict) -> str:
    key = f"{event['generator']}-{event['index']}"
    try:
        async with session.get(URL, params={"delay": DELAY}, headers={"idempotency-key": key}) as answer:
            await answer.read()
            return "ok" if answer.status == 200 else "bad-status"
    except asyncio.TimeoutError:
        return "timeout"
    except aiohttp.ClientPayloadError:
        return "bad-body"
    except aiohttp.ClientConnectorError:
        return "no-connection"
    except aiohttp.ClientError:
        return "broken"


def ranges(numbers: list[int]) -> str:
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in parts)


async def reduce_handler(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    seen, first, last = defaultdict(list), None, 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WORKERS)) as session:
        coroutines = []
        async for datum in datums:
            last = now_us()
            first = first or last
            event = json.loads(datum.value)
            seen[str(event["generator"])].append(event["number"])
            coroutines.append(call(session, event))
        close = now_us()
        outcomes = Counter(await asyncio.gather(*coroutines))
    record = {
        "process": os.getpid(),
        "window_start_ms": int(md.interval_window.start.timestamp() * 1000),
        "window_end_ms": int(md.interval_window.end.timestamp() * 1000),
        "keys": keys,
        "settings": {
            "strategy": "async",
            "start_rule": "at-close",
            "workload": "http",
            "max_workers": WORKERS,
            "io_delay": DELAY,
            "timeout": "5m",
            "retries": 0,
            "cpu_offload": False,
        },
        "events": len(coroutines),
        "outcomes": dict(outcomes),
        "attempts": len(coroutines),
        "seen": {generator: ranges(numbers) for generator, numbers in seen.items()},
        "repeated": sum(len(numbers) - len(set(numbers)) for numbers in seen.values()),
        "first_arrival_us": first or close,
        "last_arrival_us": last or close,
        "close_us": close,
        "result_us": now_us(),
    }
    return Messages(Message(json.dumps(record).encode(), keys=keys))


if __name__ == "__main__":
    ReduceAsyncServer(
        reduce_handler, sock_path=os.environ["SOCKET"], server_info_file=os.environ["SERVER_INFO"]
    ).start()
