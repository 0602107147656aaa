CREATE TABLE settlement (
    organization_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    gross_minor bigint NOT NULL CHECK (gross_minor >= 0),
    credited_minor bigint NOT NULL DEFAULT 0 CHECK (credited_minor >= 0),
    paid_minor bigint NOT NULL DEFAULT 0 CHECK (paid_minor >= 0),
    rounding_minor bigint NOT NULL DEFAULT 0,
    from_balance_minor bigint NOT NULL DEFAULT 0 CHECK (from_balance_minor >= 0),
    to_balance_minor bigint NOT NULL DEFAULT 0 CHECK (to_balance_minor >= 0),
    written_off_minor bigint NOT NULL DEFAULT 0 CHECK (written_off_minor >= 0),
    due_minor bigint NOT NULL GENERATED ALWAYS AS (gross_minor - credited_minor - paid_minor - rounding_minor
        - from_balance_minor + to_balance_minor) STORED CHECK (due_minor >= 0),
    due_date date NOT NULL,
    issue_date date NOT NULL,
    number text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, invoice_id),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES invoice,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
CREATE INDEX settlement_partner ON settlement (organization_id, partner_id);
CREATE INDEX settlement_due ON settlement (organization_id, due_date) WHERE due_minor > 0;
COMMENT ON TABLE settlement IS 'What changes after an invoice is finalized; payments, credits and write-offs lock this row';
COMMENT ON COLUMN settlement.paid_minor IS 'Everything that came in for the invoice, less what went back; may exceed what was due';
COMMENT ON COLUMN settlement.from_balance_minor IS 'Paid from the partner''s credit balance';
COMMENT ON COLUMN settlement.to_balance_minor IS 'What exceeded the amount due and went to the partner''s credit balance';
COMMENT ON COLUMN settlement.written_off_minor IS 'Given up by hand, less what came in after all; in bad debts stands the part that is due';

CREATE TABLE payment (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    external_id text COLLATE "C",
    invoice_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    method text NOT NULL CHECK (method IN ('BANK', 'STRIPE')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    received_on date NOT NULL,
    reference text NOT NULL,
    reverses_payment_id uuid,
    reversal_reason text CHECK (reversal_reason IN ('BOUNCED', 'REFUNDED', 'DISPUTED', 'MISTAKE')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id),
    UNIQUE (organization_id, reverses_payment_id),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES settlement,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, reverses_payment_id) REFERENCES payment,
    CHECK ((reverses_payment_id IS NULL) = (reversal_reason IS NULL))
);
CREATE INDEX payment_invoice ON payment (organization_id, invoice_id);
CREATE INDEX payment_partner ON payment (organization_id, partner_id, id);
COMMENT ON TABLE payment IS 'Money that came in for an invoice, or (reverses_payment_id) went back';
COMMENT ON COLUMN payment.received_on IS 'Of a reversal: the day on which the money went back';

CREATE TABLE settlement_entry (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    sequence bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    partner_id uuid NOT NULL,
    invoice_id uuid,
    kind text NOT NULL CHECK (kind IN ('PAYMENT', 'CREDIT_NOTE', 'ROUNDING', 'FROM_BALANCE', 'TO_BALANCE', 'WRITE_OFF',
        'PAID_OUT')),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    recovered_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    source text NOT NULL,
    memo text NOT NULL,
    occurred_on date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES settlement,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    CHECK ((invoice_id IS NULL) = (kind = 'PAID_OUT')),
    CHECK (kind NOT IN ('WRITE_OFF', 'PAID_OUT') OR amount_minor > 0)
);
CREATE INDEX settlement_entry_invoice ON settlement_entry (organization_id, invoice_id, sequence);
CREATE INDEX settlement_entry_partner ON settlement_entry (organization_id, partner_id, sequence);
CREATE INDEX settlement_entry_source ON settlement_entry (organization_id, source);
COMMENT ON TABLE settlement_entry IS 'One step of an invoice towards paid (above zero) or back (below zero), or of the credit balance to the bank; append-only';
COMMENT ON COLUMN settlement_entry.sequence IS 'Order of the steps of one partner, whose row is locked while they are written';
COMMENT ON COLUMN settlement_entry.recovered_minor IS 'How much of a write-off the step took back; below zero: put in force again';
COMMENT ON COLUMN settlement_entry.source IS 'Id of the payment, credit note or invoice that caused the step, else the step''s own';

CREATE TABLE credit_balance (
    organization_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance_minor bigint NOT NULL CHECK (balance_minor >= 0),
    PRIMARY KEY (organization_id, partner_id, currency),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
COMMENT ON TABLE credit_balance IS 'What a partner has paid or been credited beyond what was due; pays its next invoices';
