"""API endpoints: how much of known APIs is learned from traffic to them, and what a record costs."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence

from bench.interface.corpus import Operation, load_documents
from bench.interface.traffic import calls
from bench.report import Result, Target, Value
from isthmus.interface.endpoint import list_endpoints
from isthmus.interface.snapshot import emit_tree
from isthmus.interface.tree import Tree

REQUESTS = 20_000
SEED = 2026
COST_DOCUMENT = "github"
_MIN_SCORE = 0.9


def run(quick: bool) -> Result:
    """Every document's traffic, learned from nothing; then the cost of more and more of it."""
    number = REQUESTS // 10 if quick else REQUESTS
    rows: list[list[Value]] = []
    scores: dict[str, list[float]] = {}
    for folder in ("tuning", "held_out"):
        for name, operations in load_documents(folder).items():
            seen, found, right = score(operations, number)
            precision, recall = right / max(1, found), right / max(1, seen)
            f1 = 2 * precision * recall / max(1e-9, precision + recall)
            scores.setdefault(folder, []).append(f1)
            set_name = "held out" if folder == "held_out" else "tuned on"
            rows.append([f"{name} ({set_name})", seen, found, f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}"])
    held_out = sum(scores["held_out"]) / len(scores["held_out"])
    tuned = sum(scores["tuning"]) / len(scores["tuning"])
    rows.append(["mean of the documents held out", None, None, None, None, f"{held_out:.3f}"])
    rows.append(["mean of the documents tuned on", None, None, None, None, f"{tuned:.3f}"])
    sizes = (1_000, 10_000, 50_000) if quick else (1_000, 100_000, 1_000_000)
    costs, memory, kept = cost(load_documents("held_out")[COST_DOCUMENT], sizes)
    for size, microseconds in costs.items():
        rows.append([f"µs a record, {COST_DOCUMENT}, the last of {size:,}", microseconds, None, None, None, None])
    warm, last = sorted(costs)[-2:]
    return Result(
        case="apis",
        title="API endpoints: learned from traffic to known APIs",
        columns=["document", "asked for", "found", "precision", "recall", "F1"],
        rows=rows,
        targets=[
            Target("1 - F1 over documents held out", 1 - held_out, 1 - _MIN_SCORE),
            Target(f"cost of a record after {last:,}, to after {warm:,}", costs[last] / costs[warm], 1.2, " ×"),
            Target("CPU to learn 50,000 records", 50_000 * costs[last] / 1e6, 1, " s"),
        ],
        notes=[
            f"{number:,} requests for each document, from methods and paths of published OpenAPI documents; popularity "
            "of operations and of values by Zipf's law, 5 % scans, 7.5 % errors",
            "asked for: method and path, variables nameless, that was answered with success at least once; found is "
            "right if it is one of these",
            "values and popularity are made, not recorded: documents say neither. Of the documents held out only the "
            "scores were looked at while the learning was made, never what it got wrong",
            f"after {last:,} records the tree takes {memory / 1e6:.1f} MB of memory and {kept / 1e3:.0f} kB when kept",
        ],
    )


def score(operations: Sequence[Operation], number: int) -> tuple[int, int, int]:
    """How many endpoints were asked for with success, how many were found, and how many of these are right."""
    tree = Tree()
    seen: set[tuple[str, str]] = set()
    for call, operation in calls(operations, number, SEED):
        tree.learn(call)
        if operation is not None and 200 <= call.code < 300:
            seen.add((operation.method, operation.shape))
    found = {(each.method, each.shape) for each in list_endpoints(tree)}
    return len(seen), len(found), len(seen & found)


def cost(operations: Sequence[Operation], sizes: Sequence[int]) -> tuple[dict[int, float], int, int]:
    """CPU in µs of each of the last thousand records (or tenth, if that is more) of so many, all in one tree; memory of
    the tree and size of its snapshot in bytes."""
    found: dict[int, float] = {}
    tree = Tree()
    source = calls(operations, sizes[-1], SEED)
    done = 0
    for size in sizes:
        window = min(size - done, max(1_000, size // 10))
        for _ in range(size - done - window):
            tree.learn(next(source)[0])
        batch = [next(source)[0] for _ in range(window)]
        began = time.process_time()
        for call in batch:
            tree.learn(call)
        found[size] = (time.process_time() - began) / window * 1e6
        done = size
    tracemalloc.start()
    twin = Tree()
    twin.merge(tree)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return found, memory, len(emit_tree(tree))
