"""Measures Flower on this machine: `python -m bench`. Knows what is measured and how; budgets stand in one table, budgets.py."""
