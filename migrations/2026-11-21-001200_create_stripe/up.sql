CREATE TABLE stripe_account (
    organization_id uuid NOT NULL REFERENCES organization,
    api_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id)
);
COMMENT ON TABLE stripe_account IS 'The restricted key with which Stripe is asked what an event does not say';

CREATE TABLE stripe_endpoint (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    name text NOT NULL,
    secrets text[] NOT NULL CHECK (cardinality(secrets) BETWEEN 1 AND 10),
    rejected bigint NOT NULL DEFAULT 0 CHECK (rejected >= 0),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE stripe_endpoint IS 'An address that Stripe posts events to; while a secret is rolled there are two';
COMMENT ON COLUMN stripe_endpoint.rejected IS 'Requests turned away because they were forged, stale or too large; nothing else is kept of them';

CREATE TABLE stripe_event (
    organization_id uuid NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    endpoint_id uuid NOT NULL,
    kind text NOT NULL,
    api_version text,
    livemode boolean NOT NULL,
    customer text COLLATE "C",
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    body text NOT NULL,
    status text NOT NULL DEFAULT 'RECEIVED' CHECK (status IN ('RECEIVED', 'PROCESSED', 'PARKED')),
    reason text,
    detail text,
    attempts integer NOT NULL DEFAULT 0,
    processed_at timestamptz,
    PRIMARY KEY (organization_id, event_id),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES stripe_endpoint,
    CHECK (status <> 'PARKED' OR reason IS NOT NULL)
);
CREATE INDEX stripe_event_received ON stripe_event (organization_id, received_at, event_id);
CREATE INDEX stripe_event_customer ON stripe_event (organization_id, customer) WHERE reason IS NOT NULL;
CREATE INDEX stripe_event_open ON stripe_event (organization_id, status, reason, event_id) WHERE reason IS NOT NULL;
COMMENT ON TABLE stripe_event IS 'Events as Stripe sent them, once each; the raw body stays, so that any can be processed again';
COMMENT ON COLUMN stripe_event.reason IS 'Why it is parked, or why a processed one came to nothing';

CREATE TABLE stripe_fact (
    organization_id uuid NOT NULL REFERENCES organization,
    kind text NOT NULL CHECK (kind IN ('INVOICE', 'PAYMENT_LINK', 'REFUND', 'DISPUTE', 'CREDIT_NOTE', 'SUBSCRIPTION', 'CUSTOMER', 'CHECKOUT')),
    stripe_id text COLLATE "C" NOT NULL,
    as_of timestamptz NOT NULL,
    rank integer NOT NULL,
    event_id text COLLATE "C",
    customer text COLLATE "C",
    subscription text COLLATE "C",
    invoice text COLLATE "C",
    payment_intent text COLLATE "C",
    charge text COLLATE "C",
    paid_at timestamptz,
    earns_from date,
    fact jsonb NOT NULL,
    PRIMARY KEY (organization_id, kind, stripe_id)
);
CREATE INDEX stripe_fact_customer ON stripe_fact (organization_id, customer, kind) WHERE customer IS NOT NULL;
CREATE INDEX stripe_fact_invoice ON stripe_fact (organization_id, invoice) WHERE invoice IS NOT NULL;
CREATE INDEX stripe_fact_payment_intent ON stripe_fact (organization_id, payment_intent) WHERE payment_intent IS NOT NULL;
CREATE INDEX stripe_fact_charge ON stripe_fact (organization_id, charge) WHERE charge IS NOT NULL;
COMMENT ON TABLE stripe_fact IS 'What Stripe said last about one of its objects, as far as commissions need it; the newest event wins, then the higher rank';

COMMENT ON COLUMN stripe_fact.earns_from IS 'Of an invoice that was paid and has a base above zero: the start of its period (golden rule R5); the earliest is the customer''s anchor';

SELECT raise_walls(ARRAY['stripe_account', 'stripe_endpoint', 'stripe_event', 'stripe_fact'], 'CHANGE');
