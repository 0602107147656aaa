//! Some partners' months at a time: everything they depend on is read in a constant number of statements.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{Money, Month, OrganizationId, PartnerId, PlanId};

use super::month::{self, LateMonth, PartnerFacts, PartnerMonth, PlanFacts, Setting, StoredLine, Usage};
use super::rules::corrections::InvoicedLine;
use super::store::facts::{self, InvoicedRow, UsageRow};
use super::store::late::{self, Mark};
use crate::catalog;
use crate::error::{Error, Refusal};
use crate::organizations::Organization;
use crate::partners::Partner;
use crate::subscriptions::rules::{SeatFact, Seats, Segment, segments, timeline};
use crate::tiers::{self, TierEvaluation, rules::Previous};
use crate::vat::VatTreatment;

/// What a partner's month comes to, or why nothing can be drafted.
pub struct Computed {
    pub partner: Partner,
    pub outcome: Result<PartnerMonth, Refusal>,
    /// The last month that is finalized for the partner.
    pub finalized_through: Option<Month>,
    /// A month before this one that has to be finalized first.
    pub earlier_open: Option<Month>,
}

/// Computes a month for some partners. Reads only; who needs the answer to last holds the locks.
///
/// # Errors
/// Faults of the database, and stored data that no rule allows.
pub async fn compute(
    conn: &mut Conn,
    organization: &Organization,
    month: Month,
    partners: Vec<Partner>,
) -> Result<Vec<Computed>, Error> {
    let ids: Vec<PartnerId> = partners.iter().map(|partner| partner.id).collect();
    let table = tiers::table_for(conn, organization.id, month).await?;
    let book = catalog::load_price_book(conn, organization.id, &ids).await?;
    let plans = facts::plans(conn, organization.id).await?;
    let rates = facts::rates(conn, organization.id, organization.currency, month.last()).await?;
    let setting = Setting { organization, month, table: table.as_ref(), book: &book, plans: &plans, rates: &rates };
    let evaluations: HashMap<PartnerId, TierEvaluation> = tiers::last_evaluations(conn, organization.id, &ids).await?;
    let pins = tiers::pins_for(conn, organization.id, &ids, month).await?;
    let mut usage = by_partner(facts::usage(conn, organization.id, &ids, None, month).await?)?;
    let mut late = late_months(conn, organization.id, &ids, month, &plans).await?;
    let firsts = first_months(conn, organization, &partners, &evaluations, month).await?;
    let mut all = Vec::with_capacity(partners.len());
    for partner in partners {
        let last = evaluations.get(&partner.id);
        let usage = usage.remove(&partner.id).unwrap_or_default();
        let late = late.remove(&partner.id).unwrap_or_default();
        let previous = last.filter(|last| last.month == month.previous());
        let facts = PartnerFacts {
            partner: &partner,
            usage: &usage,
            previous: previous.map(|last| Previous {
                billed: &last.billed_tier,
                months_below: last.months_below,
                reason: last.reason,
            }),
            pin: pins.get(&partner.id).map(String::as_str),
            late: &late,
        };
        let outcome = month::partner_month(&setting, &facts);
        let finalized_through = last.map(|last| last.month);
        let earlier_open = earlier_open(finalized_through, firsts.get(&partner.id).copied(), organization, month);
        all.push(Computed { outcome, finalized_through, earlier_open, partner });
    }
    Ok(all)
}

/// A partner's months are finalized in order: from its first activity, then one after the other.
fn earlier_open(
    finalized_through: Option<Month>,
    first_activity: Option<Month>,
    organization: &Organization,
    month: Month,
) -> Option<Month> {
    let next = match finalized_through {
        Some(last) => last.next(),
        None => first_activity?.max(organization.billing_from),
    };
    (next < month).then_some(next)
}

/// The first activity of the partners that have no finalized month yet.
async fn first_months(
    conn: &mut Conn,
    organization: &Organization,
    partners: &[Partner],
    evaluations: &HashMap<PartnerId, TierEvaluation>,
    month: Month,
) -> Result<HashMap<PartnerId, Month>, Error> {
    let new = partners.iter().map(|partner| partner.id).filter(|id| !evaluations.contains_key(id));
    let new: Vec<PartnerId> = new.collect();
    if new.is_empty() || month <= organization.billing_from {
        return Ok(HashMap::new());
    }
    Ok(facts::first_months(conn, organization.id, &new).await?)
}

/// Folds rows, which come in order, into the usage of each partner's customers and plans.
pub fn by_partner(rows: Vec<UsageRow>) -> Result<HashMap<PartnerId, Vec<Usage>>, Error> {
    let mut all: HashMap<PartnerId, Vec<Usage>> = HashMap::new();
    let mut seats: Vec<SeatFact> = Vec::new();
    let same = |a: &UsageRow, b: &UsageRow| (a.subscription_id, a.owned_from) == (b.subscription_id, b.owned_from);
    for subscription in rows.chunk_by(same) {
        let Some(first) = subscription.first() else { continue };
        seats.clear();
        seats.extend(subscription.iter().filter_map(seat_fact));
        let held = held_segments(first, &seats)?;
        let usages = all.entry(first.partner_id).or_default();
        match usages.last_mut() {
            Some(last) if (last.customer, last.plan) == (first.customer_id, first.plan_id) => {
                last.segments.extend(held);
            }
            _ => usages.push(Usage { customer: first.customer_id, plan: first.plan_id, segments: held }),
        }
    }
    Ok(all)
}

fn held_segments(row: &UsageRow, seats: &[SeatFact]) -> Result<Vec<Segment>, Error> {
    if row.flat {
        return Ok(vec![Segment { from: row.counts_from, to: row.counts_to, seats: 1 }]);
    }
    Ok(segments(&timeline(seats)?, row.counts_from, row.counts_to))
}

fn seat_fact(row: &UsageRow) -> Option<SeatFact> {
    let seats = row.quantity.map(Seats::Quantity).or(row.delta.map(Seats::Delta))?;
    Some(SeatFact { effective_on: row.effective_on?, sequence: row.sequence?, seats })
}

/// The marked months of some partners with their usage as it stands now and what was invoiced for them.
async fn late_months(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
    plans: &HashMap<PlanId, PlanFacts>,
) -> Result<HashMap<PartnerId, Vec<LateMonth>>, Error> {
    let marks = late::marks(conn, organization, partners, month).await?;
    if marks.is_empty() {
        return Ok(HashMap::new());
    }
    rate_again(conn, organization, &marks, plans).await
}

/// What marked customers, plans and months were used and invoiced for.
///
/// # Errors
/// Faults of the database.
pub async fn rate_again(
    conn: &mut Conn,
    organization: OrganizationId,
    marks: &[Mark],
    plans: &HashMap<PlanId, PlanFacts>,
) -> Result<HashMap<PartnerId, Vec<LateMonth>>, Error> {
    let discounts = facts::discounts(conn, organization, marks).await?;
    let invoiced = facts::invoiced(conn, organization, marks).await?;
    let used = used_in(conn, organization, marks).await?;
    let mut lines: HashMap<Mark, Vec<StoredLine>> = HashMap::new();
    for row in &invoiced {
        let (partner, customer, plan, month) = (row.partner_id, row.customer_id, row.plan_id, row.month);
        lines.entry(Mark { partner, customer, plan, month }).or_default().push(stored_line(row));
    }
    let mut all: HashMap<PartnerId, Vec<LateMonth>> = HashMap::new();
    for mark in marks {
        // A mark is only made on an evaluated month, and evaluations stay.
        let Some(discount) = discounts.get(&(mark.partner, mark.month)).copied() else { continue };
        let usage = used.get(mark).cloned();
        let usage = usage.unwrap_or(Usage { customer: mark.customer, plan: mark.plan, segments: Vec::new() });
        let invoiced = lines.remove(mark).unwrap_or_default();
        all.entry(mark.partner).or_default().push(LateMonth { month: mark.month, discount, usage, invoiced });
    }
    let plan_name = |plan: &PlanId| plans.get(plan).map(|plan| plan.external_id.as_str());
    for months in all.values_mut() {
        months.sort_by(|a, b| {
            a.month.cmp(&b.month).then_with(|| plan_name(&a.usage.plan).cmp(&plan_name(&b.usage.plan)))
        });
    }
    Ok(all)
}

async fn used_in(conn: &mut Conn, organization: OrganizationId, marks: &[Mark]) -> Result<HashMap<Mark, Usage>, Error> {
    let mut used = HashMap::new();
    let mut months: Vec<Month> = marks.iter().map(|mark| mark.month).collect();
    months.sort_unstable();
    months.dedup();
    for month in months {
        let marked: Vec<&Mark> = marks.iter().filter(|mark| mark.month == month).collect();
        let partners: Vec<_> = marked.iter().map(|mark| mark.partner).collect();
        let customers: Vec<_> = marked.iter().map(|mark| mark.customer).collect();
        let rows = facts::usage(conn, organization, &partners, Some(&customers), month).await?;
        for (partner, usages) in by_partner(rows)? {
            for usage in usages {
                let mark = Mark { partner, customer: usage.customer, plan: usage.plan, month };
                used.insert(mark, usage);
            }
        }
    }
    Ok(used)
}

fn stored_line(row: &InvoicedRow) -> StoredLine {
    let money = |minor| Money::new(minor, row.currency);
    StoredLine {
        line: InvoicedLine {
            invoice: row.invoice_id,
            line_number: row.line_number,
            is_adjustment: row.is_adjustment,
            net: money(row.net_minor),
            corrected: money(row.corrected_minor),
            credited: money(row.credited_minor),
        },
        unit_price: row.unit_price_minor,
        treatment: VatTreatment { category: row.vat_category, rate: row.vat_bps },
        number: row.number.clone(),
        books_rate: row.vat_books_rate,
    }
}
