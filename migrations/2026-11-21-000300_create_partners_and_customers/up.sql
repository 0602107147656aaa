CREATE TABLE partner (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    legal_name text NOT NULL,
    email text NOT NULL,
    street text NOT NULL,
    postal_code text NOT NULL,
    city text NOT NULL,
    country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    vat_number text,
    vat_status text NOT NULL DEFAULT 'UNCHECKED' CHECK (vat_status IN ('UNCHECKED', 'VALID', 'INVALID')),
    vat_checked_at timestamptz,
    vat_answer text,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    payment_terms_days integer CHECK (payment_terms_days BETWEEN 0 AND 365),
    payment_terms_from text CHECK (payment_terms_from IN ('ISSUE_DATE', 'END_OF_MONTH')),
    parent_partner_id uuid,
    status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'SUSPENDED', 'TERMINATED')),
    terminated_from date,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id),
    FOREIGN KEY (organization_id, parent_partner_id) REFERENCES partner,
    CHECK ((payment_terms_days IS NULL) = (payment_terms_from IS NULL)),
    CHECK ((status = 'TERMINATED') = (terminated_from IS NOT NULL)),
    CHECK ((vat_status = 'UNCHECKED') OR (vat_number IS NOT NULL AND vat_checked_at IS NOT NULL)),
    CHECK (parent_partner_id <> id)
);
COMMENT ON TABLE partner IS 'A billing entity that sells on, refers customers, or both';
COMMENT ON COLUMN partner.external_id IS 'The seller''s own id; runs number their documents in its byte order';
COMMENT ON COLUMN partner.vat_answer IS 'What the check of the VAT number answered, as given by hand or import';
COMMENT ON COLUMN partner.payment_terms_days IS 'Null: the terms of the organization';

CREATE TABLE customer (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    country text CHECK (country ~ '^[A-Z]{2}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id)
);
COMMENT ON TABLE customer IS 'The end customer (elsewhere: tenant, workspace)';

CREATE TABLE customer_owner (
    organization_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    owned_from date NOT NULL,
    partner_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, customer_id, owned_from),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner
);
CREATE INDEX customer_owner_partner ON customer_owner (organization_id, partner_id, customer_id);
COMMENT ON TABLE customer_owner IS 'Who sells to the customer from a day on, inclusive, until the next row; partner null: direct';
