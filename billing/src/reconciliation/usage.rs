//! Invoices from seats: every finalized month is rated again and compared with what was invoiced for it.

use std::collections::{HashMap, HashSet};

use billing_db::Conn;
use billing_primitives::{Money, Month, PartnerId};

use super::{Check, store};
use crate::catalog;
use crate::error::{Error, Refusal};
use crate::invoicing::chunk;
use crate::invoicing::month::{LateMonth, Setting, rate};
use crate::invoicing::rules::corrections::{Correction, InvoicedLine, correct};
use crate::invoicing::store::facts;
use crate::invoicing::store::late::Mark;
use crate::organizations::Organization;
use crate::partners::{self, Partner};

/// Rates the finalized months of some partners again. What a late fact touched is the next run's to settle.
pub async fn check(conn: &mut Conn, organization: &Organization, partners: &[PartnerId]) -> Result<Check, Error> {
    let mut check = Check::new("usage");
    let evaluated = store::evaluations(conn, organization.id, partners).await?;
    let mut months: HashMap<Month, Vec<PartnerId>> = HashMap::new();
    for evaluation in evaluated {
        months.entry(evaluation.month).or_default().push(evaluation.partner_id);
    }
    let pending: HashSet<_> = store::pending(conn, organization.id, partners).await?.into_iter().collect();
    let book = catalog::load_price_book(conn, organization.id, partners).await?;
    let plans = facts::plans(conn, organization.id).await?;
    let known = partners::store::by_ids(conn, organization.id, partners).await?;
    let known: HashMap<PartnerId, &Partner> = known.iter().map(|partner| (partner.id, partner)).collect();
    for (month, partners) in months {
        let setting = Setting { organization, month, table: None, book: &book, plans: &plans, rates: &HashMap::new() };
        let mut marks = facts::invoiced_marks(conn, organization.id, &partners, month).await?;
        marks.extend(used_marks(conn, organization, &partners, month).await?);
        marks.sort_unstable_by_key(|mark| (mark.partner, mark.customer, mark.plan));
        marks.dedup();
        marks.retain(|mark| !pending.contains(&(mark.partner, mark.customer, mark.plan, mark.month)));
        for (partner, lates) in chunk::rate_again(conn, organization.id, &marks, &plans).await? {
            let Some(partner) = known.get(&partner) else { continue };
            for late in lates {
                check_one(&mut check, &setting, partner, &late);
            }
        }
    }
    Ok(check)
}

async fn used_marks(
    conn: &mut Conn,
    organization: &Organization,
    partners: &[PartnerId],
    month: Month,
) -> Result<Vec<Mark>, Error> {
    let rows = facts::usage(conn, organization.id, partners, None, month).await?;
    let used = chunk::by_partner(rows)?;
    let marks = used.into_iter().flat_map(|(partner, usages)| {
        let held = usages.into_iter().filter(|usage| !usage.segments.is_empty());
        held.map(move |usage| Mark { partner, customer: usage.customer, plan: usage.plan, month })
    });
    Ok(marks.collect())
}

fn check_one(check: &mut Check, setting: &Setting<'_>, partner: &Partner, late: &LateMonth) {
    let name = || format!("{} {} {}", partner.external_id, late.usage.customer, late.month);
    match wrong_prices(setting, partner, late) {
        Ok(wrong) => check.expect(wrong.is_empty(), || format!("{}: {}", name(), wrong.join("; "))),
        Err(refusal) => check.expect(false, || format!("{} cannot be rated again: {refusal}", name())),
    }
}

/// The unit prices at which rated and invoiced amounts differ.
fn wrong_prices(setting: &Setting<'_>, partner: &Partner, late: &LateMonth) -> Result<Vec<String>, Refusal> {
    let rated = rate(setting, partner, late.month, late.discount, &late.usage)?;
    let mut unit_prices: Vec<i64> = rated.iter().map(|rated| rated.unit_price.minor).collect();
    unit_prices.extend(late.invoiced.iter().map(|line| line.unit_price));
    unit_prices.sort_unstable();
    unit_prices.dedup();
    let mut wrong = Vec::new();
    for unit_price in unit_prices {
        let lines = late.invoiced.iter().filter(|line| line.unit_price == unit_price);
        let lines: Vec<InvoicedLine> = lines.map(|line| line.line).collect();
        let again = rated.iter().find(|rated| rated.unit_price.minor == unit_price);
        let target = again.map_or(Money::zero(partner.currency), |rated| rated.amounts.net);
        match correct(target, &lines)? {
            Correction::Nothing => {}
            Correction::Bill(more) => wrong.push(format!("{more} too little was invoiced at {unit_price}")),
            Correction::Credit(_) => wrong.push(format!("too much was invoiced at {unit_price}: {target} is right")),
        }
    }
    Ok(wrong)
}
