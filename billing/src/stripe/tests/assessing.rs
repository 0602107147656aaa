//! The rules one by one, on one invoice of 49.00 and 25 % VAT.

use serde_json::json;

use super::*;
use DisputePolicy::{HoldUntilLost, ReverseAtOnce};

fn line(id: &str, kind: LineKind, amount: i64) -> InvoiceLine {
    InvoiceLine {
        id: id.to_owned(),
        kind,
        amount,
        discounts: 0,
        inclusive_tax: 0,
        credit_grants: 0,
        proration: false,
        subscription: None,
        price: None,
        product: None,
        quantity: Some(1),
        period_start: Some("2026-03-01T23:30:00Z".parse().unwrap()),
        period_end: None,
    }
}

/// 49.00 for a subscription and 25 % VAT on it, paid.
fn invoice() -> InvoiceFact {
    InvoiceFact {
        id: "in_1".to_owned(),
        customer: Some("cus_1".to_owned()),
        subscription: Some("sub_1".to_owned()),
        currency: "EUR".to_owned(),
        status: "paid".to_owned(),
        total: 6125,
        amount_due: 6125,
        amount_paid: 6125,
        amount_overpaid: 0,
        out_of_band: None,
        paid_at: None,
        total_excluding_tax: Some(4900),
        shipping_net: 0,
        lines: vec![line("il_1", LineKind::Subscription, 4900)],
        lines_complete: true,
        created: None,
    }
}

fn link(invoice: &str, intent: &str, amount: i64) -> PaymentLinkFact {
    PaymentLinkFact {
        invoice: invoice.to_owned(),
        payment_intent: Some(intent.to_owned()),
        charge: None,
        payment_record: None,
        amount,
        exact: true,
    }
}

fn refund(id: &str, amount: i64, status: &str) -> RefundFact {
    RefundFact {
        id: id.to_owned(),
        customer: None,
        payment_intent: Some("pi_1".to_owned()),
        charge: Some("ch_1".to_owned()),
        currency: Some("EUR".to_owned()),
        amount,
        status: Some(status.to_owned()),
    }
}

fn dispute(amount: i64, status: &str) -> DisputeFact {
    DisputeFact {
        id: "du_1".to_owned(),
        payment_intent: Some("pi_1".to_owned()),
        charge: Some("ch_1".to_owned()),
        currency: Some("EUR".to_owned()),
        amount,
        status: Some(status.to_owned()),
        balance: 0,
        balance_movements: 0,
    }
}

fn note(total: i64, lines: Vec<CreditNoteLine>) -> CreditNoteFact {
    CreditNoteFact {
        id: "cn_1".to_owned(),
        customer: None,
        invoice: "in_1".to_owned(),
        status: Some("issued".to_owned()),
        total,
        refunds: vec![],
        out_of_band: 0,
        to_balance: false,
        lines,
        lines_complete: true,
    }
}

fn note_line(invoice_line: Option<&str>, net: i64, gross: i64) -> CreditNoteLine {
    CreditNoteLine { invoice_line: invoice_line.map(str::to_owned), net, gross }
}

fn related() -> Related {
    Related { links: vec![link("in_1", "pi_1", 6125)], ..Related::default() }
}

/// Reversed, hold and flags.
fn outcome(related: &Related, policy: DisputePolicy) -> (i64, bool, Vec<Flag>) {
    let assessed = assess(&invoice(), related, policy).unwrap();
    assert_eq!(assessed.base_minor, 4900);
    (assessed.reversed_minor, assessed.hold, assessed.flags)
}

#[test]
fn lines_count_after_discounts_inclusive_tax_and_credit_grants() {
    let mut invoice = invoice();
    let line = &mut invoice.lines[0];
    (line.amount, line.discounts, line.inclusive_tax, line.credit_grants) = (10_000, 2000, 1600, 400);
    (invoice.total, invoice.amount_paid, invoice.total_excluding_tax) = (7600, 7600, Some(6000));
    let assessed = assess(&invoice, &Related::default(), ReverseAtOnce).unwrap();
    assert_eq!((assessed.base_minor, assessed.eligible_net), (6000, 6000));
}

#[test]
fn lines_that_do_not_add_up_earn_nothing() {
    let shipped = InvoiceFact { shipping_net: 100, ..invoice() };
    let unknown = InvoiceFact { total_excluding_tax: None, ..invoice() };
    for doubtful in [shipped, unknown] {
        let assessed = assess(&doubtful, &related(), ReverseAtOnce).unwrap();
        assert_eq!((assessed.base_minor, assessed.hold, assessed.flags), (0, true, vec![Flag::TotalsDiffer]));
    }
    let open = InvoiceFact { status: "open".to_owned(), lines_complete: false, ..invoice() };
    let assessed = assess(&open, &related(), ReverseAtOnce).unwrap();
    assert_eq!((assessed.base_minor, assessed.hold, assessed.flags), (0, false, vec![Flag::NotPaid]));
}

#[test]
fn a_purchase_that_eats_a_downgrades_credit_earns_below_zero() {
    let mut invoice = invoice();
    invoice.lines = vec![line("il_1", LineKind::Proration, -2000), line("il_2", LineKind::OneOff, 6900)];
    let assessed = assess(&invoice, &related(), ReverseAtOnce).unwrap();
    assert_eq!((assessed.base_minor, assessed.eligible_net), (-2000, -2000));
    let back = |amount| Related { refunds: vec![refund("re_1", amount, "succeeded")], ..related() };
    let reversed = |amount| assess(&invoice, &back(amount), ReverseAtOnce).unwrap().reversed_minor;
    assert_eq!([reversed(1225), reversed(6125), reversed(7000)], [-400, -2000, -2000]);
}

#[test]
fn the_phase_goes_by_the_latest_period_in_utc() {
    let mut invoice = invoice();
    invoice.lines.push(InvoiceLine { period_start: None, ..line("il_2", LineKind::Subscription, 0) });
    let mut one_off = line("il_3", LineKind::OneOff, 0);
    one_off.period_start = Some("2027-01-01T00:00:00Z".parse().unwrap());
    invoice.lines.push(one_off);
    let assessed = assess(&invoice, &related(), ReverseAtOnce).unwrap();
    assert_eq!(assessed.period_start.unwrap().to_string(), "2026-03-01");
}

#[test]
fn a_payment_for_two_invoices_is_shared_by_what_it_paid_of_each() {
    let mut facts = related();
    facts.links = vec![link("in_1", "pi_1", 6125), link("in_2", "pi_1", 2000)];
    facts.refunds = vec![refund("re_1", 1625, "succeeded"), refund("re_2", 1, "pending")];
    // 1626 × 6125 / 8125 = 1225.75, of which 4900 × 1226 / 6125 = 980.8
    assert_eq!(outcome(&facts, ReverseAtOnce).0, 981);
    facts.links.remove(0);
    assert_eq!(outcome(&facts, ReverseAtOnce).0, 0);
}

#[test]
fn a_charge_without_intent_is_found_by_itself() {
    let mut facts = related();
    facts.links[0] =
        PaymentLinkFact { payment_intent: None, charge: Some("ch_1".to_owned()), ..link("in_1", "", 6125) };
    facts.refunds = vec![RefundFact { payment_intent: None, ..refund("re_1", 6125, "succeeded") }];
    assert_eq!(outcome(&facts, ReverseAtOnce).0, 4900);
}

#[test]
fn refunds_count_until_they_fail() {
    for (status, reversed, hold, flags) in [
        ("pending", 980, false, vec![]),
        ("requires_action", 980, false, vec![]),
        ("succeeded", 980, false, vec![]),
        ("failed", 0, false, vec![]),
        ("canceled", 0, false, vec![]),
        ("teleported", 980, true, vec![Flag::UnknownRefundState]),
    ] {
        let facts = Related { refunds: vec![refund("re_1", 1225, status)], ..related() };
        assert_eq!(outcome(&facts, ReverseAtOnce), (reversed, hold, flags), "{status}");
    }
}

#[test]
fn disputes_count_by_their_state_and_the_policy() {
    for (status, balance, at_once, until_lost) in [
        ("warning_needs_response", 0, (0, true), (0, true)),
        ("warning_under_review", 0, (0, true), (0, true)),
        ("warning_closed", 0, (0, false), (0, false)),
        ("needs_response", -6125, (4900, false), (0, true)),
        ("under_review", -6125, (4900, false), (0, true)),
        ("won", 0, (0, false), (0, false)),
        ("lost", -6125, (4900, false), (4900, false)),
        ("appeal_under_review", -6125, (4900, false), (4900, false)),
        ("prevented", 0, (0, false), (0, false)),
        ("prevented", -6125, (4900, false), (4900, false)),
        ("abducted", 0, (0, true), (0, true)),
        ("abducted", -6125, (4900, true), (0, true)),
    ] {
        let facts = Related { disputes: vec![DisputeFact { balance, ..dispute(6125, status) }], ..related() };
        let unknown = if status == "abducted" { vec![Flag::UnknownDisputeState] } else { vec![] };
        for (policy, (reversed, hold)) in [(ReverseAtOnce, at_once), (HoldUntilLost, until_lost)] {
            assert_eq!(outcome(&facts, policy), (reversed, hold, unknown.clone()), "{status} {balance} {policy}");
        }
    }
}

#[test]
fn a_dispute_in_another_currency_takes_all_that_is_left() {
    let facts = Related {
        disputes: vec![DisputeFact { currency: Some("USD".to_owned()), ..dispute(10, "lost") }],
        ..related()
    };
    assert_eq!(outcome(&facts, ReverseAtOnce), (4900, false, vec![Flag::DisputeCurrency]));
}

#[test]
fn a_refund_and_a_dispute_take_no_more_than_there_is() {
    let facts = Related {
        refunds: vec![refund("re_1", 3000, "succeeded")],
        disputes: vec![dispute(6125, "lost")],
        ..related()
    };
    assert_eq!(outcome(&facts, ReverseAtOnce).0, 4900);
}

#[test]
fn a_credit_note_and_its_refund_are_one() {
    let carried = |amount| CreditedRefund { refund: "re_1".to_owned(), amount };
    let of_line = vec![note_line(Some("il_1"), 1000, 1250)];
    for amount in [Some(1250), None] {
        let note = CreditNoteFact { refunds: vec![carried(amount)], ..note(1250, of_line.clone()) };
        let mut facts = Related { credit_notes: vec![note], ..related() };
        // The note may come before its refund.
        assert_eq!(outcome(&facts, ReverseAtOnce).0, 1000);
        facts.refunds = vec![refund("re_1", 1250, "succeeded")];
        assert_eq!(outcome(&facts, ReverseAtOnce).0, 1000);
        facts.refunds = vec![refund("re_1", 1250, "failed")];
        assert_eq!(outcome(&facts, ReverseAtOnce).0, 0);
    }
    // What the refund returned beyond the note: 1000 + 3900 × 4875 / 4875.
    let part = CreditNoteFact { refunds: vec![carried(Some(1250))], ..note(1250, of_line) };
    let facts = Related { credit_notes: vec![part], refunds: vec![refund("re_1", 6125, "succeeded")], ..related() };
    assert_eq!(outcome(&facts, ReverseAtOnce).0, 4900);
}

#[test]
fn a_credit_note_counts_as_far_as_it_returned_cash() {
    let of_line = || vec![note_line(Some("il_1"), 1000, 1250)];
    let reversed = |note| outcome(&Related { credit_notes: vec![note], ..related() }, ReverseAtOnce);
    assert_eq!(reversed(CreditNoteFact { to_balance: true, ..note(1250, of_line()) }).0, 0);
    assert_eq!(reversed(CreditNoteFact { out_of_band: 1250, ..note(1250, of_line()) }).0, 1000);
    assert_eq!(reversed(CreditNoteFact { out_of_band: 625, ..note(1250, of_line()) }).0, 500);
    let void = CreditNoteFact { status: Some("void".to_owned()), out_of_band: 1250, ..note(1250, of_line()) };
    assert_eq!(reversed(void).0, 0);
    let free = CreditNoteFact { out_of_band: 1225, ..note(1225, vec![note_line(None, 980, 1225)]) };
    assert_eq!(reversed(free).0, 980);
    // 12.50 for the line, and 4900 - 1000 in proportion to 12.25 of the other 48.75.
    let both = vec![note_line(Some("il_1"), 1000, 1250), note_line(None, 980, 1225)];
    assert_eq!(reversed(CreditNoteFact { out_of_band: 2475, ..note(2475, both) }).0, 1980);
    let cut = CreditNoteFact { out_of_band: 1225, lines_complete: false, ..note(1225, vec![]) };
    assert_eq!(reversed(cut), (980, true, vec![Flag::CreditNoteIncomplete]));
}

#[test]
fn a_refund_for_another_invoices_credit_note_is_not_shared() {
    let mut facts = related();
    facts.links.push(link("in_2", "pi_1", 6125));
    facts.refunds = vec![refund("re_1", 1250, "succeeded")];
    let carried = vec![CreditedRefund { refund: "re_1".to_owned(), amount: Some(1250) }];
    let other = CreditNoteFact { invoice: "in_2".to_owned(), refunds: carried, ..note(1250, vec![]) };
    facts.credit_notes = vec![other];
    assert_eq!(outcome(&facts, ReverseAtOnce).0, 0);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut huge = invoice();
    huge.lines = vec![line("il_1", LineKind::Subscription, i64::MAX), line("il_2", LineKind::Subscription, 1)];
    assert!(assess(&huge, &related(), ReverseAtOnce).is_err());
    let most = InvoiceFact {
        total: i64::MAX,
        amount_paid: i64::MAX,
        total_excluding_tax: Some(i64::MAX),
        lines: vec![line("il_1", LineKind::Subscription, i64::MAX)],
        ..invoice()
    };
    let facts = Related {
        links: vec![link("in_1", "pi_1", i64::MAX)],
        refunds: vec![refund("re_1", i64::MAX / 2, "succeeded"), refund("re_2", i64::MAX / 2, "succeeded")],
        ..Related::default()
    };
    let assessed = assess(&most, &facts, ReverseAtOnce).unwrap();
    assert_eq!((assessed.base_minor, assessed.reversed_minor), (i64::MAX, i64::MAX - 1));
}

#[test]
fn many_small_refunds_end_at_exactly_the_base() {
    let mut facts = related();
    let mut before = 0;
    for number in 0..6125 {
        facts.refunds.push(refund(&format!("re_{number}"), 1, "succeeded"));
        if number % 245 == 0 || number == 6124 {
            let reversed = outcome(&facts, ReverseAtOnce).0;
            assert!(reversed >= before);
            before = reversed;
        }
    }
    assert_eq!(before, 4900);
}

#[test]
fn a_payment_that_names_nothing_was_outside_stripe() {
    let sent = json!({"id": "inpay_1", "invoice": "in_1", "amount_paid": 6125, "payment": null});
    let parsed = Event::parse(&event("invoice_payment.paid", sent)).unwrap();
    let [Fact::PaymentLink(link)] = parsed.facts.as_slice() else { panic!("{:?}", parsed.facts) };
    let facts = Related { links: vec![link.clone()], ..Related::default() };
    assert_eq!(outcome(&facts, ReverseAtOnce), (0, false, vec![Flag::OutOfBand]));
    let old = InvoiceFact { out_of_band: Some(true), amount_paid: 0, ..invoice() };
    let assessed = assess(&old, &Related::default(), ReverseAtOnce).unwrap();
    assert_eq!((assessed.base_minor, assessed.flags), (4900, vec![Flag::OutOfBand]));
}

fn event(kind: &str, object: Value) -> Vec<u8> {
    let event = json!({"id": "evt_1", "type": kind, "created": 1_772_445_605, "livemode": true,
        "data": {"object": object}, "account": "acct_1"});
    event.to_string().into_bytes()
}

#[test]
fn an_envelope_is_read_whatever_is_inside() {
    for inside in [json!(null), json!("in_1"), json!([]), json!({"id": "in_1", "total": "much"}), json!({"id": 5})] {
        let body = event("invoice.paid", inside.clone());
        assert!(Event::parse(&body).is_err(), "{inside}");
        let envelope = Envelope::parse(&body).unwrap();
        assert_eq!((envelope.id.as_str(), envelope.kind.as_str(), envelope.livemode), ("evt_1", "invoice.paid", true));
        assert_eq!(envelope.account.as_deref(), Some("acct_1"));
        let unknown = Event::parse(&event("invoice.levitated", inside)).unwrap();
        assert!(unknown.facts.is_empty() && unknown.lookups.is_empty());
    }
    for body in [&b""[..], b"[]", b"{}", b"\xff", br#"{"id":"evt_1","type":"x","created":"now","livemode":true}"#] {
        assert!(matches!(Envelope::parse(body), Err(ParseError::NotAnEvent(_))));
    }
    let late = br#"{"id":"evt_1","type":"x","created":9223372036854775807,"livemode":true}"#;
    assert!(matches!(Envelope::parse(late), Err(ParseError::Instant(_))));
}

#[test]
fn null_stands_where_an_object_was_expected() {
    let body = event(
        "invoice.paid",
        json!({"id": "in_1", "currency": "eur", "status": "paid", "total": 5, "amount_due": 5, "amount_paid": 5,
            "customer": null, "parent": null, "status_transitions": null, "shipping_cost": null, "total_taxes": null,
            "lines": {"data": [{"id": "il_1", "amount": 5, "parent": null, "pricing": null, "taxes": null,
                "discount_amounts": null, "pretax_credit_amounts": null, "period": null}], "has_more": false}}),
    );
    let event = Event::parse(&body).unwrap();
    assert_eq!(event.lookups, [Lookup::PaymentsOfInvoice("in_1".to_owned())]);
    let Fact::Invoice(invoice) = &event.facts[0] else { panic!() };
    assert_eq!(invoice.lines[0].kind, LineKind::OneOff);
}

#[test]
fn an_event_says_what_has_to_be_asked() {
    let questions = |kind: &str, object: Value| Event::parse(&event(kind, object)).unwrap().lookups;
    let charge = json!({"id": "ch_1", "amount": 5, "payment_intent": "pi_1"});
    let (of_charge, of_intent) =
        (Lookup::RefundsOfCharge("ch_1".to_owned()), Lookup::PaymentsOfIntent("pi_1".to_owned()));
    assert_eq!(questions("charge.refunded", charge.clone()), [of_charge.clone(), of_intent.clone()]);
    let mut of_invoice = charge.clone();
    of_invoice["invoice"] = json!("in_1");
    assert_eq!(questions("charge.refunded", of_invoice), [of_charge]);
    let mut with_refunds = charge;
    with_refunds["refunds"] = json!({"data": [{"id": "re_1", "amount": 5}], "has_more": false});
    assert_eq!(questions("charge.refunded", with_refunds), vec![of_intent.clone()]);
    let refund = json!({"id": "re_1", "amount": 5, "payment_intent": {"id": "pi_1", "object": "payment_intent"}});
    assert_eq!(questions("refund.created", refund.clone()), vec![of_intent.clone()]);
    assert_eq!(questions("charge.dispute.created", refund), [of_intent]);
    let note = json!({"id": "cn_1", "invoice": "in_1", "total": 5, "lines": {"data": [], "has_more": true}});
    assert_eq!(questions("credit_note.created", note), [Lookup::CreditNoteLines("cn_1".to_owned())]);
}

#[test]
fn old_and_new_links_of_one_payment_are_one() {
    let at = |second: i64| Timestamp::from_microseconds(second * 1_000_000).unwrap();
    let exact = link("in_1", "pi_1", 3000);
    let concluded = PaymentLinkFact { exact: false, charge: Some("ch_1".to_owned()), ..link("in_1", "pi_1", 6125) };
    let (exact, concluded) = (Fact::PaymentLink(exact), Fact::PaymentLink(concluded));
    assert_eq!(exact.id(), "in_1/pi_1");
    assert_eq!(exact.id(), concluded.id());
    assert!(replaces((&exact, at(1)), (&concluded, at(2))));
    assert!(!replaces((&concluded, at(2)), (&exact, at(1))));
}

#[test]
fn of_one_second_what_is_further_stands() {
    let at = |second: i64| Timestamp::from_microseconds(second * 1_000_000).unwrap();
    let of_refund = |status| Fact::Refund(refund("re_1", 1, status));
    let of_dispute = |status| Fact::Dispute(dispute(1, status));
    let of_invoice = |status: &str| Fact::Invoice(InvoiceFact { status: status.to_owned(), ..invoice() });
    let of_note =
        |status: &str| Fact::CreditNote(CreditNoteFact { status: Some(status.to_owned()), ..note(1, vec![]) });
    let withdrawn = DisputeFact { balance: -1, balance_movements: 1, ..dispute(1, "needs_response") };
    for (earlier, later) in [
        (of_refund("pending"), of_refund("succeeded")),
        (of_refund("succeeded"), of_refund("failed")),
        (of_refund("pending"), of_refund("canceled")),
        (of_dispute("needs_response"), of_dispute("won")),
        (of_dispute("needs_response"), Fact::Dispute(withdrawn)),
        (of_dispute("warning_under_review"), of_dispute("warning_closed")),
        (of_dispute("under_review"), of_dispute("lost")),
        (of_invoice("open"), of_invoice("uncollectible")),
        (of_invoice("uncollectible"), of_invoice("paid")),
        (of_note("issued"), of_note("void")),
    ] {
        assert!(replaces((&later, at(1)), (&earlier, at(1))), "{later:?}");
        assert!(!replaces((&earlier, at(1)), (&later, at(1))), "{earlier:?}");
        // A newer state stands, however far an older one was: a lost dispute may be appealed.
        assert!(replaces((&earlier, at(2)), (&later, at(1))), "{earlier:?}");
        assert!(replaces((&later, at(1)), (&later, at(1))), "{later:?}");
    }
}
