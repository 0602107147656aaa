//! A partner's month at retail from what is stored: reads usage, what was billed and prices, and lets the rules add up.
//!
//! The wholesale side is what the month's finalized documents say, or what they would say now; either way it counts in
//! the month in which it is billed, whatever month it is for.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{Currency, CustomerId, InvoiceId, Money, Month, OrganizationId, PartnerId, PlanId};

use super::statement::{RetailTotals, RetailWarning, Usage, WholesaleLine, statement, warnings};
use super::{RetailLine, load_prices, store};
use crate::Billing;
use crate::error::{Error, Refusal};
use crate::invoicing::chunk;
use crate::invoicing::documents::LineKind;
use crate::invoicing::month::PartnerMonth;
use crate::invoicing::store::facts;
use crate::partners::Partner;
use crate::{catalog, customers, organizations, partners, tiers};

/// A partner's month at retail, with the names that its readers know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartnerStatement {
    pub partner: PartnerId,
    pub partner_external_id: String,
    pub month: Month,
    pub currency: Currency,
    /// False: the wholesale side is a preview, because the month is not finalized for the partner.
    pub finalized: bool,
    /// In the order of customers' and plans' external ids.
    pub lines: Vec<NamedLine>,
    pub totals: RetailTotals,
    /// What was sold for less than it cost.
    pub warnings: Vec<RetailWarning>,
}

/// A line with the names of its customer and plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NamedLine {
    pub customer_external_id: String,
    pub customer_name: String,
    pub plan_external_id: String,
    pub line: RetailLine,
}

/// The statement of a partner's month, finalized or not. Reads only.
///
/// # Errors
/// [`Refusal::NotFound`] (partner), [`Refusal::MonthBeforeBilling`], and what keeps a month that is not finalized from
/// being drafted, such as [`Refusal::PriceMissing`].
pub async fn statement_of(
    billing: &Billing,
    organization: OrganizationId,
    partner: PartnerId,
    month: Month,
) -> Result<PartnerStatement, Error> {
    billing.db.read(organization, async |conn| load(conn, organization, partner, month).await).await
}

async fn load(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    month: Month,
) -> Result<PartnerStatement, Error> {
    let known = partners::store::by_ids(conn, organization, &[partner]).await?.pop();
    let partner = known.ok_or_else(|| Refusal::not_found("partner", "partner", partner))?;
    let rows = facts::usage(conn, organization, &[partner.id], None, month).await?;
    let used = chunk::by_partner(rows)?.remove(&partner.id).unwrap_or_default();
    let used: Vec<Usage> = used.iter().flat_map(stretches).collect();
    let last = tiers::last_evaluations(conn, organization, &[partner.id]).await?.remove(&partner.id);
    let finalized = last.is_some_and(|last| last.month >= month);
    let wholesale = match finalized {
        true => store::billed(conn, organization, partner.id, month).await?,
        false => preview(conn, organization, &partner, month).await?,
    };
    let prices = load_prices(conn, organization, partner.id, partner.currency, month.last()).await?;
    let made = statement(month, &used, &wholesale, &prices)?;
    let warnings = warnings(&made)?;
    let lines = named(conn, organization, made.lines).await?;
    Ok(PartnerStatement {
        partner: partner.id,
        partner_external_id: partner.external_id,
        month,
        currency: made.currency,
        finalized,
        lines,
        totals: made.totals,
        warnings,
    })
}

fn stretches(used: &crate::invoicing::month::Usage) -> impl Iterator<Item = Usage> {
    let held = used.segments.iter();
    held.map(|held| Usage { customer: used.customer, plan: used.plan, from: held.from, to: held.to, seats: held.seats })
}

/// What the month's documents would bill and take back if they were made now.
async fn preview(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: &Partner,
    month: Month,
) -> Result<Vec<WholesaleLine>, Error> {
    let seller = organizations::current(conn, organization).await?;
    if month < seller.billing_from {
        return Err(Refusal::MonthBeforeBilling { month, billing_from: seller.billing_from }.into());
    }
    let computed = chunk::compute(conn, &seller, month, vec![partner.clone()]).await?.pop();
    let computed =
        computed.ok_or_else(|| Error::Corrupt(format!("nothing was computed for {}", partner.external_id)))?;
    let drafts = computed.outcome?;
    let named: Vec<InvoiceId> = drafts.credit_notes.iter().map(|note| note.invoice).collect();
    let credited = match named.is_empty() {
        true => HashMap::new(),
        false => store::sold_on(conn, organization, &named).await?,
    };
    drafted(&drafts, &credited)
}

/// The lines of drafts; a credit note names its customers and plans by the lines that it takes back.
fn drafted(
    drafts: &PartnerMonth,
    credited: &HashMap<(InvoiceId, i32), (CustomerId, PlanId)>,
) -> Result<Vec<WholesaleLine>, Error> {
    let mut all = Vec::new();
    if let Some(invoice) = &drafts.invoice {
        all.extend(invoice.lines.iter().map(|line| WholesaleLine {
            customer: line.customer,
            plan: line.plan,
            net: Money::new(line.net, invoice.currency),
            adjustment: line.kind == LineKind::Adjustment,
        }));
    }
    for note in &drafts.credit_notes {
        for line in &note.lines {
            let key = (note.invoice, line.invoice_line_number);
            let missing =
                || Error::Corrupt(format!("invoice {} has no line {}", note.invoice, line.invoice_line_number));
            let &(customer, plan) = credited.get(&key).ok_or_else(missing)?;
            let net = Money::zero(note.currency).checked_sub(Money::new(line.net, note.currency))?;
            all.push(WholesaleLine { customer, plan, net, adjustment: true });
        }
    }
    Ok(all)
}

/// Gives lines the names of their customers and plans, and orders them by these.
async fn named(conn: &mut Conn, organization: OrganizationId, lines: Vec<RetailLine>) -> Result<Vec<NamedLine>, Error> {
    let customers: Vec<CustomerId> = lines.iter().map(|line| line.customer).collect();
    let plans: Vec<PlanId> = lines.iter().map(|line| line.plan).collect();
    let customers = customers::store::by_ids(conn, organization, &customers).await?;
    let plans = catalog::store::plans_by_ids(conn, organization, &plans).await?;
    let customers: HashMap<_, _> = customers.into_iter().map(|row| (row.id, (row.external_id, row.name))).collect();
    let plans: HashMap<_, _> = plans.into_iter().map(|row| (row.id, row.external_id)).collect();
    let mut named = Vec::with_capacity(lines.len());
    for line in lines {
        let (customer, plan) = (customers.get(&line.customer), plans.get(&line.plan));
        // Foreign keys lead from usage and documents to both.
        let Some(((customer_external_id, customer_name), plan_external_id)) = customer.zip(plan) else {
            return Err(Error::Corrupt(format!("customer {} or plan {} is missing", line.customer, line.plan)));
        };
        named.push(NamedLine {
            customer_external_id: customer_external_id.clone(),
            customer_name: customer_name.clone(),
            plan_external_id: plan_external_id.clone(),
            line,
        });
    }
    named.sort_by(|a, b| {
        (&a.customer_external_id, &a.plan_external_id).cmp(&(&b.customer_external_id, &b.plan_external_id))
    });
    Ok(named)
}
