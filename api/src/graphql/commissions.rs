//! Commissions: what partners earn on what customers paid, where the amounts stand, and what somebody decides by hand.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::commissions::by_hand::{self, NewReversal};
use billing::commissions::reads::{self, CommissionFilter};
use billing::{commissions, explain};
use billing_primitives::{CommissionEntryId, CommissionId};

use super::attribution::Attribution;
use super::connection::{Connection, List};
use super::customers::Customer;
use super::enrollments::Enrollment;
use super::errors::{self, UserError};
use super::explain::Explanation;
use super::loaders::{CommissionEntriesOf, InPayoutsOf, SourceEventsOf, StripeEventKey};
use super::partners::Partner;
use super::program_terms::SettlementMode;
use super::programs::ProgramVersion;
use super::scalars::{Date, DateTime, Money, MoneyInput};
use super::scope::{Payload, Scope, id};
use super::stripe::StripeEvent;

/// What a commission is earned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "commissions::SourceKind")]
pub enum CommissionSourceKind {
    /// A paid invoice of Stripe's.
    StripeInvoice,
    /// A customer's subscription that became active.
    Conversion,
}

/// Where a commission stands. Where its parts stand in different places, the one that is least far counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "commissions::CommissionState")]
pub enum CommissionState {
    /// It waits for its day, for an open dispute, or for somebody.
    Held,
    /// The next statement and payout run take it. What was earned below zero is due the other way.
    Payable,
    /// A payout took it that nobody has seen paid.
    InPayout,
    /// Paid out, or credited to an invoice.
    Paid,
    /// Only reported, never payable.
    Counted,
    /// Nothing of it is left.
    Reversed,
}

/// What a step of a commission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "commissions::EntryKind")]
pub enum CommissionEntryKind {
    /// What is earned changed.
    Accrual,
    /// More is reversed.
    Clawback,
    /// Less is reversed.
    Restoration,
    /// What was held is payable.
    Maturity,
    /// What was payable went into an approved payout.
    Payout,
    /// A payout failed, or its run is a draft again.
    PayoutReturned,
    /// What was payable was credited to an invoice.
    Credit,
}

/// What one partner earns at one level on one source, and where the amount stands.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Commission {
    /// The global id.
    pub id: ID,
    /// What it is earned on.
    pub source_kind: CommissionSourceKind,
    /// Stripe's id of the invoice, or the id of the customer that converted.
    pub source_id: String,
    /// 1 is the partner that brought the customer, 2 its parent, and so on.
    pub level: i32,
    /// How the enrollment was settled when it was earned.
    pub settlement: SettlementMode,
    /// What it is earned on, without VAT.
    pub base: Money,
    /// How much of the base is gone.
    pub base_reversed: Money,
    /// What was earned; below zero where the base is.
    pub earned: Money,
    /// How much of what was earned is taken back.
    pub reversed: Money,
    /// What is only reported.
    pub counted: Money,
    /// What is not payable yet.
    pub held: Money,
    /// What is payable.
    pub payable: Money,
    /// What went into payouts and credits.
    pub taken: Money,
    /// What was taken back after it was taken out: a debt that later payouts net.
    pub owed: Money,
    /// When it was earned.
    pub earned_at: DateTime,
    /// From when on it may be payable.
    pub payable_at: DateTime,
    /// Whether a dispute, an inquiry or somebody keeps it from being payable.
    pub on_hold: bool,
    /// When it was first booked.
    pub created_at: DateTime,
    #[graphql(skip)]
    row: commissions::Commission,
}

impl From<commissions::Commission> for Commission {
    fn from(row: commissions::Commission) -> Self {
        let money = |minor| Money::from(row.money(minor));
        Commission {
            id: row.id.into(),
            source_kind: row.source_kind.into(),
            source_id: row.source_id.clone(),
            level: row.level,
            settlement: row.settlement.into(),
            base: money(row.base_minor),
            base_reversed: money(row.base_reversed_minor),
            earned: money(row.earned_minor),
            reversed: money(row.reversed_minor),
            counted: money(row.counted_minor),
            held: money(row.held_minor),
            payable: money(row.payable_minor),
            taken: money(row.taken_minor),
            owed: money(row.owed_minor),
            earned_at: row.earned_at.into(),
            payable_at: row.payable_at.into(),
            on_hold: row.on_hold,
            created_at: row.created_at.into(),
            row,
        }
    }
}

#[ComplexObject]
impl Commission {
    /// Where it stands.
    async fn state(&self, ctx: &Context<'_>) -> Result<CommissionState> {
        let taken = Scope::of(ctx)?.list(InPayoutsOf(self.row.id)).await?;
        let in_payout = taken.first().map_or(0, |taken| taken.amount_minor);
        Ok(self.row.state(in_payout).into())
    }

    /// Its steps, in the order in which they were booked.
    async fn entries(&self, ctx: &Context<'_>) -> Result<Vec<CommissionEntry>> {
        let rows = Scope::of(ctx)?.list(CommissionEntriesOf(self.row.id)).await?;
        Ok(rows.into_iter().map(CommissionEntry::from).collect())
    }

    /// Why it comes to its amount.
    async fn explanation(&self, ctx: &Context<'_>) -> Result<Explanation> {
        let entries = Scope::of(ctx)?.list(CommissionEntriesOf(self.row.id)).await?;
        Ok(explain::of_commission(&self.row, &entries).into())
    }

    /// The customer that paid or converted.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.row.customer_id).await?.into())
    }

    /// Who earns it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.row.partner_id).await?.into())
    }

    /// The enrollment that it is settled with.
    async fn enrollment(&self, ctx: &Context<'_>) -> Result<Enrollment> {
        Ok(Scope::of(ctx)?.need(self.row.enrollment_id).await?.into())
    }

    /// The version of the programme that it is earned by.
    async fn program_version(&self, ctx: &Context<'_>) -> Result<ProgramVersion> {
        Ok(Scope::of(ctx)?.need(self.row.program_version_id).await?.into())
    }

    /// By which the customer is credited.
    async fn attribution(&self, ctx: &Context<'_>) -> Result<Attribution> {
        Ok(Scope::of(ctx)?.need(self.row.attribution_id).await?.into())
    }

    /// The event that told of its source last; null: it was reported by another system.
    async fn source_event(&self, ctx: &Context<'_>) -> Result<Option<StripeEvent>> {
        let scope = Scope::of(ctx)?;
        let Some(told) = scope.list(SourceEventsOf(self.row.id)).await?.pop() else { return Ok(None) };
        Ok(scope.load(StripeEventKey(told.event_id)).await?.map(Into::into))
    }
}

/// One step of a commission. Amounts are changes.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct CommissionEntry {
    /// The global id.
    pub id: ID,
    /// What it is.
    pub kind: CommissionEntryKind,
    /// Of what is earned less what is reversed; a move between the amounts is 0.
    pub amount: Money,
    /// Of what is only reported.
    pub counted: Money,
    /// Of what is held.
    pub held: Money,
    /// Of what is payable.
    pub payable: Money,
    /// Of what went into payouts and credits.
    pub taken: Money,
    /// Of what is owed.
    pub owed: Money,
    /// What a statement shows of it.
    pub stated: Money,
    /// The day it counts for.
    pub occurred_on: Date,
    /// Stripe's event, the payout or the command behind it.
    pub cause: String,
    /// Who did it.
    pub actor: String,
    /// When it was booked.
    pub created_at: DateTime,
    #[graphql(skip)]
    row: commissions::Entry,
}

impl From<commissions::Entry> for CommissionEntry {
    fn from(row: commissions::Entry) -> Self {
        let money = |minor| Money::from(row.money(minor));
        CommissionEntry {
            id: row.id.into(),
            kind: row.kind.into(),
            amount: money(row.amount_minor),
            counted: money(row.counted_minor),
            held: money(row.held_minor),
            payable: money(row.payable_minor),
            taken: money(row.taken_minor),
            owed: money(row.owed_minor),
            stated: money(row.stated_minor),
            occurred_on: row.occurred_on.into(),
            cause: row.cause.clone(),
            actor: row.actor.clone(),
            created_at: row.created_at.into(),
            row,
        }
    }
}

#[ComplexObject]
impl CommissionEntry {
    /// Whose step it is.
    async fn commission(&self, ctx: &Context<'_>) -> Result<Commission> {
        Ok(Scope::of(ctx)?.need(self.row.commission_id).await?.into())
    }

    /// The event of Stripe's behind it; null: something else was.
    async fn source_event(&self, ctx: &Context<'_>) -> Result<Option<StripeEvent>> {
        if self.row.actor != billing::Actor::Stripe.to_string() {
            return Ok(None);
        }
        Ok(Scope::of(ctx)?.load(StripeEventKey(self.row.cause.clone())).await?.map(Into::into))
    }

    /// Why it moved what it moved.
    async fn explanation(&self) -> Explanation {
        explain::of_entry(&self.row).into()
    }
}

#[derive(Default)]
pub struct CommissionQuery;

#[Object]
impl CommissionQuery {
    /// One commission by its id; null when there is none.
    async fn commission(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<Commission>> {
        Ok(Scope::of(ctx)?.find::<CommissionId>(&id).await?.map(Commission::from))
    }

    /// One step of a commission by its id; null when there is none.
    async fn commission_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<CommissionEntry>> {
        Ok(Scope::of(ctx)?.find::<CommissionEntryId>(&id).await?.map(CommissionEntry::from))
    }

    /// Commissions, the ones made last first: all, or those of an enrollment, a partner, a customer or a source.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn commissions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of an enrollment.")] enrollment: Option<ID>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "The id of a customer.")] customer: Option<ID>,
        #[graphql(desc = "Stripe's id of an invoice, or the id of a customer that converted.")] source_id: Option<
            String,
        >,
    ) -> Result<Connection<Commission>> {
        let scope = Scope::of(ctx)?;
        let filter = CommissionFilter {
            enrollment: enrollment.map(|given| id("enrollment", "enrollment", &given)).transpose()?,
            partner: partner.map(|given| id("partner", "partner", &given)).transpose()?,
            customer: customer.map(|given| id("customer", "customer", &given)).transpose()?,
            source_id,
        };
        let list = List::of("commissions", scope.organization(), first, after.as_deref())?;
        let slice = commissions::list(&scope.billing, scope.organization(), &list.page, &filter).await?;
        list.connection(slice, |commission| commission.id)
    }
}

/// Commissions to take back.
#[derive(Debug, Clone, InputObject)]
pub struct ReverseCommissionsInput {
    /// The id of a commission; with it go those of all levels on the same source.
    commission: ID,
    /// How much of the base is taken back, beside what was before; all of it unless said. More than is left takes back
    /// what is left.
    amount: Option<MoneyInput>,
    /// Why: 1 to 200 characters.
    reason: String,
}

/// A commission to keep from becoming payable.
#[derive(Debug, Clone, InputObject)]
pub struct HoldCommissionInput {
    /// The id of a commission; with it go those of all levels on the same source.
    commission: ID,
    /// Why: 1 to 200 characters.
    reason: String,
}

/// A commission that was held by hand.
#[derive(Debug, Clone, InputObject)]
pub struct ReleaseCommissionInput {
    /// The id of a commission; with it go those of all levels on the same source.
    commission: ID,
}

/// Payloads of what is decided about the commissions of a source.
macro_rules! of_source {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The commissions of the source as they are now, by level.
            pub commissions: Option<Vec<Commission>>,
            /// Why nothing was done; empty when it was.
            pub user_errors: Vec<UserError>,
        }

        impl Payload<Vec<commissions::Commission>> for $name {
            fn done(outcome: Vec<commissions::Commission>) -> Self {
                let commissions = outcome.into_iter().map(Commission::from).collect();
                $name { commissions: Some(commissions), user_errors: Vec::new() }
            }

            fn refused(error: UserError) -> Self {
                $name { commissions: None, user_errors: vec![error] }
            }
        }
    )*};
}

of_source! {
    /// What taking commissions back came to.
    ReverseCommissionsPayload;
    /// What holding a commission came to.
    HoldCommissionPayload;
    /// What releasing a commission came to.
    ReleaseCommissionPayload;
}

#[derive(Default)]
pub struct CommissionMutation;

#[Object]
impl CommissionMutation {
    /// Takes the commissions of a source back, at every level: all of them, or in the proportion of an amount to the
    /// base. What was paid out becomes a debt that later payouts net.
    async fn reverse_commissions(
        &self,
        ctx: &Context<'_>,
        input: ReverseCommissionsInput,
    ) -> Result<ReverseCommissionsPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let source = source_of(scope, &input.commission).await?;
            let new = NewReversal { source, amount: input.amount.map(Into::into), reason: input.reason };
            by_hand::reverse(&scope.billing, &scope.caller, &new).await
        };
        let mut payload: ReverseCommissionsPayload = scope.command(work).await?;
        errors::place(&mut payload.user_errors, "currency", &["amount", "currency"]);
        Ok(payload)
    }

    /// Keeps the commissions of a source from becoming payable, at every level, until they are released.
    async fn hold_commission(&self, ctx: &Context<'_>, input: HoldCommissionInput) -> Result<HoldCommissionPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let source = source_of(scope, &input.commission).await?;
            by_hand::hold(&scope.billing, &scope.caller, &source, &input.reason).await
        };
        scope.command(work).await
    }

    /// Takes a hold by hand away; an open dispute keeps holding. What nobody holds stays as it is.
    async fn release_commission(
        &self,
        ctx: &Context<'_>,
        input: ReleaseCommissionInput,
    ) -> Result<ReleaseCommissionPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let source = source_of(scope, &input.commission).await?;
            by_hand::release(&scope.billing, &scope.caller, &source).await
        };
        scope.command(work).await
    }
}

/// What a commission is earned on.
async fn source_of(scope: &Scope, commission: &ID) -> Result<commissions::SourceKey, billing::Error> {
    let commission = id("commission", "commission", commission)?;
    reads::source_of(&scope.billing, scope.organization(), commission).await
}
