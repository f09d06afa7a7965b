"""The program of examples/score on pynumaflow: aiohttp calls gathered at close of book, as numaflow-python's example
`asyncio_reduce` does, at most MAX_WORKERS at once."""

import asyncio
import json
import os
from collections.abc import AsyncIterable

import aiohttp
from pynumaflow.reducer import Datum, Message, Messages, Metadata, ReduceAsyncServer

URL = os.environ["SCORE_URL"]
HEADERS = {"authorization": f"Bearer {os.environ['SCORE_TOKEN']}"}
WORKERS = int(os.environ["MAX_WORKERS"])
TIMEOUT_S = 30

session: aiohttp.ClientSession | None = None


async def score(payload: bytes) -> float | None:
    try:
        payment = json.loads(payload)
        body = {"user": payment["user"], "amount": payment["amount"]}
        async with session.post(URL, json=body, headers=HEADERS, raise_for_status=True) as answer:
            return (await answer.json())["score"]
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, KeyError):
        return None


async def reduce_handler(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    global session
    if session is None:
        # Within the loop that it belongs to.
        connector = aiohttp.TCPConnector(limit=WORKERS)
        session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
    answers = await asyncio.gather(*[score(datum.value) async for datum in datums])
    scores = [answer for answer in answers if answer is not None]
    result = {
        "mean": sum(scores) / len(scores) if scores else 0,
        "scored": len(scores),
        "failed": len(answers) - len(scores),
    }
    return Messages(Message(json.dumps(result).encode(), keys=keys))


if __name__ == "__main__":
    ReduceAsyncServer(
        reduce_handler, sock_path=os.environ["SOCKET"], server_info_file=os.environ["SERVER_INFO"]
    ).start()
