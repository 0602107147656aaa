CREATE TABLE subscription (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    customer_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    starts_on date NOT NULL,
    ends_on date,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id),
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan,
    CHECK (ends_on >= starts_on)
);
CREATE INDEX subscription_customer ON subscription (organization_id, customer_id, plan_id);
CREATE UNIQUE INDEX subscription_open ON subscription (organization_id, customer_id, plan_id) WHERE ends_on IS NULL;
COMMENT ON TABLE subscription IS 'A customer''s plan over time';
COMMENT ON COLUMN subscription.ends_on IS 'First day that is not billed';

CREATE TABLE seat_change (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    subscription_id uuid NOT NULL,
    sequence integer NOT NULL CHECK (sequence > 0),
    effective_on date NOT NULL,
    quantity bigint CHECK (quantity BETWEEN 0 AND 1000000000),
    delta bigint CHECK (delta BETWEEN -1000000000 AND 1000000000),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, external_id),
    UNIQUE (organization_id, subscription_id, sequence),
    FOREIGN KEY (organization_id, subscription_id) REFERENCES subscription,
    CHECK ((quantity IS NULL) <> (delta IS NULL))
);
COMMENT ON TABLE seat_change IS 'A dated change of a subscription''s seats: a new quantity or a difference; append-only';
COMMENT ON COLUMN seat_change.sequence IS 'Order of recording within the subscription';

CREATE TABLE retail_price (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    partner_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    customer_id uuid,
    effective_on date NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, partner_id) REFERENCES partner,
    FOREIGN KEY (organization_id, plan_id) REFERENCES plan,
    FOREIGN KEY (organization_id, customer_id) REFERENCES customer
);
CREATE UNIQUE INDEX retail_price_key
    ON retail_price (organization_id, partner_id, plan_id, customer_id, effective_on) NULLS NOT DISTINCT;
COMMENT ON TABLE retail_price IS 'What the partner charges for a seat and month, from a day on; per customer or (customer null) for all';
