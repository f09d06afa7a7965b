"""Compares the counts of two journals of the same plan; exits with 1 where they differ."""

import json
import sys


def counts(path: str) -> list[dict]:
    with open(path) as journal:
        trials = [json.loads(line) for line in journal]
    found = []
    for trial in (line for line in trials if line["line"] == "trial"):
        windows = [window["measured"] for window in trial["windows"] if not window["warmup"]]
        found.append(
            {
                "id": trial["trial"]["id"],
                "end": trial["end"]["how"],
                "windows": [
                    {name: window[name] for name in ("keys", "events", "ok", "failed")} if window else None
                    for window in windows
                ],
                "errors": trial["ledger"]["errors"],
                "lost": trial["ledger"]["lost"],
                "late": trial["ledger"]["late"],
                "repeated": trial["ledger"]["repeated"],
            }
        )
    return found


rust, python = (counts(path) for path in sys.argv[1:3])
wanted = {"keys": 3, "events": 200, "ok": 200, "failed": 0}
passed = (
    rust == python
    and len(rust) == 1
    and rust[0]["end"] == "completed"
    and rust[0]["windows"] == [wanted] * 2
    and (rust[0]["errors"], rust[0]["lost"], rust[0]["late"], rust[0]["repeated"]) == ([], 0, 0, 0)
)
if not passed:
    print("counts differ, or are not what was sent:", json.dumps(rust), json.dumps(python), sep="\n", file=sys.stderr)
print(f"{int(passed)} passed, {int(not passed)} failed")
sys.exit(0 if passed else 1)
