"""The fault harness: real processes on one database, a fault, and a count of what became of every task. `python -m tests.faults NAME…`."""
