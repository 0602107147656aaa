CREATE TABLE payout_details (
    organization_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    holder text NOT NULL,
    iban text NOT NULL CHECK (iban ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}$'),
    verified_at timestamptz,
    verified_by text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, partner_id),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    CHECK ((verified_at IS NULL) = (verified_by IS NULL))
);
COMMENT ON TABLE payout_details IS 'Where a partner is paid; every change has to be verified again';

CREATE TABLE commission_statement (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    program_id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    carried_minor bigint NOT NULL,
    earned_minor bigint NOT NULL,
    clawed_back_minor bigint NOT NULL CHECK (clawed_back_minor >= 0),
    vat_bps integer NOT NULL CHECK (vat_bps BETWEEN 0 AND 10000),
    earned_vat_minor bigint NOT NULL,
    clawed_back_vat_minor bigint NOT NULL,
    balance_minor bigint NOT NULL CHECK (balance_minor = carried_minor + earned_minor - clawed_back_minor),
    trace json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, enrollment_id, month),
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment
);
CREATE INDEX commission_statement_partner ON commission_statement (organization_id, partner_id, month);
COMMENT ON TABLE commission_statement IS 'What became payable to an enrollment in a month and what was taken back (golden rule R8); no invoice; append-only';
COMMENT ON COLUMN commission_statement.earned_minor IS 'What became payable, less clawbacks of what no statement had shown';
COMMENT ON COLUMN commission_statement.clawed_back_minor IS 'Clawbacks of what an earlier statement had shown';
COMMENT ON COLUMN commission_statement.carried_minor IS 'Statements before this one, less what was paid out or credited';

CREATE TABLE commission_statement_entry (
    organization_id uuid NOT NULL,
    commission_entry_id uuid NOT NULL,
    statement_id uuid NOT NULL,
    commission_id uuid NOT NULL,
    part text NOT NULL CHECK (part IN ('EARNED', 'CLAWED_BACK')),
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (organization_id, commission_entry_id),
    FOREIGN KEY (organization_id, commission_entry_id) REFERENCES commission_entry,
    FOREIGN KEY (organization_id, statement_id) REFERENCES commission_statement
);
CREATE INDEX commission_statement_entry_statement ON commission_statement_entry (organization_id, statement_id, commission_entry_id);
CREATE INDEX commission_statement_entry_commission ON commission_statement_entry (organization_id, commission_id);
COMMENT ON TABLE commission_statement_entry IS 'Which statement shows a step of a commission: each step stands on one';

CREATE TABLE payout_run (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    program_id uuid NOT NULL,
    run_key text COLLATE "C" NOT NULL,
    cut_off date NOT NULL,
    status text NOT NULL CHECK (status IN ('DRAFT', 'APPROVED', 'SENT', 'CANCELLED')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    threshold_minor bigint NOT NULL CHECK (threshold_minor >= 0),
    made_by text NOT NULL,
    approved_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    computed_at timestamptz NOT NULL,
    approved_at timestamptz,
    sent_at timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, program_id, run_key),
    FOREIGN KEY (organization_id, program_id) REFERENCES program,
    CHECK ((status IN ('APPROVED', 'SENT')) = (approved_at IS NOT NULL AND approved_by IS NOT NULL)),
    CHECK ((status = 'SENT') = (sent_at IS NOT NULL))
);
COMMENT ON TABLE payout_run IS 'Bundles what is due to the partners of one programme; the row is the lock of its steps';
COMMENT ON COLUMN payout_run.run_key IS 'A scheduled run: its period; by hand: the maker''s own key';
COMMENT ON COLUMN payout_run.cut_off IS 'Last day whose postings the run takes, the last one of a month with statements';

CREATE TABLE payout (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    payout_run_id uuid,
    enrollment_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    program_id uuid NOT NULL,
    method text NOT NULL CHECK (method IN ('TRANSFER', 'CREDIT')),
    status text NOT NULL CHECK (status IN ('DRAFT', 'APPROVED', 'SENT', 'PAID', 'FAILED', 'UNKNOWN')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    payable_minor bigint NOT NULL CHECK (payable_minor > 0),
    offset_minor bigint NOT NULL CHECK (offset_minor BETWEEN 0 AND payable_minor),
    net_minor bigint NOT NULL CHECK (net_minor = payable_minor - offset_minor AND net_minor > 0),
    vat_bps integer NOT NULL DEFAULT 0 CHECK (vat_bps BETWEEN 0 AND 10000),
    vat_minor bigint NOT NULL DEFAULT 0 CHECK (vat_minor >= 0),
    holder text,
    iban text,
    invoice_id uuid,
    payment_id uuid,
    settled_on date,
    reference text,
    failure text,
    trace json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, payout_run_id) REFERENCES payout_run,
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment,
    FOREIGN KEY (organization_id, invoice_id) REFERENCES settlement,
    CHECK ((method = 'TRANSFER') = (payout_run_id IS NOT NULL)),
    CHECK ((method = 'CREDIT') = (invoice_id IS NOT NULL)),
    CHECK (method = 'TRANSFER' OR status = 'PAID'),
    CHECK ((status = 'PAID') = (settled_on IS NOT NULL)),
    CHECK ((status = 'FAILED') = (failure IS NOT NULL))
);
CREATE UNIQUE INDEX payout_once ON payout (organization_id, payout_run_id, enrollment_id) WHERE payout_run_id IS NOT NULL;
CREATE INDEX payout_enrollment ON payout (organization_id, enrollment_id, id);
CREATE INDEX payout_partner ON payout (organization_id, partner_id, id);
COMMENT ON TABLE payout IS 'What one partner gets of one programme at once: a transfer of a run, or a credit on one of its invoices';
COMMENT ON COLUMN payout.payable_minor IS 'Commissions taken out, before debts are netted; the sum of its items';
COMMENT ON COLUMN payout.offset_minor IS 'Debts of earlier clawbacks that were netted';

CREATE TABLE payout_item (
    organization_id uuid NOT NULL,
    payout_id uuid NOT NULL,
    commission_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (organization_id, payout_id, commission_id),
    FOREIGN KEY (organization_id, payout_id) REFERENCES payout,
    FOREIGN KEY (organization_id, commission_id) REFERENCES commission
);
CREATE INDEX payout_item_commission ON payout_item (organization_id, commission_id);
COMMENT ON TABLE payout_item IS 'How much of a commission a payout took out; written when it is approved';

CREATE TABLE payout_left_out (
    organization_id uuid NOT NULL,
    payout_run_id uuid NOT NULL,
    enrollment_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('BELOW_THRESHOLD', 'DETAILS_MISSING', 'DETAILS_UNVERIFIED', 'PARTNER_SUSPENDED', 'IN_DEBT')),
    balance_minor bigint NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (organization_id, payout_run_id, enrollment_id),
    FOREIGN KEY (organization_id, payout_run_id) REFERENCES payout_run,
    FOREIGN KEY (organization_id, enrollment_id) REFERENCES enrollment
);
COMMENT ON TABLE payout_left_out IS 'Who gets nothing from a run although something is due or owed, and why';

ALTER TABLE payment DROP CONSTRAINT payment_method_check;
ALTER TABLE payment ADD CONSTRAINT payment_method_check CHECK (method IN ('BANK', 'STRIPE', 'COMMISSION'));

SELECT raise_walls(ARRAY['payout_details', 'payout_run', 'payout', 'payout_item', 'payout_left_out'], 'CHANGE');
SELECT raise_walls(ARRAY['commission_statement', 'commission_statement_entry'], 'APPEND');
