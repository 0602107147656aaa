CREATE TABLE plan (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    pricing text NOT NULL CHECK (pricing IN ('PER_SEAT', 'FLAT')),
    counts_users boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id)
);
COMMENT ON TABLE plan IS 'What is sold per month, per seat or flat per customer';
COMMENT ON COLUMN plan.counts_users IS 'Whether its seats count towards the partner''s tier';

CREATE TABLE price_list (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    partner_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
CREATE UNIQUE INDEX price_list_organization ON price_list (organization_id, currency) WHERE partner_id IS NULL;
CREATE UNIQUE INDEX price_list_partner ON price_list (organization_id, partner_id, currency) WHERE partner_id IS NOT NULL;
COMMENT ON TABLE price_list IS 'List prices in one currency; with a partner: what was agreed with it';

CREATE TABLE price_list_version (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    price_list_id uuid NOT NULL,
    effective_on date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, price_list_id, effective_on),
    FOREIGN KEY (organization_id, price_list_id) REFERENCES price_list
);
COMMENT ON TABLE price_list_version IS 'A complete list of prices from a day on, inclusive; replaces the version before it';

CREATE TABLE price (
    organization_id uuid NOT NULL,
    price_list_version_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (organization_id, price_list_version_id, plan_id),
    FOREIGN KEY (organization_id, price_list_version_id) REFERENCES price_list_version,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan
);
COMMENT ON TABLE price IS 'Price of one seat (or of a flat plan) for a whole month';

CREATE TABLE tier_table (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    effective_from date NOT NULL CHECK (extract(day FROM effective_from) = 1),
    grace_months integer NOT NULL DEFAULT 1 CHECK (grace_months BETWEEN 0 AND 12),
    indicative boolean NOT NULL,
    confirmed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, effective_from)
);
COMMENT ON TABLE tier_table IS 'A version of the wholesale tiers, from the first of a month on';
COMMENT ON COLUMN tier_table.indicative IS 'Not confirmed yet: drafts may be made under it, finalizing is refused';

CREATE TABLE tier (
    organization_id uuid NOT NULL,
    tier_table_id uuid NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    from_users bigint NOT NULL CHECK (from_users >= 0),
    discount_bps integer NOT NULL CHECK (discount_bps BETWEEN 0 AND 10000),
    PRIMARY KEY (organization_id, tier_table_id, code),
    UNIQUE (organization_id, tier_table_id, from_users),
    FOREIGN KEY (organization_id, tier_table_id) REFERENCES tier_table
);
COMMENT ON TABLE tier IS 'One wholesale level; its rank is the order of from_users';

CREATE TABLE tier_pin (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    partner_id uuid NOT NULL,
    from_month date NOT NULL CHECK (extract(day FROM from_month) = 1),
    through_month date CHECK (extract(day FROM through_month) = 1 AND through_month >= from_month),
    tier_code text NOT NULL,
    reason text NOT NULL CHECK (length(reason) > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
CREATE INDEX tier_pin_partner ON tier_pin (organization_id, partner_id, from_month);
COMMENT ON TABLE tier_pin IS 'A tier held by decision from month to month, both included; the pin made last wins';

CREATE TABLE tier_evaluation (
    organization_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    tier_table_id uuid NOT NULL,
    users bigint NOT NULL CHECK (users >= 0),
    measured_tier text NOT NULL,
    billed_tier text NOT NULL,
    discount_bps integer NOT NULL CHECK (discount_bps BETWEEN 0 AND 10000),
    reason text NOT NULL CHECK (reason IN ('MEASURED', 'GRACE', 'PINNED')),
    months_below integer NOT NULL CHECK (months_below >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, partner_id, month),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, tier_table_id) REFERENCES tier_table
);
CREATE INDEX tier_evaluation_month ON tier_evaluation (organization_id, month);
COMMENT ON TABLE tier_evaluation IS 'The tier of a partner''s finalized month and why; never reopened';
COMMENT ON COLUMN tier_evaluation.months_below IS 'Months in a row, this one included, measured below the billed tier';
