"""Calls of the function on payments in memory, as JSON in and out, in as many processes as the first argument says and for
as many seconds as the second: an upper bound for its calls by any pool. Prints calls per second."""

import json
import sys
import time
from multiprocessing import Pool

from no_time import score

PAYMENT = json.dumps({"user": "u" + "0" * 171, "amount": 12.5}, separators=(",", ":")).encode()


def loop(seconds: float) -> float:
    calls, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(100):
            json.dumps({"ok": score(json.loads(PAYMENT))}).encode()
        calls += 100
    return calls / took


if __name__ == "__main__":
    processes, seconds = int(sys.argv[1]), float(sys.argv[2])
    with Pool(processes) as pool:
        print(sum(pool.map(loop, [seconds] * processes, chunksize=1)), flush=True)
