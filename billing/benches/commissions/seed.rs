//! An organization with a programme, partners in it, and customers that are credited to them.

use billing::organizations::{self, Mode, NewOrganization, TermsFrom};
use billing::partners::{self, PartnerProfile};
use billing::programs::enrollments::{self, NewEnrollment};
use billing::programs::terms::{
    AttributionTerms, CommissionBase, Overrides, Phase, ProgramTier, Reward, SelfReferral, SettlementMode, Terms,
    TouchSource, Trigger, Window,
};
use billing::programs::{self, NewProgram, versions};
use billing::stripe::DisputePolicy;
use billing::{Billing, Caller};
use billing_primitives::{BasisPoints, Currency, EnrollmentId, OrganizationId, PartnerId, ProgramId, ProgramVersionId};
use tokio_postgres::Client;

use crate::Outcome;
use crate::id::Id;

/// 2026-06-01T12:00:00Z, the clock of the bench.
pub const NOW: i64 = 1_780_315_200;

/// Partners that customers are spread over.
const PARTNERS: usize = 100;

/// Months of history that a backfill has.
const MONTHS: usize = 10;

pub struct Seeded {
    pub organization: OrganizationId,
    pub program: ProgramId,
    pub version: ProgramVersionId,
    pub enrollments: Vec<(EnrollmentId, PartnerId)>,
}

impl Seeded {
    pub fn caller(&self) -> Caller {
        Caller::operator(self.organization)
    }

    /// Who is credited with a customer.
    pub fn enrollment(&self, customer: usize) -> (EnrollmentId, PartnerId) {
        self.enrollments[customer % PARTNERS]
    }
}

fn phase(from_month: u32, bps: i64) -> Outcome<Phase> {
    Ok(Phase { from_month, reward: Reward::Percent(BasisPoints::new(bps)?) })
}

fn terms() -> Outcome<Terms> {
    let tier = ProgramTier {
        code: "START".to_owned(),
        name: "Start".to_owned(),
        converted_customers: 0,
        net_revenue_minor: 0,
        phases: vec![phase(1, 2_000)?, phase(13, 1_000)?],
    };
    Ok(Terms {
        base: CommissionBase::NetRevenue,
        trigger: Trigger::EveryPayment,
        tiers: vec![tier],
        plan_rules: Vec::new(),
        upline: Vec::new(),
        max_share: BasisPoints::new(10_000)?,
        hold_days: 30,
        cancellation_window_days: None,
        disputes: DisputePolicy::ReverseAtOnce,
        attribution: AttributionTerms {
            sources: vec![Window { source: TouchSource::Code, days: 30 }],
            self_referral: SelfReferral::Block,
        },
        payout_threshold_minor: 0,
        payout_schedule: None,
    })
}

pub async fn organization(billing: &Billing, superuser: &Client, customers: usize) -> Outcome<Seeded> {
    let input = NewOrganization {
        external_id: "bench".to_owned(),
        name: "Bench A/S".to_owned(),
        mode: Mode::Live,
        time_zone: "Europe/Copenhagen".parse()?,
        currency: Currency::DKK,
        country: "DK".to_owned(),
        vat_number: None,
        registration_number: None,
        street: "Vej 1".to_owned(),
        postal_code: "8000".to_owned(),
        city: "Aarhus".to_owned(),
        email: "bench@saelger.example".to_owned(),
        invoice_prefix: None,
        credit_note_prefix: None,
        payment_terms_days: 14,
        payment_terms_from: TermsFrom::IssueDate,
        billing_from: "2026-01".parse()?,
        run_schedule: None,
        payout_four_eyes: None,
    };
    let organization = organizations::create(billing, &input).await?.id;
    let caller = Caller::operator(organization);
    let new = NewProgram {
        external_id: "bench".to_owned(),
        name: "Bench".to_owned(),
        currency: Currency::EUR,
        is_default: true,
        terms: Some(terms()?),
    };
    let program = programs::create(billing, &caller, &new).await?.into_inner().id;
    let version = versions::publish(billing, &caller, program, "2020-01-01".parse()?).await?.into_inner().id;
    let mut enrolled = Vec::new();
    for number in 0..PARTNERS {
        let partner = partners::create(billing, &caller, &partner(number)).await?.into_inner().id;
        let input = NewEnrollment {
            program,
            partner,
            enrolled_from: Some("2020-01-01".parse()?),
            settlement: SettlementMode::Payout,
            overrides: Overrides::default(),
        };
        enrolled.push((enrollments::enroll(billing, &caller, &input).await?.into_inner().id, partner));
    }
    let seeded = Seeded { organization, program, version, enrollments: enrolled };
    add_customers(superuser, &seeded, customers).await?;
    Ok(seeded)
}

fn partner(number: usize) -> PartnerProfile {
    PartnerProfile {
        external_id: format!("P-{number:04}"),
        legal_name: format!("Partner {number} ApS"),
        email: "bogholderi@partner.example".to_owned(),
        street: "Gade 2".to_owned(),
        postal_code: "5000".to_owned(),
        city: "Odense".to_owned(),
        country: "DK".to_owned(),
        vat_number: None,
        currency: Currency::DKK,
        payment_terms: None,
        parent: None,
    }
}

/// Customers with their attributions; the ids of both follow from the customer's number.
async fn add_customers(superuser: &Client, seeded: &Seeded, customers: usize) -> Outcome<()> {
    let organization = Id(seeded.organization.uuid());
    let enrollments: Vec<Id> = seeded.enrollments.iter().map(|(id, _)| Id(id.uuid())).collect();
    let last = i64::try_from(customers)? - 1;
    superuser
        .execute(
            "INSERT INTO customer (organization_id, id, external_id, name, stripe_customer_id)
             SELECT $1, md5('customer' || n)::uuid, 'C-' || n, 'Customer', 'cus_' || n FROM generate_series(0, $2::bigint) n",
            &[&organization, &last],
        )
        .await?;
    superuser
        .execute(
            "INSERT INTO attribution (organization_id, id, customer_id, enrollment_id, effective_from, source, reason, actor)
             SELECT $1, md5('attribution' || n)::uuid, md5('customer' || n)::uuid, ($3::uuid[])[1 + n % $4], '2020-01-01',
                    'MANUAL', 'bench', 'operator' FROM generate_series(0, $2::bigint) n",
            &[&organization, &last, &enrollments, &i64::try_from(PARTNERS)?],
        )
        .await?;
    Ok(())
}

pub fn event_id(customer: usize) -> String {
    format!("evt_{customer:012}")
}

/// A paid invoice of a customer, as an event tells it.
pub fn event(customer: usize) -> String {
    let invoice = invoice(&format!("in_{customer:012}"), customer, NOW - 3_600);
    let id = event_id(customer);
    format!(
        r#"{{"id":"{id}","object":"event","api_version":"2025-10-29.clover","created":{},"data":{{"object":{invoice}}},"livemode":true,"pending_webhooks":1,"type":"invoice.paid"}}"#,
        NOW - 3_600
    )
}

/// A paid invoice of the past: month by month the customers behind `from`.
pub fn historic(from: usize, number: usize, invoices: usize) -> String {
    let customers = invoices.div_ceil(MONTHS);
    let month = i64::try_from(number / customers).unwrap_or(0);
    invoice(&format!("in_past{number:012}"), from + number % customers, NOW - (12 - month) * 30 * 86_400)
}

fn invoice(id: &str, customer: usize, paid_at: i64) -> String {
    let end = paid_at + 30 * 86_400;
    format!(
        r#"{{"id":"{id}","object":"invoice","amount_due":6125,"amount_paid":6125,"amount_remaining":0,"billing_reason":"subscription_cycle","created":{paid_at},"currency":"eur","customer":"cus_{customer}","customer_email":"billing@acme.example","customer_name":"Acme ApS","lines":{{"object":"list","data":[{{"id":"il_{id}","object":"line_item","amount":4900,"currency":"eur","description":"1 × Pro (at €49.00 / month)","discount_amounts":[],"discounts":[],"invoice":"{id}","livemode":true,"metadata":{{}},"period":{{"start":{paid_at},"end":{end}}},"quantity":1,"subscription":"sub_{customer}","pretax_credit_amounts":[],"taxes":[{{"amount":1225,"tax_behavior":"exclusive","type":"tax_rate_details"}}],"parent":{{"subscription_item_details":{{"proration":false,"subscription":"sub_{customer}","subscription_item":"si_1"}},"type":"subscription_item_details"}},"pricing":{{"price_details":{{"price":"price_pro","product":"prod_pro"}},"type":"price_details","unit_amount_decimal":"4900"}}}}],"has_more":false,"total_count":1}},"livemode":true,"metadata":{{}},"number":"{id}","period_end":{paid_at},"period_start":{paid_at},"starting_balance":0,"status":"paid","status_transitions":{{"finalized_at":{paid_at},"paid_at":{paid_at}}},"subtotal":4900,"total":6125,"total_excluding_tax":4900,"parent":{{"subscription_details":{{"subscription":"sub_{customer}"}},"type":"subscription_details"}}}}"#
    )
}
