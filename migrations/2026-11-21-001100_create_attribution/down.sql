DROP TABLE attribution, claim_link, lead, touch, referral_link, referral_code, plan_stripe_ref;
ALTER TABLE customer DROP COLUMN stripe_customer_id, DROP COLUMN email;
DELETE FROM directory WHERE kind NOT IN ('ORGANIZATION', 'API_KEY');
ALTER TABLE directory DROP CONSTRAINT directory_kind_check;
ALTER TABLE directory ADD CONSTRAINT directory_kind_check CHECK (kind IN ('ORGANIZATION', 'API_KEY'));
COMMENT ON COLUMN directory.lookup IS 'ORGANIZATION: its external id; API_KEY: SHA-256 of the secret, hex';
ALTER TABLE organization DROP COLUMN public_host, DROP COLUMN publishable_key;
