//! Batch reads: what a whole page needs of another noun is one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use billing::invoicing::{self, documents};
use billing::{
    Billing, audit, books, catalog, customers, events, keys, organizations, partners, payments, retail, subscriptions,
    tiers,
};
use billing_primitives::{
    ApiKeyId, AuditEntryId, BillingRunId, CreditNoteId, CustomerId, EventId, InvoiceId, LedgerAccountId,
    OrganizationId, PartnerId, PaymentId, PlanId, PriceListId, PriceListVersionId, RetailPriceId, SeatChangeId,
    SubscriptionId, TierPinId, TierTableId,
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
    AuditEntryId => audit::AuditEntry, audit::by_ids;
    BillingRunId => documents::BillingRun, invoicing::runs_by_ids;
    CreditNoteId => documents::CreditNote, invoicing::credit_notes_by_ids;
    CustomerId => customers::Customer, customers::by_ids;
    EventId => events::Event, events::by_ids;
    InvoiceId => documents::Invoice, invoicing::invoices_by_ids;
    LedgerAccountId => books::LedgerAccount, books::by_ids;
    PartnerId => partners::Partner, partners::by_ids;
    PaymentId => payments::Payment, payments::by_ids;
    PlanId => catalog::Plan, catalog::plans::by_ids;
    PriceListId => catalog::PriceList, catalog::price_lists_by_ids;
    PriceListVersionId => catalog::PriceListVersion, catalog::versions_by_ids;
    RetailPriceId => retail::RetailPrice, retail::by_ids;
    SeatChangeId => subscriptions::SeatChange, subscriptions::seat_changes_by_ids;
    SubscriptionId => subscriptions::Subscription, subscriptions::by_ids;
    TierPinId => tiers::TierPin, tiers::pins_by_ids;
    TierTableId => tiers::TierTable, tiers::by_ids;
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
    /// What a partner has paid or been credited beyond what was due, by currency.
    CreditBalancesOf(PartnerId) => payments::CreditBalance, payments::credit_balances_of, partner_id;
    /// What a credit note takes back, in the order of its lines.
    CreditLinesOf(CreditNoteId) => documents::CreditNoteLine, invoicing::credit_lines_of, credit_note_id;
    /// The credit notes that name an invoice.
    CreditNotesOf(InvoiceId) => documents::CreditNote, invoicing::credit_notes_of, invoice_id;
    /// Who owned a customer, by day.
    OwnersOf(CustomerId) => customers::Ownership, customers::owners_of, customer_id;
    /// Payments and reversals of an invoice, in the order of recording.
    PaymentsOf(InvoiceId) => payments::Payment, payments::of_invoices, invoice_id;
    /// What a version of a price list says.
    PricesOf(PriceListVersionId) => catalog::Price, catalog::prices_of, price_list_version_id;
    /// How a subscription's seats changed.
    SeatChangesOf(SubscriptionId) => subscriptions::SeatChange, subscriptions::seat_changes_of, subscription_id;
    /// What a finalized invoice has come to: one row, none of a draft.
    SettlementsOf(InvoiceId) => payments::Settlement, payments::settlements_of, invoice;
    /// What a customer has subscribed to.
    SubscriptionsOf(CustomerId) => subscriptions::Subscription, subscriptions::of_customers, customer_id;
    /// The levels of a tier table.
    TiersOf(TierTableId) => tiers::Tier, tiers::tiers_of, tier_table_id;
    /// VAT of an invoice per category and rate.
    VatOf(InvoiceId) => documents::InvoiceVat, invoicing::vat_of, invoice_id;
    /// The versions of a price list, by day.
    VersionsOf(PriceListId) => catalog::PriceListVersion, catalog::versions_of, price_list_id;
}
