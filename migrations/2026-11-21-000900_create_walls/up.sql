-- The second wall: whoever forgets to name the organization in a statement sees nothing.
-- `SET LOCAL app.organization` is the only key; after a transaction the setting is an empty string, hence nullif.
DO $$
DECLARE
    own constant text := 'organization_id = nullif(current_setting(''app.organization'', true), '''')::uuid';
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'organization', 'document_counter', 'api_key', 'idempotency_key', 'audit_entry', 'event', 'exchange_rate',
        'partner', 'customer', 'customer_owner', 'plan', 'price_list', 'price_list_version', 'price',
        'tier_table', 'tier', 'tier_pin', 'tier_evaluation', 'subscription', 'seat_change', 'retail_price',
        'ledger_account', 'ledger_transaction', 'ledger_transfer', 'ledger_block', 'ledger_sealed',
        'billing_run', 'billing_run_refusal', 'invoice', 'invoice_line', 'invoice_vat',
        'credit_note', 'credit_note_line', 'late_change', 'settlement', 'payment', 'settlement_entry', 'credit_balance'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_read ON %I FOR SELECT USING (%s)', name, own);
        EXECUTE format('CREATE POLICY own_insert ON %I FOR INSERT WITH CHECK (%s)', name, own);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO avance_app', name);
        IF name IN ('invoice', 'credit_note') THEN
            -- Finalized documents match no policy for UPDATE and DELETE, for the owner of the table neither.
            EXECUTE format('CREATE POLICY draft_update ON %I FOR UPDATE USING (%s AND status = ''DRAFT'') WITH CHECK (%s)',
                name, own, own);
            EXECUTE format('CREATE POLICY draft_delete ON %I FOR DELETE USING (%s AND status = ''DRAFT'')', name, own);
            EXECUTE format('GRANT UPDATE, DELETE ON %I TO avance_app', name);
        ELSIF name NOT IN ('ledger_account', 'ledger_transaction', 'ledger_transfer', 'ledger_block', 'ledger_sealed',
                           'audit_entry', 'event', 'tier_evaluation', 'seat_change', 'payment', 'settlement_entry',
                           'price', 'price_list_version', 'tier', 'exchange_rate') THEN
            EXECUTE format('CREATE POLICY own_update ON %I FOR UPDATE USING (%s) WITH CHECK (%s)', name, own, own);
            EXECUTE format('CREATE POLICY own_delete ON %I FOR DELETE USING (%s)', name, own);
            EXECUTE format('GRANT UPDATE, DELETE ON %I TO avance_app', name);
        END IF;
    END LOOP;

    -- Lines may only be written and taken away while their document is a draft: their store locks it first, and the
    -- document's hash covers them. The finalized ones are beyond reach of UPDATE because it is never granted.
    FOREACH name IN ARRAY ARRAY['invoice_line', 'invoice_vat', 'credit_note_line'] LOOP
        EXECUTE format('REVOKE UPDATE ON %I FROM avance_app', name);
    END LOOP;
END $$;
