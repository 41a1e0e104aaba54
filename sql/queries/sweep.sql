-- Give up lost workers and take back what nobody holds. See functions/kr_sweep.sql.
SELECT lost, taken_back, poisoned FROM kr_sweep()
