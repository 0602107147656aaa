//! Batch reads: what a whole page needs of another noun is one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use billing::invoicing::{self, documents};
use billing::{
    Billing, attribution, audit, books, catalog, commissions, customers, events, inbox, keys, organizations, partners,
    payments, payouts, programs, retail, subscriptions, tiers,
};
use billing_primitives::{
    ApiKeyId, ApplicationId, AttributionId, AuditEntryId, BillingRunId, ClaimLinkId, CommissionEntryId, CommissionId,
    CommissionStatementId, CreditNoteId, CustomerId, EnrollmentId, EventId, InvoiceId, LeadId, LedgerAccountId,
    OrganizationId, PartnerId, PaymentId, PayoutId, PayoutRunId, PlanId, PriceListId, PriceListVersionId, ProgramId,
    ProgramVersionId, ReferralCodeId, ReferralLinkId, RetailPriceId, SeatChangeId, StripeEndpointId, SubscriptionId,
    TierPinId, TierTableId, TouchId,
};

/// Reads rows of one organization by many keys at once.
pub struct Rows {
    pub billing: Billing,
    pub organization: OrganizationId,
}

/// One line per noun: its id, its row and the service that reads many of them.
macro_rules! by_id {
    ($($id:ty => $row:ty, $read:path;)*) => {$(
        impl Loader<$id> for Rows {
            type Value = $row;
            type Error = Arc<billing::Error>;

            async fn load(&self, keys: &[$id]) -> Result<HashMap<$id, Self::Value>, Self::Error> {
                let rows = $read(&self.billing, self.organization, keys).await?;
                Ok(rows.into_iter().map(|row| (row.id, row)).collect())
            }
        }
    )*};
}

by_id! {
    ApiKeyId => keys::ApiKey, keys::by_ids;
    ApplicationId => programs::Application, programs::applications::by_ids;
    AttributionId => attribution::Attribution, attribution::attributions_by_ids;
    AuditEntryId => audit::AuditEntry, audit::by_ids;
    BillingRunId => documents::BillingRun, invoicing::runs_by_ids;
    ClaimLinkId => attribution::ClaimLink, attribution::claim_links_by_ids;
    CommissionEntryId => commissions::Entry, commissions::entries_by_ids;
    CommissionId => commissions::Commission, commissions::by_ids;
    CommissionStatementId => payouts::Statement, payouts::statements_by_ids;
    CreditNoteId => documents::CreditNote, invoicing::credit_notes_by_ids;
    CustomerId => customers::Customer, customers::by_ids;
    EnrollmentId => programs::Enrollment, programs::enrollments::by_ids;
    EventId => events::Event, events::by_ids;
    InvoiceId => documents::Invoice, invoicing::invoices_by_ids;
    LeadId => attribution::Lead, attribution::leads_by_ids;
    LedgerAccountId => books::LedgerAccount, books::by_ids;
    PartnerId => partners::Partner, partners::by_ids;
    PaymentId => payments::Payment, payments::by_ids;
    PayoutId => payouts::Payout, payouts::by_ids;
    PayoutRunId => payouts::PayoutRun, payouts::runs_by_ids;
    PlanId => catalog::Plan, catalog::plans::by_ids;
    PriceListId => catalog::PriceList, catalog::price_lists_by_ids;
    PriceListVersionId => catalog::PriceListVersion, catalog::versions_by_ids;
    ProgramId => programs::Program, programs::by_ids;
    ProgramVersionId => programs::ProgramVersion, programs::versions::by_ids;
    ReferralCodeId => attribution::ReferralCode, attribution::codes_by_ids;
    ReferralLinkId => attribution::ReferralLink, attribution::links_by_ids;
    RetailPriceId => retail::RetailPrice, retail::by_ids;
    SeatChangeId => subscriptions::SeatChange, subscriptions::seat_changes_by_ids;
    StripeEndpointId => inbox::Endpoint, inbox::endpoints_by_ids;
    SubscriptionId => subscriptions::Subscription, subscriptions::by_ids;
    TierPinId => tiers::TierPin, tiers::pins_by_ids;
    TierTableId => tiers::TierTable, tiers::by_ids;
    TouchId => attribution::Touch, attribution::touches_by_ids;
}

impl Loader<OrganizationId> for Rows {
    type Value = organizations::Organization;
    type Error = Arc<billing::Error>;

    /// Of the organizations only the caller's own exists for it.
    async fn load(&self, keys: &[OrganizationId]) -> Result<HashMap<OrganizationId, Self::Value>, Self::Error> {
        if !keys.contains(&self.organization) {
            return Ok(HashMap::new());
        }
        let own = organizations::get(&self.billing, self.organization).await?;
        Ok(HashMap::from([(own.id, own)]))
    }
}

/// Stripe's id of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StripeEventKey(pub String);

impl Loader<StripeEventKey> for Rows {
    type Value = inbox::StripeEvent;
    type Error = Arc<billing::Error>;

    async fn load(&self, keys: &[StripeEventKey]) -> Result<HashMap<StripeEventKey, Self::Value>, Self::Error> {
        let ids: Vec<String> = keys.iter().map(|key| key.0.clone()).collect();
        let rows = inbox::events_by_ids(&self.billing, self.organization, &ids).await?;
        Ok(rows.into_iter().map(|row| (StripeEventKey(row.event_id.clone()), row)).collect())
    }
}

/// One line per list inside a noun: its key (the parent), its row, the service that reads the lists of many parents,
/// and the parent of a row. Rows keep the order in which the service gives them.
macro_rules! by_parent {
    ($($(#[$doc:meta])* $key:ident($id:ty) => $row:ty, $read:path, $parent:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $key(pub $id);

        impl Loader<$key> for Rows {
            type Value = Vec<$row>;
            type Error = Arc<billing::Error>;

            async fn load(&self, keys: &[$key]) -> Result<HashMap<$key, Self::Value>, Self::Error> {
                let parents: Vec<$id> = keys.iter().map(|key| key.0).collect();
                let mut lists: HashMap<$key, Self::Value> = keys.iter().map(|key| (*key, Vec::new())).collect();
                for row in $read(&self.billing, self.organization, &parents).await? {
                    lists.entry($key(row.$parent)).or_default().push(row);
                }
                Ok(lists)
            }
        }
    )*};
}

by_parent! {
    /// To whom a customer was credited, by day and order of writing.
    AttributionsOf(CustomerId) => attribution::Attribution, attribution::attributions_of, customer_id;
    /// A partner's referral codes.
    CodesOf(PartnerId) => attribution::ReferralCode, attribution::codes_of_partners, partner_id;
    /// The steps of a commission, in the order in which they were booked.
    CommissionEntriesOf(CommissionId) => commissions::Entry, commissions::entries_of, commission_id;
    /// Where the amounts of an enrollment stand: one row.
    BalancesOf(EnrollmentId) => payouts::Balance, payouts::balances_of, enrollment;
    /// What a partner has paid or been credited beyond what was due, by currency.
    CreditBalancesOf(PartnerId) => payments::CreditBalance, payments::credit_balances_of, partner_id;
    /// What a credit note takes back, in the order of its lines.
    CreditLinesOf(CreditNoteId) => documents::CreditNoteLine, invoicing::credit_lines_of, credit_note_id;
    /// The credit notes that name an invoice.
    CreditNotesOf(InvoiceId) => documents::CreditNote, invoicing::credit_notes_of, invoice_id;
    /// How much of a commission lies in payouts that are not paid: one row, or none.
    InPayoutsOf(CommissionId) => commissions::InPayout, commissions::in_payouts, commission_id;
    /// The links that carry a code.
    LinksOf(ReferralCodeId) => attribution::ReferralLink, attribution::links_of_codes, referral_code_id;
    /// How an enrollment is settled and what it earns by agreement, by day and order of writing.
    EnrollmentTermsOf(EnrollmentId) => programs::EnrollmentTerms, programs::enrollments::terms_of, enrollment_id;
    /// The programmes that a partner is enrolled in.
    EnrollmentsOf(PartnerId) => programs::Enrollment, programs::enrollments::of_partners, partner_id;
    /// Who owned a customer, by day.
    OwnersOf(CustomerId) => customers::Ownership, customers::owners_of, customer_id;
    /// Payments and reversals of an invoice, in the order of recording.
    PaymentsOf(InvoiceId) => payments::Payment, payments::of_invoices, invoice_id;
    /// Where a partner is paid: one row, none while nobody said so.
    PayoutDetailsOf(PartnerId) => payouts::PayoutDetails, payouts::details_of, partner_id;
    /// What a version of a price list says.
    PricesOf(PriceListVersionId) => catalog::Price, catalog::prices_of, price_list_version_id;
    /// The versions of a programme, by number.
    ProgramVersionsOf(ProgramId) => programs::ProgramVersion, programs::versions::versions_of, program_id;
    /// What a payout run comes to: one row.
    RunTotalsOf(PayoutRunId) => payouts::RunTotals, payouts::totals_of, run;
    /// How a subscription's seats changed.
    SeatChangesOf(SubscriptionId) => subscriptions::SeatChange, subscriptions::seat_changes_of, subscription_id;
    /// What a finalized invoice has come to: one row, none of a draft.
    SettlementsOf(InvoiceId) => payments::Settlement, payments::settlements_of, invoice;
    /// The event that told of a commission's source: one row, or none.
    SourceEventsOf(CommissionId) => commissions::SourceEvent, commissions::source_events, commission_id;
    /// Which prices and products at Stripe are a plan.
    StripeIdsOf(PlanId) => catalog::stripe_ids::PlanStripeId, catalog::stripe_ids::of_plans, plan_id;
    /// What a customer has subscribed to.
    SubscriptionsOf(CustomerId) => subscriptions::Subscription, subscriptions::of_customers, customer_id;
    /// Where an enrollment stands: one row, none while its programme has no version in force.
    TierProgressOf(EnrollmentId) => programs::TierProgress, programs::evaluations::progress, enrollment;
    /// The levels of a tier table.
    TiersOf(TierTableId) => tiers::Tier, tiers::tiers_of, tier_table_id;
    /// What is known to have brought a customer, once it has registered.
    TouchesOf(CustomerId) => attribution::BoundTouch, attribution::touches_of, customer_id;
    /// VAT of an invoice per category and rate.
    VatOf(InvoiceId) => documents::InvoiceVat, invoicing::vat_of, invoice_id;
    /// The versions of a price list, by day.
    VersionsOf(PriceListId) => catalog::PriceListVersion, catalog::versions_of, price_list_id;
}
