-- Start flows of several workflows, all or none, in the caller's transaction. Refuses (FL422) with all that is wrong with any of the orders, and not only
-- with the first: each path begins with the place of its order, as [3].parameters.x. only_check: start nothing.
CREATE OR REPLACE FUNCTION kr_register_list(workflows text[], givens jsonb[], options jsonb[], places integer[], only_check boolean)
RETURNS TABLE (n integer, flow_id text, duplicate boolean, skipped boolean, is_past boolean) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    errors jsonb := '[]';
    detail text;
BEGIN
    BEGIN
        IF NOT only_check THEN
            RETURN QUERY
                SELECT w.ns[r.n]::integer, r.flow_id, r.duplicate, r.skipped, r.is_past
                FROM (SELECT o.workflow, array_agg(o.given ORDER BY o.n) AS givens, array_agg(o.wish ORDER BY o.n) AS wishes, array_agg(o.n ORDER BY o.n) AS ns
                      FROM unnest(workflows, givens, options) WITH ORDINALITY o (workflow, given, wish, n) GROUP BY o.workflow ORDER BY o.workflow) w
                    CROSS JOIN LATERAL kr_register(w.workflow, w.givens, w.wishes) r;
            RETURN;
        END IF;
    EXCEPTION WHEN SQLSTATE 'FL404' OR SQLSTATE 'FL409' OR SQLSTATE 'FL422' THEN
        NULL;
    END;
    FOR i IN 1 .. cardinality(workflows) LOOP          -- one is refused: which, and are there others
        BEGIN
            PERFORM kr_register(workflows[i], givens[i:i], options[i:i]);
        EXCEPTION
            WHEN SQLSTATE 'FL404' THEN
                errors := errors || kr_odd(format('[%s].taskId', places[i]), SQLERRM);
            WHEN SQLSTATE 'FL409' THEN
                errors := errors || kr_odd(format('[%s].idempotencyKey', places[i]), SQLERRM);
            WHEN SQLSTATE 'FL422' THEN
                GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
                errors := errors || (SELECT jsonb_agg(kr_odd(format('[%s].%s', places[i], e ->> 'path'), e ->> 'message')) FROM jsonb_array_elements(detail::jsonb) e);
        END;
    END LOOP;
    PERFORM kr_refuse_all(nullif(errors, '[]'));
    RAISE EXCEPTION 'only a look' USING ERRCODE = 'FL001';      -- whatever was made to look at it is undone
END $$;
