"""A function as it was before there was a UDF: it knows nothing of events, windows or frames."""

import time

print("legacy: ready")


def score(payment: dict) -> float:
    print("scoring", payment["user"])
    time.sleep(payment.get("slow", 0))
    return payment["amount"] / 10
