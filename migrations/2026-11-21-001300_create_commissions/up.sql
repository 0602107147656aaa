CREATE TABLE conversion (
    organization_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    converted_at timestamptz NOT NULL,
    source text NOT NULL CHECK (source IN ('STRIPE', 'API')),
    stripe_subscription_id text COLLATE "C",
    plan_id uuid,
    seats bigint NOT NULL DEFAULT 1 CHECK (seats BETWEEN 1 AND 1000000000),
    cause text NOT NULL,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, customer_id),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan
);
COMMENT ON TABLE conversion IS 'A customer''s subscription became active; of several reports the earliest stands';

CREATE TABLE commission (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    source_kind text NOT NULL CHECK (source_kind IN ('STRIPE_INVOICE', 'CONVERSION')),
    source_id text COLLATE "C" NOT NULL,
    level integer NOT NULL CHECK (level BETWEEN 1 AND 10),
    enrollment_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    program_id uuid NOT NULL,
    program_version_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    attribution_id uuid NOT NULL,
    settlement text NOT NULL CHECK (settlement IN ('PAYOUT', 'CREDIT', 'REPORT_ONLY')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    base_minor bigint NOT NULL,
    base_reversed_minor bigint NOT NULL,
    earned_minor bigint NOT NULL,
    reversed_minor bigint NOT NULL CHECK (reversed_minor BETWEEN 0 AND greatest(earned_minor, 0)),
    counted_minor bigint NOT NULL DEFAULT 0,
    held_minor bigint NOT NULL DEFAULT 0 CHECK (held_minor >= 0),
    payable_minor bigint NOT NULL DEFAULT 0 CHECK (payable_minor >= 0),
    taken_minor bigint NOT NULL DEFAULT 0 CHECK (taken_minor >= 0),
    owed_minor bigint NOT NULL DEFAULT 0 CHECK (owed_minor >= 0),
    earned_at timestamptz NOT NULL,
    payable_at timestamptz NOT NULL,
    on_hold boolean NOT NULL DEFAULT false,
    trace json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, source_kind, source_id, level, enrollment_id),
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, program_version_id) REFERENCES program_version,
    FOREIGN KEY (organization_id, attribution_id) REFERENCES attribution,
    CHECK (earned_minor - reversed_minor = counted_minor + held_minor + payable_minor + taken_minor - owed_minor)
);
CREATE INDEX commission_customer ON commission (organization_id, customer_id);
CREATE INDEX commission_enrollment ON commission (organization_id, enrollment_id, id);
CREATE INDEX commission_partner ON commission (organization_id, partner_id, id);
CREATE INDEX commission_ripening ON commission (organization_id, payable_at) WHERE held_minor > 0 AND NOT on_hold;
CREATE INDEX commission_payable ON commission (organization_id, enrollment_id) WHERE payable_minor > 0;
CREATE INDEX commission_owed ON commission (organization_id, enrollment_id) WHERE owed_minor > 0;
COMMENT ON TABLE commission IS 'What one partner earns at one level on one source, and where the amount stands; the sums of its entries';
COMMENT ON COLUMN commission.source_id IS 'The Stripe invoice, or the converted customer';
COMMENT ON COLUMN commission.counted_minor IS 'REPORT_ONLY: counted and never payable';
COMMENT ON COLUMN commission.taken_minor IS 'Gone into approved payouts or credited to invoices';
COMMENT ON COLUMN commission.owed_minor IS 'Taken back after it was taken out, or earned below zero; lies in the offset account until a payout nets it';
COMMENT ON COLUMN commission.on_hold IS 'A dispute, an inquiry or somebody keeps it from ripening';

CREATE TABLE commission_entry (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    sequence bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    commission_id uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ACCRUAL', 'CLAWBACK', 'RESTORATION', 'MATURITY', 'PAYOUT', 'PAYOUT_RETURNED', 'CREDIT')),
    amount_minor bigint NOT NULL,
    counted_minor bigint NOT NULL DEFAULT 0,
    held_minor bigint NOT NULL DEFAULT 0,
    payable_minor bigint NOT NULL DEFAULT 0,
    taken_minor bigint NOT NULL DEFAULT 0,
    owed_minor bigint NOT NULL DEFAULT 0,
    stated_minor bigint NOT NULL GENERATED ALWAYS AS (payable_minor + taken_minor - owed_minor) STORED,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    occurred_on date NOT NULL,
    cause text NOT NULL,
    actor text NOT NULL,
    trace json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, commission_id) REFERENCES commission,
    CHECK (amount_minor = counted_minor + held_minor + payable_minor + taken_minor - owed_minor),
    CHECK (kind NOT IN ('MATURITY', 'PAYOUT', 'PAYOUT_RETURNED', 'CREDIT') OR amount_minor = 0)
);
CREATE INDEX commission_entry_commission ON commission_entry (organization_id, commission_id, sequence);
CREATE INDEX commission_entry_stated ON commission_entry (organization_id, enrollment_id, occurred_on) WHERE stated_minor <> 0;
COMMENT ON TABLE commission_entry IS 'One step of a commission: how its amounts moved, when, why and by whom; append-only';
COMMENT ON COLUMN commission_entry.amount_minor IS 'Change of what is earned less what is reversed; moves between the amounts are 0';
COMMENT ON COLUMN commission_entry.stated_minor IS 'What a statement shows of it';
COMMENT ON COLUMN commission_entry.cause IS 'The Stripe event, the payout or the command behind it';

CREATE TABLE commission_reversal (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    source_kind text NOT NULL CHECK (source_kind IN ('STRIPE_INVOICE', 'CONVERSION')),
    source_id text COLLATE "C" NOT NULL,
    base_minor bigint CHECK (base_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason text NOT NULL CHECK (length(reason) > 0),
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id)
);
CREATE INDEX commission_reversal_source ON commission_reversal (organization_id, source_kind, source_id);
ALTER TABLE commission_reversal ADD FOREIGN KEY (organization_id) REFERENCES organization;
COMMENT ON TABLE commission_reversal IS 'Somebody takes back the commissions of a source, at every level, by hand; append-only';
COMMENT ON COLUMN commission_reversal.base_minor IS 'How much of the base is taken back; null: all of it';

CREATE TABLE commission_hold (
    organization_id uuid NOT NULL REFERENCES organization,
    source_kind text NOT NULL CHECK (source_kind IN ('STRIPE_INVOICE', 'CONVERSION')),
    source_id text COLLATE "C" NOT NULL,
    reason text NOT NULL CHECK (length(reason) > 0),
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, source_kind, source_id)
);
COMMENT ON TABLE commission_hold IS 'Somebody keeps the commissions of a source from ripening, until the row is taken away';

SELECT raise_walls(ARRAY['commission_entry', 'commission_reversal'], 'APPEND');
SELECT raise_walls(ARRAY['conversion', 'commission', 'commission_hold'], 'CHANGE');
REVOKE DELETE ON commission FROM avance_app;
