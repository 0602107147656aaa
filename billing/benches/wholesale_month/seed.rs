//! An organization of the size to measure: made through the services where there is one of a thing, set-based where there
//! are many.

use billing::catalog::plans::{self, NewPlan};
use billing::catalog::{self, Pricing, PublishPrices};
use billing::organizations::{self, Mode, NewOrganization, TermsFrom};
use billing::tiers::{self, NewTier, NewTierTable};
use billing::{Billing, Caller};
use billing_primitives::{BasisPoints, Currency, Month, OrganizationId, PlanId};
use tokio_postgres::Client;

use crate::Outcome;

/// Each with one subscription.
pub const CUSTOMERS_PER_PARTNER: i64 = 100;

/// An organization that is ready for its first run.
pub struct Seeded {
    pub organization: OrganizationId,
    pub partners: i64,
    pub subscriptions: i64,
}

impl Seeded {
    pub fn caller(&self) -> Caller {
        Caller::operator(self.organization)
    }
}

/// The first month that is billed.
pub fn first_month() -> Outcome<Month> {
    Ok("2026-01".parse()?)
}

/// Makes the organization. In each of the `months` every tenth subscription changes its seats on the fifteenth.
pub async fn organization(billing: &Billing, superuser: &Client, subscriptions: i64, months: i64) -> Outcome<Seeded> {
    let partners = subscriptions / CUSTOMERS_PER_PARTNER;
    let subscriptions = partners * CUSTOMERS_PER_PARTNER;
    let made = organizations::create(billing, &new_organization(subscriptions)?).await?;
    let seeded = Seeded { organization: made.id, partners, subscriptions };
    let plan = plan_and_prices(billing, &seeded.caller()).await?;
    tiers::publish(billing, &seeded.caller(), &tier_table()?).await?;
    rows(superuser, &seeded, plan, months).await?;
    for table in ["partner", "customer", "customer_owner", "subscription", "seat_change"] {
        superuser.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
    }
    Ok(seeded)
}

fn new_organization(subscriptions: i64) -> Outcome<NewOrganization> {
    Ok(NewOrganization {
        // Sizes may come again.
        external_id: format!("bench-{subscriptions}-{}", OrganizationId::new().uuid()),
        name: "Sælger A/S".to_owned(),
        mode: Mode::Live,
        time_zone: "Europe/Copenhagen".parse()?,
        currency: Currency::DKK,
        country: "DK".to_owned(),
        vat_number: Some("DK12345674".to_owned()),
        registration_number: None,
        street: "Vej 1".to_owned(),
        postal_code: "8000".to_owned(),
        city: "Aarhus C".to_owned(),
        email: "faktura@saelger.example".to_owned(),
        invoice_prefix: None,
        credit_note_prefix: None,
        payment_terms_days: 14,
        payment_terms_from: TermsFrom::IssueDate,
        billing_from: first_month()?,
        run_schedule: None,
        payout_four_eyes: None,
    })
}

async fn plan_and_prices(billing: &Billing, caller: &Caller) -> Outcome<PlanId> {
    let plan = NewPlan {
        external_id: "STANDARD".to_owned(),
        name: "Standard".to_owned(),
        pricing: Pricing::PerSeat,
        counts_users: None,
    };
    let plan = plans::create(billing, caller, &plan).await?.into_inner();
    let prices = PublishPrices {
        price_list: "LIST".to_owned(),
        currency: Currency::DKK,
        partner: None,
        effective_on: "2025-01-01".parse()?,
        prices: vec![(plan.id, 14_900)],
    };
    catalog::publish_prices(billing, caller, &prices).await?;
    Ok(plan.id)
}

fn tier_table() -> Outcome<NewTierTable> {
    let tier = |code: &str, from_users, bps| -> Outcome<NewTier> {
        let discount_bps = BasisPoints::new(bps)?;
        Ok(NewTier { code: code.to_owned(), name: code.to_owned(), from_users, discount_bps })
    };
    let tiers = vec![tier("REGISTERED", 0, 1_500)?, tier("CERTIFIED", 500, 3_000)?, tier("PREMIER", 1_200, 4_000)?];
    Ok(NewTierTable { effective_from: "2025-01".parse()?, grace_months: 1, indicative: false, tiers })
}

/// Customers join their partners over the years: neighbours in the tables belong to different partners.
async fn rows(superuser: &Client, seeded: &Seeded, plan: PlanId, months: i64) -> Outcome<()> {
    let (partners, customers) = (seeded.partners, seeded.subscriptions);
    let organization = seeded.organization.uuid();
    let plan = plan.uuid();
    superuser
        .batch_execute(&format!(
            "CREATE OR REPLACE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
                 SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(kind || n || '{organization}'), 1, 3)
                     || '8' || substr(md5(n || kind || '{organization}'), 1, 15))::uuid $$;
             -- The rows fit together by construction.
             SET session_replication_role = replica;
             INSERT INTO partner (organization_id, id, external_id, legal_name, email, street, postal_code, city, country,
                     vat_number, currency)
                 SELECT '{organization}', pg_temp.id('partner', n), 'P-' || lpad(n::text, 7, '0'), 'Partner ' || n || ' ApS',
                     'bogholderi@partner.example', 'Gade 2', '5000', 'Odense C', 'DK', 'DK87654321', 'DKK'
                 FROM generate_series(1, {partners}) n;
             INSERT INTO customer (organization_id, id, external_id, name)
                 SELECT '{organization}', pg_temp.id('customer', n), 'C-' || lpad(n::text, 8, '0'), 'Kunde ' || n
                 FROM generate_series(1, {customers}) n;
             INSERT INTO customer_owner (organization_id, customer_id, owned_from, partner_id)
                 SELECT '{organization}', pg_temp.id('customer', n), '2025-01-01', pg_temp.id('partner', 1 + n % {partners})
                 FROM generate_series(1, {customers}) n;
             INSERT INTO subscription (organization_id, id, external_id, customer_id, plan_id, starts_on)
                 SELECT '{organization}', pg_temp.id('subscription', n), 'S-' || n, pg_temp.id('customer', n), '{plan}',
                     date '2025-06-01' + (n % 100)::int
                 FROM generate_series(1, {customers}) n;
             INSERT INTO seat_change (organization_id, id, external_id, subscription_id, sequence, effective_on, quantity)
                 SELECT '{organization}', pg_temp.id('seats', n), 'Q-' || n, pg_temp.id('subscription', n), 1,
                     date '2025-06-01' + (n % 100)::int, 1 + (n + n / {partners}) % 25
                 FROM generate_series(1, {customers}) n;
             INSERT INTO seat_change (organization_id, id, external_id, subscription_id, sequence, effective_on, delta)
                 SELECT '{organization}', pg_temp.id('seats', {customers} + n), 'D-' || n, pg_temp.id('subscription', n), 2,
                     date '2026-01-15' + make_interval(months => (n / {partners} % 10)::int), 3
                 FROM generate_series(1, {customers}) n WHERE n / {partners} % 10 < {months};
             SET session_replication_role = origin"
        ))
        .await?;
    Ok(())
}
