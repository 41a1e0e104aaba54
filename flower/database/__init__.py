"""PostgreSQL: connections, the embedded server, migrations, and one store method per query file."""
