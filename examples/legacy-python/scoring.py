"""Scoring as it was before there was a UDF: one blocking call at a time, and a line on standard output for each."""

import time


def score(payment: dict) -> float:
    if payment["amount"] < 0:
        raise ValueError("a payment is not negative")
    # Stands for a request by a blocking client.
    time.sleep(0.02)
    print("scored", payment["user"])
    return payment["amount"] / 10
