//! Commissions and Stripe's events over the API: what is earned says why, what somebody decides is booked, what is
//! secret stays inside.

use billing::catalog::Pricing;
use billing::programs::terms::{CommissionBase, Terms, Trigger};
use billing::{Billing, Page, commissions, payouts};
use billing_primitives::Currency;
use serde_json::{Value, json};
use tests::desk::{Desk, SECRET, event, paid_invoice};
use tests::{App, dkk, plain_terms, story, world};

use crate::client::Program;

const STATE: &str =
    "commissions { id state onHold earned { minor } reversed { minor } held { minor } payable { minor } }";

/// Noon of 10 January 2026.
const PAID: i64 = 1_768_046_400;

/// A partner that earned 200.00 on an invoice of 1000.00, payable after 30 days.
async fn earned(app: &App, program: &Program) -> String {
    let terms = Terms { hold_days: 30, ..plain_terms() };
    let affiliates = app.program_in("affiliates", Currency::DKK, terms).await;
    let partner = app.partner("P-1").await;
    let enrollment = app.enroll(&affiliates, partner.id).await;
    let customer = app.stripe_customer("C-1", "cus_1").await;
    app.attribute(customer.id, enrollment.id, "2026-01-01").await;
    app.on("2026-01-10");
    let desk = Desk::of(app, 1).await;
    for event in paid_invoice("cus_1", 1, "DKK", PAID, 100_000) {
        desk.deliver(&event).await;
    }
    let found = program.data("{ commissions { nodes { id } } }", json!({})).await;
    found["commissions"]["nodes"][0]["id"].as_str().unwrap().to_owned()
}

/// The one commission of a payload: its state, and what is earned, reversed, held and payable.
fn standing(payload: &Value) -> (String, [i64; 4]) {
    let commission = &payload["commissions"][0];
    let minor = |name: &str| commission[name]["minor"].as_i64().unwrap();
    let amounts = [minor("earned"), minor("reversed"), minor("held"), minor("payable")];
    (commission["state"].as_str().unwrap().to_owned(), amounts)
}

#[test]
fn a_commission_says_where_it_stands_and_why() {
    story(async |app| {
        let program = Program::of(&app).await;
        let id = earned(&app, &program).await;
        let query = "query ($id: ID!) { commission(id: $id) {
            state sourceKind sourceId level settlement base { minor } earned { amount } payableAt onHold
            customer { externalId } partner { externalId } enrollment { id } programVersion { id } attribution { id }
            sourceEvent { eventId kind status endpoint { id } }
            entries { kind amount { minor } held { minor } cause actor sourceEvent { eventId } explanation { label } }
            explanation { label formula parts { label amount { minor } parts { label exact parts { label } } } } } }";
        let told = program.data(query, json!({ "id": id })).await["commission"].take();
        assert_eq!((&told["state"], &told["sourceKind"]), (&json!("HELD"), &json!("STRIPE_INVOICE")));
        assert_eq!((&told["sourceId"], &told["earned"]["amount"]), (&json!("in_1"), &json!("200.00")));
        assert_eq!(told["payableAt"], "2026-02-09T23:00:00Z");
        assert_eq!((&told["customer"]["externalId"], &told["partner"]["externalId"]), (&json!("C-1"), &json!("P-1")));
        assert_eq!(told["sourceEvent"]["eventId"], "evt_paid_1");
        let entry = &told["entries"][0];
        assert_eq!((&entry["kind"], &entry["held"]["minor"]), (&json!("ACCRUAL"), &json!(20_000)));
        assert_eq!((&entry["cause"], &entry["actor"]), (&json!("evt_paid_1"), &json!("stripe")));
        assert_eq!(entry["sourceEvent"]["eventId"], "evt_paid_1");
        let parts = &told["explanation"]["parts"];
        assert_eq!((&parts[0]["label"], &parts[0]["amount"]["minor"]), (&json!("earned"), &json!(20_000)));
        let percent = &parts[0]["parts"][0]["parts"][0];
        assert_eq!((&percent["label"], &parts[1]["label"]), (&json!("percent"), &json!("reversed")));
        assert_eq!(parts[2]["label"], entry["explanation"]["label"]);

        let why = "query ($id: ID!) { explain(id: $id) { label amount { minor } } }";
        assert_eq!(program.data(why, json!({ "id": id })).await["explain"]["amount"]["minor"], 20_000);
        for filter in ["sourceId: \"in_1\"", "sourceId: \"in_2\""] {
            let found = program.data(&format!("{{ commissions({filter}) {{ nodes {{ id }} }} }}"), json!({})).await;
            assert_eq!(found["commissions"]["nodes"].as_array().unwrap().len(), usize::from(filter.contains("in_1")));
        }
    });
}

#[test]
fn what_somebody_decides_is_booked_and_written_down() {
    story(async |app| {
        let program = Program::of(&app).await;
        let id = earned(&app, &program).await;
        let held = json!({ "commission": id, "reason": "Mistanke" });
        let payload = program.done("holdCommission", STATE, held).await;
        assert_eq!(payload["commissions"][0]["onHold"], true);
        app.on("2026-03-01");
        payouts::mature(&app.billing, app.organization).await.unwrap();
        let release = json!({ "commission": id });
        let payload = program.done("releaseCommission", STATE, release.clone()).await;
        assert_eq!(standing(&payload), ("HELD".to_owned(), [20_000, 0, 20_000, 0]));
        // Once more changes nothing.
        program.done("releaseCommission", STATE, release).await;
        payouts::mature(&app.billing, app.organization).await.unwrap();

        let amount = json!({ "minor": 25_000, "currency": "DKK" });
        let part = json!({ "commission": id, "amount": amount, "reason": "Kulance" });
        let payload = program.done("reverseCommissions", STATE, part).await;
        assert_eq!(standing(&payload), ("PAYABLE".to_owned(), [20_000, 5_000, 0, 15_000]));
        let whole = json!({ "commission": id, "reason": "Svindel" });
        let payload = program.done("reverseCommissions", STATE, whole).await;
        assert_eq!(standing(&payload), ("REVERSED".to_owned(), [20_000, 20_000, 0, 0]));
        // A fact that comes later finds both decisions.
        let all = commissions::CommissionFilter::default();
        let page = Page::new(None, 1);
        let booked = commissions::list(&app.billing, app.organization, &page, &all).await.unwrap().items.remove(0);
        app.attribute(booked.customer_id, booked.enrollment_id, "2026-01-01").await;
        let after = program.data("query ($id: ID!) { commission(id: $id) { state } }", json!({ "id": id })).await;
        assert_eq!(after["commission"]["state"], "REVERSED");

        for (input, refusal) in [
            (json!({ "commission": id, "reason": " " }), ("INVALID", json!(["input", "reason"]))),
            (
                json!({ "commission": id, "reason": "x", "amount": { "minor": 0, "currency": "DKK" } }),
                ("AMOUNT_NOT_POSITIVE", json!(["input", "amount"])),
            ),
            (
                json!({ "commission": id, "reason": "x", "amount": { "minor": 1, "currency": "EUR" } }),
                ("CURRENCY_MIX", json!(["input", "amount", "currency"])),
            ),
        ] {
            let (code, field) = program.refused("reverseCommissions", input).await;
            assert_eq!((code.as_str(), field), refusal);
        }
        let entries = "{ auditEntries(first: 100) { nodes { action actor } } }";
        let audited = program.data(entries, json!({})).await;
        for (action, times) in [("commission.reverse", 2), ("commission.hold", 1), ("commission.release", 1)] {
            let nodes = audited["auditEntries"]["nodes"].as_array().unwrap();
            assert_eq!(nodes.iter().filter(|entry| entry["action"] == action).count(), times, "{action}");
        }
        app.verify().await;
    });
}

#[test]
fn of_several_conversions_the_earliest_stands() {
    story(async |app| {
        let program = Program::of(&app).await;
        let plan = app.plan("pro", Pricing::PerSeat).await;
        app.prices("2026-01-01", &[(&plan, dkk(10_000))]).await;
        app.prices("2026-02-01", &[(&plan, dkk(20_000))]).await;
        let mut terms = plain_terms();
        (terms.trigger, terms.base) = (Trigger::Conversion, CommissionBase::ListPrice);
        let rewards = app.program_in("rewards", Currency::DKK, terms).await;
        let partner = app.partner("P-1").await;
        let enrollment = app.enroll(&rewards, partner.id).await;
        let customer = app.stripe_customer("C-1", "cus_1").await;
        app.attribute(customer.id, enrollment.id, "2026-01-01").await;
        app.on("2026-03-01");
        let report = |at: &str, seats: i64| {
            json!({ "customer": customer.id.to_string(), "plan": plan.id.to_string(), "seats": seats,
                "convertedAt": format!("{at}T12:00:00Z") })
        };
        let stands = async |at: &str, seats: i64| {
            let fields = "conversion { convertedAt source seats customer { externalId } plan { externalId } }";
            program.done("recordConversion", fields, report(at, seats)).await["conversion"].take()
        };
        let amounts = async || {
            let found = program.data("{ commissions { nodes { level earned { minor } state } } }", json!({})).await;
            found["commissions"]["nodes"].clone()
        };
        let first = stands("2026-02-10", 3).await;
        assert_eq!((&first["source"], &first["plan"]["externalId"]), (&json!("API"), &json!("pro")));
        assert_eq!(amounts().await, json!([{ "level": 1, "earned": { "minor": 12_000 }, "state": "HELD" }]));
        // An earlier one corrects what was booked; a later one changes nothing.
        assert_eq!(stands("2026-01-10", 2).await["seats"], 2);
        assert_eq!(amounts().await, json!([{ "level": 1, "earned": { "minor": 4_000 }, "state": "HELD" }]));
        assert_eq!(stands("2026-02-20", 9).await["convertedAt"], "2026-01-10T12:00:00Z");
        assert_eq!(amounts().await, json!([{ "level": 1, "earned": { "minor": 4_000 }, "state": "HELD" }]));

        let (code, field) = program.refused("recordConversion", report("2026-03-02", 1)).await;
        assert_eq!((code.as_str(), field), ("INVALID", json!(["input", "convertedAt"])));
        assert_eq!(program.refused("recordConversion", report("2026-02-01", 0)).await.1, json!(["input", "seats"]));
        app.verify().await;
    });
}

#[test]
fn what_is_given_to_stripe_comes_out_and_what_it_gives_does_not() {
    story(async |app| {
        let program = Program::of(&app).await;
        let key = "rk_live_0123456789abcdef";
        let input = json!({ "name": "Stripe", "secrets": [SECRET] });
        let fields = "stripeEndpoint { id name webhookPath rejected }";
        let made = program.done("createStripeEndpoint", fields, input).await["stripeEndpoint"].take();
        let id = made["id"].as_str().unwrap();
        assert_eq!((&made["webhookPath"], &made["rejected"]), (&json!(format!("/webhooks/stripe/{id}")), &json!(0)));
        let rolled = json!({ "endpoint": id, "secrets": [SECRET, "whsec_fedcba9876543210"] });
        program.done("replaceStripeEndpointSecrets", fields, rolled).await;
        assert_eq!(program.data("{ stripeAccount { setAt } }", json!({})).await["stripeAccount"], Value::Null);
        program.done("setStripeAccount", "stripeAccount { setAt }", json!({ "apiKey": key })).await;
        let everything = "{ stripeAccount { setAt } stripeEndpoints { nodes { id name webhookPath } }
            auditEntries(first: 100) { nodes { action subject details } } events { nodes { id kind payload } } }";
        let told = program.ask(everything, json!({})).await.to_string();
        assert!(told.contains("stripe_account.set") && told.contains(id), "{told}");
        assert!(!told.contains("whsec_") && !told.contains(key), "{told}");
        for (name, input, field) in [
            ("createStripeEndpoint", json!({ "name": "x", "secrets": [] }), "secrets"),
            ("createStripeEndpoint", json!({ "name": "x", "secrets": ["hunter2"] }), "secrets"),
            ("setStripeAccount", json!({ "apiKey": "pk_live_0123456789" }), "apiKey"),
        ] {
            let payload = program.mutate(name, "__typename", input).await;
            assert_eq!(payload["userErrors"][0]["field"], json!(["input", field]), "{name}");
            assert!(!payload.to_string().contains("hunter2") && !payload.to_string().contains("pk_live"), "{payload}");
        }
    });
}

#[test]
fn events_are_listed_with_what_became_of_them_and_processed_again() {
    story(async |app| {
        let program = Program::of(&app).await;
        let desk = Desk::of(&app, 1).await;
        let [paid, link] = paid_invoice("cus_9", 9, "DKK", 1_767_268_800, 5_000);
        for event in [&paid, &link] {
            desk.deliver(event).await;
        }
        desk.deliver(&event("evt_coupon", "coupon.created", 1_767_268_800, &json!({ "id": "co_1" }))).await;
        let list = async |filter: &str| {
            let query = format!("{{ stripeEvents{filter} {{ nodes {{ eventId kind status reason }} }} }}");
            program.data(&query, json!({})).await["stripeEvents"]["nodes"].take()
        };
        let ids = |nodes: &Value| {
            let nodes = nodes.as_array().unwrap().iter();
            nodes.map(|node| node["eventId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(&list("").await), ["evt_coupon", "evt_link_9", "evt_paid_9"]);
        assert_eq!(ids(&list("(reason: UNUSED_TYPE)").await), ["evt_coupon"]);
        assert_eq!(ids(&list("(stripeCustomer: \"cus_9\")").await), ["evt_paid_9"]);
        assert_eq!(ids(&list("(status: PARKED)").await), Vec::<String>::new());
        let one = "{ stripeEvent(eventId: \"evt_paid_9\") { body status reason endpoint { name } } }";
        let told = program.data(one, json!({})).await["stripeEvent"].take();
        assert_eq!(told["body"], paid.to_string());
        assert_eq!((&told["status"], &told["reason"]), (&json!("PROCESSED"), &json!("UNKNOWN_CUSTOMER")));

        let again = program.done("replayStripeEvents", "replayed", json!({ "eventIds": ["evt_paid_9"] })).await;
        assert_eq!(again["replayed"], 1);
        assert_eq!(ids(&list("(status: RECEIVED)").await), ["evt_paid_9"]);
        desk.process(&paid).await;
        assert_eq!(ids(&list("(status: RECEIVED)").await), Vec::<String>::new());
        assert_eq!(
            program.done("replayStripeEvents", "replayed", json!({ "reason": "UNUSED_TYPE" })).await["replayed"],
            1
        );
        let unknown = program.refused("replayStripeEvents", json!({ "eventIds": ["evt_none"] })).await;
        assert_eq!(unknown.0, "NOT_FOUND");
        assert_eq!(program.refused("replayStripeEvents", json!({})).await.0, "INVALID");
    });
}

#[test]
fn a_page_of_commissions_takes_as_many_statements_as_one() {
    let (db, statements) = world().observed(8);
    let app = world().runtime.block_on(async {
        let app = App::new(world().database.db.clone()).await;
        let program = Program::of(&app).await;
        earned(&app, &program).await;
        let desk = Desk::of(&app, 1).await;
        for number in 2..20 {
            for event in paid_invoice("cus_1", number, "DKK", PAID + i64::from(number), 10_000) {
                desk.deliver(&event).await;
            }
        }
        app
    });
    // On one thread a loader begins when everybody who waits for it has said so.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let billing = Billing::new(db, app.billing.clock.clone());
        let program = Program::over(&app, billing).await;
        let query = "query ($first: Int!) { commissions(first: $first) { nodes {
            state entries { id } explanation { label } customer { id } partner { id }
            enrollment { id } programVersion { id } attribution { id } sourceEvent { endpoint { id } } } } }";
        let count = async |first: usize| {
            statements.take();
            let answer = program.data(query, json!({ "first": first })).await;
            assert_eq!(answer["commissions"]["nodes"].as_array().unwrap().len(), first);
            statements.take().len()
        };
        // Connections are made and the key's use is written down before anything is counted.
        count(19).await;
        let (many, one) = (count(19).await, count(1).await);
        assert!(one > 0);
        assert_eq!(many, one);
    });
}
