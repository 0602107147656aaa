//! What finalizing does to settlements: new invoices open them, credit notes lower them. Set-based: a whole batch of
//! documents costs a handful of statements.
//!
//! Steps say when they were written by the database's clock, and for which day by `on`.

use std::collections::{BTreeMap, BTreeSet};

use billing_db::Conn;
use billing_ledger::Posting;
use billing_primitives::{CreditNoteId, Date, InvoiceId, Money, OrganizationId, PartnerId, PaymentId};

use super::journal::{self, Account, AccountKey, Journal, paid_event};
use super::rules::{self, Position, Standing};
use super::{Payment, PaymentMethod, store};
use crate::clock::Clock;
use crate::error::Error;
use crate::{chart, events};

/// A finalized invoice whose settlement begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewSettlement {
    pub invoice: InvoiceId,
    pub partner: PartnerId,
    pub gross: Money,
    pub due_date: Date,
    pub issue_date: Date,
    pub number: String,
}

/// A finalized credit note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credited {
    pub note: CreditNoteId,
    pub invoice: InvoiceId,
    pub partner: PartnerId,
    pub gross: Money,
}

/// Begins the settlements of invoices that were just finalized; their partners' credit balances pay them at once, the
/// oldest invoice first. The invoices' own postings are not made here.
///
/// # Errors
/// Faults of the database; a unique violation when an invoice has a settlement.
pub(crate) async fn opened(
    conn: &mut Conn,
    organization: OrganizationId,
    on: Date,
    rows: &[NewSettlement],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let partners: Vec<PartnerId> = distinct(rows.iter().map(|row| row.partner));
    store::lock_partners(conn, organization, &partners).await?;
    store::insert_settlements(conn, organization, rows).await?;
    let mut journal = Journal::new(organization, on, Clock::Database.now(conn).await?);
    for row in rows.iter().filter(|row| row.gross.is_zero()) {
        journal.tell(paid_event(row.invoice, row.partner));
    }
    let mut standings: BTreeMap<AccountKey, Vec<Standing>> = BTreeMap::new();
    for row in rows {
        standings.entry((row.partner, row.gross.currency)).or_default().push(standing(row));
    }
    let mut accounts = Vec::new();
    for held in store::balances(conn, organization, &partners).await?.iter().filter(|held| held.balance_minor > 0) {
        let key = (held.partner_id, held.currency);
        // While there is money in a balance nothing older is due: the new invoices are all it may pay.
        let Some(new) = standings.remove(&key) else { continue };
        let mut account = Account::new(key, Position::new(held.currency, new, held.balance_minor, Vec::new()));
        for step in account.now.finish()? {
            let source = step.invoice.map(|invoice| invoice.to_string()).unwrap_or_default();
            journal.steps(key, &source, "", vec![step])?;
        }
        accounts.push(account);
    }
    journal.write(conn, &accounts).await
}

fn standing(row: &NewSettlement) -> Standing {
    Standing::new(row.invoice, row.issue_date, row.number.clone(), row.gross.minor)
}

/// Applies credit notes that were just finalized, in the order given. What exceeds an invoice goes to the credit balance
/// and pays the partner's oldest open invoices; VAT that the last note of an invoice leaves goes to the rounding
/// account. The notes' own postings are not made here.
///
/// # Errors
/// Faults of the database; [`crate::Refusal::NotFound`] when an invoice has no settlement.
pub(crate) async fn credited(
    conn: &mut Conn,
    organization: OrganizationId,
    on: Date,
    rows: &[Credited],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let partners: Vec<PartnerId> = distinct(rows.iter().map(|row| row.partner));
    let invoices: Vec<InvoiceId> = distinct(rows.iter().map(|row| row.invoice));
    let mut accounts = journal::lock(conn, organization, &partners, &invoices).await?;
    let mut left = vat_left(conn, organization, &invoices).await?;
    // The last note of an invoice in this batch settles the difference.
    let last: BTreeMap<InvoiceId, CreditNoteId> = rows.iter().map(|row| (row.invoice, row.note)).collect();
    let mut journal = Journal::new(organization, on, Clock::Database.now(conn).await?);
    for row in rows {
        let key: AccountKey = (row.partner, row.gross.currency);
        let is_last = last.get(&row.invoice) == Some(&row.note);
        let difference = is_last.then(|| left.remove(&row.invoice)).flatten().unwrap_or_default();
        let steps = journal::of(&mut accounts, key)?.now.credit(row.invoice, row.gross.minor, difference)?;
        journal.steps(key, &row.note.to_string(), "", steps)?;
        journal.post(chart::vat_left(row.note, row.partner, on, Money::new(difference, key.1))?);
    }
    journal.write(conn, accounts.values()).await
}

/// By invoice: the VAT that its credit notes leave; only invoices that are credited in full.
async fn vat_left(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> Result<BTreeMap<InvoiceId, i64>, Error> {
    let mut totals: BTreeMap<InvoiceId, (i64, i64)> = BTreeMap::new();
    let mut notes: BTreeMap<InvoiceId, Vec<(i64, i64)>> = BTreeMap::new();
    for (invoice, net, vat, _, note_net, note_vat) in store::notes_of(conn, organization, invoices).await? {
        totals.insert(invoice, (net, vat));
        notes.entry(invoice).or_default().push((note_net, note_vat));
    }
    let left = |(invoice, notes): (InvoiceId, Vec<(i64, i64)>)| {
        let (net, vat) = totals.get(&invoice)?;
        Some((invoice, rules::vat_left(*net, *vat, &notes)?))
    };
    Ok(notes.into_iter().filter_map(left).collect())
}

/// A payment by commission: the other side of a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommissionPayment {
    pub payment: PaymentId,
    pub invoice: InvoiceId,
    pub partner: PartnerId,
    /// At most what is due.
    pub amount: Money,
    pub reference: String,
    /// Instead of that of money that came in.
    pub posting: Posting,
}

/// What is due on invoices, minor units of their currencies.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn due_of(
    conn: &mut Conn,
    organization: OrganizationId,
    invoices: &[InvoiceId],
) -> Result<BTreeMap<InvoiceId, i64>, Error> {
    let rows = store::settlements(conn, organization, invoices).await?;
    Ok(rows.iter().map(|row| (row.invoice_id, row.standing().due())).collect())
}

/// Records what commissions pay of invoices, in the order given.
///
/// # Errors
/// Faults of the database; [`crate::Refusal::NotFound`] when an invoice has no settlement.
pub(crate) async fn paid_by_commission(
    conn: &mut Conn,
    organization: OrganizationId,
    on: Date,
    rows: Vec<CommissionPayment>,
) -> Result<(), Error> {
    let partners: Vec<PartnerId> = distinct(rows.iter().map(|row| row.partner));
    let invoices: Vec<InvoiceId> = distinct(rows.iter().map(|row| row.invoice));
    let mut accounts = journal::lock(conn, organization, &partners, &invoices).await?;
    let now = Clock::Database.now(conn).await?;
    let mut journal = Journal::new(organization, on, now);
    let mut payments = Vec::with_capacity(rows.len());
    for row in rows {
        let key: AccountKey = (row.partner, row.amount.currency);
        let steps = journal::of(&mut accounts, key)?.now.pay(row.invoice, row.amount.minor)?;
        journal.steps(key, &row.payment.to_string(), "", steps)?;
        journal.post(row.posting);
        let payment = Payment {
            organization_id: organization,
            id: row.payment,
            external_id: None,
            invoice_id: row.invoice,
            partner_id: row.partner,
            method: PaymentMethod::Commission,
            amount_minor: row.amount.minor,
            currency: row.amount.currency,
            received_on: on,
            reference: row.reference,
            reverses_payment_id: None,
            reversal_reason: None,
            created_at: now,
        };
        journal.tell(super::told(events::kind::PAYMENT_RECORDED, &payment));
        payments.push(payment);
    }
    store::insert_payments(conn, &payments).await?;
    journal.write(conn, accounts.values()).await
}

fn distinct<T: Ord>(ids: impl Iterator<Item = T>) -> Vec<T> {
    ids.collect::<BTreeSet<T>>().into_iter().collect()
}
