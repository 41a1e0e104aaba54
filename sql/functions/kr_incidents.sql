-- What failures have in common that are one incident: program, type, last frame of user code without its line, message without numbers and ids.
CREATE OR REPLACE FUNCTION kr_fingerprint(program text, error jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(md5(concat_ws(E'\n', program, error ->> 'type', regexp_replace(error ->> 'where', ':\d+( in |$)', '\1'),
        regexp_replace(left(error ->> 'message', 1000), '[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|0x[0-9a-fA-F]+|[0-9a-fA-F]{16,}|\d+', '#', 'g'))), 12)
$$;

-- The incidents that there are: suspended tasks whose failures look alike, the latest first. id: short enough to type.
CREATE OR REPLACE VIEW flower_incidents AS
    SELECT i.fingerprint AS id, e.program::text AS program, e.error ->> 'type' AS type, e.error ->> 'message' AS message, e.error ->> 'where' AS place,
        i.flows, i.tasks, i.since, i.latest, e.task_flow_id::text AS flow_id, e.task_exec_seq AS seq
    FROM (SELECT t.fingerprint, count(DISTINCT t.task_flow_id) AS flows, count(*) AS tasks, min(t.suspended_ts) AS since, max(t.suspended_ts) AS latest
          FROM kr_task_stat t WHERE t.exec_status = 2 AND t.fingerprint IS NOT NULL GROUP BY t.fingerprint) i
        CROSS JOIN LATERAL (SELECT x.* FROM kr_task_stat x WHERE x.exec_status = 2 AND x.fingerprint = i.fingerprint ORDER BY x.task_flow_id LIMIT 1) e;

-- Note which incidents came and which are over, and take up to *most* of what must be told and was not: nobody else takes them for half a minute.
CREATE OR REPLACE FUNCTION kr_incidents_to_tell(most integer) RETURNS TABLE (id text, event text, what jsonb) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    new_ text[];
BEGIN
    WITH RECURSIVE known AS (        -- each fingerprint once, by skipping through the index
        (SELECT t.fingerprint FROM kr_task_stat t WHERE t.exec_status = 2 AND t.fingerprint IS NOT NULL ORDER BY t.fingerprint LIMIT 1)
        UNION ALL
        SELECT n.fingerprint FROM known k CROSS JOIN LATERAL (
            SELECT t.fingerprint FROM kr_task_stat t WHERE t.exec_status = 2 AND t.fingerprint IS NOT NULL AND t.fingerprint > k.fingerprint ORDER BY t.fingerprint LIMIT 1) n)
    SELECT array_agg(k.fingerprint) INTO new_ FROM known k WHERE NOT EXISTS (SELECT FROM kr_incident o WHERE o.fingerprint = k.fingerprint AND o.closed_ts IS NULL);
    IF new_ IS NOT NULL THEN
        INSERT INTO kr_incident AS k (fingerprint, opened_ts, what) SELECT i.id, i.since, to_jsonb(i) FROM flower_incidents i WHERE i.id = ANY (new_)
            -- it is back: told once more
            ON CONFLICT (fingerprint) DO UPDATE SET opened_ts = excluded.opened_ts, closed_ts = NULL, told = NULL, tries = 0, next_try_ts = clock_timestamp(), what = excluded.what
                WHERE k.told = 'closed';
    END IF;
    -- of one that nobody was told of nobody is told that it is over
    UPDATE kr_incident k SET closed_ts = clock_timestamp(), tries = 0, next_try_ts = clock_timestamp(), told = coalesce(k.told, 'closed')
        WHERE k.closed_ts IS NULL AND NOT EXISTS (SELECT FROM kr_task_stat t WHERE t.exec_status = 2 AND t.fingerprint = k.fingerprint);
    RETURN QUERY
    UPDATE kr_incident k SET tries = k.tries + 1, next_try_ts = clock_timestamp() + make_interval(secs => least(3600, 30 * 2 ^ least(k.tries, 7))),
        what = coalesce((SELECT to_jsonb(i) FROM flower_incidents i WHERE i.id = k.fingerprint), k.what)
    WHERE k.fingerprint = ANY (ARRAY(
        SELECT d.fingerprint FROM kr_incident d WHERE d.next_try_ts <= clock_timestamp() AND d.told IS DISTINCT FROM CASE WHEN d.closed_ts IS NULL THEN 'opened' ELSE 'closed' END
        ORDER BY d.opened_ts LIMIT most FOR UPDATE SKIP LOCKED))
    RETURNING k.fingerprint, CASE WHEN k.closed_ts IS NULL THEN 'opened' ELSE 'closed' END,
        k.what || jsonb_strip_nulls(jsonb_build_object('since', kr_moment((k.what ->> 'since')::timestamptz), 'closed', kr_moment(k.closed_ts)));
END $$;
