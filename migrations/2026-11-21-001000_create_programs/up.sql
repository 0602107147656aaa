-- Walls for the tables of a later migration, as `create_walls` raised them for the first ones. `rights`: APPEND (rows are
-- only ever added), DRAFT (a row whose status is DRAFT may change, no other), CHANGE.
CREATE FUNCTION raise_walls(tables text[], rights text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own constant text := 'organization_id = nullif(current_setting(''app.organization'', true), '''')::uuid';
    changeable text := own;
    name text;
BEGIN
    IF rights NOT IN ('APPEND', 'DRAFT', 'CHANGE') THEN
        RAISE EXCEPTION 'unknown rights %', rights;
    END IF;
    IF rights = 'DRAFT' THEN
        changeable := own || ' AND status = ''DRAFT''';
    END IF;
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_read ON %I FOR SELECT USING (%s)', name, own);
        EXECUTE format('CREATE POLICY own_insert ON %I FOR INSERT WITH CHECK (%s)', name, own);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO avance_app', name);
        IF rights <> 'APPEND' THEN
            EXECUTE format('CREATE POLICY own_update ON %I FOR UPDATE USING (%s) WITH CHECK (%s)', name, changeable, own);
            EXECUTE format('CREATE POLICY own_delete ON %I FOR DELETE USING (%s)', name, changeable);
            EXECUTE format('GRANT UPDATE, DELETE ON %I TO avance_app', name);
        END IF;
    END LOOP;
END $$;

CREATE TABLE program (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id)
);
CREATE UNIQUE INDEX program_default ON program (organization_id) WHERE is_default;
COMMENT ON TABLE program IS 'An affiliate scheme in one currency; what it pays stands in its versions';
COMMENT ON COLUMN program.is_default IS 'A partner''s default code means its enrollment in this programme';

CREATE TABLE program_version (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    program_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    status text NOT NULL CHECK (status IN ('DRAFT', 'PUBLISHED')),
    effective_from date,
    new_customers_only boolean NOT NULL DEFAULT false,
    terms json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, program_id, number),
    FOREIGN KEY (organization_id, program_id) REFERENCES program,
    CHECK ((status = 'PUBLISHED') = (published_at IS NOT NULL)),
    CHECK (status = 'DRAFT' OR effective_from IS NOT NULL)
);
CREATE UNIQUE INDEX program_version_draft ON program_version (organization_id, program_id) WHERE status = 'DRAFT';
CREATE UNIQUE INDEX program_version_from ON program_version (organization_id, program_id, effective_from) WHERE status = 'PUBLISHED';
COMMENT ON TABLE program_version IS 'The terms of a programme from a day on; never changes once published';
COMMENT ON COLUMN program_version.new_customers_only IS 'Attributions from before effective_from keep the version they had';

CREATE TABLE enrollment (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    program_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    enrolled_from date NOT NULL,
    ended_from date CHECK (ended_from >= enrolled_from),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, program_id, partner_id),
    FOREIGN KEY (organization_id, program_id) REFERENCES program,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
CREATE INDEX enrollment_partner ON enrollment (organization_id, partner_id);
COMMENT ON TABLE enrollment IS 'A partner in a programme; the row is the lock of its statements and payouts';
COMMENT ON COLUMN enrollment.ended_from IS 'First day on which it earns nothing any more';

CREATE TABLE enrollment_terms (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    effective_from date NOT NULL,
    settlement text NOT NULL CHECK (settlement IN ('PAYOUT', 'CREDIT', 'REPORT_ONLY')),
    overrides json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment
);
CREATE INDEX enrollment_terms_dated ON enrollment_terms (organization_id, enrollment_id, effective_from, id);
COMMENT ON TABLE enrollment_terms IS 'How a partner is settled and what it earns otherwise than the programme says, from a day on; of one day the last row holds';

CREATE TABLE enrollment_evaluation (
    organization_id uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    program_version_id uuid NOT NULL,
    tier_code text NOT NULL,
    converted_customers bigint NOT NULL CHECK (converted_customers >= 0),
    net_revenue_minor bigint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, enrollment_id, month),
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, program_version_id) REFERENCES program_version
);
COMMENT ON TABLE enrollment_evaluation IS 'The affiliate tier of a month, from what was known on its first day; never reopened';
COMMENT ON COLUMN enrollment_evaluation.net_revenue_minor IS 'Net bases of the twelve months before';

CREATE TABLE application (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    program_id uuid NOT NULL,
    legal_name text NOT NULL,
    contact_name text NOT NULL,
    email text NOT NULL,
    country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    website text,
    message text NOT NULL DEFAULT '',
    referred_by_partner_id uuid,
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'APPROVED', 'REJECTED')),
    reason text,
    decided_by text,
    decided_at timestamptz,
    partner_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, program_id) REFERENCES program,
    FOREIGN KEY (organization_id, referred_by_partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    CHECK ((status = 'PENDING') = (decided_at IS NULL)),
    CHECK ((status = 'APPROVED') = (partner_id IS NOT NULL)),
    CHECK (status <> 'REJECTED' OR reason IS NOT NULL)
);
CREATE UNIQUE INDEX application_pending ON application (organization_id, program_id, lower(email)) WHERE status = 'PENDING';
COMMENT ON TABLE application IS 'Somebody asks to become a partner';

CREATE TABLE partner_parent (
    organization_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    effective_from date NOT NULL,
    parent_partner_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, partner_id, effective_from),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, parent_partner_id) REFERENCES partner,
    CHECK (parent_partner_id <> partner_id)
);
COMMENT ON TABLE partner_parent IS 'Who recruited a partner, day by day: a commission climbs the parents of the day its invoice was paid';
COMMENT ON COLUMN partner_parent.effective_from IS 'Of the parent given when the partner was made: 0001-01-01, it held from the beginning';
-- The owner of the tables stands before the walls, too, unless they are opened for a moment.
ALTER TABLE partner NO FORCE ROW LEVEL SECURITY;
INSERT INTO partner_parent (organization_id, partner_id, effective_from, parent_partner_id)
SELECT organization_id, id, DATE '0001-01-01', parent_partner_id FROM partner WHERE parent_partner_id IS NOT NULL;
ALTER TABLE partner FORCE ROW LEVEL SECURITY;

ALTER TABLE organization ADD COLUMN payout_four_eyes boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN organization.payout_four_eyes IS 'A payout run is approved by somebody other than its maker';

SELECT raise_walls(ARRAY['program', 'enrollment', 'application', 'partner_parent'], 'CHANGE');
SELECT raise_walls(ARRAY['program_version'], 'DRAFT');
SELECT raise_walls(ARRAY['enrollment_terms', 'enrollment_evaluation'], 'APPEND');
