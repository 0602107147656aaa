//! Objects by their global id: the prefix says which noun it is.

use async_graphql::{Context, ID, Interface, Object, Result};
use billing_primitives::{
    ApiKeyId, ApplicationId, AttributionId, AuditEntryId, BillingRunId, ClaimLinkId, CommissionEntryId, CommissionId,
    CommissionStatementId, CreditNoteId, CustomerId, EnrollmentId, EventId, InvoiceId, LeadId, LedgerAccountId,
    OrganizationId, PartnerId, PaymentId, PayoutId, PayoutRunId, PlanId, PriceListId, PriceListVersionId, ProgramId,
    ProgramVersionId, ReferralCodeId, ReferralLinkId, RetailPriceId, SeatChangeId, StripeEndpointId, SubscriptionId,
    TierPinId, TierTableId, TouchId,
};

use super::api_keys::ApiKey;
use super::applications::Application;
use super::attribution::{Attribution, Touch};
use super::catalog::{Plan, PriceList, PriceListVersion};
use super::claim_links::ClaimLink;
use super::commission_statements::CommissionStatement;
use super::commissions::{Commission, CommissionEntry};
use super::credit_notes::CreditNote;
use super::customers::Customer;
use super::enrollments::Enrollment;
use super::events::{AuditEntry, Event};
use super::invoice_lines::{InvoiceLine, InvoiceLineId};
use super::invoices::Invoice;
use super::ledger::LedgerAccount;
use super::organization::Organization;
use super::partners::Partner;
use super::payments::Payment;
use super::payout_runs::PayoutRun;
use super::payouts::Payout;
use super::programs::{Program, ProgramVersion};
use super::referrals::{Lead, ReferralCode, ReferralLink};
use super::retail::RetailPrice;
use super::runs::BillingRun;
use super::scope::Scope;
use super::stripe::StripeEndpoint;
use super::subscriptions::{SeatChange, Subscription};
use super::tiers::{TierPin, TierTable};

/// Whatever has an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "The global id: a prefix that names the kind, and 32 hex digits."))]
pub enum Node {
    ApiKey(ApiKey),
    Application(Application),
    Attribution(Attribution),
    AuditEntry(AuditEntry),
    BillingRun(BillingRun),
    ClaimLink(ClaimLink),
    Commission(Commission),
    CommissionEntry(CommissionEntry),
    CommissionStatement(CommissionStatement),
    CreditNote(CreditNote),
    Customer(Customer),
    Enrollment(Enrollment),
    Event(Event),
    Invoice(Invoice),
    InvoiceLine(InvoiceLine),
    Lead(Lead),
    LedgerAccount(LedgerAccount),
    Organization(Organization),
    Partner(Partner),
    Payment(Payment),
    Payout(Payout),
    PayoutRun(PayoutRun),
    Plan(Plan),
    PriceList(PriceList),
    PriceListVersion(PriceListVersion),
    Program(Program),
    ProgramVersion(ProgramVersion),
    ReferralCode(ReferralCode),
    ReferralLink(ReferralLink),
    RetailPrice(RetailPrice),
    SeatChange(SeatChange),
    StripeEndpoint(StripeEndpoint),
    Subscription(Subscription),
    TierPin(TierPin),
    TierTable(TierTable),
    Touch(Touch),
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
        ApplicationId => Application,
        AttributionId => Attribution,
        AuditEntryId => AuditEntry,
        BillingRunId => BillingRun,
        ClaimLinkId => ClaimLink,
        CommissionEntryId => CommissionEntry,
        CommissionId => Commission,
        CommissionStatementId => CommissionStatement,
        CreditNoteId => CreditNote,
        CustomerId => Customer,
        EnrollmentId => Enrollment,
        EventId => Event,
        InvoiceId => Invoice,
        InvoiceLineId => InvoiceLine,
        LeadId => Lead,
        LedgerAccountId => LedgerAccount,
        OrganizationId => Organization,
        PartnerId => Partner,
        PaymentId => Payment,
        PayoutId => Payout,
        PayoutRunId => PayoutRun,
        PlanId => Plan,
        PriceListId => PriceList,
        PriceListVersionId => PriceListVersion,
        ProgramId => Program,
        ProgramVersionId => ProgramVersion,
        ReferralCodeId => ReferralCode,
        ReferralLinkId => ReferralLink,
        RetailPriceId => RetailPrice,
        SeatChangeId => SeatChange,
        StripeEndpointId => StripeEndpoint,
        SubscriptionId => Subscription,
        TierPinId => TierPin,
        TierTableId => TierTable,
        TouchId => Touch,
    })
}
