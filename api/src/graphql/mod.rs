//! The GraphQL schema: the product's API, and the one place where a caller's rights are looked at.
//!
//! One file per noun: its object, its queries and its mutations. What all of them rest on: [`scope`] (who asks),
//! [`guard`] (limits before, codes behind), [`connection`] (pages), [`loaders`] (batches), [`errors`] (codes).

mod api_keys;
mod applications;
mod attribution;
mod batch;
mod catalog;
mod claim_links;
mod commission_statements;
mod commissions;
pub mod connection;
mod conversions;
mod credit_notes;
mod customers;
mod enrollments;
pub mod errors;
mod events;
mod explain;
pub mod guard;
pub mod http;
mod invoice_lines;
mod invoices;
mod ledger;
pub mod loaders;
pub mod measure;
mod negotiation;
mod node;
mod organization;
mod partners;
mod payments;
mod payout_runs;
mod payouts;
mod previews;
mod program_terms;
mod programs;
mod rates;
mod referrals;
mod retail;
mod retail_statements;
pub mod run;
mod runs;
pub mod scalars;
pub mod scope;
mod settlements;
mod stripe;
mod subscriptions;
mod tiers;

use std::sync::Arc;

use async_graphql::{EmptySubscription, MergedObject, SDLExportOptions, SchemaBuilder};
use billing::Billing;

use self::guard::Guard;
use self::measure::Shape;
use self::run::Engine;

/// Where every reading operation begins.
#[derive(MergedObject, Default)]
pub struct Query(
    node::NodeQuery,
    organization::OrganizationQuery,
    partners::PartnerQuery,
    customers::CustomerQuery,
    catalog::CatalogQuery,
    subscriptions::SubscriptionQuery,
    tiers::TierQuery,
    programs::ProgramQuery,
    enrollments::EnrollmentQuery,
    applications::ApplicationQuery,
    runs::RunQuery,
    previews::PreviewQuery,
    invoices::InvoiceQuery,
    credit_notes::CreditNoteQuery,
    payments::PaymentQuery,
    payouts::PayoutQuery,
    payout_runs::PayoutRunQuery,
    commission_statements::CommissionStatementQuery,
    commissions::CommissionQuery,
    stripe::StripeQuery,
    explain::ExplainQuery,
    retail::RetailQuery,
    retail_statements::RetailStatementQuery,
    rates::RateQuery,
    ledger::LedgerQuery,
    events::EventQuery,
    api_keys::ApiKeyQuery,
    referrals::ReferralQuery,
    attribution::AttributionQuery,
);

/// Where every writing operation begins. Each mutation takes one input and answers with its object, or with the
/// reasons why nothing was changed in `userErrors`.
#[derive(MergedObject, Default)]
pub struct Mutation(
    partners::PartnerMutation,
    customers::CustomerMutation,
    catalog::CatalogMutation,
    subscriptions::SubscriptionMutation,
    tiers::TierMutation,
    programs::ProgramMutation,
    enrollments::EnrollmentMutation,
    applications::ApplicationMutation,
    runs::RunMutation,
    credit_notes::CreditNoteMutation,
    payments::PaymentMutation,
    payouts::PayoutMutation,
    payout_runs::PayoutRunMutation,
    commission_statements::CommissionStatementMutation,
    commissions::CommissionMutation,
    conversions::ConversionMutation,
    stripe::StripeMutation,
    retail::RetailMutation,
    rates::RateMutation,
    api_keys::ApiKeyMutation,
    organization::OrganizationMutation,
    referrals::ReferralMutation,
    claim_links::ClaimLinkMutation,
    attribution::AttributionMutation,
);

pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// Sets inside sets and fragments that the library follows; the guard's own limits are narrower for fields.
const RECURSION: usize = 64;

fn builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription).limit_recursive_depth(RECURSION)
}

/// The schema in its printed form.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().use_space_ident().prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}

impl Engine {
    /// The schema with its guard, over the product.
    ///
    /// # Errors
    /// The schema cannot be read back from its printed form: a mistake in the code.
    pub fn new(billing: Billing) -> Result<Engine, async_graphql::parser::Error> {
        let shape = Arc::new(Shape::of(&sdl())?);
        let schema = builder().extension(Guard(shape.clone())).finish();
        Ok(Engine { billing, schema, shape })
    }
}
