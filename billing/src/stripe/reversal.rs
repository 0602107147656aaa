//! What went back of an invoice: credit notes, refunds and chargebacks, each of them once. Pure.
//!
//! A credit note that names lines takes back what those lines earned, and its cash no longer counts as paid; all other
//! money takes back the rest in proportion. All sums are cumulative, so that many small refunds end at exactly the
//! base, and never beyond it.

use std::collections::{BTreeMap, BTreeSet};

use billing_primitives::{MoneyError, round_ratio};
use serde::{Deserialize, Serialize};

use super::assess::{DisputePolicy, EligibleLine, Flag, Related};
use super::facts::{CreditNoteFact, DisputeFact, InvoiceFact, PaymentLinkFact, RefundFact, net};

/// What went back, in minor units: the figures behind a reversed amount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// N: nets of the eligible lines that credit notes name, as far as the credit notes returned cash.
    pub credited_net: i64,
    /// Q: cash that those credit notes returned.
    pub credited_cash: i64,
    /// X: cash that other credit notes, refunds and disputes returned.
    pub returned: i64,
    /// P: what was paid.
    pub paid: i64,
}

impl Reversal {
    /// How much of `base` is reversed: `N + (base - N) × min(P - Q, X) / (P - Q)`, and all of it when `Q + X` is all
    /// that was paid.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn of(&self, base: i64) -> Result<i64, MoneyError> {
        let [paid, cash, returned] = [self.paid, self.credited_cash, self.returned].map(i128::from);
        let left = paid - cash;
        if returned >= left {
            return Ok(base);
        }
        let credited = self.credited_net.clamp(base.min(0), base.max(0));
        let rest = i128::from(base) - i128::from(credited);
        let share = round_ratio(rest * returned, left).ok_or(MoneyError::Overflow)?;
        net([credited, share], [])
    }
}

/// What [`find`] found.
pub(super) struct Found {
    pub reversal: Reversal,
    pub hold: bool,
    pub flags: BTreeSet<Flag>,
}

/// Finds what went back of `invoice`, of which `paid` was paid.
pub(super) fn find(
    invoice: &InvoiceFact,
    eligible: &[EligibleLine],
    paid: i64,
    related: &Related,
    policy: DisputePolicy,
) -> Result<Found, MoneyError> {
    let mut found = Found { reversal: Reversal { paid, ..Reversal::default() }, hold: false, flags: BTreeSet::new() };
    let mut returned = Returned { invoice, links: &related.links, by_payment: BTreeMap::new(), all: false };
    // A refund that carries out a credit note is in the credit note.
    let mut credited: BTreeMap<&str, i128> = BTreeMap::new();
    let mut unnamed: Vec<i64> = Vec::new();
    for note in related.credit_notes.iter().filter(|note| note.status.as_deref() != Some("void")) {
        let mut cash = vec![note.out_of_band];
        for part in &note.refunds {
            let refund = related.refunds.iter().find(|refund| refund.id == part.refund);
            let amount = part.amount.or(refund.map(|refund| refund.amount)).unwrap_or_else(|| only_refund(note));
            *credited.entry(&part.refund).or_default() += i128::from(amount);
            cash.extend(Some(amount).filter(|_| refund.is_none_or(stands)));
        }
        if note.invoice == invoice.id {
            unnamed.push(found.credit(note, net(cash, [])?, eligible)?);
        }
    }
    for refund in related.refunds.iter().filter(|refund| stands(refund)) {
        let carried = credited.get(refund.id.as_str()).copied().unwrap_or_default();
        let rest = (i128::from(refund.amount) - carried).max(0);
        if rest > 0 && returned.add(refund.payment_intent.as_deref(), refund.charge.as_deref(), rest) {
            found.refund(refund, &mut returned);
        }
    }
    for dispute in &related.disputes {
        found.dispute(dispute, policy, &mut returned);
    }
    found.reversal.returned =
        if returned.all { paid.max(0) } else { net(unnamed.into_iter().chain([returned.sum()?]), [])? };
    Ok(found)
}

/// A refund counts from its beginning and until it fails: a failed one's money is back on the account.
fn stands(refund: &RefundFact) -> bool {
    !matches!(refund.status.as_deref(), Some("failed" | "canceled"))
}

/// What the only refund of a credit note comes to while the refund itself is not known.
fn only_refund(note: &CreditNoteFact) -> i64 {
    // How much of it went to the balance, and so how much did not, is not said.
    if note.to_balance { 0 } else { note.total.saturating_sub(note.out_of_band) }
}

impl Found {
    /// Counts a credit note of this invoice that returned `cash`. Returns how much of the cash names no line.
    fn credit(&mut self, note: &CreditNoteFact, cash: i64, eligible: &[EligibleLine]) -> Result<i64, MoneyError> {
        if cash <= 0 || note.total <= 0 {
            return Ok(0);
        }
        if !note.lines_complete {
            self.flags.insert(Flag::CreditNoteIncomplete);
            self.hold = true;
            return Ok(cash);
        }
        let (named, free): (Vec<_>, Vec<_>) = note.lines.iter().partition(|line| line.invoice_line.is_some());
        if named.is_empty() {
            return Ok(cash);
        }
        let earned = |id: &str| eligible.iter().any(|line| line.line == id);
        let nets = named.iter().filter(|line| line.invoice_line.as_deref().is_some_and(earned)).map(|line| line.net);
        let of_lines = net([note.total], free.iter().map(|line| line.gross))?.clamp(0, note.total);
        let part = |amount: i64| {
            let product = i128::from(amount) * i128::from(cash);
            round_ratio(product, i128::from(note.total)).ok_or(MoneyError::Overflow)
        };
        let cash_of_lines = part(of_lines)?;
        self.reversal.credited_net = net([self.reversal.credited_net, part(net(nets, [])?)?], [])?;
        self.reversal.credited_cash = net([self.reversal.credited_cash, cash_of_lines], [])?;
        net([cash], [cash_of_lines])
    }

    /// What a refund of this invoice's payment says beyond its amount.
    fn refund(&mut self, refund: &RefundFact, returned: &mut Returned<'_>) {
        if !matches!(refund.status.as_deref(), Some("pending" | "requires_action" | "succeeded")) {
            self.flags.insert(Flag::UnknownRefundState);
            self.hold = true;
        }
        if refund.currency.as_ref().is_some_and(|code| *code != returned.invoice.currency) {
            self.flags.insert(Flag::RefundCurrency);
            returned.all = true;
        }
    }

    fn dispute(&mut self, dispute: &DisputeFact, policy: DisputePolicy, returned: &mut Returned<'_>) {
        let (payment_intent, charge) = (dispute.payment_intent.as_deref(), dispute.charge.as_deref());
        if !returned.concerns(payment_intent, charge) {
            return;
        }
        let verdict = verdict(dispute, policy);
        if verdict.unknown {
            self.flags.insert(Flag::UnknownDisputeState);
        }
        self.hold |= verdict.hold;
        if !verdict.counts {
            return;
        }
        if dispute.currency.as_ref().is_some_and(|code| *code != returned.invoice.currency) {
            self.flags.insert(Flag::DisputeCurrency);
            returned.all = true;
        }
        returned.add(payment_intent, charge, i128::from(dispute.amount));
    }
}

/// What a dispute means for the money it is about.
#[derive(Default)]
struct Verdict {
    counts: bool,
    hold: bool,
    unknown: bool,
}

fn verdict(dispute: &DisputeFact, policy: DisputePolicy) -> Verdict {
    let none = Verdict::default();
    let at_once = policy == DisputePolicy::ReverseAtOnce;
    match dispute.status.as_deref() {
        Some("lost" | "appeal_needs_response" | "appeal_under_review") => Verdict { counts: true, ..none },
        Some("needs_response" | "under_review") => Verdict { counts: at_once, hold: !at_once, ..none },
        Some("won" | "warning_closed") => none,
        Some("warning_needs_response" | "warning_under_review") => Verdict { hold: true, ..none },
        Some("prevented") => Verdict { counts: dispute.balance < 0, ..none },
        _ => Verdict { counts: at_once && dispute.balance < 0, hold: true, unknown: true },
    }
}

/// Money that went back through an invoice's payments.
struct Returned<'a> {
    invoice: &'a InvoiceFact,
    links: &'a [PaymentLinkFact],
    by_payment: BTreeMap<String, Shared>,
    /// More than can be told in the invoice's currency.
    all: bool,
}

/// What went back of a payment, of whose `total` this invoice had `own`.
struct Shared {
    own: i128,
    total: i128,
    amount: i128,
}

impl Returned<'_> {
    /// The payment by which money went back, and what it paid: of this invoice, and in all.
    fn shared(&self, payment_intent: Option<&str>, charge: Option<&str>) -> Option<(String, i128, i128)> {
        let by_intent: Vec<_> = self.paid_by(payment_intent, |link| link.payment_intent.as_deref()).collect();
        let (key, links) = if by_intent.is_empty() {
            (charge?, self.paid_by(charge, |link| link.charge.as_deref()).collect())
        } else {
            (payment_intent?, by_intent)
        };
        let own = links.iter().filter(|link| link.invoice == self.invoice.id);
        let own: i128 = own.map(|link| i128::from(link.amount)).sum();
        let total: i128 = links.iter().map(|link| i128::from(link.amount)).sum();
        (own > 0).then(|| (key.to_owned(), own, total))
    }

    fn paid_by(
        &self,
        payment: Option<&str>,
        key: impl Fn(&PaymentLinkFact) -> Option<&str>,
    ) -> impl Iterator<Item = &PaymentLinkFact> {
        self.links.iter().filter(move |link| payment.is_some() && key(link) == payment)
    }

    fn concerns(&self, payment_intent: Option<&str>, charge: Option<&str>) -> bool {
        self.shared(payment_intent, charge).is_some()
    }

    /// Counts money that went back; false when its payment paid nothing of this invoice.
    fn add(&mut self, payment_intent: Option<&str>, charge: Option<&str>, amount: i128) -> bool {
        let Some((key, own, total)) = self.shared(payment_intent, charge) else { return false };
        self.by_payment.entry(key).or_insert(Shared { own, total, amount: 0 }).amount += amount;
        true
    }

    /// This invoice's part of all that went back: by what each payment paid of it.
    fn sum(&self) -> Result<i64, MoneyError> {
        let mut parts = Vec::new();
        for Shared { own, total, amount } in self.by_payment.values() {
            let product = amount.checked_mul(*own).ok_or(MoneyError::Overflow)?;
            parts.push(round_ratio(product, *total).ok_or(MoneyError::Overflow)?);
        }
        net(parts, [])
    }
}
