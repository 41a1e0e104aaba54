-- The queue of a limit has a part for each list of limits: where one of these has to wait for another of its limits, those behind it are found without passing it.

-- Which part of the queue of a limit a task stands in that has several: 0 for all that have none but this one. Limits on flows do not count, and have one part only.
-- Nothing but what PostgreSQL has is called: the index is made where nothing else is there yet.
CREATE FUNCTION kr_limit_set(limits text[], waits_for text) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    own text[] := '{}';
    one text;
BEGIN
    IF starts_with(waits_for, 'unique:') OR starts_with(waits_for, 'workflow:') THEN
        RETURN 0;
    END IF;
    FOREACH one IN ARRAY limits LOOP
        IF NOT starts_with(one, 'unique:') AND NOT starts_with(one, 'workflow:') AND one <> ALL (own) THEN
            own := own || one;
        END IF;
    END LOOP;
    RETURN CASE WHEN cardinality(own) > 1 THEN hash_array(own) & 2147483647 | 1 ELSE 0 END;
END $$;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX kr_task_queue;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_queue ON kr_task_stat (
    waits_for COLLATE "C", (CASE WHEN cardinality(limits) > 1 THEN kr_limit_set(limits, waits_for) ELSE 0 END), run_order, rank, task_exec_seq, task_flow_id)
    WHERE exec_status = 0 AND gate = 'limit';

-- The first of all parts together: of very many parts not all are looked at.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_queue_heads ON kr_task_stat (waits_for COLLATE "C", run_order, rank, task_exec_seq, task_flow_id)
    WHERE exec_status = 0 AND gate = 'limit' AND cardinality(limits) > 1;

-- rang: keys of patterns that were looked at though it was not their turn, because those whose turn it was may have to wait for another limit.
-- And of a limit: also: keys of patterns (until now the patterns) where some wait for their turn and need this limit, too, which was full; fifty at most.
ALTER TYPE kr_admission ADD ATTRIBUTE rang text[];

-- Who is inside a limit, in no order: read as a whole at each turn. In that of the flows, what has ended would fill page after page until a vacuum; like
-- this all comes and goes in the same few, and whoever needs room in one clears it.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX kr_task_inside;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX kr_task_inside ON kr_task_stat ((hashtext(task_flow_id) # hash_numeric(task_exec_seq)))
    WHERE limits IS NOT NULL AND (exec_status = 1 OR (exec_status = 0 AND gate = 'slot'));

-- firsts: where the first of those stands that are inside.
ALTER TYPE kr_inside ADD ATTRIBUTE firsts double precision[];

-- They take something else, and are made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_admit, kr_heads, kr_lock_limits, kr_note_round;
