//! What a late change does to what was invoiced (product rule 2.6, golden rule R10).
//!
//! A month is re-rated; what comes out higher is billed, what comes out lower is credited. No invoice is ever negative.

use billing_primitives::{InvoiceId, Money, MoneyError};

/// A finalized line of one customer, plan, unit price and month, the month's own or an adjustment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvoicedLine {
    pub invoice: InvoiceId,
    pub line_number: i32,
    pub is_adjustment: bool,
    pub net: Money,
    /// By credit notes of reason CORRECTION.
    pub corrected: Money,
    /// By credit notes of every reason, GOODWILL included.
    pub credited: Money,
}

/// Part of a line that is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    pub invoice: InvoiceId,
    pub line_number: i32,
    pub net: Money,
}

/// What has to be done so that what is invoiced equals what was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    Nothing,
    /// An ADJUSTMENT line of the next invoice.
    Bill(Money),
    /// Credit notes, one per invoice named. May come to less than the difference where goodwill was granted before.
    Credit(Vec<Credit>),
}

/// Lines and adjustments less CORRECTION credit notes: GOODWILL does not count, so it is never billed back.
///
/// # Errors
/// [`MoneyError`].
pub fn invoiced_so_far(zero: Money, lines: &[InvoicedLine]) -> Result<Money, MoneyError> {
    lines.iter().try_fold(zero, |sum, line| sum.checked_add(line.net)?.checked_sub(line.corrected))
}

/// Compares what the month should come to (`rated`) with what was invoiced.
///
/// `lines` in the order in which they were invoiced, the oldest first.
///
/// # Errors
/// [`MoneyError`].
pub fn correct(rated: Money, lines: &[InvoicedLine]) -> Result<Correction, MoneyError> {
    let zero = Money::zero(rated.currency);
    let difference = rated.checked_sub(invoiced_so_far(zero, lines)?)?;
    if difference.is_positive() {
        return Ok(Correction::Bill(difference));
    }
    let credits = credit(zero.checked_sub(difference)?, lines)?;
    Ok(if credits.is_empty() { Correction::Nothing } else { Correction::Credit(credits) })
}

/// Takes `wanted` back from the newest adjustments first, then from the month's own line, each at most what is left.
fn credit(wanted: Money, lines: &[InvoicedLine]) -> Result<Vec<Credit>, MoneyError> {
    let newest_first = lines.iter().rev();
    let adjustments = newest_first.clone().filter(|line| line.is_adjustment);
    let own = newest_first.filter(|line| !line.is_adjustment);
    let mut open = wanted;
    let mut credits = Vec::new();
    for line in adjustments.chain(own) {
        let net = line.net.checked_sub(line.credited)?.min(open)?;
        if net.is_positive() {
            credits.push(Credit { invoice: line.invoice, line_number: line.line_number, net });
            open = open.checked_sub(net)?;
        }
    }
    Ok(credits)
}

#[cfg(test)]
mod tests {
    use billing_primitives::Currency;
    use proptest::prelude::*;

    use super::*;

    fn dkk(minor: i64) -> Money {
        Money::new(minor, Currency::DKK)
    }

    fn line(invoice: InvoiceId, is_adjustment: bool, net: i64, corrected: i64, goodwill: i64) -> InvoicedLine {
        let credited = dkk(corrected + goodwill);
        InvoicedLine { invoice, line_number: 1, is_adjustment, net: dkk(net), corrected: dkk(corrected), credited }
    }

    #[test]
    fn higher_is_billed_lower_is_credited() {
        let invoice = InvoiceId::new();
        let own = [line(invoice, false, 1000, 0, 0)];
        assert_eq!(correct(dkk(1000), &own), Ok(Correction::Nothing));
        assert_eq!(correct(dkk(1300), &own), Ok(Correction::Bill(dkk(300))));
        let credit = Credit { invoice, line_number: 1, net: dkk(400) };
        assert_eq!(correct(dkk(600), &own), Ok(Correction::Credit(vec![credit])));
        assert_eq!(correct(dkk(50), &[]), Ok(Correction::Bill(dkk(50))));
    }

    #[test]
    fn newest_adjustment_first_then_the_months_own_line() {
        let (own, first, second) = (InvoiceId::new(), InvoiceId::new(), InvoiceId::new());
        let lines = [line(own, false, 1000, 0, 0), line(first, true, 200, 0, 0), line(second, true, 100, 0, 0)];
        let Ok(Correction::Credit(credits)) = correct(dkk(950), &lines) else { panic!("a credit") };
        let told: Vec<_> = credits.iter().map(|credit| (credit.invoice, credit.net.minor)).collect();
        assert_eq!(told, [(second, 100), (first, 200), (own, 50)]);
    }

    #[test]
    fn goodwill_is_never_billed_back_and_never_credited_twice() {
        let invoice = InvoiceId::new();
        let own = [line(invoice, false, 1000, 0, 900)];
        assert_eq!(correct(dkk(1000), &own), Ok(Correction::Nothing));
        let credit = Credit { invoice, line_number: 1, net: dkk(100) };
        assert_eq!(correct(dkk(0), &own), Ok(Correction::Credit(vec![credit])));
        assert_eq!(correct(dkk(0), &[line(invoice, false, 1000, 100, 900)]), Ok(Correction::Nothing));
    }

    proptest! {
        #[test]
        fn correcting_again_does_nothing(
            nets in prop::collection::vec(0_i64..5_000, 1..5),
            rated in 0_i64..10_000,
        ) {
            let mut lines: Vec<InvoicedLine> =
                nets.iter().enumerate().map(|(n, net)| line(InvoiceId::new(), n > 0, *net, 0, 0)).collect();
            match correct(dkk(rated), &lines).unwrap() {
                Correction::Nothing => {}
                Correction::Bill(more) => lines.push(line(InvoiceId::new(), true, more.minor, 0, 0)),
                Correction::Credit(credits) => for credit in credits {
                    let line = lines.iter_mut().find(|line| line.invoice == credit.invoice).unwrap();
                    line.corrected = line.corrected.checked_add(credit.net).unwrap();
                    line.credited = line.credited.checked_add(credit.net).unwrap();
                    prop_assert!(line.credited.minor <= line.net.minor);
                },
            }
            prop_assert_eq!(invoiced_so_far(dkk(0), &lines).unwrap().minor, rated);
            prop_assert_eq!(correct(dkk(rated), &lines).unwrap(), Correction::Nothing);
        }
    }
}
