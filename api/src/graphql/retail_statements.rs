//! A partner's month at retail: what it charges, what it was billed, and what is left.

use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use billing::retail::statement::{RetailPart as Part, RetailTotals as Totals, RetailWarning as Warning};
use billing::retail::{self, NamedLine, PartnerStatement};
use billing_primitives::{CustomerId, PartnerId, PlanId};

use super::catalog::Plan;
use super::connection::{Connection, List};
use super::customers::Customer;
use super::partners::Partner;
use super::scalars::{Count, Currency, Money, Month};
use super::scope::{Scope, id};

/// A partner's month at retail. The organization invoices none of it.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct RetailStatement {
    /// The month.
    pub month: Month,
    /// The currency of all its amounts: the partner's.
    pub currency: Currency,
    /// Whether the wholesale side is final; if not, it is what the documents would say now.
    pub finalized: bool,
    /// Sums over all lines.
    pub totals: RetailTotals,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    lines: Vec<NamedLine>,
    #[graphql(skip)]
    warnings: Vec<Warning>,
}

impl From<PartnerStatement> for RetailStatement {
    fn from(statement: PartnerStatement) -> Self {
        RetailStatement {
            month: statement.month.into(),
            currency: statement.currency.into(),
            finalized: statement.finalized,
            totals: statement.totals.into(),
            partner: statement.partner,
            lines: statement.lines,
            warnings: statement.warnings,
        }
    }
}

/// Where a line stands: in the order of customers' and plans' external ids.
type LineKey = (String, String);

fn line_key(line: &NamedLine) -> LineKey {
    (line.customer_external_id.clone(), line.plan_external_id.clone())
}

#[ComplexObject]
impl RetailStatement {
    /// Whose month it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner> {
        Ok(Scope::of(ctx)?.need(self.partner).await?.into())
    }

    /// One line per customer and plan, in the order of their external ids.
    async fn lines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<RetailLine>> {
        let list = List::<LineKey>::of("retailLines", Scope::of(ctx)?.organization(), first, after.as_deref())?;
        list.connection(list.cut(self.lines.clone(), |line, after| line_key(line) > *after), line_key)
    }

    /// What the partner should look at, in the order of customers and plans.
    async fn warnings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<RetailWarning>> {
        let list = List::of("retailWarnings", Scope::of(ctx)?.organization(), first, after.as_deref())?;
        let numbered: Vec<(i64, Warning)> = (1..).zip(self.warnings.iter().copied()).collect();
        list.connection(list.cut(numbered, |(number, _), after| number > after), |(number, _)| *number)
    }
}

/// Sums over all lines of a statement.
#[derive(Debug, Clone, SimpleObject)]
pub struct RetailTotals {
    /// Seats, added up over the days of the month.
    pub seat_days: Count,
    /// What the partner charges; null when a retail price is missing on any line.
    pub retail: Option<Money>,
    /// What the partner was billed in the month, adjustments for earlier months included.
    pub wholesale_net: Money,
    /// What is left; null when it is unknown on any line.
    pub margin: Option<Money>,
}

impl From<Totals> for RetailTotals {
    fn from(totals: Totals) -> Self {
        RetailTotals {
            seat_days: Count(totals.seat_days),
            retail: totals.retail.map(Into::into),
            wholesale_net: totals.wholesale_net.into(),
            margin: totals.margin.map(Into::into),
        }
    }
}

/// One customer and plan of a month at retail.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct RetailLine {
    /// Seats, added up over the days of the month.
    pub seat_days: Count,
    /// By retail unit price, the lowest first; seat-days without a price stand in none.
    pub parts: Vec<RetailPart>,
    /// What the partner charges; null when some seat-day has no retail price.
    pub retail: Option<Money>,
    /// What the partner was billed in the month, adjustments for earlier months included.
    pub wholesale_net: Money,
    /// The part of that which is for earlier months.
    pub adjustments: Money,
    /// What is left; null when it is unknown, because `retail` is.
    pub margin: Option<Money>,
    #[graphql(skip)]
    customer: CustomerId,
    #[graphql(skip)]
    plan: PlanId,
}

impl From<NamedLine> for RetailLine {
    fn from(named: NamedLine) -> Self {
        let line = named.line;
        RetailLine {
            seat_days: Count(line.seat_days),
            parts: line.parts.into_iter().map(RetailPart::from).collect(),
            retail: line.retail.map(Into::into),
            wholesale_net: line.wholesale_net.into(),
            adjustments: line.adjustments.into(),
            margin: line.margin.map(Into::into),
            customer: line.customer,
            plan: line.plan,
        }
    }
}

#[ComplexObject]
impl RetailLine {
    /// The customer.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.customer).await?.into())
    }

    /// The plan.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.plan).await?.into())
    }
}

/// The seat-days of a line at one retail unit price.
#[derive(Debug, Clone, SimpleObject)]
pub struct RetailPart {
    /// The price of a seat, or a flat plan, for a whole month.
    pub unit_price: Money,
    /// Seats, added up over the days on which it held.
    pub seat_days: Count,
    /// Unit price x seat-days / days in month, rounded once.
    pub amount: Money,
}

impl From<Part> for RetailPart {
    fn from(part: Part) -> Self {
        RetailPart { unit_price: part.unit_price.into(), seat_days: Count(part.seat_days), amount: part.amount.into() }
    }
}

/// A customer and plan whose month was sold for less than it cost.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct RetailWarning {
    /// What programs compare: `BELOW_WHOLESALE`.
    pub code: String,
    /// What the partner charges.
    pub retail: Money,
    /// What the same seats cost it, without adjustments for earlier months.
    pub wholesale_net: Money,
    #[graphql(skip)]
    customer: CustomerId,
    #[graphql(skip)]
    plan: PlanId,
}

impl From<(i64, Warning)> for RetailWarning {
    fn from((_, warning): (i64, Warning)) -> Self {
        let Warning::BelowWholesale { customer, plan, retail, wholesale_net } = warning;
        let code = "BELOW_WHOLESALE".to_owned();
        RetailWarning { code, retail: retail.into(), wholesale_net: wholesale_net.into(), customer, plan }
    }
}

#[ComplexObject]
impl RetailWarning {
    /// The customer.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.customer).await?.into())
    }

    /// The plan.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.plan).await?.into())
    }
}

#[derive(Default)]
pub struct RetailStatementQuery;

#[Object]
impl RetailStatementQuery {
    /// A partner's month at retail, finalized or not.
    async fn retail_statement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the partner.")] partner: ID,
        #[graphql(desc = "The month; not before the first one that the organization bills.")] month: Month,
    ) -> Result<RetailStatement> {
        let scope = Scope::of(ctx)?;
        let partner = id("partner", "partner", &partner)?;
        Ok(retail::statement_of(&scope.billing, scope.organization(), partner, month.into()).await?.into())
    }
}
