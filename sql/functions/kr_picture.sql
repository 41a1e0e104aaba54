-- The picture of a flow: its tasks, folded to what a person can look at (some 150 nodes), and which nodes lead to which.
-- Up to 80 tasks each is a node. Of more, those of one depth and program are one node, a fold, where they are more than eight; the first five of
-- them that are suspended, and the task in focus, stay nodes of their own. Where that is still too much, depths far from the focus become
-- one node before and one after, and if that does not do, each depth becomes one. focus, where wanted is NULL or not there: the first task that went
-- wrong, else that is suspended, else that runs, else the first of all.
-- sort: task, alike, depth, before or after. A row per node, in order of depth and seq. seq: of the task, or the first of a fold, whose size and
-- counts leave out what stands alone. names, of a fold: the first and the last in order of bytes (what both begin with, all do), and those of its first
-- and its last task. parents: keys of nodes; missing: how many edges come from tasks that do not exist, absent: the first of those.
-- No nested loops: without statistics, or with those of a million small flows, a flow seems to have one task, and 10,000 would be paired with each other.
-- Nor merges and sorts where a hash does: 20,000 edges take half as long.
CREATE OR REPLACE FUNCTION kr_picture(flow text, wanted numeric) RETURNS TABLE (key text, sort text, seq numeric, focus numeric, depth integer, program text, size integer,
    waiting integer, running integer, suspended integer, finished integer, ignored integer, faults integer, name text, names text[], status numeric, outcome text,
    attempt integer, parents text[], missing integer, absent numeric)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_nestloop = off SET enable_mergejoin = off SET enable_sort = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    whole CONSTANT integer := 80;       -- tasks that are shown one by one
    few   CONSTANT integer := 8;        -- alike that are, too
    first CONSTANT integer := 5;        -- suspended ones of a fold that are
    most  CONSTANT integer := 150;      -- nodes
    reach CONSTANT integer := 8;        -- depths to either side of the focus, where not all have room: (2 * 8 + 1) * 8 nodes have
BEGIN
    RETURN QUERY
    WITH task AS MATERIALIZED (
        SELECT t.task_exec_seq AS seq, greatest(least(-t.rank::bigint, 1000000), -1000000)::integer AS depth, coalesce(t.program, '')::text COLLATE "C" AS program, coalesce(t.name, t.program, t.task_seq::text)::text COLLATE "C" AS name, t.exec_status AS status,
            t.outcome, t.attempt, t.exec_status = 2 AND coalesce(t.outcome IN ('failed', 'poison', 'invalid'), false) AS is_fault
        FROM kr_task_stat t WHERE t.task_flow_id = flow),
    alike AS MATERIALIZED (
        SELECT t.depth, t.program, count(*)::integer AS size, count(*) FILTER (WHERE t.status = 2)::integer AS suspended, min(t.seq) AS seq FROM task t GROUP BY t.depth, t.program),
    deep AS MATERIALIZED (
        SELECT a.depth, sum(a.size)::integer AS size, sum(a.suspended)::integer AS suspended, min(a.seq) AS seq FROM alike a GROUP BY a.depth),
    focus AS MATERIALIZED (
        SELECT f.seq, f.depth FROM task f WHERE f.seq = coalesce(
            (SELECT t.seq FROM task t WHERE t.seq = wanted),
            (SELECT min(t.seq) FROM task t WHERE t.is_fault),
            (SELECT min(t.seq) FROM task t WHERE t.status = 2),
            (SELECT min(t.seq) FROM task t WHERE t.status = 1),
            (SELECT min(t.seq) FROM task t)) LIMIT 1),
    -- 17 depths that are shown if not all are: the one in focus in the middle, except near either end.
    span AS MATERIALIZED (
        SELECT e.low, e.tasks, e.nodes, (
                SELECT sum(CASE WHEN a.size > few THEN 1 + least(a.suspended, first) ELSE a.size END) FROM alike a WHERE a.depth BETWEEN e.low AND e.low + 2 * reach) AS near
        FROM (
            SELECT greatest(least(f.depth - reach, a.deepest - 2 * reach), a.highest) AS low, a.tasks, a.nodes FROM focus f CROSS JOIN (
                SELECT min(a.depth) AS highest, max(a.depth) AS deepest, sum(a.size) AS tasks, sum(CASE WHEN a.size > few THEN 1 + least(a.suspended, first) ELSE a.size END) AS nodes
                FROM alike a) a) e),
    how AS MATERIALIZED (               -- by: what one fold has in common; all_: of all depths
        SELECT CASE WHEN s.tasks <= whole THEN 'task' WHEN s.nodes <= most OR s.near <= most THEN 'alike' ELSE 'depth' END AS by, s.low, s.low + 2 * reach AS high,
            CASE WHEN s.nodes <= most OR s.near <= most THEN s.nodes <= most
                ELSE (SELECT sum(CASE WHEN d.size > few THEN 1 + least(d.suspended, first) ELSE d.size END) FROM deep d) <= most END AS all_
        FROM span s),
    apart AS MATERIALIZED (             -- what stays out of its fold
        SELECT p.seq FROM (
            SELECT t.seq, row_number() OVER (PARTITION BY t.depth, CASE WHEN h.by = 'alike' THEN t.program END ORDER BY t.seq) AS n
            FROM task t CROSS JOIN how h WHERE t.status = 2 AND (h.all_ OR t.depth BETWEEN h.low AND h.high)) p
        WHERE p.n <= first
        UNION
        SELECT o.seq FROM focus o),
    -- Every task, and what stands for it: its fold, or, where that is NULL, itself.
    node AS MATERIALIZED (
        SELECT f.seq, f.depth, f.program, f.name, f.status, f.outcome, f.attempt, f.is_fault, CASE WHEN a.seq IS NULL THEN f.fold END AS fold FROM (
            SELECT t.*, NULL AS fold FROM task t CROSS JOIN how h WHERE h.by = 'task'
            UNION ALL
            SELECT t.*, CASE WHEN t.depth < h.low THEN 'before' ELSE 'after' END FROM task t CROSS JOIN how h WHERE NOT h.all_ AND (t.depth < h.low OR t.depth > h.high)
            UNION ALL
            -- OFFSET 0: which of the two it is must be asked before the join.
            SELECT t.*, CASE WHEN a.size > few THEN 'fold-' || a.seq END
            FROM (SELECT t.* FROM task t CROSS JOIN how h WHERE h.by = 'alike' AND (h.all_ OR t.depth BETWEEN h.low AND h.high) OFFSET 0) t
                JOIN alike a ON a.depth = t.depth AND a.program = t.program
            UNION ALL
            SELECT t.*, CASE WHEN d.size > few THEN 'fold-' || d.seq END
            FROM (SELECT t.* FROM task t CROSS JOIN how h WHERE h.by = 'depth' AND (h.all_ OR t.depth BETWEEN h.low AND h.high) OFFSET 0) t
                JOIN deep d ON d.depth = t.depth) f
        LEFT JOIN apart a ON a.seq = f.seq),
    arrow AS MATERIALIZED (
        SELECT coalesce(e.child, 'task-' || e.child_seq) AS child,
            array_agg(coalesce(e.parent, 'task-' || e.parent_seq) ORDER BY e.parent, e.parent_seq)
                FILTER (WHERE e.parent IS NOT NULL OR e.parent_seq IS NOT NULL) AS parents,
            sum(e.missing)::integer AS missing, min(e.absent) AS absent
        FROM (
            SELECT c.fold AS child, CASE WHEN c.fold IS NULL THEN c.seq END AS child_seq, p.fold AS parent, CASE WHEN p.fold IS NULL THEN p.seq END AS parent_seq,
                count(*) FILTER (WHERE p.seq IS NULL) AS missing, min(e.parent_seq) FILTER (WHERE p.seq IS NULL) AS absent
            FROM kr_task_edge e JOIN node c ON c.seq = e.task_exec_seq LEFT JOIN node p ON p.seq = e.parent_seq WHERE e.task_flow_id = flow GROUP BY 1, 2, 3, 4) e
        WHERE e.parent IS DISTINCT FROM e.child OR e.parent_seq IS DISTINCT FROM e.child_seq GROUP BY 1),
    shown AS MATERIALIZED (
        SELECT 'task-' || n.seq AS key, NULL AS fold, n.seq, n.depth, n.program, 1 AS size, (n.status = 1)::integer AS running, (n.status = 2)::integer AS suspended,
            (n.status = 3)::integer AS finished, (n.status = 9)::integer AS ignored, n.is_fault::integer AS faults, n.name AS low, n.name AS high, n.seq AS last, n.status, n.outcome, n.attempt
        FROM node n WHERE n.fold IS NULL
        UNION ALL
        SELECT n.fold, n.fold, min(n.seq), min(n.depth), CASE WHEN min(n.program) = max(n.program) THEN min(n.program) END, count(*)::integer, count(*) FILTER (WHERE n.status = 1)::integer,
            count(*) FILTER (WHERE n.status = 2)::integer, count(*) FILTER (WHERE n.status = 3)::integer, count(*) FILTER (WHERE n.status = 9)::integer,
            count(*) FILTER (WHERE n.is_fault)::integer, min(n.name), max(n.name), max(n.seq), NULL, NULL, NULL
        FROM node n WHERE n.fold IS NOT NULL GROUP BY n.fold)
    SELECT s.key, CASE WHEN s.fold IS NULL THEN 'task' WHEN s.fold IN ('before', 'after') THEN s.fold ELSE h.by END, s.seq, o.seq, s.depth, s.program, s.size,
        s.size - s.running - s.suspended - s.finished - s.ignored, s.running, s.suspended, s.finished, s.ignored, s.faults,
        CASE WHEN s.fold IS NULL THEN s.low END, CASE WHEN s.fold IS NOT NULL THEN ARRAY[s.low, s.high,
            (SELECT coalesce(t.name, t.program, t.task_seq::text)::text FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.task_exec_seq = s.seq),
            (SELECT coalesce(t.name, t.program, t.task_seq::text)::text FROM kr_task_stat t WHERE t.task_flow_id = flow AND t.task_exec_seq = s.last)] END, CASE WHEN s.fold IS NULL THEN s.status END,
        CASE WHEN s.fold IS NULL THEN s.outcome END, CASE WHEN s.fold IS NULL THEN s.attempt END, coalesce(a.parents, '{}'), coalesce(a.missing, 0), a.absent
    FROM shown s LEFT JOIN arrow a ON a.child = s.key CROSS JOIN how h CROSS JOIN focus o
    ORDER BY s.depth, s.seq, s.key;
END $$;
