//! The tables as diesel sees them. Written from the database; a test compares the two.

diesel::table! {
    api_key (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        name -> Text,
        secret_hash -> Text,
        shown_prefix -> Text,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    application (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        program_id -> Uuid,
        legal_name -> Text,
        contact_name -> Text,
        email -> Text,
        country -> Text,
        website -> Nullable<Text>,
        message -> Text,
        referred_by_partner_id -> Nullable<Uuid>,
        status -> Text,
        reason -> Nullable<Text>,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamptz>,
        partner_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    attribution (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        sequence -> BigInt,
        customer_id -> Uuid,
        enrollment_id -> Nullable<Uuid>,
        effective_from -> Date,
        source -> Text,
        touch_id -> Nullable<Uuid>,
        reason -> Nullable<Text>,
        flags -> Array<Text>,
        actor -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    audit_entry (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        actor -> Text,
        action -> Text,
        subject -> Text,
        details -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    billing_run (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        month -> Date,
        status -> Text,
        pass -> Integer,
        done_through -> Text,
        partners_done -> BigInt,
        partners_total -> BigInt,
        issue_date -> Nullable<Date>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    billing_run_refusal (organization_id, billing_run_id, partner_id) {
        organization_id -> Uuid,
        billing_run_id -> Uuid,
        partner_id -> Uuid,
        code -> Text,
        message -> Text,
    }
}

diesel::table! {
    claim_link (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        partner_id -> Uuid,
        enrollment_id -> Nullable<Uuid>,
        kind -> Text,
        customer_external_id -> Text,
        customer_name -> Text,
        email -> Nullable<Text>,
        plan_id -> Nullable<Uuid>,
        seats -> BigInt,
        token_hash -> Text,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        customer_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commission (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        source_kind -> Text,
        source_id -> Text,
        level -> Integer,
        enrollment_id -> Uuid,
        partner_id -> Uuid,
        program_id -> Uuid,
        program_version_id -> Uuid,
        customer_id -> Uuid,
        attribution_id -> Uuid,
        settlement -> Text,
        currency -> Text,
        base_minor -> BigInt,
        base_reversed_minor -> BigInt,
        earned_minor -> BigInt,
        reversed_minor -> BigInt,
        counted_minor -> BigInt,
        held_minor -> BigInt,
        payable_minor -> BigInt,
        taken_minor -> BigInt,
        owed_minor -> BigInt,
        earned_at -> Timestamptz,
        payable_at -> Timestamptz,
        on_hold -> Bool,
        trace -> Json,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commission_entry (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        sequence -> BigInt,
        commission_id -> Uuid,
        enrollment_id -> Uuid,
        kind -> Text,
        amount_minor -> BigInt,
        counted_minor -> BigInt,
        held_minor -> BigInt,
        payable_minor -> BigInt,
        taken_minor -> BigInt,
        owed_minor -> BigInt,
        stated_minor -> BigInt,
        currency -> Text,
        occurred_on -> Date,
        cause -> Text,
        actor -> Text,
        trace -> Json,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commission_hold (organization_id, source_kind, source_id) {
        organization_id -> Uuid,
        source_kind -> Text,
        source_id -> Text,
        reason -> Text,
        actor -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commission_reversal (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        source_kind -> Text,
        source_id -> Text,
        base_minor -> Nullable<BigInt>,
        currency -> Text,
        reason -> Text,
        actor -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commission_statement (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        enrollment_id -> Uuid,
        partner_id -> Uuid,
        program_id -> Uuid,
        month -> Date,
        currency -> Text,
        carried_minor -> BigInt,
        earned_minor -> BigInt,
        clawed_back_minor -> BigInt,
        vat_bps -> Integer,
        earned_vat_minor -> BigInt,
        clawed_back_vat_minor -> BigInt,
        balance_minor -> BigInt,
        trace -> Json,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    commission_statement_entry (organization_id, commission_entry_id) {
        organization_id -> Uuid,
        commission_entry_id -> Uuid,
        statement_id -> Uuid,
        commission_id -> Uuid,
        part -> Text,
        amount_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    conversion (organization_id, customer_id) {
        organization_id -> Uuid,
        customer_id -> Uuid,
        converted_at -> Timestamptz,
        source -> Text,
        stripe_subscription_id -> Nullable<Text>,
        plan_id -> Nullable<Uuid>,
        seats -> BigInt,
        cause -> Text,
        actor -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    credit_balance (organization_id, partner_id, currency) {
        organization_id -> Uuid,
        partner_id -> Uuid,
        currency -> Text,
        balance_minor -> BigInt,
    }
}

diesel::table! {
    credit_note (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        invoice_id -> Uuid,
        partner_id -> Uuid,
        billing_run_id -> Nullable<Uuid>,
        reason -> Text,
        memo -> Text,
        status -> Text,
        number -> Nullable<Text>,
        issue_date -> Nullable<Date>,
        currency -> Text,
        net_total_minor -> BigInt,
        vat_total_minor -> BigInt,
        gross_total_minor -> BigInt,
        vat_books_minor -> Nullable<BigInt>,
        vat_books_currency -> Nullable<Text>,
        vat_books_rate -> Nullable<Text>,
        trace -> Json,
        line_count -> Integer,
        content_hash -> Text,
        created_at -> Timestamptz,
        finalized_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    credit_note_line (organization_id, credit_note_id, line_number) {
        organization_id -> Uuid,
        credit_note_id -> Uuid,
        line_number -> Integer,
        invoice_id -> Uuid,
        invoice_line_number -> Integer,
        net_minor -> BigInt,
        currency -> Text,
        vat_category -> Text,
        vat_bps -> Integer,
        trace -> Json,
    }
}

diesel::table! {
    customer (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        name -> Text,
        country -> Nullable<Text>,
        created_at -> Timestamptz,
        email -> Nullable<Text>,
        stripe_customer_id -> Nullable<Text>,
    }
}

diesel::table! {
    customer_owner (organization_id, customer_id, owned_from) {
        organization_id -> Uuid,
        customer_id -> Uuid,
        owned_from -> Date,
        partner_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    directory (kind, lookup) {
        kind -> Text,
        lookup -> Text,
        organization_id -> Uuid,
    }
}

diesel::table! {
    document_counter (organization_id, series) {
        organization_id -> Uuid,
        series -> Text,
        last_number -> BigInt,
    }
}

diesel::table! {
    enrollment (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        program_id -> Uuid,
        partner_id -> Uuid,
        enrolled_from -> Date,
        ended_from -> Nullable<Date>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    enrollment_evaluation (organization_id, enrollment_id, month) {
        organization_id -> Uuid,
        enrollment_id -> Uuid,
        month -> Date,
        program_version_id -> Uuid,
        tier_code -> Text,
        converted_customers -> BigInt,
        net_revenue_minor -> BigInt,
        currency -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    enrollment_terms (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        enrollment_id -> Uuid,
        effective_from -> Date,
        settlement -> Text,
        overrides -> Json,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    event (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        subject -> Text,
        payload -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    exchange_rate (organization_id, from_currency, to_currency, date) {
        organization_id -> Uuid,
        date -> Date,
        from_currency -> Text,
        to_currency -> Text,
        rate -> Numeric,
        source -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_key (organization_id, key) {
        organization_id -> Uuid,
        key -> Text,
        fingerprint -> Text,
        outcome -> Nullable<Jsonb>,
        response -> Nullable<Jsonb>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    invoice (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        billing_run_id -> Uuid,
        partner_id -> Uuid,
        month -> Date,
        status -> Text,
        number -> Nullable<Text>,
        issue_date -> Nullable<Date>,
        due_date -> Nullable<Date>,
        currency -> Text,
        net_total_minor -> BigInt,
        vat_total_minor -> BigInt,
        gross_total_minor -> BigInt,
        vat_books_minor -> Nullable<BigInt>,
        vat_books_currency -> Nullable<Text>,
        vat_books_rate -> Nullable<Text>,
        vat_books_rate_date -> Nullable<Date>,
        users -> BigInt,
        billed_tier -> Text,
        discount_bps -> Integer,
        parties -> Json,
        trace -> Json,
        line_count -> Integer,
        content_hash -> Text,
        created_at -> Timestamptz,
        finalized_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    invoice_line (organization_id, invoice_id, line_number) {
        organization_id -> Uuid,
        invoice_id -> Uuid,
        line_number -> Integer,
        kind -> Text,
        customer_id -> Uuid,
        plan_id -> Uuid,
        month -> Date,
        currency -> Text,
        unit_price_minor -> BigInt,
        seat_days -> BigInt,
        gross_minor -> BigInt,
        discount_bps -> Integer,
        discount_minor -> BigInt,
        net_minor -> BigInt,
        vat_category -> Text,
        vat_bps -> Integer,
        trace -> Json,
    }
}

diesel::table! {
    invoice_vat (organization_id, invoice_id, vat_category, vat_bps) {
        organization_id -> Uuid,
        invoice_id -> Uuid,
        vat_category -> Text,
        vat_bps -> Integer,
        taxable_minor -> BigInt,
        tax_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    job (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        kind -> Text,
        payload -> Jsonb,
        unique_key -> Nullable<Text>,
        status -> Text,
        run_at -> Timestamptz,
        attempts -> Integer,
        max_attempts -> Integer,
        lease_number -> BigInt,
        leased_until -> Nullable<Timestamptz>,
        worker -> Nullable<Text>,
        last_error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    job_tick (schedule, tick) {
        schedule -> Text,
        tick -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    late_change (organization_id, partner_id, customer_id, plan_id, month) {
        organization_id -> Uuid,
        customer_id -> Uuid,
        plan_id -> Uuid,
        partner_id -> Uuid,
        month -> Date,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    lead (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        enrollment_id -> Uuid,
        touch_id -> Uuid,
        name -> Text,
        email -> Text,
        company -> Nullable<Text>,
        message -> Text,
        status -> Text,
        customer_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    ledger_account (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        owner_id -> Nullable<Uuid>,
        currency -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    ledger_block (organization_id, number) {
        organization_id -> Uuid,
        number -> BigInt,
        previous_hash -> Text,
        hash -> Text,
        entries -> BigInt,
        sealed_at -> Timestamptz,
    }
}

diesel::table! {
    ledger_sealed (organization_id, entry_kind, entry_id) {
        organization_id -> Uuid,
        entry_kind -> Text,
        entry_id -> Uuid,
        block_number -> BigInt,
    }
}

diesel::table! {
    ledger_transaction (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        kind -> Text,
        source -> Text,
        occurred_on -> Date,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    ledger_transfer (organization_id, transaction_id, position) {
        organization_id -> Uuid,
        transaction_id -> Uuid,
        position -> Integer,
        debit_account_id -> Uuid,
        credit_account_id -> Uuid,
        amount_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    organization (organization_id) {
        organization_id -> Uuid,
        external_id -> Text,
        name -> Text,
        mode -> Text,
        time_zone -> Text,
        currency -> Text,
        country -> Text,
        vat_number -> Nullable<Text>,
        registration_number -> Nullable<Text>,
        street -> Text,
        postal_code -> Text,
        city -> Text,
        email -> Text,
        invoice_prefix -> Text,
        credit_note_prefix -> Text,
        payment_terms_days -> Integer,
        payment_terms_from -> Text,
        billing_from -> Date,
        run_schedule -> Nullable<Text>,
        created_at -> Timestamptz,
        payout_four_eyes -> Bool,
        publishable_key -> Nullable<Text>,
        public_host -> Nullable<Text>,
    }
}

diesel::table! {
    partner (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        legal_name -> Text,
        email -> Text,
        street -> Text,
        postal_code -> Text,
        city -> Text,
        country -> Text,
        vat_number -> Nullable<Text>,
        vat_status -> Text,
        vat_checked_at -> Nullable<Timestamptz>,
        vat_answer -> Nullable<Text>,
        currency -> Text,
        payment_terms_days -> Nullable<Integer>,
        payment_terms_from -> Nullable<Text>,
        parent_partner_id -> Nullable<Uuid>,
        status -> Text,
        terminated_from -> Nullable<Date>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    partner_parent (organization_id, partner_id, effective_from) {
        organization_id -> Uuid,
        partner_id -> Uuid,
        effective_from -> Date,
        parent_partner_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    payment (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Nullable<Text>,
        invoice_id -> Uuid,
        partner_id -> Uuid,
        method -> Text,
        amount_minor -> BigInt,
        currency -> Text,
        received_on -> Date,
        reference -> Text,
        reverses_payment_id -> Nullable<Uuid>,
        reversal_reason -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    payout (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        payout_run_id -> Nullable<Uuid>,
        enrollment_id -> Uuid,
        partner_id -> Uuid,
        program_id -> Uuid,
        method -> Text,
        status -> Text,
        currency -> Text,
        payable_minor -> BigInt,
        offset_minor -> BigInt,
        net_minor -> BigInt,
        vat_bps -> Integer,
        vat_minor -> BigInt,
        holder -> Nullable<Text>,
        iban -> Nullable<Text>,
        invoice_id -> Nullable<Uuid>,
        payment_id -> Nullable<Uuid>,
        settled_on -> Nullable<Date>,
        reference -> Nullable<Text>,
        failure -> Nullable<Text>,
        trace -> Json,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    payout_details (organization_id, partner_id) {
        organization_id -> Uuid,
        partner_id -> Uuid,
        holder -> Text,
        iban -> Text,
        verified_at -> Nullable<Timestamptz>,
        verified_by -> Nullable<Text>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    payout_item (organization_id, payout_id, commission_id) {
        organization_id -> Uuid,
        payout_id -> Uuid,
        commission_id -> Uuid,
        amount_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    payout_left_out (organization_id, payout_run_id, enrollment_id) {
        organization_id -> Uuid,
        payout_run_id -> Uuid,
        enrollment_id -> Uuid,
        reason -> Text,
        balance_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    payout_run (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        program_id -> Uuid,
        run_key -> Text,
        cut_off -> Date,
        status -> Text,
        currency -> Text,
        threshold_minor -> BigInt,
        made_by -> Text,
        approved_by -> Nullable<Text>,
        created_at -> Timestamptz,
        computed_at -> Timestamptz,
        approved_at -> Nullable<Timestamptz>,
        sent_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    plan (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        name -> Text,
        pricing -> Text,
        counts_users -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    plan_stripe_ref (organization_id, stripe_id) {
        organization_id -> Uuid,
        stripe_id -> Text,
        plan_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    price (organization_id, price_list_version_id, plan_id) {
        organization_id -> Uuid,
        price_list_version_id -> Uuid,
        plan_id -> Uuid,
        unit_price_minor -> BigInt,
        currency -> Text,
    }
}

diesel::table! {
    price_list (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        currency -> Text,
        partner_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    price_list_version (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        price_list_id -> Uuid,
        effective_on -> Date,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    program (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        name -> Text,
        currency -> Text,
        is_default -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    program_version (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        program_id -> Uuid,
        number -> Integer,
        status -> Text,
        effective_from -> Nullable<Date>,
        new_customers_only -> Bool,
        terms -> Json,
        created_at -> Timestamptz,
        published_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    referral_code (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        partner_id -> Uuid,
        enrollment_id -> Nullable<Uuid>,
        code -> Text,
        code_key -> Text,
        is_default -> Bool,
        status -> Text,
        stripe_promotion_code -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    referral_link (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        referral_code_id -> Uuid,
        name -> Text,
        destination -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    retail_price (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        partner_id -> Uuid,
        plan_id -> Uuid,
        customer_id -> Nullable<Uuid>,
        effective_on -> Date,
        unit_price_minor -> BigInt,
        currency -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    seat_change (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        subscription_id -> Uuid,
        sequence -> Integer,
        effective_on -> Date,
        quantity -> Nullable<BigInt>,
        delta -> Nullable<BigInt>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    settlement (organization_id, invoice_id) {
        organization_id -> Uuid,
        invoice_id -> Uuid,
        partner_id -> Uuid,
        currency -> Text,
        gross_minor -> BigInt,
        credited_minor -> BigInt,
        paid_minor -> BigInt,
        rounding_minor -> BigInt,
        from_balance_minor -> BigInt,
        to_balance_minor -> BigInt,
        written_off_minor -> BigInt,
        due_minor -> BigInt,
        due_date -> Date,
        issue_date -> Date,
        number -> Text,
    }
}

diesel::table! {
    settlement_entry (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        sequence -> BigInt,
        partner_id -> Uuid,
        invoice_id -> Nullable<Uuid>,
        kind -> Text,
        amount_minor -> BigInt,
        recovered_minor -> BigInt,
        currency -> Text,
        source -> Text,
        memo -> Text,
        occurred_on -> Date,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    stripe_account (organization_id) {
        organization_id -> Uuid,
        api_key -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    stripe_endpoint (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        name -> Text,
        secrets -> Array<Text>,
        rejected -> BigInt,
        disabled_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    stripe_event (organization_id, event_id) {
        organization_id -> Uuid,
        event_id -> Text,
        endpoint_id -> Uuid,
        kind -> Text,
        api_version -> Nullable<Text>,
        livemode -> Bool,
        customer -> Nullable<Text>,
        occurred_at -> Timestamptz,
        received_at -> Timestamptz,
        body -> Text,
        status -> Text,
        reason -> Nullable<Text>,
        detail -> Nullable<Text>,
        attempts -> Integer,
        processed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    stripe_fact (organization_id, kind, stripe_id) {
        organization_id -> Uuid,
        kind -> Text,
        stripe_id -> Text,
        as_of -> Timestamptz,
        rank -> Integer,
        event_id -> Nullable<Text>,
        customer -> Nullable<Text>,
        subscription -> Nullable<Text>,
        invoice -> Nullable<Text>,
        payment_intent -> Nullable<Text>,
        charge -> Nullable<Text>,
        paid_at -> Nullable<Timestamptz>,
        earns_from -> Nullable<Date>,
        fact -> Jsonb,
    }
}

diesel::table! {
    subscription (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        external_id -> Text,
        customer_id -> Uuid,
        plan_id -> Uuid,
        starts_on -> Date,
        ends_on -> Nullable<Date>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    tier (organization_id, tier_table_id, code) {
        organization_id -> Uuid,
        tier_table_id -> Uuid,
        code -> Text,
        name -> Text,
        from_users -> BigInt,
        discount_bps -> Integer,
    }
}

diesel::table! {
    tier_evaluation (organization_id, partner_id, month) {
        organization_id -> Uuid,
        partner_id -> Uuid,
        month -> Date,
        tier_table_id -> Uuid,
        users -> BigInt,
        measured_tier -> Text,
        billed_tier -> Text,
        discount_bps -> Integer,
        reason -> Text,
        months_below -> Integer,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    tier_pin (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        partner_id -> Uuid,
        from_month -> Date,
        through_month -> Nullable<Date>,
        tier_code -> Text,
        reason -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    tier_table (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        effective_from -> Date,
        grace_months -> Integer,
        indicative -> Bool,
        confirmed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    touch (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        source -> Text,
        enrollment_id -> Uuid,
        referral_code_id -> Nullable<Uuid>,
        visitor_hash -> Nullable<Text>,
        customer_id -> Nullable<Uuid>,
        occurred_at -> Timestamptz,
        evidence -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    api_key,
    application,
    attribution,
    audit_entry,
    billing_run,
    billing_run_refusal,
    claim_link,
    commission,
    commission_entry,
    commission_hold,
    commission_reversal,
    commission_statement,
    commission_statement_entry,
    conversion,
    credit_balance,
    credit_note,
    credit_note_line,
    customer,
    customer_owner,
    directory,
    document_counter,
    enrollment,
    enrollment_evaluation,
    enrollment_terms,
    event,
    exchange_rate,
    idempotency_key,
    invoice,
    invoice_line,
    invoice_vat,
    job,
    job_tick,
    late_change,
    lead,
    ledger_account,
    ledger_block,
    ledger_sealed,
    ledger_transaction,
    ledger_transfer,
    organization,
    partner,
    partner_parent,
    payment,
    payout,
    payout_details,
    payout_item,
    payout_left_out,
    payout_run,
    plan,
    plan_stripe_ref,
    price,
    price_list,
    price_list_version,
    program,
    program_version,
    referral_code,
    referral_link,
    retail_price,
    seat_change,
    settlement,
    settlement_entry,
    stripe_account,
    stripe_endpoint,
    stripe_event,
    stripe_fact,
    subscription,
    tier,
    tier_evaluation,
    tier_pin,
    tier_table,
    touch,
);

