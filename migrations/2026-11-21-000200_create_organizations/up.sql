CREATE TABLE organization (
    organization_id uuid PRIMARY KEY,
    external_id text NOT NULL,
    name text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('LIVE', 'TEST')),
    time_zone text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    vat_number text,
    registration_number text,
    street text NOT NULL,
    postal_code text NOT NULL,
    city text NOT NULL,
    email text NOT NULL,
    invoice_prefix text NOT NULL,
    credit_note_prefix text NOT NULL,
    payment_terms_days integer NOT NULL CHECK (payment_terms_days BETWEEN 0 AND 365),
    payment_terms_from text NOT NULL CHECK (payment_terms_from IN ('ISSUE_DATE', 'END_OF_MONTH')),
    billing_from date NOT NULL CHECK (extract(day FROM billing_from) = 1),
    run_schedule text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (mode = 'LIVE' OR (invoice_prefix LIKE 'TEST-%' AND credit_note_prefix LIKE 'TEST-%')),
    CHECK (invoice_prefix <> credit_note_prefix)
);
COMMENT ON TABLE organization IS 'The seller; live or test; the wall that no row crosses';
COMMENT ON COLUMN organization.currency IS 'Currency of the books; VAT totals in another one are converted to it';
COMMENT ON COLUMN organization.billing_from IS 'First month that Avance bills (its first day)';
COMMENT ON COLUMN organization.run_schedule IS 'Cron in the organization''s time zone for the draft run of the month before; null: by hand only';

CREATE TABLE document_counter (
    organization_id uuid NOT NULL REFERENCES organization,
    series text NOT NULL CHECK (series IN ('INVOICE', 'CREDIT_NOTE')),
    last_number bigint NOT NULL DEFAULT 0 CHECK (last_number >= 0),
    PRIMARY KEY (organization_id, series)
);
COMMENT ON TABLE document_counter IS 'Gapless numbers per series, taken in the transaction that finalizes the document';

CREATE TABLE api_key (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    name text NOT NULL,
    secret_hash text NOT NULL,
    shown_prefix text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE api_key IS 'Keys of an organization; the secret is shown once and only its hash is kept';
COMMENT ON COLUMN api_key.scopes IS 'read, write';

CREATE TABLE idempotency_key (
    organization_id uuid NOT NULL REFERENCES organization,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint text NOT NULL,
    outcome jsonb,
    response jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, key)
);
CREATE INDEX idempotency_key_age ON idempotency_key (organization_id, created_at);
COMMENT ON TABLE idempotency_key IS 'First answer to a write, kept 24 hours; written in the transaction of the write itself';
COMMENT ON COLUMN idempotency_key.fingerprint IS 'SHA-256 of operation and variables: another body under the same key is a conflict';
COMMENT ON COLUMN idempotency_key.outcome IS 'What the command returned, enough to answer again after a crash before the response was kept';
COMMENT ON COLUMN idempotency_key.response IS 'The answer as first sent';

CREATE TABLE audit_entry (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id)
);
COMMENT ON TABLE audit_entry IS 'Who did what to which object; append-only, sealed into the hash chain';

CREATE TABLE event (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX event_once ON event (organization_id, kind, subject) WHERE kind = 'invoice.overdue';
COMMENT ON TABLE event IS 'Outbox: what happened, written in the transaction in which it happened';

CREATE TABLE exchange_rate (
    organization_id uuid NOT NULL REFERENCES organization,
    date date NOT NULL,
    from_currency text NOT NULL CHECK (from_currency ~ '^[A-Z]{3}$'),
    to_currency text NOT NULL CHECK (to_currency ~ '^[A-Z]{3}$'),
    rate numeric(18, 8) NOT NULL CHECK (rate > 0),
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, from_currency, to_currency, date),
    CHECK (from_currency <> to_currency)
);
COMMENT ON TABLE exchange_rate IS 'Published rates: units of to_currency for one unit of from_currency';
