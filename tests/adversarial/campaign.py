"""Random problems, one after another, against the oracle; what came out is kept line by line, so that it goes on.

``python -m tests.adversarial.campaign --cases 1000 --out results.jsonl`` runs those of the first 1,000 seeds that the
file does not have yet. ``--only SEED`` runs one and prints its program.
"""

import argparse
import collections
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from tests.adversarial.grammar import draw
from tests.adversarial.trial import Verdict, describe, judge


def run(seed: int) -> tuple[str, Verdict]:
    """One case: its description for whom it fails, and how it ended."""
    case = draw(seed)
    with tempfile.TemporaryDirectory() as folder:
        verdict = judge(case, Path(folder))
    return describe(case, verdict), verdict


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--cases", type=int, default=1000)
    asked.add_argument("--first", type=int, default=0)
    asked.add_argument("--out", type=Path, default=Path("adversarial.jsonl"))
    asked.add_argument("--only", type=int)
    given = asked.parse_args()
    torch.set_num_threads(1)
    if given.only is not None:
        text, verdict = run(given.only)
        print(text, "\n", verdict)
        return
    known = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {row["seed"] for row in known}
    with given.out.open("a") as file:
        for seed in range(given.first, given.first + given.cases):
            if seed in done:
                continue
            text, verdict = run(seed)
            case = draw(seed)
            row = {"seed": seed, "how": case.how, "ingredients": case.ingredients, "refused": case.refused,
                   "options": case.options, **asdict(verdict), "at": time.time()}  # fmt: skip
            row.pop("said")
            file.write(json.dumps(row) + "\n")
            file.flush()
            known.append(row)
            if verdict.is_fault:
                print(text, flush=True)
    print(summary(known))


def summary(rows: list[dict]) -> str:
    """How many ended how."""
    outcomes = collections.Counter(row["outcome"] for row in rows)
    refused = collections.Counter(row["kind"] for row in rows if row["outcome"] == "refused")
    values = sum(row["values"] for row in rows)
    ratio = max((row["ratio"] for row in rows if row["outcome"] == "ok"), default=0.0)
    seconds = sum(row["seconds"] for row in rows)
    return "\n".join([
        f"{len(rows)} cases in {seconds:.0f} s, {values} values: {dict(outcomes)}",
        f"refused: {dict(refused)}", f"largest difference: {ratio:.2g} times what float32 differs by",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
