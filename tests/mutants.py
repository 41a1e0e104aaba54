"""`python -m tests.mutants [NAME…]`: take one guard away at a time, in a copy, and see that a test turns red. A guard that no test misses is not guarded."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Mutant:
    """Where *guard* stands in *file*, *without* stands instead. *tests*: those that should see it, the quickest first."""

    what: str
    file: str
    guard: str
    without: str
    tests: tuple[str, ...]


MUTANTS = {
    "claim": Mutant(
        "the claim id in the record statement",
        "sql/functions/kr_record.sql",
        "t.exec_status + 0 = 1 AND t.claim_id = g.c",
        "t.exec_status + 0 = 1",
        ("tests/sql/test_cycle.py",),
    ),
    "reclaim": Mutant(
        "the status guard in reclaim",
        "sql/functions/kr_sweep.sql",
        "WHERE t.exec_status = 1 AND (t.worker_id IS NULL OR",
        "WHERE (t.worker_id IS NULL OR",
        ("tests/sql",),
    ),
    "scan": Mutant(
        "the look after LISTEN",
        "flower/database/listener.py",
        "        for channel in self._channels:\n            self._on_notify(channel)\n",
        "",
        ("tests/database/test_listener.py",),
    ),
    "downstream": Mutant(
        "what follows a task that runs again",
        "sql/functions/flower_rerun.sql",
        "    IF NOT options ? 'only' THEN\n        again := kr_with_what_follows(flow, again);\n    END IF;\n",
        "",
        ("tests/sql/test_verbs.py", "tests/faults/test_verbs.py"),
    ),
    "door": Mutant(
        "that whoever comes to wait for a signal rings its door",
        "sql/functions/kr_signals.sql",
        "        SELECT DISTINCT 'signal', t.waits_for FROM unnest(flows, seqs) k (f, s)",
        "        SELECT DISTINCT 'signal', t.waits_for FROM unnest('{}'::text[], '{}'::numeric[]) k (f, s)",
        ("tests/sql/test_signals.py",),
    ),
    "signal": Mutant(
        "that a kept signal goes to one step only",
        "sql/functions/kr_signals.sql",
        "CASE signal.stage WHEN 'kept' THEN 1 ELSE most END",
        "most",
        ("tests/sql/test_signals.py",),
    ),
    "recount": Mutant(
        "the recount of those whose parent could not be locked",
        "sql/functions/kr_settle.sql",
        "FROM looked l WHERE l.again)",
        "FROM looked l WHERE false)",
        ("tests/sql/test_gates.py", "tests/sql/test_storm.py"),
    ),
    "locked": Mutant(
        "the recount of those that could not be locked themselves",
        "sql/functions/kr_settle.sql",
        "IF cardinality(flows) > coalesce(cardinality(rows_), 0) THEN",
        "IF false THEN",
        ("tests/sql/test_cycle.py",),
    ),
    "reconcile": Mutant(
        "the reconcile loop",
        "flower/engine/accounts.py",
        "            if self._are_in_doubt:\n",
        "            if False:\n",
        ("tests/engine/test_faults.py",),
    ),
    "quiet": Mutant(
        "the wait for the other lane before the claims are compared",
        "flower/engine/accounts.py",
        "                await self._quiet.wait()\n",
        "",
        ("tests/engine/test_dispatcher.py",),
    ),
    "suspects": Mutant(
        "the lock that keeps two lanes from taking a suspect each",
        "sql/functions/kr_claim.sql",
        " AND pg_try_advisory_xact_lock(hashtextextended(worker::text, 0))",
        "",
        ("tests/sql/test_cycle.py",),
    ),
    "paused": Mutant(
        "the look at paused programs in the claim: a task of theirs may stand at its slot for a moment longer",
        "sql/functions/kr_claim.sql",
        " WHERE NOT EXISTS (SELECT FROM ms_pause p WHERE p.door = 'program:' || m AND p.kind = 'program')",
        "",
        ("tests/sql/test_pauses.py",),
    ),
    "parents": Mutant(
        "the look at the parents in the claim",
        "sql/functions/kr_claim.sql",
        "AND (t.depends_task_exec_seq < 0 OR NOT EXISTS (",
        "AND (true OR NOT EXISTS (",
        ("tests/sql/test_verbs.py",),
    ),
    "attempt": Mutant(
        "the attempt that is kept when a person sets a failed task aside",
        "sql/functions/triggers.sql",
        "old_.exec_status IN (1, 2)",
        "old_.exec_status IN (1)",
        ("tests/sql/test_verbs.py",),
    ),
    "revise": Mutant(
        "the lock of a workflow while it is worked out",
        "sql/functions/kr_revise.sql",
        "WHERE w.task_id = workflow FOR UPDATE;\n    DELETE FROM kr_changed_workflow",
        "WHERE w.task_id = workflow;\n    DELETE FROM kr_changed_workflow",
        ("tests/sql/test_workflows.py",),
    ),
}


@contextmanager
def _copy() -> Iterator[Path]:
    """Lend a copy of the checkout from which tests run, whatever is installed."""
    with tempfile.TemporaryDirectory(prefix="flower-mutant-") as name:
        home = Path(name) / "main"
        # As root the server runs as somebody else, who has to pass through.
        Path(name).chmod(0o711)
        ignored = shutil.ignore_patterns("__pycache__", ".*", "results", "build")
        shutil.copytree(ROOT, home, ignore=ignored)
        yield home


def _is_green(home: Path, tests: tuple[str, ...]) -> tuple[bool, str]:
    """Return whether *tests* pass in *home*, and the first that does not."""
    command = [sys.executable, "-m", "pytest", "--exitfirst", "--quiet", "--no-header", "-p", "no:cacheprovider", *tests]
    environ = {**os.environ, "PYTHONPATH": str(home)}
    told = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=_SECONDS)
    failed = [line for line in told.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return told.returncode == 0, failed[0].partition(" - ")[0] if failed else told.stdout[-300:] + told.stderr[-300:]


def _survives(mutant: Mutant) -> bool:
    with _copy() as home:
        is_green, failed = _is_green(home, mutant.tests)
        if not is_green:
            print(f"red already with it: {failed}", flush=True)
            return True
        file = home / mutant.file
        text = file.read_text(encoding="utf-8")
        if text.count(mutant.guard) != 1:
            print(f"{mutant.file} has {text.count(mutant.guard)} places like {mutant.guard!r}", flush=True)
            return True
        file.write_text(text.replace(mutant.guard, mutant.without), encoding="utf-8")
        is_green, failed = _is_green(home, mutant.tests)
        print("no test missed it" if is_green else failed, flush=True)
        return is_green


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(MUTANTS)}")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in MUTANTS]
    if unknown:
        parser.error(f"there is no mutant {', '.join(unknown)}; there are {', '.join(MUTANTS)}")
    survivors = []
    for name in asked.names or MUTANTS:
        print(f"without {MUTANTS[name].what}: ", end="", flush=True)
        if _survives(MUTANTS[name]):
            survivors.append(name)
    sys.exit(f"guards that no test misses: {', '.join(survivors)}" if survivors else 0)


if __name__ == "__main__":
    main()
