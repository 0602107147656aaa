//! Table tests of single rules, and properties over random histories of three invoices of one partner.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn invoice(number: u8) -> InvoiceId {
    InvoiceId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn opened(number: u8, gross: i64) -> Standing {
    let issued = day("2026-01-01").plus_days(31 * i32::from(number));
    Standing::new(invoice(number), issued, format!("INV-{number}"), gross)
}

/// A partner with invoices 1, 2, 3 of these totals; DKK.
fn partner(gross: &[i64]) -> Position {
    let standings = (1..).zip(gross).map(|(number, gross)| opened(number, *gross)).collect();
    Position::new(Currency::DKK, standings, 0, Vec::new())
}

fn dues(position: &Position) -> Vec<i64> {
    position.invoices.iter().map(Standing::due).collect()
}

fn told(steps: &[Step]) -> Vec<(&'static str, i64)> {
    steps.iter().map(|step| (step.kind.as_str(), step.amount)).collect()
}

#[test]
fn the_status_follows_from_sums_and_dates() {
    let due_date = day("2026-11-30");
    let paid = |paid| Standing { paid, ..opened(1, 1000) };
    let given_up = |written_off| Standing { written_off, ..paid(400) };
    for (standing, today, status) in [
        (opened(1, 0), "2030-01-01", PaymentStatus::Paid),
        (paid(1000), "2030-01-01", PaymentStatus::Paid),
        (paid(0), "2026-11-30", PaymentStatus::Unpaid),
        (paid(1), "2026-11-30", PaymentStatus::PartiallyPaid),
        (Standing { credited: 1, ..paid(0) }, "2026-11-30", PaymentStatus::PartiallyPaid),
        (Standing { from_balance: 1, ..paid(0) }, "2026-11-30", PaymentStatus::PartiallyPaid),
        (paid(1), "2026-12-01", PaymentStatus::Overdue),
        (paid(0), "2026-12-01", PaymentStatus::Overdue),
        (given_up(600), "2026-11-30", PaymentStatus::Uncollectible),
        (given_up(100), "2026-12-01", PaymentStatus::Uncollectible),
        (Standing { written_off: 1000, ..paid(1000) }, "2026-12-01", PaymentStatus::Paid),
    ] {
        assert_eq!(super::status(&standing, due_date, day(today)), status, "{standing:?} on {today}");
    }
}

#[test]
fn tolerances() {
    for (currency, minor) in [("DKK", 100), ("EUR", 10), ("USD", 10), ("JPY", 1), ("KWD", 100)] {
        assert_eq!(tolerance(currency.parse().unwrap()).minor, minor, "{currency}");
    }
}

#[test]
fn vat_that_is_left_after_the_last_credit_note() {
    // Golden rule R10, cases of 11-credit-notes, and one whose notes carry more VAT than the invoice.
    assert_eq!(vat_left(299_390, 74_848, &[(20_860, 5_215)]), None);
    assert_eq!(vat_left(202, 51, &[(101, 25)]), None);
    assert_eq!(vat_left(202, 51, &[(101, 25), (101, 25)]), Some(1));
    assert_eq!(vat_left(299_390, 74_848, &[(299_390, 74_848)]), Some(0));
    assert_eq!(vat_left(204, 51, &[(102, 26), (102, 26)]), Some(-1));
}

#[test]
fn an_overpayment_pays_the_oldest_open_invoice() {
    let mut position = partner(&[1000, 500, 500]);
    assert_eq!(
        told(&position.pay(invoice(3), 1600).unwrap()),
        [("PAYMENT", 1600), ("TO_BALANCE", -1100), ("FROM_BALANCE", 1000), ("FROM_BALANCE", 100)]
    );
    assert_eq!(dues(&position), [0, 400, 0]);
    assert_eq!(position.balance(), 0);
    position.pay(invoice(2), 700).unwrap();
    assert_eq!((dues(&position), position.balance()), (vec![0, 0, 0], 300));
}

#[test]
fn numbers_are_ordered_as_they_were_counted() {
    let same_day = |number: u8, text: &str| Standing {
        number: text.to_owned(),
        issue_date: day("2026-02-01"),
        ..opened(number, 100)
    };
    let standings = vec![same_day(1, "INV-10"), same_day(2, "INV-9"), same_day(3, "INV-1")];
    let position = Position::new(Currency::DKK, standings, 0, Vec::new());
    let order: Vec<&str> = position.invoices().iter().map(|standing| standing.number.as_str()).collect();
    assert_eq!(order, ["INV-1", "INV-9", "INV-10"]);
}

#[test]
fn a_reversal_opens_again_what_the_payment_had_paid() {
    let mut position = partner(&[1000, 500, 500]);
    let before = position.clone();
    position.pay(invoice(1), 1800).unwrap();
    assert_eq!(dues(&position), [0, 0, 200]);
    // The newest use comes back first.
    assert_eq!(
        told(&position.reverse(invoice(1), 1800, 0).unwrap()),
        [("PAYMENT", -1800), ("FROM_BALANCE", -300), ("FROM_BALANCE", -500), ("TO_BALANCE", 800)]
    );
    assert_eq!(position, before);
}

#[test]
fn of_two_payments_of_one_invoice_it_does_not_matter_which_one_goes_back() {
    let mut position = partner(&[1000, 1000]);
    position.pay(invoice(1), 1000).unwrap();
    position.pay(invoice(1), 1000).unwrap();
    assert_eq!(dues(&position), [0, 0]);
    position.reverse(invoice(1), 1000, 0).unwrap();
    assert_eq!(dues(&position), [0, 1000]);
}

#[test]
fn what_was_paid_out_falls_due_when_the_payment_bounces() {
    let mut position = partner(&[1000]);
    position.pay(invoice(1), 1500).unwrap();
    assert_eq!(
        position.clone().pay_out(501),
        Err(Refusal::BalanceTooSmall { balance: Money::new(500, Currency::DKK) })
    );
    position.pay_out(300).unwrap();
    position.reverse(invoice(1), 1500, 0).unwrap();
    assert_eq!((dues(&position), position.balance()), (vec![1300], 0));
    position.pay(invoice(1), 1300).unwrap();
    assert_eq!((dues(&position), position.balance()), (vec![0], 0));
}

#[test]
fn a_payment_takes_back_a_write_off_up_to_its_amount() {
    let mut position = partner(&[1000]);
    position.pay(invoice(1), 300).unwrap();
    assert_eq!(position.write_off(invoice(1)).unwrap()[0].bad_debts, 700);
    assert_eq!(position.write_off(invoice(1)), Err(Refusal::NothingDue { number: "INV-1".into() }));
    assert_eq!((position.invoices[0].due(), position.invoices[0].bad()), (700, 700));
    let steps = position.pay(invoice(1), 200).unwrap();
    assert_eq!((steps[0].recovered, steps[0].bad_debts), (200, -200));
    assert_eq!((position.invoices[0].due(), position.invoices[0].bad()), (500, 500));
    position.reverse(invoice(1), 200, 200).unwrap();
    assert_eq!((position.invoices[0].due(), position.invoices[0].bad()), (700, 700));
    // The payment from before the write-off bounces: that part was never given up.
    position.reverse(invoice(1), 300, 0).unwrap();
    assert_eq!((position.invoices[0].due(), position.invoices[0].receivable()), (1000, 300));
}

#[test]
fn a_credit_note_of_a_paid_invoice_goes_to_the_balance() {
    let mut position = partner(&[1000, 0]);
    position.pay(invoice(1), 1000).unwrap();
    assert_eq!(told(&position.credit(invoice(1), 200, 0).unwrap()), [("CREDIT_NOTE", 200), ("TO_BALANCE", -200)]);
    assert_eq!(position.balance(), 200);
    // Due is the total less credit notes and payments, whichever came first.
    position.reverse(invoice(1), 1000, 0).unwrap();
    assert_eq!((dues(&position), position.balance()), (vec![800, 0], 0));
}

#[test]
fn an_invoice_paid_from_the_balance_gives_it_back_for_money_of_its_own() {
    let mut position = partner(&[100, 500, 500]);
    position.pay(invoice(1), 600).unwrap();
    assert_eq!(dues(&position), [0, 0, 500]);
    position.pay(invoice(2), 400).unwrap();
    assert_eq!(dues(&position), [0, 0, 100]);
    assert_eq!(position.invoices[1].from_balance, 100);
}

#[test]
fn a_fully_credited_invoice_ends_at_nothing_due() {
    for (paid, gross, notes, left) in [
        (0, 253, [126, 126], 1),
        (253, 253, [126, 126], 1),
        (0, 255, [128, 128], -1),
        (255, 255, [128, 128], -1),
        (100, 255, [128, 128], -1),
    ] {
        let mut position = partner(&[gross]);
        if paid > 0 {
            position.pay(invoice(1), paid).unwrap();
        }
        position.credit(invoice(1), notes[0], 0).unwrap();
        position.credit(invoice(1), notes[1], left).unwrap();
        assert_eq!((dues(&position), position.balance()), (vec![0], paid), "{gross} paid {paid}");
        assert_eq!(position.invoices[0].rounding, left);
    }
}

#[test]
fn only_a_small_difference_is_closed() {
    let mut position = partner(&[1000]);
    let (due, tolerance) = (Money::new(101, Currency::DKK), Money::new(100, Currency::DKK));
    position.pay(invoice(1), 899).unwrap();
    assert_eq!(position.close_difference(invoice(1)), Err(Refusal::AboveTolerance { due, tolerance }));
    position.pay(invoice(1), 1).unwrap();
    assert_eq!(told(&position.close_difference(invoice(1)).unwrap()), [("ROUNDING", 100)]);
    assert_eq!(position.close_difference(invoice(1)), Err(Refusal::NothingDue { number: "INV-1".into() }));
}

#[test]
fn amounts_that_cannot_be_are_refused() {
    let mut position = partner(&[1000]);
    for minor in [0, -1] {
        let amount = Money::new(minor, Currency::DKK);
        assert_eq!(position.pay(invoice(1), minor), Err(Refusal::AmountNotPositive { amount }));
    }
    assert_eq!(position.pay(invoice(1), i64::MAX), Err(Refusal::AmountOverflow));
    assert_eq!(position.pay(invoice(1), MOST).map(|steps| steps.len()), Ok(2));
    assert_eq!(position.pay(invoice(1), MOST), Err(Refusal::AmountOverflow));
    assert!(matches!(position.pay(invoice(9), 1), Err(Refusal::NotFound { .. })));
}

/// One thing that may happen; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Event {
    Pay(u8, i64),
    Reverse(usize),
    Credit(u8, i64),
    WriteOff(u8),
    CloseDifference(u8),
    PayOut(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let number = 1..=3_u8;
    prop_oneof![
        4 => (number.clone(), 1..1500_i64).prop_map(|(number, amount)| Event::Pay(number, amount)),
        3 => (0..20_usize).prop_map(Event::Reverse),
        2 => (number.clone(), 1..400_i64).prop_map(|(number, amount)| Event::Credit(number, amount)),
        1 => number.clone().prop_map(Event::WriteOff),
        1 => number.prop_map(Event::CloseDifference),
        1 => (1..500_i64).prop_map(Event::PayOut),
    ]
}

/// A position with what the store keeps beside it: payments that stand, all steps, and what went out.
struct History {
    position: Position,
    payments: Vec<(InvoiceId, i64, i64)>,
    steps: Vec<Step>,
    paid_out: i64,
    bad_debts: i64,
}

impl History {
    fn new(gross: &[i64]) -> History {
        History { position: partner(gross), payments: Vec::new(), steps: Vec::new(), paid_out: 0, bad_debts: 0 }
    }

    fn standing(&self, of: InvoiceId) -> &Standing {
        self.position.invoices.iter().find(|standing| standing.invoice == of).unwrap()
    }

    fn happen(&mut self, event: &Event) {
        let steps = match *event {
            Event::Pay(number, amount) => {
                let steps = self.position.pay(invoice(number), amount).unwrap();
                let own = steps.iter().find(|step| step.kind == StepKind::Payment).unwrap();
                self.payments.push((invoice(number), amount, own.recovered));
                steps
            }
            Event::Reverse(which) if !self.payments.is_empty() => {
                let (of, amount, recovered) = self.payments.remove(which % self.payments.len());
                self.position.reverse(of, amount, recovered).unwrap()
            }
            Event::Credit(number, amount) => {
                let standing = self.standing(invoice(number));
                let left = standing.gross - standing.credited;
                if left == 0 {
                    return;
                }
                self.position.credit(invoice(number), amount.min(left), 0).unwrap()
            }
            Event::WriteOff(number) => self.position.write_off(invoice(number)).unwrap_or_default(),
            Event::CloseDifference(number) => self.position.close_difference(invoice(number)).unwrap_or_default(),
            Event::PayOut(amount) if self.position.balance > 0 => {
                let amount = amount.min(self.position.balance);
                self.paid_out += amount;
                self.position.pay_out(amount).unwrap()
            }
            Event::Reverse(_) | Event::PayOut(_) => return,
        };
        self.bad_debts += steps.iter().map(|step| step.bad_debts).sum::<i64>();
        self.steps.extend(steps);
    }

    fn check(&self) {
        let position = &self.position;
        assert!(position.balance >= 0);
        for standing in &position.invoices {
            assert!(standing.due() >= 0, "{standing:?}");
            assert!(standing.paid >= 0 && standing.from_balance >= 0 && standing.to_balance >= 0, "{standing:?}");
            assert!(position.balance == 0 || standing.due() == 0, "money lies idle beside {standing:?}");
            let in_use: i64 =
                position.uses.iter().filter(|one| one.invoice == standing.invoice).map(|one| one.amount).sum();
            assert_eq!(in_use, standing.from_balance);
            if self.paid_out == 0 {
                assert_eq!(standing.to_balance, standing.exceeded());
            }
        }
        // Whatever happens, nothing comes from nowhere: what is owed less what is in credit is what was billed, not
        // credited, not paid, not forgiven, and what was paid out again.
        let sum = |of: fn(&Standing) -> i64| position.invoices.iter().map(of).sum::<i64>();
        let received: i64 = self.payments.iter().map(|(_, amount, _)| amount).sum();
        assert_eq!(
            sum(Standing::due) - position.balance,
            sum(|s| s.gross - s.credited - s.rounding) - received + self.paid_out
        );
        assert_eq!(self.bad_debts, sum(Standing::bad));
        // The steps that were written lead to the same sums and uses.
        let mut sums: BTreeMap<(Option<InvoiceId>, StepKind), i64> = BTreeMap::new();
        for step in &self.steps {
            *sums.entry((step.invoice, step.kind)).or_default() += step.amount;
        }
        for standing in &position.invoices {
            let of = |kind| sums.get(&(Some(standing.invoice), kind)).copied().unwrap_or_default();
            assert_eq!(standing.paid, of(StepKind::Payment));
            assert_eq!(standing.credited, of(StepKind::CreditNote));
            assert_eq!(standing.rounding, of(StepKind::Rounding));
            assert_eq!(standing.from_balance, of(StepKind::FromBalance));
            assert_eq!(standing.to_balance, -of(StepKind::ToBalance));
        }
        let moved = self.steps.iter().filter(|step| step.kind == StepKind::FromBalance);
        let replayed = uses(moved.map(|step| Use {
            invoice: step.invoice.unwrap(),
            amount: step.amount,
            recovered: step.recovered,
        }));
        assert_eq!(replayed, position.uses);
    }
}

proptest! {
    #[test]
    fn nothing_comes_from_nowhere(
        gross in prop::collection::vec(0..1000_i64, 3),
        events in prop::collection::vec(event(), 0..40),
    ) {
        let mut history = History::new(&gross);
        for event in &events {
            history.happen(event);
            history.check();
        }
    }

    #[test]
    fn with_all_payments_reversed_only_credit_and_forgiveness_are_left(
        gross in prop::collection::vec(0..1000_i64, 3),
        events in prop::collection::vec(event(), 0..40),
        order in prop::collection::vec(0..20_usize, 40),
    ) {
        let mut history = History::new(&gross);
        for event in events.iter().filter(|event| !matches!(event, Event::PayOut(_))) {
            history.happen(event);
        }
        for which in order {
            history.happen(&Event::Reverse(which));
        }
        history.check();
        prop_assert!(history.payments.is_empty());
        for standing in &history.position.invoices {
            prop_assert_eq!(standing.paid, 0);
            let uncovered = standing.gross - standing.credited - standing.rounding;
            prop_assert_eq!(standing.due() + standing.from_balance, uncovered.max(0));
        }
    }

    #[test]
    fn payments_and_their_reversals_leave_no_trace(
        gross in prop::collection::vec(0..1000_i64, 3),
        given_up in prop::collection::vec(any::<bool>(), 3),
        payments in prop::collection::vec((1..=3_u8, 1..1500_i64), 0..20),
        order in prop::collection::vec(0..20_usize, 20),
    ) {
        let mut history = History::new(&gross);
        for (number, given_up) in (1..).zip(given_up) {
            if given_up {
                history.happen(&Event::WriteOff(number));
            }
        }
        let before = history.position.clone();
        for (number, amount) in payments {
            history.happen(&Event::Pay(number, amount));
        }
        for which in order {
            history.happen(&Event::Reverse(which));
            history.check();
        }
        prop_assert_eq!(history.position, before);
    }

    #[test]
    fn the_order_of_payments_and_credit_notes_does_not_matter(
        gross in 0..1000_i64,
        paid in prop::collection::vec(1..1500_i64, 1..5),
        credited in 1..1000_i64,
        turn in 0..5_usize,
    ) {
        let credited = credited.min(gross);
        let run = |at: usize| {
            let mut history = History::new(&[gross, 0, 0]);
            for (index, amount) in paid.iter().enumerate() {
                if index == at {
                    history.happen(&Event::Credit(1, credited));
                }
                history.happen(&Event::Pay(1, *amount));
            }
            if at >= paid.len() {
                history.happen(&Event::Credit(1, credited));
            }
            history.position
        };
        prop_assert_eq!(run(turn), run(0));
    }
}
