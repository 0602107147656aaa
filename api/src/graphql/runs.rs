//! The wholesale month's runs. A mutation only begins a pass: a worker walks it, and the run tells how far it is.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::invoicing::run::Goal;
use billing::invoicing::{self, InvoiceFilter, documents};
use billing_primitives::{self as primitives, BillingRunId, PartnerId};

use super::connection::{Connection, List};
use super::errors::Code;
use super::invoices::{self, Invoice};
use super::partners::Partner;
use super::scalars::{Count, Date, DateTime, Month};
use super::scope::Scope;
use crate::payloads;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "documents::RunStatus")]
pub enum RunStatus {
    /// Drafts are being made.
    Drafting,
    /// Drafts stand; nothing of the month is finalized.
    Drafted,
    /// Documents are being finalized.
    Finalizing,
    /// Whatever could be finalized is; partners that were left out stand in `refusals`.
    Finalized,
}

/// One month's wholesale run.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct BillingRun {
    /// The global id.
    pub id: ID,
    /// The month that is billed.
    pub month: Month,
    /// Where it stands.
    pub status: RunStatus,
    /// Counts the walks over the partners.
    pub pass: i32,
    /// Partners done in this pass.
    pub partners_done: Count,
    /// Partners there were when the pass began.
    pub partners_total: Count,
    /// The issue date of what is finalized, fixed when finalizing begins.
    pub issue_date: Option<Date>,
    /// When the month's first pass began.
    pub created_at: DateTime,
    /// When it last went on.
    pub updated_at: DateTime,
    #[graphql(skip)]
    key: BillingRunId,
    #[graphql(skip)]
    of: primitives::Month,
}

impl From<documents::BillingRun> for BillingRun {
    fn from(row: documents::BillingRun) -> Self {
        BillingRun {
            id: row.id.into(),
            month: row.month.into(),
            status: row.status.into(),
            pass: row.pass,
            partners_done: Count(row.partners_done),
            partners_total: Count(row.partners_total),
            issue_date: row.issue_date.map(Into::into),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            key: row.id,
            of: row.month,
        }
    }
}

#[ComplexObject]
impl BillingRun {
    /// The partners that the last pass left out, and why. A later call catches up on them.
    async fn refusals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<RunRefusal>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("runRefusals", scope.organization(), first, after.as_deref())?;
        let slice = invoicing::refusals(&scope.billing, scope.organization(), self.key, &list.page).await?;
        list.connection(slice, |refusal| refusal.partner_id)
    }

    /// The month's invoices, the ones made last first.
    async fn invoices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Invoice>> {
        let filter = InvoiceFilter { month: Some(self.of), ..InvoiceFilter::default() };
        invoices::page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }
}

/// A partner that a pass left out.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct RunRefusal {
    /// What programs compare, such as `PRICE_MISSING`.
    pub code: String,
    /// What people read, in English.
    pub message: String,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<documents::RunRefusal> for RunRefusal {
    fn from(row: documents::RunRefusal) -> Self {
        RunRefusal { code: row.code, message: row.message, partner: row.partner_id }
    }
}

#[ComplexObject]
impl RunRefusal {
    /// Who was left out.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }
}

#[derive(Default)]
pub struct RunQuery;

#[Object]
impl RunQuery {
    /// One run by its id or its month; null when there is none.
    async fn billing_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: Option<ID>,
        #[graphql(desc = "The month that is billed.")] month: Option<Month>,
    ) -> Result<Option<BillingRun>> {
        let scope = Scope::of(ctx)?;
        let found = match (id, month) {
            (Some(id), None) => scope.find::<BillingRunId>(&id).await?,
            (None, Some(month)) => invoicing::run_of_month(&scope.billing, scope.organization(), month.into()).await?,
            _ => return Err(Code::BadUserInput.error("give id or month, one of the two")),
        };
        Ok(found.map(BillingRun::from))
    }

    /// All runs, the latest month first.
    async fn billing_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<BillingRun>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("billingRuns", scope.organization(), first, after.as_deref())?;
        let slice = invoicing::runs(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |run| run.month)
    }
}

/// A month to draft.
#[derive(Debug, Clone, InputObject)]
pub struct StartBillingRunInput {
    /// The month; not before the first one that the organization bills.
    month: Month,
}

/// A month to finalize.
#[derive(Debug, Clone, InputObject)]
pub struct FinalizeBillingRunInput {
    /// The month; it has to be over.
    month: Month,
}

payloads! {
    /// What starting a run came to.
    StartBillingRunPayload {
        /// The run as it begins.
        billing_run: BillingRun as documents::BillingRun
    }
    /// What beginning to finalize came to.
    FinalizeBillingRunPayload {
        /// The run as it begins.
        billing_run: BillingRun as documents::BillingRun
    }
}

#[derive(Default)]
pub struct RunMutation;

#[Object]
impl RunMutation {
    /// Begins to draft a month, or joins the pass that is under way; a worker goes on with it. Drafts that are right
    /// already stay as they are.
    async fn start_billing_run(
        &self,
        ctx: &Context<'_>,
        input: StartBillingRunInput,
    ) -> Result<StartBillingRunPayload> {
        let scope = Scope::of(ctx)?;
        let month = input.month.into();
        scope.command(invoicing::run::begin(&scope.billing, &scope.caller, month, Goal::Drafts)).await
    }

    /// Begins to finalize a month, or joins the pass that does; a worker goes on with it. A later call finalizes the
    /// partners that were left out, with its own issue date.
    async fn finalize_billing_run(
        &self,
        ctx: &Context<'_>,
        input: FinalizeBillingRunInput,
    ) -> Result<FinalizeBillingRunPayload> {
        let scope = Scope::of(ctx)?;
        let month = input.month.into();
        scope.command(invoicing::run::begin(&scope.billing, &scope.caller, month, Goal::Finalized)).await
    }
}
