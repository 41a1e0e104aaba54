-- An incident ($1 id) was told: $2 opened, or closed.
UPDATE kr_incident SET told = $2::text, tries = 0 WHERE fingerprint = $1::text
