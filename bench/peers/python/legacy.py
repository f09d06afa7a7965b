"""A reduce UDF on pynumaflow that makes calls of an ordinary function in a pool of processes, as numaflow-python's example
does: the peer of a worker of ours in Python."""

import asyncio
import json
import os
from collections.abc import AsyncIterable
from concurrent.futures import ProcessPoolExecutor

from no_time import score
from pynumaflow.reducer import Datum, Message, Messages, Metadata, ReduceAsyncServer

WORKERS = int(os.environ["MAX_WORKERS"])


def call(payload: bytes) -> float:
    return score(json.loads(payload))


async def reduce_handler(keys: list[str], datums: AsyncIterable[Datum], md: Metadata) -> Messages:
    loop = asyncio.get_running_loop()
    scores = await asyncio.gather(*[loop.run_in_executor(pool, call, datum.value) async for datum in datums])
    result = {"events": len(scores), "ok": len(scores)}
    return Messages(Message(json.dumps(result).encode(), keys=keys))


if __name__ == "__main__":
    pool = ProcessPoolExecutor(WORKERS)
    # All processes are there before gRPC starts its threads, which a fork must not meet.
    list(pool.map(abs, range(WORKERS)))
    ReduceAsyncServer(
        reduce_handler, sock_path=os.environ["SOCKET"], server_info_file=os.environ["SERVER_INFO"]
    ).start()
