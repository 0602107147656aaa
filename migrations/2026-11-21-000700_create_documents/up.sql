CREATE TABLE billing_run (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    status text NOT NULL CHECK (status IN ('DRAFTING', 'DRAFTED', 'FINALIZING', 'FINALIZED')),
    pass integer NOT NULL DEFAULT 1,
    done_through text COLLATE "C" NOT NULL DEFAULT '',
    partners_done bigint NOT NULL DEFAULT 0,
    partners_total bigint NOT NULL DEFAULT 0,
    issue_date date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, month)
);
COMMENT ON TABLE billing_run IS 'One month''s wholesale run; the row is the lock and the progress of whoever works on it';
COMMENT ON COLUMN billing_run.pass IS 'Counts the walks over the partners; a worker of an older pass has lost the run';
COMMENT ON COLUMN billing_run.done_through IS 'External id of the last partner done in this pass';
COMMENT ON COLUMN billing_run.issue_date IS 'Fixed when finalizing begins';

CREATE TABLE billing_run_refusal (
    organization_id uuid NOT NULL,
    billing_run_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (organization_id, billing_run_id, partner_id),
    FOREIGN KEY (organization_id, billing_run_id) REFERENCES billing_run,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
COMMENT ON TABLE billing_run_refusal IS 'A partner that the last pass left out, with the reason';

CREATE TABLE invoice (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    billing_run_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    status text NOT NULL CHECK (status IN ('DRAFT', 'FINALIZED')),
    number text,
    issue_date date,
    due_date date,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    net_total_minor bigint NOT NULL CHECK (net_total_minor >= 0),
    vat_total_minor bigint NOT NULL CHECK (vat_total_minor >= 0),
    gross_total_minor bigint NOT NULL CHECK (gross_total_minor = net_total_minor + vat_total_minor),
    vat_books_minor bigint,
    vat_books_currency text CHECK (vat_books_currency ~ '^[A-Z]{3}$'),
    vat_books_rate text,
    vat_books_rate_date date,
    users bigint NOT NULL CHECK (users >= 0),
    billed_tier text NOT NULL,
    discount_bps integer NOT NULL CHECK (discount_bps BETWEEN 0 AND 10000),
    parties json NOT NULL,
    trace json NOT NULL,
    line_count integer NOT NULL CHECK (line_count > 0),
    content_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    finalized_at timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, partner_id, month),
    UNIQUE (organization_id, number),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, billing_run_id) REFERENCES billing_run,
    CHECK ((status = 'FINALIZED') = (number IS NOT NULL)),
    CHECK ((status = 'FINALIZED') = (issue_date IS NOT NULL AND due_date IS NOT NULL AND finalized_at IS NOT NULL)),
    CHECK ((vat_books_minor IS NULL) = (vat_books_rate IS NULL))
);
CREATE INDEX invoice_month ON invoice (organization_id, month);
COMMENT ON TABLE invoice IS 'A partner''s month, aggregated over all its customers; immutable once finalized';
COMMENT ON COLUMN invoice.vat_books_minor IS 'VAT total in the currency of the books, converted once at vat_books_rate';
COMMENT ON COLUMN invoice.parties IS 'Seller and buyer as they were when the document was made';
COMMENT ON COLUMN invoice.trace IS 'How the tier and the totals came about';
COMMENT ON COLUMN invoice.content_hash IS 'SHA-256 over header, parties and lines in canonical form';

CREATE TABLE invoice_line (
    organization_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    line_number integer NOT NULL CHECK (line_number > 0),
    kind text NOT NULL CHECK (kind IN ('USAGE', 'ADJUSTMENT')),
    customer_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    seat_days bigint NOT NULL,
    gross_minor bigint NOT NULL CHECK (gross_minor >= 0),
    discount_bps integer NOT NULL CHECK (discount_bps BETWEEN 0 AND 10000),
    discount_minor bigint NOT NULL CHECK (discount_minor >= 0),
    net_minor bigint NOT NULL CHECK (net_minor = gross_minor - discount_minor),
    vat_category text NOT NULL CHECK (vat_category IN ('S', 'AE', 'O')),
    vat_bps integer NOT NULL CHECK (vat_bps BETWEEN 0 AND 10000),
    trace json NOT NULL,
    PRIMARY KEY (organization_id, invoice_id, line_number),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES invoice,
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan,
    CHECK (kind = 'ADJUSTMENT' OR seat_days > 0)
);
CREATE INDEX invoice_line_customer ON invoice_line (organization_id, customer_id, month);
COMMENT ON TABLE invoice_line IS 'One customer, plan and unit price of a month; an adjustment is for an earlier month';
COMMENT ON COLUMN invoice_line.seat_days IS 'Seats summed over the days of the month; of an adjustment, as the month is rated now';
COMMENT ON COLUMN invoice_line.gross_minor IS 'At list price; of an adjustment, the difference of the nets itself, without a discount';
COMMENT ON COLUMN invoice_line.trace IS 'What the line was computed from, stored when it was computed';

CREATE TABLE invoice_vat (
    organization_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    vat_category text NOT NULL CHECK (vat_category IN ('S', 'AE', 'O')),
    vat_bps integer NOT NULL CHECK (vat_bps BETWEEN 0 AND 10000),
    taxable_minor bigint NOT NULL CHECK (taxable_minor >= 0),
    tax_minor bigint NOT NULL CHECK (tax_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (organization_id, invoice_id, vat_category, vat_bps),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES invoice,
    CHECK (vat_category = 'S' OR tax_minor = 0)
);
COMMENT ON TABLE invoice_vat IS 'VAT once per category and rate of a document';

CREATE TABLE credit_note (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    billing_run_id uuid,
    reason text NOT NULL CHECK (reason IN ('CORRECTION', 'GOODWILL')),
    memo text NOT NULL,
    status text NOT NULL CHECK (status IN ('DRAFT', 'FINALIZED')),
    number text,
    issue_date date,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    net_total_minor bigint NOT NULL CHECK (net_total_minor > 0),
    vat_total_minor bigint NOT NULL CHECK (vat_total_minor >= 0),
    gross_total_minor bigint NOT NULL CHECK (gross_total_minor = net_total_minor + vat_total_minor),
    vat_books_minor bigint,
    vat_books_currency text CHECK (vat_books_currency ~ '^[A-Z]{3}$'),
    vat_books_rate text,
    trace json NOT NULL,
    line_count integer NOT NULL CHECK (line_count > 0),
    content_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    finalized_at timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, number),
    FOREIGN KEY (organization_id, invoice_id) REFERENCES invoice,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, billing_run_id) REFERENCES billing_run,
    CHECK ((reason = 'CORRECTION') = (billing_run_id IS NOT NULL)),
    CHECK ((status = 'FINALIZED') = (number IS NOT NULL AND issue_date IS NOT NULL AND finalized_at IS NOT NULL))
);
CREATE UNIQUE INDEX credit_note_correction ON credit_note (organization_id, billing_run_id, invoice_id)
    WHERE billing_run_id IS NOT NULL;
CREATE INDEX credit_note_invoice ON credit_note (organization_id, invoice_id);
CREATE INDEX credit_note_partner ON credit_note (organization_id, partner_id);
COMMENT ON TABLE credit_note IS 'Takes back part of one finalized invoice; amounts are positive (golden rule R10)';

CREATE TABLE credit_note_line (
    organization_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    line_number integer NOT NULL CHECK (line_number > 0),
    invoice_id uuid NOT NULL,
    invoice_line_number integer NOT NULL,
    net_minor bigint NOT NULL CHECK (net_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    vat_category text NOT NULL CHECK (vat_category IN ('S', 'AE', 'O')),
    vat_bps integer NOT NULL CHECK (vat_bps BETWEEN 0 AND 10000),
    trace json NOT NULL,
    PRIMARY KEY (organization_id, credit_note_id, line_number),
    FOREIGN KEY (organization_id, credit_note_id) REFERENCES credit_note,
    FOREIGN KEY (organization_id, invoice_id, invoice_line_number) REFERENCES invoice_line
);
CREATE INDEX credit_note_line_credited ON credit_note_line (organization_id, invoice_id, invoice_line_number);
COMMENT ON TABLE credit_note_line IS 'What is taken back of one invoice line, never more than is left of it';

CREATE TABLE late_change (
    organization_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    partner_id uuid NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, partner_id, customer_id, plan_id, month),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
COMMENT ON TABLE late_change IS 'A finalized month that a later fact touched; the partner''s next run re-rates it and takes the row away';
