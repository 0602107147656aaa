//! Commissions that pay invoices: what is payable to an enrollment settled by CREDIT pays its partner's next wholesale
//! invoices when they are finalized. No statement and no threshold is asked for, and the invoice itself does not change.

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_primitives::{
    Date, EnrollmentId, InvoiceId, Money, OrganizationId, PartnerId, PaymentId, PayoutId, Timestamp,
};
use serde_json::json;

use super::model::{Payout, PayoutItem, PayoutMethod};
use super::plan::{self, Part};
use super::runs::amounts;
use super::state::PayoutStatus;
use super::statements::NO_VAT;
use super::store::{self, due, payouts as sql};
use crate::bulk;
use crate::caller::Actor;
use crate::chart;
use crate::commissions::EntryKind;
use crate::commissions::book::{self, BookedStep, Pen};
use crate::error::{Error, Refusal};
use crate::payments::{self, CommissionPayment, NewSettlement};

/// What one enrollment still has to give.
struct Purse {
    of: due::Credited,
    /// In the order of the commissions' ids.
    parts: Vec<Part>,
    debt: i64,
}

impl Purse {
    fn left(&self) -> Result<i64, Refusal> {
        let sum: i128 = self.parts.iter().map(|part| i128::from(part.amount)).sum();
        i64::try_from(sum).map_err(|_| Refusal::AmountOverflow)
    }

    /// Takes the debt and up to `due` out: what goes to the invoice, what nets the debt, and from which commissions.
    fn take(&mut self, due: i64) -> Result<Option<(i64, i64, Vec<Part>)>, Refusal> {
        let (left, offset) = (self.left()?, self.debt.max(0));
        let net = (left - offset).min(due);
        if net <= 0 {
            return Ok(None);
        }
        self.debt = 0;
        let mut wanted = net + offset;
        let mut taken = Vec::new();
        for part in &mut self.parts {
            let amount = part.amount.min(wanted);
            if amount > 0 {
                taken.push(Part { payable: part.payable.clone(), amount });
                part.amount -= amount;
                // A second invoice may take the rest of the same commission.
                part.payable.payable_minor -= amount;
                part.payable.taken_minor += amount;
                wanted -= amount;
            }
        }
        Ok(Some((net, offset, taken)))
    }
}

/// Everything that is to be written.
#[derive(Default)]
struct Credits {
    payouts: Vec<Payout>,
    items: Vec<PayoutItem>,
    steps: Vec<BookedStep>,
    payments: Vec<CommissionPayment>,
}

/// Pays invoices that were just finalized, and whose settlements have begun, out of what is payable to their partners:
/// the oldest invoice first, up to what is due. Where nobody is settled by credit it costs one statement.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn apply(
    conn: &mut Conn,
    organization: OrganizationId,
    on: Date,
    now: Timestamp,
    invoices: &[NewSettlement],
) -> Result<(), Error> {
    if invoices.is_empty() {
        return Ok(());
    }
    let partners: Vec<PartnerId> = bulk::distinct(invoices.iter().map(|invoice| invoice.partner));
    let credited = due::credited(conn, organization, &partners, on).await?;
    if credited.is_empty() {
        return Ok(());
    }
    let mut purses = purses(conn, organization, credited, on).await?;
    let open =
        payments::due_of(conn, organization, &invoices.iter().map(|row| row.invoice).collect::<Vec<_>>()).await?;
    let mut ordered: Vec<&NewSettlement> = invoices.iter().collect();
    ordered.sort_by_key(|row| (row.issue_date, row.number.len(), &row.number));
    let mut credits = Credits::default();
    for invoice in ordered {
        let mut left = open.get(&invoice.invoice).copied().unwrap_or_default();
        let currency = invoice.gross.currency;
        let own =
            purses.iter_mut().filter(|purse| (purse.of.partner_id, purse.of.currency) == (invoice.partner, currency));
        for purse in own {
            let Some((net, offset, parts)) = purse.take(left)? else { continue };
            left -= net;
            credits.add(&purse.of, invoice.invoice, Money::new(net, currency), offset, &parts, (on, now))?;
        }
    }
    credits.write(conn, organization, on, now).await
}

async fn purses(
    conn: &mut Conn,
    organization: OrganizationId,
    credited: Vec<due::Credited>,
    on: Date,
) -> Result<Vec<Purse>, Error> {
    let ids: Vec<EnrollmentId> = credited.iter().map(|row| row.enrollment_id).collect();
    store::lock_enrollments(conn, organization, &ids).await?;
    let payable = due::lock_payable(conn, organization, &ids, on).await?;
    let mut payable = bulk::group(payable, |row| row.enrollment_id);
    let debts: BTreeMap<EnrollmentId, i64> = due::debts(conn, organization, &ids).await?.into_iter().collect();
    let purse = |of: due::Credited| {
        let rows = payable.remove(&of.enrollment_id).unwrap_or_default();
        let rows = rows.into_iter().filter(|row| row.currency == of.currency);
        let parts = rows.map(|payable| Part { amount: payable.payable_minor, payable }).collect();
        Purse { debt: debts.get(&of.enrollment_id).copied().unwrap_or_default(), of, parts }
    };
    Ok(credited.into_iter().map(purse).collect())
}

impl Credits {
    fn add(
        &mut self,
        of: &due::Credited,
        invoice: InvoiceId,
        net: Money,
        offset: i64,
        parts: &[Part],
        (on, now): (Date, Timestamp),
    ) -> Result<(), Error> {
        let payment = PaymentId::new();
        let payable_minor = net.minor.checked_add(offset).ok_or(Refusal::AmountOverflow)?;
        let payout = Payout {
            id: PayoutId::new(),
            payout_run_id: None,
            enrollment_id: of.enrollment_id,
            partner_id: of.partner_id,
            program_id: of.program_id,
            method: PayoutMethod::Credit,
            status: PayoutStatus::Paid,
            currency: net.currency,
            payable_minor,
            offset_minor: offset,
            net_minor: net.minor,
            vat_bps: NO_VAT,
            vat_minor: 0,
            holder: None,
            iban: None,
            invoice_id: Some(invoice),
            payment_id: Some(payment),
            settled_on: Some(on),
            reference: None,
            failure: None,
            trace: json!({ "invoice": invoice, "commissions": parts.len(),
                "figures": { "payable": payable_minor, "offset": offset, "net": net.minor } }),
            created_at: now,
        };
        let (items, steps) = plan::taken(&payout, parts, EntryKind::Credit)?;
        self.items.extend(items);
        self.steps.extend(steps);
        self.payments.push(CommissionPayment {
            payment,
            invoice,
            partner: of.partner_id,
            amount: net,
            reference: payout.id.to_string(),
            posting: chart::payout_credited(payout.id, of.enrollment_id, of.partner_id, on, amounts(&payout)),
        });
        self.payouts.push(payout);
        Ok(())
    }

    async fn write(self, conn: &mut Conn, organization: OrganizationId, on: Date, now: Timestamp) -> Result<(), Error> {
        if self.payouts.is_empty() {
            return Ok(());
        }
        sql::insert(conn, organization, &self.payouts).await?;
        sql::insert_items(conn, organization, &self.items).await?;
        // Whoever finalizes the invoices, the credit follows from them by itself.
        let actor = Actor::Schedule.to_string();
        book::write(conn, organization, &[], &self.steps, Pen { actor: &actor, occurred_on: on, now }).await?;
        payments::paid_by_commission(conn, organization, on, self.payments).await
    }
}

#[cfg(test)]
mod tests {
    use billing_primitives::{CommissionId, Currency, ProgramId};

    use super::*;

    fn purse(amounts: &[i64], debt: i64) -> Purse {
        let (enrollment_id, currency) = (EnrollmentId::new(), Currency::DKK);
        let of = due::Credited { enrollment_id, partner_id: PartnerId::new(), program_id: ProgramId::new(), currency };
        let part = |amount: &i64| {
            let (id, payable_minor) = (CommissionId::new(), *amount);
            let payable = due::Payable {
                id,
                enrollment_id,
                currency,
                payable_minor,
                taken_minor: 0,
                owed_minor: 0,
                stated_minor: 0,
            };
            Part { payable, amount: *amount }
        };
        Purse { of, parts: amounts.iter().map(part).collect(), debt }
    }

    #[test]
    fn the_debt_comes_first_and_no_more_than_is_due_is_taken() {
        // Commissions, debt, what is due; what goes to the invoice, what nets the debt, how much each commission gives.
        for (amounts, debt, due, expected) in [
            (vec![3000, 2000], 0, 4000, Some((4000, 0, vec![3000, 1000]))),
            (vec![3000, 2000], 0, 9000, Some((5000, 0, vec![3000, 2000]))),
            (vec![3000, 2000], 1500, 9000, Some((3500, 1500, vec![3000, 2000]))),
            (vec![3000, 2000], 1500, 100, Some((100, 1500, vec![1600]))),
            (vec![3000], 3000, 100, None),
            (vec![3000], 0, 0, None),
            (vec![], 0, 100, None),
        ] {
            let mut purse = purse(&amounts, debt);
            let taken = purse.take(due).unwrap();
            let found = taken.map(|(net, offset, parts)| (net, offset, parts.iter().map(|part| part.amount).collect()));
            assert_eq!(found, expected, "{amounts:?} less {debt} for {due}");
        }
        let mut purse = purse(&[3000], 500);
        purse.take(1000).unwrap();
        let (net, offset, parts) = purse.take(9000).unwrap().unwrap();
        assert_eq!((net, offset, parts[0].payable.payable_minor), (1500, 0, 1500), "the rest, and no debt twice");
    }
}
