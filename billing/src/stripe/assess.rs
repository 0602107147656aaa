//! What an invoice of Stripe's has earned from subscriptions, as far as it was paid and not returned. Pure.
//!
//! A function of the facts known now and of nothing else. Cash decides: what was paid from a balance never was revenue
//! of this invoice, and what went back no longer is. Whole minor units, each figure rounded once (half away from
//! zero). Where the facts do not add up nothing is earned, and that is said.

use std::collections::BTreeSet;

use billing_primitives::{Date, MoneyError, TimeZone, Timestamp, round_ratio, text_enum};
use serde::{Deserialize, Serialize};

use super::facts::{CreditNoteFact, DisputeFact, InvoiceFact, InvoiceLine, PaymentLinkFact, RefundFact, net};
use super::reversal::{self, Reversal};

text_enum! {
    /// When a chargeback takes revenue back. In the end both come to the same.
    pub enum DisputePolicy {
        /// When Stripe withdraws the money; it comes back when the dispute is won.
        ReverseAtOnce = "REVERSE_AT_ONCE",
        /// When it is lost; until then nothing is to be paid out on the invoice.
        HoldUntilLost = "HOLD_UNTIL_LOST",
    }
}

text_enum! {
    /// What somebody should know about an assessment.
    pub enum Flag {
        /// Paid outside Stripe: no refund will ever tell that it went back, only a credit note.
        OutOfBand = "out_of_band",
        NotPaid = "not_paid",
        /// More came in than was due; the rest went to the customer's balance.
        Overpaid = "overpaid",
        /// Stripe sent only the first lines. Nothing is earned until all are here.
        LinesIncomplete = "lines_incomplete",
        /// The lines do not add up to the invoice. Nothing is earned.
        TotalsDiffer = "totals_differ",
        /// A credit note's lines are not all here; until they are, it is spread over all lines.
        CreditNoteIncomplete = "credit_note_incomplete",
        UnknownRefundState = "unknown_refund_state",
        /// A refund in a currency that the invoice is not in counts as all that is left.
        RefundCurrency = "refund_currency",
        UnknownDisputeState = "unknown_dispute_state",
        /// A dispute in a currency that the invoice is not in counts as all that is left.
        DisputeCurrency = "dispute_currency",
    }
}

/// All facts that may concern an invoice, found by their keys: its payment links and credit notes; all other links of
/// the same payments; and the refunds and disputes of those payments. Those that do not concern it do no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Related {
    pub links: Vec<PaymentLinkFact>,
    pub refunds: Vec<RefundFact>,
    pub disputes: Vec<DisputeFact>,
    pub credit_notes: Vec<CreditNoteFact>,
}

/// What an invoice came to, in minor units of its currency, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// Subscription revenue that was paid: `eligible_net × cash / total`. Below zero when one-off purchases on the
    /// invoice ate the credit of a downgrade.
    pub base_minor: i64,
    /// How much of the base was taken back: between nothing and all of it.
    pub reversed_minor: i64,
    /// Nothing should be paid out on this invoice for now.
    pub hold: bool,
    /// In the order of [`Flag`], each once.
    pub flags: Vec<Flag>,
    pub eligible: Vec<EligibleLine>,
    /// Sum of the eligible lines' nets.
    pub eligible_net: i64,
    /// What was paid, no more than the total.
    pub cash: i64,
    /// The invoice's total, with tax.
    pub total: i64,
    /// The first day (UTC, as Stripe's own days) of the latest period that an eligible line bills.
    pub period_start: Option<Date>,
    pub paid_at: Option<Timestamp>,
    pub reversal: Reversal,
}

/// A line that is revenue of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EligibleLine {
    pub line: String,
    pub price: Option<String>,
    pub product: Option<String>,
    pub subscription: Option<String>,
    pub net: i64,
    pub proration: bool,
    pub period_start: Option<Timestamp>,
    pub quantity: Option<i64>,
}

impl EligibleLine {
    fn of(line: &InvoiceLine) -> Result<EligibleLine, MoneyError> {
        Ok(EligibleLine {
            line: line.id.clone(),
            price: line.price.clone(),
            product: line.product.clone(),
            subscription: line.subscription.clone(),
            net: line.net()?,
            proration: line.proration,
            period_start: line.period_start,
            quantity: line.quantity,
        })
    }
}

/// Derives what `invoice` has earned.
///
/// # Errors
/// [`MoneyError::Overflow`].
pub fn assess(invoice: &InvoiceFact, related: &Related, disputes: DisputePolicy) -> Result<Assessment, MoneyError> {
    let lines = invoice.lines.iter().filter(|line| line.eligible());
    let eligible: Vec<EligibleLine> = lines.map(EligibleLine::of).collect::<Result<_, _>>()?;
    let eligible_net = net(eligible.iter().map(|line| line.net), [])?;
    // Older versions do not count as paid what was paid outside Stripe.
    let paid = if invoice.out_of_band == Some(true) { invoice.amount_due } else { invoice.amount_paid };
    let cash = paid.min(invoice.total);
    let earns = invoice.status == "paid" && invoice.total > 0 && cash > 0;

    let mut flags: BTreeSet<Flag> = plain_flags(invoice, related).collect();
    let doubt = if earns { doubt(invoice)? } else { None };
    flags.extend(doubt);
    let base_minor = if earns && doubt.is_none() {
        let product = i128::from(eligible_net) * i128::from(cash);
        round_ratio(product, i128::from(invoice.total)).ok_or(MoneyError::Overflow)?
    } else {
        0
    };
    let found = reversal::find(invoice, &eligible, paid, related, disputes)?;
    flags.extend(found.flags);
    Ok(Assessment {
        base_minor,
        reversed_minor: found.reversal.of(base_minor)?,
        hold: doubt.is_some() || found.hold,
        flags: flags.into_iter().collect(),
        eligible_net,
        cash,
        total: invoice.total,
        period_start: period_start(&eligible),
        paid_at: invoice.paid_at,
        reversal: found.reversal,
        eligible,
    })
}

/// Flags that change nothing.
fn plain_flags(invoice: &InvoiceFact, related: &Related) -> impl Iterator<Item = Flag> {
    let recorded = related.links.iter().any(|link| link.invoice == invoice.id && link.payment_record.is_some());
    let flags = [
        (Flag::OutOfBand, invoice.out_of_band == Some(true) || recorded),
        (Flag::NotPaid, invoice.status != "paid"),
        (Flag::Overpaid, invoice.amount_overpaid > 0),
    ];
    flags.into_iter().filter(|(_, raised)| *raised).map(|(flag, _)| flag)
}

/// Why the lines cannot be relied on.
fn doubt(invoice: &InvoiceFact) -> Result<Option<Flag>, MoneyError> {
    if !invoice.lines_complete {
        return Ok(Some(Flag::LinesIncomplete));
    }
    let nets: Vec<i64> = invoice.lines.iter().map(InvoiceLine::net).collect::<Result<_, _>>()?;
    let sum = net(nets.into_iter().chain([invoice.shipping_net]), [])?;
    Ok((invoice.total_excluding_tax != Some(sum)).then_some(Flag::TotalsDiffer))
}

fn period_start(eligible: &[EligibleLine]) -> Option<Date> {
    let latest = eligible.iter().filter_map(|line| line.period_start).max()?;
    let utc: TimeZone = "UTC".parse().ok()?;
    Some(latest.date_in(&utc))
}
