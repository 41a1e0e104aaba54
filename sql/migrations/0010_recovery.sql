-- The timeout of a flow belongs to the revision that it is defined in.
ALTER TABLE ms_workflow_revision ADD COLUMN timeout double precision;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE ms_workflow ADD CONSTRAINT timeout_is_positive CHECK (timeout > 0 AND timeout <= 1e9);

-- Its parameter has another name, and it is made anew in this same transaction.
-- squawk-ignore ban-drop-function
DROP FUNCTION IF EXISTS kr_has_format;
