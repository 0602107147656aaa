ALTER TABLE organization ADD COLUMN publishable_key text;
ALTER TABLE organization ADD COLUMN public_host text;
COMMENT ON COLUMN organization.publishable_key IS 'Names the organization on its own site; no secret, and good for recording touches, registrations and leads only';
COMMENT ON COLUMN organization.public_host IS 'Host name whose public requests mean this organization';
ALTER TABLE directory DROP CONSTRAINT directory_kind_check;
ALTER TABLE directory ADD CONSTRAINT directory_kind_check
    CHECK (kind IN ('ORGANIZATION', 'API_KEY', 'PUBLISHABLE_KEY', 'HOST', 'STRIPE_ENDPOINT'));
COMMENT ON COLUMN directory.lookup IS 'ORGANIZATION: its external id; API_KEY: SHA-256 of the secret, hex; PUBLISHABLE_KEY, HOST: itself; STRIPE_ENDPOINT: its id';

ALTER TABLE customer ADD COLUMN email text;
ALTER TABLE customer ADD COLUMN stripe_customer_id text COLLATE "C";
CREATE UNIQUE INDEX customer_stripe ON customer (organization_id, stripe_customer_id) WHERE stripe_customer_id IS NOT NULL;
COMMENT ON COLUMN customer.stripe_customer_id IS 'The cus_ id under which Stripe bills it';

CREATE TABLE plan_stripe_ref (
    organization_id uuid NOT NULL,
    stripe_id text COLLATE "C" NOT NULL,
    plan_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, stripe_id),
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan
);
CREATE INDEX plan_stripe_ref_plan ON plan_stripe_ref (organization_id, plan_id);
COMMENT ON TABLE plan_stripe_ref IS 'Which of Stripe''s prices and products are which plan';

CREATE TABLE referral_code (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    partner_id uuid NOT NULL,
    enrollment_id uuid,
    code text NOT NULL,
    code_key text COLLATE "C" NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DISABLED')),
    stripe_promotion_code text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, code_key),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    CHECK (code_key = upper(code)),
    CHECK (NOT is_default OR enrollment_id IS NULL)
);
CREATE UNIQUE INDEX referral_code_default ON referral_code (organization_id, partner_id) WHERE is_default;
CREATE UNIQUE INDEX referral_code_promotion ON referral_code (organization_id, stripe_promotion_code)
    WHERE stripe_promotion_code IS NOT NULL;
COMMENT ON TABLE referral_code IS 'A partner''s code; stable, looked up in capitals';
COMMENT ON COLUMN referral_code.enrollment_id IS 'Null: the partner''s enrollment in the default programme, as it is when the code is used';

CREATE TABLE referral_link (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    referral_code_id uuid NOT NULL,
    name text NOT NULL,
    destination text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, referral_code_id) REFERENCES referral_code
);
CREATE INDEX referral_link_code ON referral_link (organization_id, referral_code_id);
COMMENT ON TABLE referral_link IS 'A page of the seller''s with a partner''s code in its address';

CREATE TABLE touch (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    source text NOT NULL CHECK (source IN ('LINK', 'LANDING_PAGE', 'CODE', 'PROMOTION_CODE', 'LEAD_FORM', 'CLAIM_LINK', 'MANUAL')),
    enrollment_id uuid NOT NULL,
    referral_code_id uuid,
    visitor_hash text COLLATE "C",
    customer_id uuid,
    occurred_at timestamptz NOT NULL,
    evidence jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, referral_code_id) REFERENCES referral_code,
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer
);
CREATE INDEX touch_visitor ON touch (organization_id, visitor_hash) WHERE visitor_hash IS NOT NULL;
CREATE INDEX touch_customer ON touch (organization_id, customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX touch_enrollment ON touch (organization_id, enrollment_id, id);
COMMENT ON TABLE touch IS 'A partner was seen to bring somebody: evidence, kept whoever wins';
COMMENT ON COLUMN touch.visitor_hash IS 'SHA-256 of the touch token that the visitor carries, hex';

CREATE TABLE lead (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    touch_id uuid NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    company text,
    message text NOT NULL DEFAULT '',
    status text NOT NULL DEFAULT 'OPEN' CHECK (status IN ('OPEN', 'CONVERTED', 'CLOSED')),
    customer_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, touch_id) REFERENCES touch,
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer
);
CREATE INDEX lead_enrollment ON lead (organization_id, enrollment_id, id);
CREATE INDEX lead_email ON lead (organization_id, lower(email));
COMMENT ON TABLE lead IS 'Somebody left an address with a partner''s form';

CREATE TABLE claim_link (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    partner_id uuid NOT NULL,
    enrollment_id uuid,
    kind text NOT NULL CHECK (kind IN ('WHOLESALE', 'AFFILIATE')),
    customer_external_id text COLLATE "C" NOT NULL,
    customer_name text NOT NULL,
    email text,
    plan_id uuid,
    seats bigint NOT NULL DEFAULT 1 CHECK (seats BETWEEN 1 AND 1000000000),
    token_hash text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    revoked_at timestamptz,
    customer_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, token_hash),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan,
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    CHECK ((kind = 'AFFILIATE') = (enrollment_id IS NOT NULL)),
    CHECK ((used_at IS NULL) = (customer_id IS NULL)),
    CHECK (used_at IS NULL OR revoked_at IS NULL)
);
CREATE INDEX claim_link_partner ON claim_link (organization_id, partner_id, id);
COMMENT ON TABLE claim_link IS 'A partner passes a customer on with a one-time link; the token is shown once and only its hash is kept';

CREATE TABLE attribution (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    sequence bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    customer_id uuid NOT NULL,
    enrollment_id uuid,
    effective_from date NOT NULL,
    source text NOT NULL CHECK (source IN ('LINK', 'LANDING_PAGE', 'CODE', 'PROMOTION_CODE', 'LEAD_FORM', 'CLAIM_LINK', 'MANUAL')),
    touch_id uuid,
    reason text,
    flags text[] NOT NULL DEFAULT '{}',
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, touch_id) REFERENCES touch,
    CHECK (source <> 'MANUAL' OR reason IS NOT NULL),
    CHECK (source = 'MANUAL' OR enrollment_id IS NOT NULL)
);
CREATE INDEX attribution_customer ON attribution (organization_id, customer_id, effective_from, sequence);
CREATE INDEX attribution_enrollment ON attribution (organization_id, enrollment_id, id);
COMMENT ON TABLE attribution IS 'To whom a customer is credited from a day on, until the next row; of one day the row written last holds; append-only';
COMMENT ON COLUMN attribution.enrollment_id IS 'Null: by hand to nobody';
COMMENT ON COLUMN attribution.flags IS 'What somebody should look at, such as SELF_REFERRAL';

SELECT raise_walls(ARRAY['plan_stripe_ref', 'referral_code', 'referral_link', 'touch', 'lead', 'claim_link'], 'CHANGE');
SELECT raise_walls(ARRAY['attribution'], 'APPEND');
