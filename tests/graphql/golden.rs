//! The golden cases of R2, R3, R4, R10 and R11 once more: as facts that a program gives over GraphQL, on PostgreSQL.

use std::path::Path;

use billing_primitives::{Currency, Date, Month};
use serde_json::{Value, json};
use tests::{App, story};

use crate::client::Program;
use crate::graphql_invoicing::work;

/// The cases of a file.
fn cases(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden").join(file);
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

/// Tells each case of a file in an organization of its own, which bills from `from` on.
fn each(file: &str, tell: impl AsyncFn(&App, &Program, &Value)) {
    for case in cases(file) {
        println!("{file}: {}", case["name"]);
        story(async |app| {
            let (german, from) = (is_german(&case), first_month(&case));
            let app = App::with(app.billing.db.clone(), |input| {
                input.billing_from = from;
                if german {
                    (input.country, input.currency) = ("DE".to_owned(), Currency::EUR);
                }
            });
            let app = app.await;
            let program = Program::of(&app).await;
            tell(&app, &program, &case).await;
            app.verify().await;
        });
    }
}

fn is_german(case: &Value) -> bool {
    case["input"]["lines"][0]["vat_bps"] == 1900
}

/// The month of the case; of a chain the first one. Documents without a month are of one with as many days.
fn first_month(case: &Value) -> Month {
    let input = &case["input"];
    let named = input["month"].as_str().or(input["months"][0]["month"].as_str());
    let days = input["lines"][0]["days_in_month"].as_i64().unwrap_or(30);
    named.unwrap_or(if days == 31 { "2026-05" } else { "2026-04" }).parse().unwrap()
}

async fn tiers(program: &Program, from: Month, grace: &Value, tiers: &[(&str, i64, i64)]) {
    let tier = |(code, from, bps): &(&str, i64, i64)| json!({ "code": code, "name": code, "fromUsers": from, "discountBps": bps });
    let tiers: Vec<Value> = tiers.iter().map(tier).collect();
    let input = json!({ "effectiveFrom": from, "graceMonths": grace, "tiers": tiers });
    program.done("publishTierTable", "__typename", input).await;
}

async fn one_tier(program: &Program, from: Month, discount: &Value) {
    tiers(program, from, &json!(1), &[("ONLY", 0, discount.as_i64().unwrap())]).await;
}

async fn partner(program: &Program, country: &str, vat_number: &str, currency: &str) -> Value {
    let input = json!({
        "externalId": "P-1", "legalName": "Partner", "email": "p@partner.example", "street": "Gade 2",
        "postalCode": "5000", "city": "By", "country": country, "vatNumber": vat_number, "currency": currency,
    });
    program.done("createPartner", "partner { id }", input).await["partner"]["id"].take()
}

/// Plans with their unit prices in one list; their ids come back.
async fn plans(program: &Program, currency: &str, plans: &[(String, i64)]) -> Vec<Value> {
    let mut ids = Vec::new();
    let mut prices = Vec::new();
    for (name, minor) in plans {
        let input = json!({ "externalId": name, "name": name, "pricing": "PER_SEAT" });
        let plan = program.done("createPlan", "plan { id }", input).await["plan"]["id"].take();
        prices.push(json!({ "plan": plan, "unitPrice": { "minor": minor, "currency": currency } }));
        ids.push(plan);
    }
    let input = json!({ "priceList": "list", "currency": currency, "effectiveOn": "2026-01-01", "prices": prices });
    program.done("publishPrices", "__typename", input).await;
    ids
}

/// A customer of the partner with a subscription; the subscription's id comes back.
async fn subscription(program: &Program, name: &str, owner: &Value, plan: &Value, from: Date, seats: i64) -> Value {
    let input = json!({ "externalId": name, "name": name, "owner": owner, "ownedFrom": from });
    let customer = program.done("createCustomer", "customer { id }", input).await["customer"]["id"].take();
    let input = json!({ "externalId": name, "customer": customer, "plan": plan, "startsOn": from, "seats": seats });
    program.done("createSubscription", "subscription { id }", input).await["subscription"]["id"].take()
}

async fn change(program: &Program, name: &str, of: &Value, on: &str, what: &str, seats: i64) {
    let input = json!({ "externalId": name, "subscription": of, "effectiveOn": on, what: seats });
    program.done("changeSeats", "__typename", input).await;
}

async fn finalize(app: &App, program: &Program, month: Month) {
    app.on(&month.next().first().to_string());
    program.done("finalizeBillingRun", "__typename", json!({ "month": month })).await;
    assert_eq!(work(app).await, 1);
}

const INVOICES: &str = "{ invoices { nodes {
    id users billedTier discountBps netTotal { minor } vatTotal { minor } grossTotal { minor } vatInBooks { minor }
    paymentStatus due { minor } vat { category rateBps taxable { minor } tax { minor } }
    lines { nodes { customer { externalId } plan { externalId } seatDays gross { minor } discount { minor } net { minor } } }
    settlement { steps { nodes { kind amount { minor } } } }
} } }";

async fn invoices(program: &Program) -> Vec<Value> {
    let mut data = program.data(INVOICES, json!({})).await;
    data["invoices"]["nodes"].as_array_mut().map(std::mem::take).unwrap()
}

fn line_amounts(line: &Value) -> Value {
    json!({ "gross": line["gross"]["minor"], "discount": line["discount"]["minor"], "net": line["net"]["minor"] })
}

fn picked(of: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), of[*name].clone())).collect()
}

#[test]
fn r2_wholesale_tiers() {
    each("02-wholesale-tiers.json", async |app, program, case| {
        let (input, expected) = (&case["input"], &case["expected"]);
        let month = first_month(case);
        let all = [("Registreret", 0, 1500), ("Certificeret", 500, 3000), ("Premier", 1000, 4000)];
        tiers(program, month, &json!(1), &all).await;
        let owner = partner(program, "DK", "DK87654321", "DKK").await;
        let plan = plans(program, "DKK", &[("Pro".to_owned(), input["unit_price"].as_i64().unwrap())]).await.remove(0);
        subscription(program, "acme", &owner, &plan, month.first(), input["tier_seats"].as_i64().unwrap()).await;
        finalize(app, program, month).await;
        let [invoice] = &invoices(program).await[..] else { panic!("one invoice") };
        assert_eq!(invoice["users"], input["tier_seats"]);
        assert_eq!(invoice["lines"]["nodes"][0]["seatDays"], input["seat_days"]);
        assert_eq!((&invoice["billedTier"], &invoice["discountBps"]), (&expected["tier"], &expected["margin_bps"]));
        let line = line_amounts(&invoice["lines"]["nodes"][0]);
        assert_eq!(line, picked(expected, &["gross", "discount", "net"]));
    });
}

#[test]
fn r3_proration() {
    each("03-proration.json", async |app, program, case| {
        let (input, expected) = (&case["input"], &case["expected"]);
        let month = first_month(case);
        one_tier(program, month, &input["margin_bps"]).await;
        let owner = partner(program, "DK", "DK87654321", "DKK").await;
        let plan = plans(program, "DKK", &[("Pro".to_owned(), input["unit_price"].as_i64().unwrap())]).await.remove(0);
        let of = subscription(program, "acme", &owner, &plan, month.first(), 0).await;
        for (number, seats) in input["seat_changes"].as_array().unwrap().iter().enumerate() {
            let (on, delta) = (seats["date"].as_str().unwrap(), seats["delta"].as_i64().unwrap());
            change(program, &format!("change-{number}"), &of, on, "delta", delta).await;
        }
        finalize(app, program, month).await;
        let invoices = invoices(program).await;
        let nothing = json!({ "gross": 0, "discount": 0, "net": 0 });
        let line = invoices.first().map_or(nothing, |invoice| line_amounts(&invoice["lines"]["nodes"][0]));
        assert_eq!(line, picked(expected, &["gross", "discount", "net"]));
        let seat_days = invoices.first().map_or(json!(0), |invoice| invoice["lines"]["nodes"][0]["seatDays"].clone());
        assert_eq!(seat_days, expected["seat_days"]);
    });
}

/// Seats that come to so many seat-days: some days with one more than the others.
async fn seat_days(program: &Program, name: &str, owner: &Value, plan: &Value, month: Month, wanted: i64) {
    let days = i64::from(month.days());
    let (each, more) = (wanted / days, wanted % days);
    let of = subscription(program, name, owner, plan, month.first(), each + i64::from(more > 0)).await;
    if more > 0 {
        let on = month.first().plus_days(i32::try_from(more).unwrap()).to_string();
        change(program, &format!("{name}-less"), &of, &on, "quantity", each).await;
    }
}

async fn documents_of(file: &str, app: &App, program: &Program, case: &Value) {
    let (input, expected) = (&case["input"], &case["expected"]);
    let (month, currency) = (first_month(case), input["currency"].as_str().unwrap());
    let lines = input["lines"].as_array().unwrap();
    one_tier(program, month, &lines[0]["margin_bps"]).await;
    let german = lines[0]["vat_category"] == "AE" || is_german(case);
    let (country, vat_number) = if german { ("DE", "DE123456788") } else { ("DK", "DK87654321") };
    let owner = partner(program, country, vat_number, currency).await;
    if let Some(rate) = input["rate"].as_str() {
        let rate = json!({ "date": month.last(), "from": currency, "to": "DKK", "rate": rate, "source": "ECB" });
        program.done("recordExchangeRate", "__typename", rate).await;
    }
    let mut named: Vec<(String, i64)> = Vec::new();
    for line in lines {
        let plan = (line["plan"].as_str().unwrap().to_owned(), line["unit_price"].as_i64().unwrap());
        if !named.contains(&plan) {
            named.push(plan);
        }
    }
    let ids = plans(program, currency, &named).await;
    for line in lines {
        let plan = named.iter().position(|(name, _)| line["plan"] == **name).unwrap();
        let (tenant, wanted) = (line["tenant"].as_str().unwrap(), line["seat_days"].as_i64().unwrap());
        seat_days(program, tenant, &owner, &ids[plan], month, wanted).await;
    }
    finalize(app, program, month).await;
    let [invoice] = &invoices(program).await[..] else { panic!("{file}: one invoice") };
    assert_eq!(document(invoice), without_names(expected), "{file}");
}

fn document(invoice: &Value) -> Value {
    let lines = invoice["lines"]["nodes"].as_array().unwrap().iter().zip(1..).map(|(line, number)| {
        let mut told = line_amounts(line);
        told["line"] = json!(number);
        told["tenant"] = line["customer"]["externalId"].clone();
        told["plan"] = line["plan"]["externalId"].clone();
        told
    });
    let vat = invoice["vat"].as_array().unwrap().iter().map(|total| {
        json!({
            "category": total["category"], "vat_bps": total["rateBps"],
            "taxable": total["taxable"]["minor"], "tax": total["tax"]["minor"],
        })
    });
    json!({
        "lines": lines.collect::<Vec<_>>(), "vat": vat.collect::<Vec<_>>(),
        "net_total": invoice["netTotal"]["minor"], "vat_total": invoice["vatTotal"]["minor"],
        "gross_total": invoice["grossTotal"]["minor"], "vat_total_dkk": invoice["vatInBooks"]["minor"],
    })
}

/// The file's expectation in the API's words for VAT categories; without a conversion it says so.
fn without_names(expected: &Value) -> Value {
    let mut expected = expected.clone();
    if expected.get("vat_total_dkk").is_none() {
        expected["vat_total_dkk"] = Value::Null;
    }
    for total in expected["vat"].as_array_mut().unwrap() {
        let word = match total["category"].as_str().unwrap() {
            "S" => "STANDARD",
            "AE" => "REVERSE_CHARGE",
            other => panic!("{other}"),
        };
        total["category"] = json!(word);
    }
    expected
}

#[test]
fn r4_documents() {
    for file in ["04-invoice-dk.json", "05-invoice-eur.json"] {
        each(file, async |app, program, case| documents_of(file, app, program, case).await);
    }
}

#[test]
fn r10_credit_notes() {
    each("11-credit-notes.json", async |app, program, case| {
        let (input, expected) = (&case["input"], &case["expected"]);
        let month = first_month(case);
        one_tier(program, month, &json!(0)).await;
        let owner = partner(program, "DK", "DK87654321", "DKK").await;
        let nets = input["invoice_line_nets"].as_array().unwrap().iter().map(|net| net.as_i64().unwrap());
        let named: Vec<_> = (1..).zip(nets).map(|(number, net)| (format!("plan-{number}"), net)).collect();
        let ids = plans(program, "DKK", &named).await;
        for (number, plan) in ids.iter().enumerate() {
            subscription(program, &format!("c-{number}"), &owner, plan, month.first(), 1).await;
        }
        finalize(app, program, month).await;
        let [invoice] = &invoices(program).await[..] else { panic!("one invoice") };
        let told = json!({
            "net": invoice["netTotal"]["minor"], "vat": invoice["vatTotal"]["minor"], "gross": invoice["grossTotal"]["minor"],
        });
        assert_eq!(told, expected["invoice"]);
        for (credit, note) in
            input["credits"].as_array().unwrap().iter().zip(expected["credit_notes"].as_array().unwrap())
        {
            let lines = credit.as_object().unwrap().iter().map(|(number, net)| {
                let amount = json!({ "minor": net, "currency": "DKK" });
                json!({ "lineNumber": number.parse::<i64>().unwrap(), "amount": amount })
            });
            let input = json!({ "invoice": invoice["id"], "lines": lines.collect::<Vec<_>>(), "memo": "Aftalt" });
            let fields = "creditNote { netTotal { minor } vatTotal { minor } grossTotal { minor } }";
            let made = &program.done("createCreditNote", fields, input).await["creditNote"];
            let told = json!({
                "net": made["netTotal"]["minor"], "vat": made["vatTotal"]["minor"], "gross": made["grossTotal"]["minor"],
            });
            assert_eq!(&told, note);
        }
        fully_credited(&invoices(program).await[0], expected);
    });
}

/// A fully credited invoice is paid; what its notes left of the VAT went to the rounding account.
fn fully_credited(invoice: &Value, expected: &Value) {
    let steps = invoice["settlement"]["steps"]["nodes"].as_array().unwrap();
    let rounded = steps.iter().filter(|step| step["kind"] == "ROUNDING");
    let rounded: i64 = rounded.map(|step| step["amount"]["minor"].as_i64().unwrap()).sum();
    assert_eq!(rounded, expected["vat_left_after_full_credit"].as_i64().unwrap_or(0));
    assert_eq!(invoice["paymentStatus"] == "PAID", expected["fully_credited"] == true);
    assert_eq!(invoice["due"]["minor"] == 0, expected["fully_credited"] == true);
}

const EVALUATIONS: &str = "query ($partner: ID!) { tierEvaluations(partner: $partner) {
    nodes { month measuredTier billedTier discountBps reason } } }";

#[test]
fn r11_tier_months() {
    each("12-tier-months.json", async |app, program, case| {
        let input = &case["input"];
        let listed = input["tiers"].as_array().unwrap().iter().map(|tier| {
            let (from, bps) = (tier["from_users"].as_i64().unwrap(), tier["discount_bps"].as_i64().unwrap());
            (tier["name"].as_str().unwrap(), from, bps)
        });
        let start = first_month(case);
        tiers(program, start, &input["grace_months"], &listed.collect::<Vec<_>>()).await;
        let owner = partner(program, "DK", "DK87654321", "DKK").await;
        let plan = plans(program, "DKK", &[("Pro".to_owned(), 14_900)]).await.remove(0);
        let of = subscription(program, "acme", &owner, &plan, start.first(), 0).await;
        for month in input["months"].as_array().unwrap() {
            let name = month["month"].as_str().unwrap();
            let of_month: Month = name.parse().unwrap();
            let first = of_month.first().to_string();
            change(program, name, &of, &first, "quantity", month["users"].as_i64().unwrap()).await;
            if let Some(tier) = month["pinned"].as_str() {
                let pin = json!({
                    "partner": owner, "fromMonth": name, "throughMonth": name, "tier": tier, "reason": "Aftale",
                });
                program.done("pinTier", "__typename", pin).await;
            }
            finalize(app, program, of_month).await;
        }
        let data = program.data(EVALUATIONS, json!({ "partner": owner })).await;
        let told = data["tierEvaluations"]["nodes"].as_array().unwrap().iter().rev().map(|row| {
            json!({
                "month": row["month"], "measured": row["measuredTier"], "billed": row["billedTier"],
                "discount_bps": row["discountBps"], "reason": row["reason"],
            })
        });
        assert_eq!(json!({ "months": told.collect::<Vec<_>>() }), case["expected"]);
    });
}
