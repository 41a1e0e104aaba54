"""Names, values and words that would like to be markup, in every field that a page shows."""

from __future__ import annotations

import json

from flower.database.pool import Connection

CORPUS = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    '"><svg onload=window.hacked=1>',
    "' onmouseover='window.hacked=1",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }}{% raw %}",
    "</textarea></pre></title><iframe srcdoc='<script>parent.hacked=1</script>'>",
    "\u202e<b>\u0007\u2028",
    "&lt;script&gt;&#60;img src=x&#62;",
    "<!--<script>",
]
FLOW = CORPUS[1]


async def hostile(connection: Connection) -> None:
    """Write a workflow, a flow with a task per text, and all that can stand beside it."""
    evil = json.dumps({text: text for text in CORPUS} | {"list": CORPUS})
    async with connection.transaction():
        for number, text in enumerate(CORPUS, 1):
            await connection.execute(
                "INSERT INTO ms_task_definition (task_id, task_seq, program, name, parameters, limits, place) VALUES ($1, $2, $3, $4::text, $5, $6, $4::text)",
                CORPUS[0], number, f"{number}{text}", f"{text} {number}", evil, [text],
            )  # fmt: skip
            error = json.dumps(dict.fromkeys(("type", "message", "where", "traceback", "program", text), text))
            await connection.execute(
                """INSERT INTO kr_task_stat (task_flow_id, task_exec_seq, depends_task_exec_seq, task_id, task_seq, exec_status, parameters, name, program,
                       outcome, result, error, notice, attempt, registered_ts, started_ts, suspended_ts, fingerprint, worker_id)
                   VALUES ($1, $2, -1, $3, $2, 2, $4, $5::text, $6, 'failed', $7, $8, $8, 2, now(), now(), now(), left(md5($5::text), 12), gen_random_uuid())""",
                FLOW, number, CORPUS[0], evil, text, text, json.dumps(text), error,
            )  # fmt: skip
            await connection.execute(
                """INSERT INTO kr_task_attempt (task_flow_id, task_exec_seq, attempt, exec_status, outcome, started_ts, result, error)
                   VALUES ($1, $2, 1, 0, $3::text, now(), to_jsonb($3::text), $4)""",
                FLOW, number, text, error,
            )  # fmt: skip
            await connection.execute(
                """INSERT INTO kr_task_log (task_flow_id, task_exec_seq, attempt, said_ts, level, source, message) VALUES ($1, $2, 1, now(), $3, $3, $3)""",
                FLOW, number, text,
            )  # fmt: skip
            await connection.execute("INSERT INTO kr_audit (verb, task_flow_id, task_exec_seq, who, reason) VALUES ($2, $1, 1, $2, $2)", FLOW, text)
            await connection.execute(
                """INSERT INTO kr_worker (worker_id, host, pid, version, slots, programs, lease_until)
                   VALUES (gen_random_uuid(), $1, 1, $1, 1, ARRAY[$1], now() + interval '1 h')""",
                text,
            )
            await connection.execute("INSERT INTO ms_limit (name, slots) VALUES (replace($1, '*', ''), 1)", text)
            await connection.execute(
                "INSERT INTO ms_pause (kind, task_id, reason, who) SELECT k, $1::text, $1::text, $1::text FROM unnest('{program,limit}'::text[]) k",
                text,
            )
            await connection.execute(
                """INSERT INTO ms_schedule (name, task_id, cron, zone, parameters, paused, reason, error, passed_ts, passed_why)
                   VALUES ($1::text, $2, $1::text, $1::text, $3, $4, $1::text, CASE WHEN $4 THEN NULL ELSE $1::text END, now(), $1::text)""",
                text, CORPUS[0], evil, number % 2 == 0,
            )  # fmt: skip
        await connection.execute("INSERT INTO ms_pause (task_id, reason) VALUES ($1, $2)", FLOW, CORPUS[0])
    await connection.execute(
        "INSERT INTO ms_workflow (task_id, takes) VALUES ($1, $2) ON CONFLICT (task_id) DO UPDATE SET takes = excluded.takes",
        CORPUS[0], json.dumps({text: {"schema": {"type": "string", "description": text, "enum": [text]}, "default": text} for text in CORPUS}),
    )  # fmt: skip
