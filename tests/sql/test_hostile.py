"""What a hand may write, and a stranger may try, without stopping the engine or reaching what is not his."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from flower.database.pool import Connection
from tests.sql.engine import Engine, seqs

ROW = "INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, program, {0}) VALUES {1}"


async def test_a_role_without_rights_cannot_hang_our_trigger_functions_on_a_table_of_its_own(connection: Connection) -> None:
    role = f"flower_stranger_{uuid4().hex[:8]}"
    await connection.execute(f"CREATE ROLE {role}")
    try:
        await connection.execute(f"SET ROLE {role}; CREATE TEMPORARY TABLE mine (x integer)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TRIGGER a AFTER TRUNCATE ON mine EXECUTE FUNCTION public.kr_tasks_truncated()")
    finally:
        await connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_counters_at_their_greatest_number_stop_nothing(engine: Engine, connection: Connection) -> None:
    await connection.execute(ROW.format("attempt, tries", "('f', 1, -1, 'w', 1, 0, '{}', 'Ok', 2147483647, 2147483647)"))
    worker = uuid4()
    await connection.execute(ROW.format("crashes, worker_id, claim_id", "('f', 2, -1, 'w', 1, 1, '{}', 'Ok', 2147483647, $1, $1)"), worker)

    assert seqs(await engine.claim()) == [1]
    assert await connection.fetchval("SELECT poisoned FROM kr_sweep()") == 1


async def test_limits_of_several_dimensions_count_like_a_plain_list(engine: Engine, connection: Connection) -> None:
    rows = [f"('f', {n}, -1, 'w', 1, 0, '{{}}', 'Ok', '{limits}')" for n, limits in enumerate(["{a}", "{{a,b,c},{c,d,e}}", "{b}"], start=1)]
    await connection.execute(ROW.format("limits", ", ".join(rows)))

    assert sorted(seqs(await engine.claim())) == [1, 2, 3]
