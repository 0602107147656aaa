//! Proves that documents, payments, steps, settlements, credit balances and the books tell the same story.
//!
//! Set-based: every check is one statement over the organization, or one over the books. Nothing is repaired.

mod store;

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_primitives::{LedgerAccountId, Money, OrganizationId, PartnerId};

use self::store::{Difference, PartnerSum};
use crate::chart;
use crate::error::Error;

/// What does not agree, in words; nothing when everything does. At most [`store::MOST_FINDINGS`] of one kind are named.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn reconcile(conn: &mut Conn, organization: OrganizationId) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    for difference in store::unlike_their_invoices(conn, organization).await? {
        findings.push(worded(&difference, "the invoice"));
    }
    for difference in store::unlike_their_steps(conn, organization).await? {
        findings.push(worded(&difference, "its steps"));
    }
    for difference in store::unlike_their_sources(conn, organization).await? {
        findings.push(worded(&difference, "its payments and credit notes"));
    }
    for sum in store::balances_unlike_steps(conn, organization).await? {
        let (stepped, held) = (Money::new(sum.expected_minor, sum.currency), Money::new(sum.found_minor, sum.currency));
        findings.push(format!("credit balance of {}: {stepped} by its steps, and {held} is stored", sum.partner_id));
    }
    findings.extend(books(conn, organization).await?);
    Ok(findings)
}

fn worded(difference: &Difference, by: &str) -> String {
    let Difference { invoice_id, what, expected, found } = difference;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "missing".to_owned());
    format!("invoice {invoice_id}: {what} is {} by {by}, and {} in its settlement", text(expected), text(found))
}

/// Compares receivables and credit balances with the ledger, account by account.
async fn books(conn: &mut Conn, organization: OrganizationId) -> Result<Vec<String>, Error> {
    let mut expected: BTreeMap<LedgerAccountId, (String, i64)> = BTreeMap::new();
    let mut expect = |kind: &str, owner: PartnerId, key: billing_ledger::AccountKey, minor: i64| {
        expected.insert(key.id(organization), (format!("{kind} of {owner} in {}", key.currency), minor));
    };
    for PartnerSum { partner_id, currency, found_minor, .. } in store::receivables(conn, organization).await? {
        expect(chart::kind::RECEIVABLE, partner_id, chart::receivable(partner_id, currency), found_minor);
    }
    for PartnerSum { partner_id, currency, found_minor, .. } in store::held(conn, organization).await? {
        // What is owed to the partner stands on the credit side.
        expect(chart::kind::CREDIT_BALANCE, partner_id, chart::credit_balance(partner_id, currency), -found_minor);
    }
    let mut findings = Vec::new();
    let mut strangers = BTreeMap::new();
    for balance in billing_ledger::trial_balance(conn, organization).await? {
        match expected.remove(&balance.id) {
            None if balance.debit_balance() != 0 => {
                strangers.insert(balance.id, balance.debit_balance());
            }
            Some((name, minor)) if minor != balance.debit_balance() => {
                findings.push(unbooked(&name, minor, balance.debit_balance()));
            }
            None | Some(_) => (),
        }
    }
    let unposted = expected.into_values().filter(|(_, minor)| *minor != 0);
    findings.extend(unposted.map(|(name, minor)| unbooked(&name, minor, 0)));

    let ids: Vec<LedgerAccountId> = strangers.keys().copied().collect();
    for page in ids.chunks(1000) {
        for account in billing_ledger::accounts(conn, organization, Some(page), None, 1000).await? {
            if [chart::kind::RECEIVABLE, chart::kind::CREDIT_BALANCE].contains(&account.kind.as_str()) {
                let owner =
                    account.owner_id.map_or_else(|| "nobody".to_owned(), |id| PartnerId::from_uuid(id).to_string());
                let name = format!("{} of {owner} in {}", account.kind, account.currency);
                findings.push(unbooked(&name, 0, strangers.get(&account.id).copied().unwrap_or_default()));
            }
        }
    }
    Ok(findings)
}

fn unbooked(name: &str, expected: i64, found: i64) -> String {
    format!("{name}: {expected} minor units by settlements and balances, {found} in the books")
}
