//! Tables of statements and payouts, and properties over months of them.

use proptest::prelude::*;

use super::*;

fn bps(bps: i64) -> BasisPoints {
    BasisPoints::new(bps).unwrap()
}

fn figures(net: i64, vat: i64) -> Figures {
    Figures { net, vat, gross: net + vat }
}

#[test]
fn clawbacks_are_netted_until_a_statement_has_shown_their_commission() {
    for (carried, earned, unshown, shown, expected) in [
        (0, &[5000, 5000][..], &[][..], &[][..], (figures(10_000, 2500), None, 10_000)),
        (0, &[10_000], &[3000], &[], (figures(7000, 1750), None, 7000)),
        (0, &[5000], &[], &[3000], (figures(5000, 1250), Some(figures(3000, 750)), 2000)),
        (2000, &[4000], &[], &[], (figures(4000, 1000), None, 6000)),
        (-7000, &[2000], &[], &[], (figures(2000, 500), None, -5000)),
        // VAT is rounded once per document, halves away from zero.
        (0, &[1, 1], &[], &[2], (figures(2, 1), Some(figures(2, 1)), 0)),
        (0, &[], &[2], &[], (figures(-2, -1), None, -2)),
        (0, &[], &[], &[], (figures(0, 0), None, 0)),
    ] {
        let statement = statement(carried, earned, unshown, shown, bps(2500)).unwrap();
        let (earned_figures, clawed_back, balance_net) = expected;
        let expected = StatementFigures { earned: earned_figures, clawed_back, balance_net };
        assert_eq!(statement, expected, "{carried} {earned:?} {unshown:?} {shown:?}");
    }
    assert_eq!(statement(1, &[i64::MAX], &[], &[], bps(0)), Err(MoneyError::Overflow));
    assert_eq!(statement(0, &[i64::MAX], &[], &[], bps(2500)), Err(MoneyError::Overflow));
}

#[test]
fn a_balance_is_paid_when_it_reaches_the_threshold() {
    let paid = |net, gross| Due { paid_net: net, carried_net: 0, transfer_gross: gross, open_gross: 0 };
    let carried = |net, gross| Due { paid_net: 0, carried_net: net, transfer_gross: 0, open_gross: gross };
    for (balance, open, threshold, terminated, expected) in [
        (2500, 3125, 2500, false, paid(2500, 3125)),
        (2499, 3124, 2500, false, carried(2499, 3124)),
        (2499, 3124, 2500, true, paid(2499, 3124)),
        (0, 0, 0, false, carried(0, 0)),
        (1, 1, 0, false, paid(1, 1)),
        (-7000, -7000, 0, true, carried(-7000, -7000)),
    ] {
        assert_eq!(due(balance, open, threshold, terminated), expected, "{balance} {threshold} {terminated}");
    }
}

#[test]
fn only_what_statements_have_shown_is_available() {
    for (payable, stated, taken, owed, expected) in [
        (100, 100, 0, 0, 100),
        // Ripened after the cut-off.
        (100, 0, 0, 0, 0),
        (100, 60, 0, 0, 60),
        // Taken by an earlier payout.
        (40, 100, 60, 0, 40),
        // Clawed back after it was paid: the debt is netted by the payout, not here.
        (50, 50, 100, 100, 50),
        // Taken back since the statement.
        (20, 100, 0, 0, 20),
        // A debt that no statement has shown yet.
        (0, 100, 100, 30, 0),
        (10, -20, 0, 0, 0),
        (i64::MAX, i64::MAX, 0, i64::MAX, i64::MAX),
    ] {
        assert_eq!(available(payable, stated, taken, owed), expected, "{payable} {stated} {taken} {owed}");
    }
}

#[test]
fn debts_come_first_and_the_threshold_next() {
    let pays = |payable, offset| Ok(Some(PayoutFigures { payable, offset, net: payable - offset }));
    for (available_sum, debt, threshold, no_threshold, expected) in [
        (10_000, 0, 2500, false, pays(10_000, 0)),
        (10_000, 7500, 2500, false, pays(10_000, 7500)),
        (10_000, 7501, 2500, false, Err(LeftOut::BelowThreshold)),
        (10_000, 7501, 2500, true, pays(10_000, 7501)),
        (10_000, 10_000, 0, true, Err(LeftOut::InDebt)),
        (0, 1, 2500, false, Err(LeftOut::InDebt)),
        (1, 0, 0, false, pays(1, 0)),
        (0, 0, 0, false, Ok(None)),
    ] {
        let paid = payout(available_sum, debt, threshold, no_threshold);
        assert_eq!(paid, expected, "{available_sum} {debt} {threshold} {no_threshold}");
    }
}

proptest! {
    #[test]
    fn a_payout_is_what_is_payable_less_the_offset(
        available_sum in 0..100_000_i64, debt in 0..100_000_i64, threshold in 0..50_000_i64, no_threshold: bool,
    ) {
        match payout(available_sum, debt, threshold, no_threshold) {
            Ok(Some(PayoutFigures { payable, offset, net })) => {
                prop_assert_eq!((payable, offset), (available_sum, debt));
                prop_assert_eq!(net, payable - offset);
                prop_assert!(net > 0 && (no_threshold || net >= threshold));
            }
            Ok(None) => prop_assert_eq!((available_sum, debt), (0, 0)),
            Err(LeftOut::InDebt) => prop_assert!(debt >= available_sum),
            Err(reason) => {
                prop_assert_eq!(reason, LeftOut::BelowThreshold);
                prop_assert!(!no_threshold && available_sum - debt < threshold && available_sum > debt);
            }
        }
    }

    #[test]
    fn everything_on_documents_is_paid_or_carried(
        months in prop::collection::vec(
            (prop::collection::vec(0..5000_i64, 0..4), 0..3000_i64, 0..6000_i64, any::<bool>()), 1..12,
        ),
        threshold in 0..10_000_i64,
    ) {
        let (mut carried, mut open, mut documents, mut paid) = (0, 0, [0, 0], [0, 0]);
        for (earned, unshown, shown, terminated) in months {
            let month = statement(carried, &earned, &[unshown], &[shown], bps(2500)).unwrap();
            let clawed_back = month.clawed_back.unwrap_or(figures(0, 0));
            prop_assert_eq!(month.clawed_back.is_some(), shown > 0);
            let gross = month.earned.gross - clawed_back.gross;
            documents = [documents[0] + month.earned.net - clawed_back.net, documents[1] + gross];
            let due = due(month.balance_net, open + gross, threshold, terminated);
            paid = [paid[0] + due.paid_net, paid[1] + due.transfer_gross];
            (carried, open) = (due.carried_net, due.open_gross);
            prop_assert_eq!([paid[0] + carried, paid[1] + open], documents);
            prop_assert!(due.paid_net >= 0);
        }
    }
}
