"""The cycle: claim, run, record, release. And what keeps it alive: lease, heartbeat, watchdog."""
