//! Commission statements: what became payable to an enrollment in a month. They are no invoices.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::payouts::{self, StatementFilter};
use billing_primitives::{CommissionStatementId, EnrollmentId, PartnerId};

use super::connection::{Connection, List};
use super::enrollments::Enrollment;
use super::errors::UserError;
use super::partners::Partner;
use super::scalars::{Count, DateTime, Money, Month};
use super::scope::{Payload, Scope, id};

/// Where a step of a commission stands on a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payouts::Part")]
pub enum StatementPart {
    /// Became payable; below zero: was taken back before any statement had shown it.
    Earned,
    /// Was taken back after an earlier statement had shown it.
    ClawedBack,
}

/// What became payable to an enrollment in a month and what was taken back. It is no invoice.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct CommissionStatement {
    /// The global id.
    pub id: ID,
    /// The month.
    pub month: Month,
    /// Statements before this one, less what was paid out or credited.
    pub carried: Money,
    /// What became payable, less what was taken back before any statement had shown it.
    pub earned: Money,
    /// What was taken back of what earlier statements have shown, not below zero.
    pub clawed_back: Money,
    /// Carried + earned - clawed back, net of VAT.
    pub balance: Money,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: CommissionStatementId,
    #[graphql(skip)]
    enrollment: EnrollmentId,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<payouts::Statement> for CommissionStatement {
    fn from(row: payouts::Statement) -> Self {
        CommissionStatement {
            id: row.id.into(),
            month: row.month.into(),
            carried: row.money(row.carried_minor).into(),
            earned: row.money(row.earned_minor).into(),
            clawed_back: row.money(row.clawed_back_minor).into(),
            balance: row.money(row.balance_minor).into(),
            created_at: row.created_at.into(),
            key: row.id,
            enrollment: row.enrollment_id,
            partner: row.partner_id,
        }
    }
}

#[ComplexObject]
impl CommissionStatement {
    /// Whose it is.
    async fn enrollment(&self, ctx: &Context<'_>) -> Result<Enrollment> {
        Ok(Scope::of(ctx)?.need(self.enrollment).await?.into())
    }

    /// The partner.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// What it shows, in the order in which that was booked.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<CommissionStatementEntry>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("commissionStatementEntries", scope.organization(), first, after.as_deref())?;
        let slice = payouts::statement_entries(&scope.billing, scope.organization(), self.key, &list.page).await?;
        list.connection(slice, |entry| entry.commission_entry_id)
    }
}

/// A step of a commission on the one statement that shows it.
#[derive(Debug, Clone, SimpleObject)]
pub struct CommissionStatementEntry {
    /// The id of the commission.
    pub commission_id: ID,
    /// Where it stands.
    pub part: StatementPart,
    /// What became payable; below zero: what was taken back.
    pub amount: Money,
}

impl From<payouts::StatementEntry> for CommissionStatementEntry {
    fn from(row: payouts::StatementEntry) -> Self {
        CommissionStatementEntry {
            commission_id: row.commission_id.into(),
            part: row.part.into(),
            amount: row.amount().into(),
        }
    }
}

/// A page of statements, the ones made last first.
pub(super) async fn page(
    scope: &Scope,
    filter: &StatementFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<CommissionStatement>> {
    let list = List::of("commissionStatements", scope.organization(), first, after)?;
    let slice = payouts::list_statements(&scope.billing, scope.organization(), &list.page, filter).await?;
    list.connection(slice, |statement| statement.id)
}

#[derive(Default)]
pub struct CommissionStatementQuery;

#[Object]
impl CommissionStatementQuery {
    /// One commission statement by its id; null when there is none.
    async fn commission_statement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<CommissionStatement>> {
        Ok(Scope::of(ctx)?.find::<CommissionStatementId>(&id).await?.map(CommissionStatement::from))
    }

    /// Commission statements, the ones made last first: all, or those of an enrollment, a partner or a month.
    async fn commission_statements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The id of an enrollment.")] enrollment: Option<ID>,
        #[graphql(desc = "The id of a partner.")] partner: Option<ID>,
        #[graphql(desc = "The month.")] month: Option<Month>,
    ) -> Result<Connection<CommissionStatement>> {
        let filter = StatementFilter {
            enrollment: enrollment.map(|of| id("enrollment", "enrollment", &of)).transpose()?,
            partner: partner.map(|partner| id("partner", "partner", &partner)).transpose()?,
            month: month.map(Into::into),
        };
        page(Scope::of(ctx)?, &filter, first, after.as_deref()).await
    }
}

/// A month whose statements are to be made.
#[derive(Debug, Clone, InputObject)]
pub struct MakeCommissionStatementsInput {
    /// The month; it has to be over. Earlier ones that have something to show still are made with it.
    month: Month,
}

/// What making statements came to.
#[derive(SimpleObject)]
pub struct MakeCommissionStatementsPayload {
    /// How many statements are new.
    pub made: Option<Count>,
    /// Why nothing was done; empty when it was.
    pub user_errors: Vec<UserError>,
}

impl Payload<u64> for MakeCommissionStatementsPayload {
    fn done(made: u64) -> Self {
        let made = Some(Count(i64::try_from(made).unwrap_or(i64::MAX)));
        MakeCommissionStatementsPayload { made, user_errors: Vec::new() }
    }

    fn refused(error: UserError) -> Self {
        MakeCommissionStatementsPayload { made: None, user_errors: vec![error] }
    }
}

/// What letting commissions ripen came to.
#[derive(SimpleObject)]
pub struct MatureCommissionsPayload {
    /// How many commissions became payable.
    pub ripened: Option<Count>,
    /// Why nothing was done; empty when it was.
    pub user_errors: Vec<UserError>,
}

impl Payload<u64> for MatureCommissionsPayload {
    fn done(ripened: u64) -> Self {
        let ripened = Some(Count(i64::try_from(ripened).unwrap_or(i64::MAX)));
        MatureCommissionsPayload { ripened, user_errors: Vec::new() }
    }

    fn refused(error: UserError) -> Self {
        MatureCommissionsPayload { ripened: None, user_errors: vec![error] }
    }
}

#[derive(Default)]
pub struct CommissionStatementMutation;

#[Object]
impl CommissionStatementMutation {
    /// Makes the commission statements of a month, as the nightly job does. Making them twice changes nothing.
    async fn make_commission_statements(
        &self,
        ctx: &Context<'_>,
        input: MakeCommissionStatementsInput,
    ) -> Result<MakeCommissionStatementsPayload> {
        let scope = Scope::of(ctx)?;
        scope.command(payouts::make_statements(&scope.billing, &scope.caller, input.month.into())).await
    }

    /// Lets commissions ripen whose time has come, as the hourly job does.
    async fn mature_commissions(&self, ctx: &Context<'_>) -> Result<MatureCommissionsPayload> {
        let scope = Scope::of(ctx)?;
        scope.command(payouts::mature_now(&scope.billing, &scope.caller)).await
    }
}
