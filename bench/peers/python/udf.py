"""The same reduce UDF on pynumaflow: `async` gathers aiohttp calls at close of book, as numaflow-python's example
`asyncio_reduce` does; the pools are those of concurrent.futures, with requests. One session for each process, or with
CONNECTIONS=per-call a connection for each call of a pool, as a plain `requests.get` has it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import aiohttp
import requests
from pynumaflow.reducer import Datum, Message, Messages, Metadata, ReduceAsyncServer

STRATEGY = os.environ.get("STRATEGY", "async")
WORKERS = int(os.environ.get("MAX_WORKERS", "100"))
URL = os.environ.get("ENDPOINT_URL", "http://127.0.0.1:9888") + "/ping"
PARAMS = {"delay": os.environ.get("IO_DELAY", "0")}
TIMEOUT_S = 30

aiohttp_session: aiohttp.ClientSession | None = None
requests_session = None
pool: Executor | None = None


def open_session() -> None:
    """Once in every process that calls with requests; the connections are shared by its threads."""
    global requests_session
    if os.environ.get("CONNECTIONS") == "per-call":
        requests_session = requests
        return
    requests_session = requests.Session()
    requests_session.trust_env = False
    requests_session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=WORKERS))


def idempotency_key(payload: bytes) -> str:
    event = json.loads(payload)
    return f"{event['generator']}-{event['index']}"


def call_blocking(payload: bytes) -> bool:
    headers = {"idempotency-key": idempotency_key(payload)}
    try:
        return requests_session.get(URL, params=PARAMS, headers=headers, timeout=TIMEOUT_S).ok
    except requests.RequestException:
        return False


async def call(payload: bytes) -> bool:
    headers = {"idempotency-key": idempotency_key(payload)}
    try:
        async with aiohttp_session.get(URL, params=PARAMS, headers=headers) as answer:
            await answer.read()
            return answer.ok
    except (aiohttp.ClientError, asyncio.TimeoutError):
        return False


def begin(payload: bytes):
    if pool is None:
        return call(payload)
    return asyncio.get_running_loop().run_in_executor(pool, call_blocking, payload)


async def reduce_handler(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    global aiohttp_session
    if STRATEGY == "async" and aiohttp_session is None:
        # Within the loop that it belongs to.
        connector = aiohttp.TCPConnector(limit=WORKERS)
        aiohttp_session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
    outcomes = Counter(await asyncio.gather(*[begin(datum.value) async for datum in datums]))
    result = {"events": outcomes.total(), "ok": outcomes[True]}
    return Messages(Message(json.dumps(result).encode(), keys=keys))


if __name__ == "__main__":
    if STRATEGY == "thread-pool":
        open_session()
        pool = ThreadPoolExecutor(WORKERS)
    elif STRATEGY == "process-pool":
        pool = ProcessPoolExecutor(WORKERS, initializer=open_session)
        # All processes are there before gRPC starts its threads, which a fork must not meet.
        list(pool.map(abs, range(WORKERS)))
    ReduceAsyncServer(
        reduce_handler, sock_path=os.environ["SOCKET"], server_info_file=os.environ["SERVER_INFO"]
    ).start()
