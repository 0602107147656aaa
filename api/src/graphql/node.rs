//! Objects by their global id: the prefix says which noun it is.

use async_graphql::{Context, ID, Interface, Object, Result};
use billing_primitives::{
    ApiKeyId, AuditEntryId, BillingRunId, CreditNoteId, CustomerId, EventId, InvoiceId, LedgerAccountId,
    OrganizationId, PartnerId, PaymentId, PlanId, PriceListId, PriceListVersionId, RetailPriceId, SeatChangeId,
    SubscriptionId, TierPinId, TierTableId,
};

use super::api_keys::ApiKey;
use super::catalog::{Plan, PriceList, PriceListVersion};
use super::credit_notes::CreditNote;
use super::customers::Customer;
use super::events::{AuditEntry, Event};
use super::invoice_lines::{InvoiceLine, InvoiceLineId};
use super::invoices::Invoice;
use super::ledger::LedgerAccount;
use super::organization::Organization;
use super::partners::Partner;
use super::payments::Payment;
use super::retail::RetailPrice;
use super::runs::BillingRun;
use super::scope::Scope;
use super::subscriptions::{SeatChange, Subscription};
use super::tiers::{TierPin, TierTable};

/// Whatever has an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "The global id: a prefix that names the kind, and 32 hex digits."))]
pub enum Node {
    ApiKey(ApiKey),
    AuditEntry(AuditEntry),
    BillingRun(BillingRun),
    CreditNote(CreditNote),
    Customer(Customer),
    Event(Event),
    Invoice(Invoice),
    InvoiceLine(InvoiceLine),
    LedgerAccount(LedgerAccount),
    Organization(Organization),
    Partner(Partner),
    Payment(Payment),
    Plan(Plan),
    PriceList(PriceList),
    PriceListVersion(PriceListVersion),
    RetailPrice(RetailPrice),
    SeatChange(SeatChange),
    Subscription(Subscription),
    TierPin(TierPin),
    TierTable(TierTable),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id, whatever it is; null when there is none.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "A global id.")] id: ID) -> Result<Option<Node>> {
        let scope = Scope::of(ctx)?;
        by_prefix(scope, &id).await
    }
}

/// One line per noun whose rows can be read by id.
macro_rules! loaded {
    ($scope:expr, $id:expr; $($ty:ty => $node:ident,)*) => {
        match $id.split_once('_').map_or("", |(prefix, _)| prefix) {
            $(<$ty>::PREFIX => $scope.find::<$ty>($id).await?.map(|row| Node::$node(row.into())),)*
            _ => None,
        }
    };
}

async fn by_prefix(scope: &Scope, id: &ID) -> Result<Option<Node>> {
    Ok(loaded! { scope, id;
        ApiKeyId => ApiKey,
        AuditEntryId => AuditEntry,
        BillingRunId => BillingRun,
        CreditNoteId => CreditNote,
        CustomerId => Customer,
        EventId => Event,
        InvoiceId => Invoice,
        InvoiceLineId => InvoiceLine,
        LedgerAccountId => LedgerAccount,
        OrganizationId => Organization,
        PartnerId => Partner,
        PaymentId => Payment,
        PlanId => Plan,
        PriceListId => PriceList,
        PriceListVersionId => PriceListVersion,
        RetailPriceId => RetailPrice,
        SeatChangeId => SeatChange,
        SubscriptionId => Subscription,
        TierPinId => TierPin,
        TierTableId => TierTable,
    })
}
