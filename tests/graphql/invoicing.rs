//! The wholesale month as a program sees it: from the first partner to the paid invoice, over GraphQL alone.

use billing::Billing;
use billing::catalog::Pricing;
use billing::invoicing::run::Goal;
use diesel::sql_types::{Jsonb, Text, Uuid};
use diesel_async::RunQueryDsl;
use jobs::Job;
use serde_json::{Value, json};
use tests::{App, dkk, story, world};

use crate::client::Program;

#[derive(diesel::QueryableByName)]
struct Queued {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

/// Does what waits in the queue for the organization, and says how many jobs that were.
pub async fn work(app: &App) -> usize {
    let organization = app.organization;
    let queued = app.billing.db.unscoped(async |conn| {
        let taken = diesel::sql_query(
            "UPDATE job SET status = 'DONE', finished_at = now()
             WHERE organization_id = $1 AND status = 'QUEUED' RETURNING kind, payload",
        );
        Ok::<Vec<Queued>, billing::Error>(taken.bind::<Uuid, _>(organization).load(conn).await?)
    });
    let queued = queued.await.unwrap();
    let count = queued.len();
    for job in queued {
        match Job::parse(&job.kind, job.payload).unwrap() {
            Job::ContinueRun(run) => run.work(&app.billing, organization, |_| {}).await.unwrap(),
            other => panic!("nobody asked for {other:?}"),
        }
    }
    count
}

fn money(minor: i64) -> Value {
    json!({ "minor": minor, "currency": "DKK" })
}

/// One partner with ten seats of a plan at 100.00 DKK from 2026-01-01; returns the ids of partner and customer.
async fn set_up(program: &Program) -> (Value, Value) {
    let tier = |code: &str, from_users: i64, discount_bps: i64| json!({ "code": code, "name": code, "fromUsers": from_users, "discountBps": discount_bps });
    let tiers = json!([tier("REGISTRERET", 0, 1500), tier("PREMIER", 1000, 4000)]);
    program.done("publishTierTable", "__typename", json!({ "effectiveFrom": "2026-01", "tiers": tiers })).await;
    let plan = json!({ "externalId": "pro", "name": "Pro", "pricing": "PER_SEAT" });
    let mut plan = program.done("createPlan", "plan { id }", plan).await;
    let plan = plan["plan"]["id"].take();
    let price = json!({ "plan": plan, "unitPrice": money(10_000) });
    let prices = json!({ "priceList": "list", "currency": "DKK", "effectiveOn": "2026-01-01", "prices": [price] });
    program.done("publishPrices", "__typename", prices).await;
    let partner = json!({
        "externalId": "P-1", "legalName": "Partner ApS", "email": "p@partner.example", "street": "Gade 2",
        "postalCode": "5000", "city": "Odense C", "country": "DK", "vatNumber": "DK87654321", "currency": "DKK",
    });
    let mut partner = program.done("createPartner", "partner { id }", partner).await;
    let partner = partner["partner"]["id"].take();
    let customer = json!({ "externalId": "C-1", "name": "Kunde", "owner": partner, "ownedFrom": "2026-01-01" });
    let mut customer = program.done("createCustomer", "customer { id }", customer).await;
    let customer = customer["customer"]["id"].take();
    let subscription =
        json!({ "externalId": "S-1", "customer": customer, "plan": plan, "startsOn": "2026-01-01", "seats": 10 });
    program.done("createSubscription", "__typename", subscription).await;
    (partner, customer)
}

const INVOICE: &str = "query ($number: String!) { invoice(number: $number) {
    id status month issueDate dueDate netTotal { minor } vatTotal { minor } grossTotal { amount minor } users
    billedTier discountBps lineCount paymentStatus due { minor } seller { name } buyer { externalId vatNumber }
    vat { category rateBps taxable { minor } tax { minor } }
    lines { nodes { id lineNumber kind seatDays net { minor } customer { externalId } plan { externalId } } }
    payments { nodes { amount { minor } reverses { id } } }
    creditNotes { nodes { number grossTotal { minor } lines { nodes { invoiceLine { lineNumber } net { minor } } } } }
    settlement { paid { minor } writtenOff { minor } steps { nodes { kind amount { minor } } } }
    partner { externalId creditBalances { balance { minor } } }
} }";

async fn invoice(program: &Program) -> Value {
    program.data(INVOICE, json!({ "number": "INV-000001" })).await["invoice"].take()
}

/// What the invoice of the month says about cash: status and what is due.
async fn cash(program: &Program) -> (String, i64) {
    let invoice = invoice(program).await;
    (invoice["paymentStatus"].as_str().unwrap().to_owned(), invoice["due"]["minor"].as_i64().unwrap())
}

#[test]
fn a_month_is_drafted_finalized_and_paid_over_graphql_alone() {
    story(async |app| {
        let program = Program::of(&app).await;
        let (partner, _) = set_up(&program).await;
        drafts_follow_the_preview(&app, &program).await;
        finalizing_makes_an_invoice(&app, &program).await;
        payments_settle_it(&program, &partner).await;
        everything_can_be_looked_up(&program, &partner).await;
        app.verify().await;
    });
}

async fn drafts_follow_the_preview(app: &App, program: &Program) {
    let preview = "{ billingRunPreview(month: \"2026-01\") { nodes {
        partner { externalId } refusal { code } tier { users billedTier reason } creditNotes { memo }
        invoice { lineCount netTotal { minor } vatTotal { minor } grossTotal { minor }
            vat { tax { minor } } lines(first: 100) { seatDays net { minor } customer { externalId } } }
    } } }";
    let previewed = program.data(preview, json!({})).await["billingRunPreview"]["nodes"][0].take();
    let expected = json!({
        "partner": { "externalId": "P-1" }, "refusal": null,
        "tier": { "users": 10, "billedTier": "REGISTRERET", "reason": "MEASURED" }, "creditNotes": [],
        "invoice": {
            "lineCount": 1, "netTotal": { "minor": 85_000 }, "vatTotal": { "minor": 21_250 },
            "grossTotal": { "minor": 106_250 }, "vat": [{ "tax": { "minor": 21_250 } }],
            "lines": [{ "seatDays": 310, "net": { "minor": 85_000 }, "customer": { "externalId": "C-1" } }],
        },
    });
    assert_eq!(previewed, expected);
    assert_eq!(program.data("{ billingRuns { nodes { id } } }", json!({})).await["billingRuns"]["nodes"], json!([]));

    let fields = "billingRun { status pass partnersDone partnersTotal issueDate }";
    let month = json!({ "month": "2026-01" });
    let begun = program.done("startBillingRun", fields, month.clone()).await;
    let expected = json!({ "status": "DRAFTING", "pass": 1, "partnersDone": 0, "partnersTotal": 1, "issueDate": null });
    assert_eq!(begun["billingRun"], expected);
    // Whoever asks again joins the pass, whose wake-up waits already.
    let joined = program.done("startBillingRun", fields, month.clone()).await;
    assert_eq!(joined["billingRun"], expected);
    assert_eq!(work(app).await, 1);
    let run = "{ billingRun(month: \"2026-01\") { status partnersDone refusals { nodes { code } }
        invoices { nodes { status number grossTotal { minor } paymentStatus due { minor } } } } }";
    let expected = json!({
        "status": "DRAFTED", "partnersDone": 1, "refusals": { "nodes": [] },
        "invoices": { "nodes": [{
            "status": "DRAFT", "number": null, "grossTotal": { "minor": 106_250 }, "paymentStatus": null, "due": null,
        }] },
    });
    assert_eq!(program.data(run, json!({})).await["billingRun"], expected);

    let early = program.refused("finalizeBillingRun", month).await;
    assert_eq!(early, ("MONTH_NOT_OVER".to_owned(), json!(["input", "month"])));
    let before = program.refused("startBillingRun", json!({ "month": "2025-12" })).await;
    assert_eq!(before, ("MONTH_BEFORE_BILLING".to_owned(), json!(["input", "month"])));
    assert_eq!(work(app).await, 0);
}

async fn finalizing_makes_an_invoice(app: &App, program: &Program) {
    app.on("2026-02-03");
    let fields = "billingRun { id status issueDate }";
    let begun = program.done("finalizeBillingRun", fields, json!({ "month": "2026-01" })).await;
    assert_eq!(begun["billingRun"]["status"], "FINALIZING");
    assert_eq!(begun["billingRun"]["issueDate"], "2026-02-03");
    assert_eq!(work(app).await, 1);
    let run = "query ($id: ID!) { billingRun(id: $id) { status } }";
    let run = program.data(run, json!({ "id": begun["billingRun"]["id"] })).await;
    assert_eq!(run["billingRun"]["status"], "FINALIZED");

    let mut invoice = invoice(program).await;
    let id = invoice["id"].take();
    let hex = id.as_str().unwrap().strip_prefix("inv_").unwrap().to_owned();
    let expected = json!({
        "id": null, "status": "FINALIZED", "month": "2026-01", "issueDate": "2026-02-03", "dueDate": "2026-02-17",
        "netTotal": { "minor": 85_000 }, "vatTotal": { "minor": 21_250 },
        "grossTotal": { "amount": "1062.50", "minor": 106_250 }, "users": 10, "billedTier": "REGISTRERET",
        "discountBps": 1500, "lineCount": 1, "paymentStatus": "UNPAID", "due": { "minor": 106_250 },
        "seller": { "name": "Sælger A/S" }, "buyer": { "externalId": "P-1", "vatNumber": "DK87654321" },
        "vat": [{
            "category": "STANDARD", "rateBps": 2500, "taxable": { "minor": 85_000 }, "tax": { "minor": 21_250 },
        }],
        "lines": { "nodes": [{
            "id": format!("inl_{hex}_1"), "lineNumber": 1, "kind": "USAGE", "seatDays": 310,
            "net": { "minor": 85_000 }, "customer": { "externalId": "C-1" }, "plan": { "externalId": "pro" },
        }] },
        "payments": { "nodes": [] }, "creditNotes": { "nodes": [] },
        "settlement": { "paid": { "minor": 0 }, "writtenOff": { "minor": 0 }, "steps": { "nodes": [] } },
        "partner": { "externalId": "P-1", "creditBalances": [] },
    });
    assert_eq!(invoice, expected);
}

async fn payments_settle_it(program: &Program, partner: &Value) {
    let found = invoice(program).await;
    let id = &found["id"];
    let payment = |amount: Value, on: &str| json!({ "invoice": id, "amount": amount, "receivedOn": on });
    let euros = json!({ "minor": 100, "currency": "EUR" });
    for (amount, on, code, field) in [
        (euros, "2026-02-03", "CURRENCY_MIX", json!(["input", "amount", "currency"])),
        (money(0), "2026-02-03", "AMOUNT_NOT_POSITIVE", json!(["input", "amount"])),
        (money(1), "2026-02-04", "INVALID", json!(["input", "receivedOn"])),
    ] {
        assert_eq!(program.refused("recordPayment", payment(amount, on)).await, (code.to_owned(), field));
    }
    let mut first = program.done("recordPayment", "payment { id }", payment(money(50_000), "2026-02-03")).await;
    let first = first["payment"]["id"].take();
    assert_eq!(cash(program).await, ("PARTIALLY_PAID".to_owned(), 56_250));
    program.done("recordPayment", "payment { id }", payment(money(57_250), "2026-02-03")).await;
    assert_eq!(cash(program).await, ("PAID".to_owned(), 0));
    assert_eq!(invoice(program).await["partner"]["creditBalances"], json!([{ "balance": { "minor": 1_000 } }]));

    let pay_out = |minor: i64| json!({ "partner": partner, "amount": money(minor), "on": "2026-02-03" });
    let too_much = program.refused("payOutCreditBalance", pay_out(1_001)).await;
    assert_eq!(too_much, ("BALANCE_TOO_SMALL".to_owned(), json!(["input", "amount"])));
    let left = program.done("payOutCreditBalance", "creditBalance { balance { minor } }", pay_out(1_000)).await;
    assert_eq!(left["creditBalance"]["balance"]["minor"], 0);

    let reverse = |on: &str| json!({ "payment": first, "reason": "BOUNCED", "on": on });
    let early = program.refused("reversePayment", reverse("2026-02-02")).await;
    assert_eq!(early, ("DATE_BEFORE".to_owned(), json!(["input", "on"])));
    program.done("reversePayment", "payment { reverses { id } }", reverse("2026-02-03")).await;
    assert_eq!(cash(program).await, ("PARTIALLY_PAID".to_owned(), 50_000));

    let credit = |minor: i64| json!({ "invoice": id, "lines": [{ "lineNumber": 1, "amount": money(minor) }], "memo": "Kulance" });
    for (minor, code) in [(85_001, "CREDIT_EXCEEDS_LINE"), (0, "AMOUNT_NOT_POSITIVE")] {
        let refused = program.refused("createCreditNote", credit(minor)).await;
        assert_eq!(refused, (code.to_owned(), json!(["input", "lines"])));
    }
    let note = program.done("createCreditNote", "creditNote { number reason }", credit(10_000)).await;
    assert_eq!(note["creditNote"], json!({ "number": "CRN-000001", "reason": "GOODWILL" }));
    assert_eq!(cash(program).await, ("PARTIALLY_PAID".to_owned(), 37_500));
    let wide = program.refused("closeDifference", json!({ "invoice": id })).await;
    assert_eq!(wide, ("ABOVE_TOLERANCE".to_owned(), json!(["input", "invoice"])));
    let given_up = json!({ "invoice": id, "reason": "Konkurs" });
    let given_up =
        program.done("writeOffInvoice", "invoice { paymentStatus settlement { writtenOff { minor } } }", given_up);
    assert_eq!(
        given_up.await["invoice"],
        json!({ "paymentStatus": "UNCOLLECTIBLE", "settlement": { "writtenOff": { "minor": 37_500 } } })
    );
}

async fn everything_can_be_looked_up(program: &Program, partner: &Value) {
    let found = invoice(program).await;
    let line = &found["lines"]["nodes"][0]["id"];
    let query = "query ($invoice: ID!, $line: ID!) {
        whole: explain(id: $invoice) { amount { minor } parts { label parts { label } } }
        line: explain(id: $line) { amount { minor } formula parts { label exact inputs { name value } } }
        node(id: $line) { __typename id ... on InvoiceLine { invoice { id explanation { amount { minor } } } } }
    }";
    let told = program.data(query, json!({ "invoice": found["id"], "line": line })).await;
    assert_eq!(told["whole"]["amount"]["minor"], 106_250);
    assert_eq!(told["line"]["amount"]["minor"], 85_000);
    assert_eq!(told["line"]["formula"], "gross - discount");
    assert_eq!(told["node"]["__typename"], "InvoiceLine");
    assert_eq!(told["node"]["invoice"]["explanation"]["amount"]["minor"], 106_250);

    let query = "{ trialBalance { kind balance { minor } } ledgerAccounts { nodes {
        kind balance { minor } partner { id } entries { nodes { amount { minor } debitAccount { kind } } } } } }";
    let books = program.data(query, json!({})).await;
    let balances = books["trialBalance"].as_array().unwrap();
    assert_eq!(balances.iter().map(|line| line["balance"]["minor"].as_i64().unwrap()).sum::<i64>(), 0);
    let of = |kind: &str| balances.iter().find(|line| line["kind"] == kind).unwrap()["balance"]["minor"].clone();
    assert_eq!((of("bad_debts"), of("receivable")), (json!(37_500), json!(0)));
    let accounts = books["ledgerAccounts"]["nodes"].as_array().unwrap();
    let receivable = accounts.iter().find(|account| account["kind"] == "receivable").unwrap();
    assert_eq!(&receivable["partner"]["id"], partner);

    let query = "query ($invoice: ID!) { events(first: 100) { nodes { kind subject payload } }
        auditEntries(subject: $invoice) { nodes { action actor details } } payments { nodes { amount { minor } } } }";
    let told = program.data(query, json!({ "invoice": found["id"] })).await;
    let kinds = told["events"]["nodes"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap());
    let mut kinds: Vec<&str> = kinds.collect();
    kinds.sort_unstable();
    let expected = [
        "credit_note.finalized",
        "invoice.finalized",
        "invoice.paid",
        "payment.recorded",
        "payment.recorded",
        "payment.reversed",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(told["auditEntries"]["nodes"][0]["action"], "invoice.write_off");
    assert_eq!(told["payments"]["nodes"].as_array().unwrap().len(), 3);

    let query = "query ($partner: ID!) { retailStatement(partner: $partner, month: \"2026-01\") {
        finalized totals { retail { minor } wholesaleNet { minor } margin { minor } }
        lines { nodes { seatDays customer { externalId } } } warnings { nodes { code } } } }";
    let statement = program.data(query, json!({ "partner": partner })).await["retailStatement"].take();
    let expected = json!({
        "finalized": true, "totals": { "retail": null, "wholesaleNet": { "minor": 85_000 }, "margin": null },
        "lines": { "nodes": [{ "seatDays": 310, "customer": { "externalId": "C-1" } }] }, "warnings": { "nodes": [] },
    });
    assert_eq!(statement, expected);
}

/// What a screen with a list of invoices asks for.
const LIST: &str = "query ($first: Int!) { invoices(first: $first) { nodes {
    number paymentStatus due { minor } partner { externalId creditBalances { balance { minor } } }
    lines(first: 10) { nodes { net { minor } customer { externalId } plan { externalId } } }
    vat { tax { minor } } payments(first: 2) { nodes { amount { minor } } } creditNotes(first: 1) { nodes { number } }
    settlement { steps(first: 1) { nodes { kind } } } billingRun { status } explanation { amount { minor } }
} } }";

const INVOICES: usize = 100;

/// A hundred partners with one customer and two plans each, invoiced and paid.
async fn hundred_invoices(app: &App) {
    app.tiers("2026-01").await;
    let (pro, basic) = (app.plan("pro", Pricing::PerSeat).await, app.plan("basic", Pricing::Flat).await);
    app.prices("2025-01-01", &[(&pro, dkk(9_995)), (&basic, dkk(20_000))]).await;
    for number in 0..INVOICES {
        let partner = app.partner(&format!("P-{number:03}")).await;
        let customer = app.customer(&format!("C-{number:03}"), Some(partner.id)).await;
        app.subscribe(&format!("S-{number:03}"), &customer, &pro, "2026-01-01", 3).await;
        app.subscribe(&format!("T-{number:03}"), &customer, &basic, "2026-01-01", 1).await;
    }
    app.on("2026-02-01").run("2026-01", Goal::Finalized).await;
    for invoice in app.invoices().await {
        let payment = billing::payments::NewPayment {
            external_id: None,
            invoice: invoice.id,
            amount: dkk(invoice.gross_total_minor + 1),
            received_on: tests::date("2026-02-01"),
            reference: String::new(),
            method: billing::payments::PaymentMethod::Bank,
        };
        billing::payments::record_payment(&app.billing, &app.caller(), &payment).await.unwrap();
    }
}

#[test]
fn a_hundred_invoices_take_as_many_statements_as_one() {
    let (db, statements) = world().observed(8);
    let app = world().runtime.block_on(async {
        let app = App::new(world().database.db.clone()).await;
        hundred_invoices(&app).await;
        app
    });
    // On one thread a loader begins when everybody who waits for it has said so.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let billing = Billing::new(db, app.billing.clock.clone());
        let program = Program::over(&app, billing).await;
        let count = async |first: usize| {
            statements.take();
            let answer = program.data(LIST, json!({ "first": first })).await;
            let nodes = answer["invoices"]["nodes"].as_array().unwrap();
            assert_eq!(nodes.len(), first);
            assert!(nodes.iter().all(|node| node["paymentStatus"] == "PAID"));
            assert!(nodes.iter().all(|node| node["lines"]["nodes"].as_array().unwrap().len() == 2));
            let mut seen = statements.take();
            seen.sort();
            seen
        };
        // Connections are made and the key's use is written down before anything is counted.
        count(INVOICES).await;
        let (many, one) = (count(INVOICES).await, count(1).await);
        assert!(!one.is_empty());
        assert_eq!(many.len(), one.len(), "{many:#?}\n{one:#?}");
    });
}
