-- The timeout of a flow belongs to the revision that it is defined in.
ALTER TABLE ms_workflow_revision ADD COLUMN timeout double precision;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE ms_workflow ADD CONSTRAINT timeout_is_positive CHECK (timeout > 0 AND timeout < 'Infinity');
