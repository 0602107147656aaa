DROP TABLE payout_left_out, payout_item, payout, payout_run, commission_statement_entry, commission_statement, payout_details;
ALTER TABLE payment DROP CONSTRAINT payment_method_check;
ALTER TABLE payment ADD CONSTRAINT payment_method_check CHECK (method IN ('BANK', 'STRIPE'));
