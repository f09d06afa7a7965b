"""A function that takes no time: what is left of its row is what a pool of processes costs."""


def score(payment: dict) -> float:
    return payment["amount"] / 10
