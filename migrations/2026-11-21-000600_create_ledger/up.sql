CREATE TABLE ledger_account (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    kind text NOT NULL,
    owner_id uuid,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX ledger_account_key ON ledger_account (organization_id, kind, owner_id, currency) NULLS NOT DISTINCT;
COMMENT ON TABLE ledger_account IS 'An account in one currency; its id follows from kind, owner and currency';

CREATE TABLE ledger_transaction (
    organization_id uuid NOT NULL REFERENCES organization,
    id uuid NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    occurred_on date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, source, kind)
);
COMMENT ON TABLE ledger_transaction IS 'One business fact in the books; a fact is posted once';
COMMENT ON COLUMN ledger_transaction.source IS 'Id of the fact, such as an invoice or a payment';

CREATE TABLE ledger_transfer (
    organization_id uuid NOT NULL,
    transaction_id uuid NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    debit_account_id uuid NOT NULL,
    credit_account_id uuid NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (organization_id, transaction_id, position),
    FOREIGN KEY (organization_id, transaction_id) REFERENCES ledger_transaction,
    FOREIGN KEY (organization_id, debit_account_id) REFERENCES ledger_account,
    FOREIGN KEY (organization_id, credit_account_id) REFERENCES ledger_account,
    CHECK (debit_account_id <> credit_account_id)
);
CREATE INDEX ledger_transfer_debit ON ledger_transfer (organization_id, debit_account_id);
CREATE INDEX ledger_transfer_credit ON ledger_transfer (organization_id, credit_account_id);
COMMENT ON TABLE ledger_transfer IS 'An amount from one account to another: nothing unbalanced can be written';

CREATE TABLE ledger_block (
    organization_id uuid NOT NULL REFERENCES organization,
    number bigint NOT NULL CHECK (number > 0),
    previous_hash text NOT NULL,
    hash text NOT NULL,
    entries bigint NOT NULL CHECK (entries > 0),
    sealed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, number)
);
COMMENT ON TABLE ledger_block IS 'A sealed block of ledger and audit rows; each hash covers the one before it';

CREATE TABLE ledger_sealed (
    organization_id uuid NOT NULL,
    entry_kind text NOT NULL CHECK (entry_kind IN ('TRANSACTION', 'AUDIT')),
    entry_id uuid NOT NULL,
    block_number bigint NOT NULL,
    PRIMARY KEY (organization_id, entry_kind, entry_id),
    FOREIGN KEY (organization_id, block_number) REFERENCES ledger_block
);
CREATE INDEX ledger_sealed_block ON ledger_sealed (organization_id, block_number);
COMMENT ON TABLE ledger_sealed IS 'Which block a ledger transaction or an audit row was sealed into';
