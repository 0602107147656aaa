-- What must be found before the organization is known, and nothing else: no row-level security here.
CREATE TABLE directory (
    kind text NOT NULL CHECK (kind IN ('ORGANIZATION', 'API_KEY')),
    lookup text NOT NULL CHECK (length(lookup) BETWEEN 1 AND 200),
    organization_id uuid NOT NULL,
    PRIMARY KEY (kind, lookup)
);
COMMENT ON TABLE directory IS 'Leads from an external id or a hash to its organization before any organization is set';
COMMENT ON COLUMN directory.lookup IS 'ORGANIZATION: its external id; API_KEY: SHA-256 of the secret, hex';

-- The queue and its ticks belong to the installation: jobs of all organizations are claimed by one statement.
CREATE TABLE job (
    id uuid PRIMARY KEY,
    organization_id uuid,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    unique_key text,
    status text NOT NULL DEFAULT 'QUEUED' CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'PARKED')),
    run_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5 CHECK (max_attempts > 0),
    lease_number bigint NOT NULL DEFAULT 0,
    leased_until timestamptz,
    worker text,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX job_queued ON job (run_at, id) WHERE status = 'QUEUED';
CREATE INDEX job_running ON job (leased_until) WHERE status = 'RUNNING';
CREATE UNIQUE INDEX job_unique_key ON job (unique_key) WHERE status IN ('QUEUED', 'RUNNING');
COMMENT ON TABLE job IS 'Wake-ups for workers; the truth is in the business tables, a job may run twice';
COMMENT ON COLUMN job.unique_key IS 'At most one job with this key waits or runs';
COMMENT ON COLUMN job.lease_number IS 'Counts the claims; a worker whose number is old has lost the job';
COMMENT ON COLUMN job.attempts IS 'Claims so far, counted when claimed, so that a job that kills its process is parked too';

CREATE TABLE job_tick (
    schedule text NOT NULL,
    tick timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule, tick)
);
COMMENT ON TABLE job_tick IS 'One row per schedule and due time: whoever inserts it enqueues the job, all others do not';

GRANT SELECT, INSERT, DELETE ON directory TO avance_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON job TO avance_app;
GRANT SELECT, INSERT, DELETE ON job_tick TO avance_app;
