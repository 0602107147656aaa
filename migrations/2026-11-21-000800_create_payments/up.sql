CREATE TABLE settlement (
    organization_id uuid NOT NULL REFERENCES organization,
    invoice_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    gross_minor bigint NOT NULL CHECK (gross_minor >= 0),
    credited_minor bigint NOT NULL DEFAULT 0 CHECK (credited_minor >= 0),
    paid_minor bigint NOT NULL DEFAULT 0 CHECK (paid_minor >= 0),
    rounding_minor bigint NOT NULL DEFAULT 0,
    written_off_minor bigint NOT NULL DEFAULT 0 CHECK (written_off_minor >= 0),
    due_date date NOT NULL,
    issue_date date NOT NULL,
    number text NOT NULL,
    open boolean NOT NULL GENERATED ALWAYS AS (gross_minor - credited_minor - paid_minor - rounding_minor > 0) STORED,
    PRIMARY KEY (organization_id, invoice_id),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES invoice,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    CHECK (gross_minor - credited_minor - paid_minor - rounding_minor >= 0)
);
CREATE INDEX settlement_open ON settlement (organization_id, partner_id, currency, issue_date) WHERE open;
CREATE INDEX settlement_due ON settlement (organization_id, due_date) WHERE open;
COMMENT ON TABLE settlement IS 'What changes after an invoice is finalized; payments, credits and write-offs lock this row';
COMMENT ON COLUMN settlement.paid_minor IS 'By bank and from the credit balance, less reversals; never more than was due';

CREATE TABLE payment (
    organization_id uuid NOT NULL REFERENCES organization,
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
    FOREIGN KEY (organization_id, invoice_id) REFERENCES invoice,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, reverses_payment_id) REFERENCES payment,
    CHECK ((reverses_payment_id IS NULL) = (reversal_reason IS NULL))
);
CREATE INDEX payment_invoice ON payment (organization_id, invoice_id);
CREATE INDEX payment_partner ON payment (organization_id, partner_id);
COMMENT ON TABLE payment IS 'Money that came in for an invoice, or (reverses_payment_id) went back';

CREATE TABLE settlement_entry (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('PAYMENT', 'CREDIT_NOTE', 'CREDIT_BALANCE', 'ROUNDING', 'WRITE_OFF')),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    source text NOT NULL,
    occurred_on date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES settlement
);
CREATE INDEX settlement_entry_invoice ON settlement_entry (organization_id, invoice_id);
CREATE INDEX settlement_entry_partner ON settlement_entry (organization_id, partner_id, kind);
COMMENT ON TABLE settlement_entry IS 'One step of an invoice towards paid (above zero) or back (below zero); append-only';

CREATE TABLE credit_balance (
    organization_id uuid NOT NULL REFERENCES organization,
    partner_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance_minor bigint NOT NULL DEFAULT 0 CHECK (balance_minor >= 0),
    PRIMARY KEY (organization_id, partner_id, currency),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
COMMENT ON TABLE credit_balance IS 'What a partner has paid or been credited beyond what was due; pays its next invoices';
