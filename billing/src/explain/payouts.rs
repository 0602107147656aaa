//! Payouts and commission statements explain themselves.

use billing_primitives::{CommissionEntryId, CommissionId, CommissionStatementId, Money, OrganizationId, PayoutId};
use serde_json::Value;

use super::{Explanation, plain};
use crate::Billing;
use crate::error::{Error, Refusal};
use crate::page::Page;
use crate::payouts::{self, Payout, PayoutItem, PayoutMethod, Statement, StatementEntry};

/// Steps of one amount that a tree names; the rest is told as one.
const MOST: i64 = Page::<()>::MOST;

/// Why a payout comes to its net.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn payout(billing: &Billing, organization: OrganizationId, id: PayoutId) -> Result<Explanation, Error> {
    let found = payouts::by_ids(billing, organization, &[id]).await?.pop();
    let payout = found.ok_or_else(|| Refusal::not_found("id", "payout", id))?;
    let page = Page::<CommissionId>::new(None, MOST);
    let items = payouts::items_of(billing, organization, id, &page).await?.items;
    Ok(of_payout(&payout, &items))
}

/// Why a commission statement comes to its balance.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn statement(
    billing: &Billing,
    organization: OrganizationId,
    id: CommissionStatementId,
) -> Result<Explanation, Error> {
    let found = payouts::statements_by_ids(billing, organization, &[id]).await?.pop();
    let statement = found.ok_or_else(|| Refusal::not_found("id", "commission statement", id))?;
    let page = Page::<CommissionEntryId>::new(None, MOST);
    let entries = payouts::statement_entries(billing, organization, id, &page).await?.items;
    Ok(of_statement(&statement, &entries))
}

/// The tree of a payout: what each commission gives, less what is owed.
pub fn of_payout(payout: &Payout, items: &[PayoutItem]) -> Explanation {
    let payable = items.iter().fold(
        Explanation::new("commissions taken out", Some(payout.money(payout.payable_minor)))
            .formula("sum of what each commission has payable, as far as statements up to the cut-off have shown it")
            .input("commissions", &payout.trace["commissions"]),
        |payable, item| payable.part(Explanation::new(item.commission_id.to_string(), Some(item.amount()))),
    );
    let payable = rest(payable, payout.payable_minor, items.iter().map(PayoutItem::amount));
    let offset = Explanation::new("debts netted", Some(payout.money(payout.offset_minor)))
        .formula(
            "clawbacks of what was paid out before, less what earlier payouts have netted; at most what is taken out",
        )
        .rule(&["R8"]);
    let net = Explanation::new("net", Some(payout.net()))
        .rule(&["R8"])
        .input("payout", payout.id)
        .input("enrollment", payout.enrollment_id);
    let net = match payout.method {
        PayoutMethod::Transfer => net
            .formula("commissions taken out - debts netted; paid when it is at least the threshold")
            .input("cutOff", plain(&payout.trace["cutOff"]))
            .input("threshold", money(&payout.trace["threshold"], payout))
            .input("noThreshold", &payout.trace["noThreshold"])
            .input("programVersion", plain(&payout.trace["programVersion"])),
        PayoutMethod::Credit => net
            .formula("commissions taken out - debts netted; at most what is due on the invoice")
            .input("invoice", plain(&payout.trace["invoice"])),
    };
    net.part(payable).part(offset)
}

fn money(value: &Value, payout: &Payout) -> Money {
    payout.money(value.as_i64().unwrap_or_default())
}

/// The tree of a statement: what it carries, what became payable, what was taken back.
pub fn of_statement(statement: &Statement, entries: &[StatementEntry]) -> Explanation {
    let carried = &statement.trace["carried"];
    let minor = |value: &Value| statement.money(value.as_i64().unwrap_or_default());
    let mut before = Explanation::new("carried", Some(statement.money(statement.carried_minor)))
        .formula("what statements before have shown - what was paid out or credited")
        .input("shown", minor(&carried["stated"]))
        .input("paidOut", minor(&carried["paidOut"]));
    if let Some(previous) = carried["previous"].as_str() {
        before = before.input("previous", previous).input("previousMonth", plain(&carried["previousMonth"]));
    }
    let part = |label: &str, minor: i64, part: payouts::Part| {
        let own: Vec<&StatementEntry> = entries.iter().filter(|entry| entry.part == part).collect();
        let sum = Explanation::new(label, Some(statement.money(minor))).rule(&["R8"]);
        own.into_iter().fold(sum, |sum, entry| {
            let step = Explanation::new(entry.commission_id.to_string(), Some(entry.amount()));
            sum.part(step.input("step", entry.commission_entry_id))
        })
    };
    let earned = part("earned", statement.earned_minor, payouts::Part::Earned)
        .formula("what became payable - clawbacks of what no statement had shown")
        .input("becamePayable", minor(&statement.trace["becamePayable"]))
        .input("clawbacksUnshown", minor(&statement.trace["clawbacksUnshown"]));
    let clawed = part("clawed back", statement.clawed_back_minor, payouts::Part::ClawedBack)
        .formula("clawbacks of what an earlier statement had shown");
    Explanation::new("balance", Some(statement.money(statement.balance_minor)))
        .formula("carried + earned - clawed back, net of VAT")
        .rule(&["R8"])
        .input("month", statement.month)
        .input("enrollment", statement.enrollment_id)
        .part(before)
        .part(earned)
        .part(clawed)
}

/// What the parts that are not named come to, if there are any.
fn rest(whole: Explanation, minor: i64, named: impl Iterator<Item = Money>) -> Explanation {
    let named: i128 = named.map(|money| i128::from(money.minor)).sum();
    let left = i64::try_from(i128::from(minor) - named).unwrap_or_default();
    match whole.amount {
        Some(amount) if left != 0 && named != 0 => {
            whole.part(Explanation::new("further commissions", Some(Money { minor: left, ..amount })))
        }
        _ => whole,
    }
}
