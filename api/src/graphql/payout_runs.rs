//! Payout runs: what is due to the partners of one programme, bundled, approved and sent.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::payouts::{self, PayoutFilter, RunFilter};
use billing_primitives::{EnrollmentId, PayoutRunId, ProgramId};

use super::connection::{Connection, List};
use super::enrollments::Enrollment;
use super::loaders::RunTotalsOf;
use super::payouts::{Payout, page};
use super::programs::Program;
use super::scalars::{Count, Date, DateTime, Money, MoneyInput};
use super::scope::{Scope, id};
use crate::payloads;

/// Where a payout run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payouts::RunStatus")]
pub enum PayoutRunStatus {
    /// It can be computed again, and nothing is taken.
    Draft,
    /// Its amounts are fixed; it may become a draft again.
    Approved,
    /// The bank has it.
    Sent,
    /// It was given up as a draft.
    Cancelled,
}

/// Why a partner gets nothing from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payouts::LeftOut")]
pub enum LeftOutReason {
    /// It is carried until it reaches the threshold.
    BelowThreshold,
    /// Nobody said where it is to be paid.
    DetailsMissing,
    /// Where it is to be paid is not confirmed.
    DetailsUnverified,
    /// The partner is suspended.
    PartnerSuspended,
    /// It owes as much as is due to it, or more.
    InDebt,
}

/// What is due to the partners of one programme, bundled.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PayoutRun {
    /// The global id.
    pub id: ID,
    /// What its maker calls it; of a scheduled run its period, such as `2026-10`.
    pub run_key: String,
    /// The last day of a month: what statements up to it have shown is taken.
    pub cut_off: Date,
    /// Where it stands.
    pub status: PayoutRunStatus,
    /// Less than this is carried.
    pub threshold: Money,
    /// Who opened it.
    pub made_by: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When it was opened.
    pub created_at: DateTime,
    /// When it was last computed.
    pub computed_at: DateTime,
    /// When it was approved.
    pub approved_at: Option<DateTime>,
    /// When the bank got it.
    pub sent_at: Option<DateTime>,
    #[graphql(skip)]
    key: PayoutRunId,
    #[graphql(skip)]
    program: ProgramId,
}

impl From<payouts::PayoutRun> for PayoutRun {
    fn from(row: payouts::PayoutRun) -> Self {
        PayoutRun {
            id: row.id.into(),
            cut_off: row.cut_off.into(),
            status: row.status.into(),
            threshold: billing_primitives::Money::new(row.threshold_minor, row.currency).into(),
            created_at: row.created_at.into(),
            computed_at: row.computed_at.into(),
            approved_at: row.approved_at.map(Into::into),
            sent_at: row.sent_at.map(Into::into),
            key: row.id,
            program: row.program_id,
            run_key: row.run_key,
            made_by: row.made_by,
            approved_by: row.approved_by,
        }
    }
}

#[ComplexObject]
impl PayoutRun {
    /// The programme.
    async fn program(&self, ctx: &Context<'_>) -> Result<Program> {
        Ok(Scope::of(ctx)?.need(self.program).await?.into())
    }

    /// What it comes to.
    async fn totals(&self, ctx: &Context<'_>) -> Result<Option<PayoutRunTotals>> {
        let found = Scope::of(ctx)?.list(RunTotalsOf(self.key)).await?;
        Ok(found.into_iter().next().map(PayoutRunTotals::from))
    }

    /// Its payouts, the ones made last first.
    async fn payouts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Payout>> {
        let filter = PayoutFilter { run: Some(self.key), ..PayoutFilter::default() };
        page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }

    /// Who gets nothing although something is due or owed, and why.
    async fn left_out(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<PayoutLeftOut>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("payoutLeftOut", scope.organization(), first, after.as_deref())?;
        let slice = payouts::left_out(&scope.billing, scope.organization(), self.key, &list.page).await?;
        list.connection(slice, |row| row.enrollment_id)
    }
}

/// What a payout run comes to; payouts that failed count in none of the sums.
#[derive(Debug, Clone, SimpleObject)]
pub struct PayoutRunTotals {
    /// Payouts.
    pub payouts: Count,
    /// Commissions taken out.
    pub payable: Money,
    /// Debts that are netted.
    pub offset: Money,
    /// What is transferred: the control total of the bank's file.
    pub net: Money,
    /// What was transferred so far.
    pub paid: Money,
    /// How many are left out.
    pub left_out: Count,
}

impl From<payouts::RunTotals> for PayoutRunTotals {
    fn from(row: payouts::RunTotals) -> Self {
        PayoutRunTotals {
            payouts: Count(row.payouts),
            payable: row.payable.into(),
            offset: row.offset.into(),
            net: row.net.into(),
            paid: row.paid.into(),
            left_out: Count(row.left_out),
        }
    }
}

/// Somebody whom a run leaves out.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct PayoutLeftOut {
    /// Why.
    pub reason: LeftOutReason,
    /// What is due less what is owed.
    pub balance: Money,
    #[graphql(skip)]
    enrollment: EnrollmentId,
}

impl From<payouts::LeftOutRow> for PayoutLeftOut {
    fn from(row: payouts::LeftOutRow) -> Self {
        PayoutLeftOut { reason: row.reason.into(), balance: row.balance().into(), enrollment: row.enrollment_id }
    }
}

#[ComplexObject]
impl PayoutLeftOut {
    /// Whose it is.
    async fn enrollment(&self, ctx: &Context<'_>) -> Result<Enrollment> {
        Ok(Scope::of(ctx)?.need(self.enrollment).await?.into())
    }
}

#[derive(Default)]
pub struct PayoutRunQuery;

#[Object]
impl PayoutRunQuery {
    /// One payout run by its id; null when there is none.
    async fn payout_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<PayoutRun>> {
        Ok(Scope::of(ctx)?.find::<PayoutRunId>(&id).await?.map(PayoutRun::from))
    }

    /// Payout runs, the ones opened last first: all, or those of a programme or in a state.
    async fn payout_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of a programme.")] program: Option<ID>,
        #[graphql(desc = "Where they stand.")] status: Option<PayoutRunStatus>,
    ) -> Result<Connection<PayoutRun>> {
        let scope = Scope::of(ctx)?;
        let filter = RunFilter {
            program: program.map(|program| id("program", "program", &program)).transpose()?,
            status: status.map(Into::into),
        };
        let list = List::of("payoutRuns", scope.organization(), first, after.as_deref())?;
        let slice = payouts::runs(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |run| run.id)
    }
}

/// A payout run to open.
#[derive(Debug, Clone, InputObject)]
pub struct OpenPayoutRunInput {
    /// The id of the programme.
    program: ID,
    /// What its maker calls it: 1 to 100 characters, once per programme.
    run_key: String,
    /// The last day of a month that is over; null: of the one before today's.
    cut_off: Option<Date>,
}

/// A payout run to approve.
#[derive(Debug, Clone, InputObject)]
pub struct ApprovePayoutRunInput {
    /// The id of the run.
    payout_run: ID,
    /// What it came to when somebody looked at it: approving anything else is refused.
    expected_total: Option<MoneyInput>,
}

/// A payout run that was transferred.
#[derive(Debug, Clone, InputObject)]
pub struct MarkAllPayoutsPaidInput {
    /// The id of the run.
    payout_run: ID,
    /// The day of the transfer; not in the future.
    on: Date,
    /// What the bank's statement says: at most 200 characters.
    #[graphql(default)]
    reference: String,
}

/// Writes the inputs that name a run and nothing else.
macro_rules! run_inputs {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, InputObject)]
        pub struct $name {
            /// The id of the run.
            payout_run: ID,
        }
    )*};
}

run_inputs! {
    /// A draft to compute again.
    RecomputePayoutRunInput
    /// An approved run to make a draft again.
    ReturnPayoutRunToDraftInput
    /// An approved run that the bank has.
    MarkPayoutRunSentInput
    /// A draft to give up.
    CancelPayoutRunInput
}

payloads! {
    /// What opening a run came to.
    OpenPayoutRunPayload {
        /// The run as a draft.
        payout_run: PayoutRun as payouts::PayoutRun
    }
    /// What computing a run again came to.
    RecomputePayoutRunPayload {
        /// The run as it is now.
        payout_run: PayoutRun as payouts::PayoutRun
    }
    /// What approving a run came to.
    ApprovePayoutRunPayload {
        /// The run as it is now.
        payout_run: PayoutRun as payouts::PayoutRun
    }
    /// What making a run a draft again came to.
    ReturnPayoutRunToDraftPayload {
        /// The run as it is now.
        payout_run: PayoutRun as payouts::PayoutRun
    }
    /// What marking a run as sent came to.
    MarkPayoutRunSentPayload {
        /// The run as it is now.
        payout_run: PayoutRun as payouts::PayoutRun
    }
    /// What marking the payouts of a run as paid came to.
    MarkAllPayoutsPaidPayload {
        /// The run as it is now.
        payout_run: PayoutRun as payouts::PayoutRun
    }
    /// What giving a run up came to.
    CancelPayoutRunPayload {
        /// The run as it is now.
        payout_run: PayoutRun as payouts::PayoutRun
    }
}

fn run_id(given: &ID) -> Result<PayoutRunId, billing::Refusal> {
    id("payoutRun", "payout run", given)
}

#[derive(Default)]
pub struct PayoutRunMutation;

#[Object]
impl PayoutRunMutation {
    /// Opens a payout run of a programme as a draft. What is ripe by the cut-off is put on statements first.
    async fn open_payout_run(&self, ctx: &Context<'_>, input: OpenPayoutRunInput) -> Result<OpenPayoutRunPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let program = id("program", "program", &input.program)?;
            let cut_off = input.cut_off.map(Into::into);
            let new = payouts::NewPayoutRun { program, run_key: input.run_key, cut_off };
            payouts::open(&scope.billing, &scope.caller, &new).await
        };
        scope.command(work).await
    }

    /// Computes a draft again.
    async fn recompute_payout_run(
        &self,
        ctx: &Context<'_>,
        input: RecomputePayoutRunInput,
    ) -> Result<RecomputePayoutRunPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { payouts::recompute(&scope.billing, &scope.caller, run_id(&input.payout_run)?).await };
        scope.command(work).await
    }

    /// Approves a draft: computes it once more and takes the commissions. Where the organization asks for four eyes, it
    /// is somebody other than its maker.
    async fn approve_payout_run(
        &self,
        ctx: &Context<'_>,
        input: ApprovePayoutRunInput,
    ) -> Result<ApprovePayoutRunPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let expected = input.expected_total.map(Into::into);
            payouts::approve(&scope.billing, &scope.caller, run_id(&input.payout_run)?, expected).await
        };
        scope.command(work).await
    }

    /// Makes an approved run a draft again, while nothing of it is sent.
    async fn return_payout_run_to_draft(
        &self,
        ctx: &Context<'_>,
        input: ReturnPayoutRunToDraftInput,
    ) -> Result<ReturnPayoutRunToDraftPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { payouts::return_to_draft(&scope.billing, &scope.caller, run_id(&input.payout_run)?).await };
        scope.command(work).await
    }

    /// Says that the bank has an approved run.
    async fn mark_payout_run_sent(
        &self,
        ctx: &Context<'_>,
        input: MarkPayoutRunSentInput,
    ) -> Result<MarkPayoutRunSentPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { payouts::mark_sent(&scope.billing, &scope.caller, run_id(&input.payout_run)?).await };
        scope.command(work).await
    }

    /// Says of all payouts of a run that are with the bank that they were transferred.
    async fn mark_all_payouts_paid(
        &self,
        ctx: &Context<'_>,
        input: MarkAllPayoutsPaidInput,
    ) -> Result<MarkAllPayoutsPaidPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let (run, on) = (run_id(&input.payout_run)?, input.on.into());
            payouts::mark_all_paid(&scope.billing, &scope.caller, run, on, &input.reference).await
        };
        scope.command(work).await
    }

    /// Gives a draft up. Its key stays used.
    async fn cancel_payout_run(
        &self,
        ctx: &Context<'_>,
        input: CancelPayoutRunInput,
    ) -> Result<CancelPayoutRunPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { payouts::cancel(&scope.billing, &scope.caller, run_id(&input.payout_run)?).await };
        scope.command(work).await
    }
}
