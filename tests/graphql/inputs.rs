//! What is wrong with an input is told as such: with the field of the mutation's own input, and never as a fault.

use billing::catalog::Pricing;
use billing::invoicing::run::Goal;
use billing::partners::PartnerProfile;
use serde_json::{Value, json};
use tests::{App, dkk, plain_terms, story};

use crate::client::Program;

#[test]
fn a_character_that_cannot_be_stored_is_the_callers_mistake() {
    story(async |app| {
        let program = Program::of(&app).await;
        let partner = app.partner("P-1").await.id.to_string();
        for query in [
            "query ($t: String!) { partner(externalId: $t) { id } }",
            "query ($t: String!) { stripeEvent(eventId: $t) { eventId } }",
            "query ($t: String!) { stripeEvents(stripeCustomer: $t) { nodes { eventId } } }",
        ] {
            let answer = program.ask(query, json!({ "t": "P\u{0}" })).await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{query} {answer}");
            assert_eq!(error["message"], "a text holds a character that cannot be stored (NUL)", "{query}");
        }
        let plan = app.plan("pro", Pricing::PerSeat).await.id.to_string();
        let price = json!({ "plan": plan, "unitPrice": { "minor": 1, "currency": "DKK" } });
        for (name, input) in [
            ("replayStripeEvents", json!({ "eventIds": ["evt_\u{0}"] })),
            ("pinTier", json!({ "partner": partner, "fromMonth": "2026-02", "tier": "\u{0}", "reason": "Aftale" })),
            ("registerCustomer", json!({ "externalId": "C\u{0}", "name": "Kunde" })),
            (
                "publishPrices",
                json!({ "priceList": "\u{0}", "currency": "DKK", "effectiveOn": "2026-01-01", "prices": [price] }),
            ),
        ] {
            assert_eq!(program.refused(name, input).await.0, "INVALID", "{name}");
        }
    });
}

/// Mutations, each with something wrong, and the field that has to change.
async fn wrongs(app: &App, partner: &str) -> Vec<(&'static str, Value, Value)> {
    let plan = app.plan("pro", Pricing::PerSeat).await;
    let flat = app.plan("flat", Pricing::Flat).await.id.to_string();
    app.prices("2025-01-01", &[(&plan, dkk(10_000))]).await;
    let customer = app.customer("C-1", Some(partner.parse().unwrap())).await;
    app.subscribe("S-0", &customer, &plan, "2026-01-01", 3).await;
    let customer = customer.id.to_string();
    let rewards = app.program("AFF", plain_terms()).await.id.to_string();
    app.on("2026-02-02").run("2026-01", Goal::Finalized).await;
    let euro = json!({ "minor": 1, "currency": "EUR" });
    let price = json!({ "plan": plan.id.to_string(), "unitPrice": { "minor": 1, "currency": "DKK" } });
    let tier = json!({ "code": "T", "name": "T", "fromUsers": 0, "discountBps": 100 });
    let bare = json!({ "phases": [{ "fromMonth": 1 }] });
    let empty = json!({ "planRules": [{ "plan": plan.id.to_string(), "phases": [] }] });
    let subscription = |plan: &str, seats: i64| {
        let (name, on) = ("S-1", "2026-02-01");
        json!({ "externalId": name, "customer": customer, "plan": plan, "startsOn": on, "seats": seats })
    };
    let prices =
        |list: &str, on: &str| json!({ "priceList": list, "currency": "DKK", "effectiveOn": on, "prices": [price] });
    vec![
        (
            "enrollPartner",
            json!({ "program": rewards, "partner": partner, "overrides": bare }),
            json!(["input", "overrides", "phases"]),
        ),
        (
            "enrollPartner",
            json!({ "program": rewards, "partner": partner, "overrides": empty }),
            json!(["input", "overrides", "planRules"]),
        ),
        ("replayStripeEvents", json!({ "eventIds": ["evt_none"] }), json!(["input", "eventIds"])),
        ("replayStripeEvents", json!({}), json!(["input", "eventIds"])),
        ("createSubscription", subscription(&plan.id.to_string(), -1), json!(["input", "seats"])),
        ("createSubscription", subscription(&flat, 1), json!(["input", "seats"])),
        ("publishPrices", prices("list-DKK", "2026-01-15"), json!(["input", "effectiveOn"])),
        ("publishPrices", prices(" ", "2026-03-01"), json!(["input", "priceList"])),
        ("publishTierTable", json!({ "effectiveFrom": "2026-01", "tiers": [tier] }), json!(["input", "effectiveFrom"])),
        ("publishTierTable", json!({ "effectiveFrom": "2025-12", "tiers": [tier] }), json!(["input", "effectiveFrom"])),
        (
            "setRetailPrice",
            json!({ "partner": partner, "plan": flat, "effectiveOn": "2026-01-01", "unitPrice": euro }),
            json!(["input", "unitPrice", "currency"]),
        ),
    ]
}

#[test]
fn refusals_name_fields_that_the_input_has() {
    story(async |app| {
        let program = Program::of(&app).await;
        app.tiers("2026-01").await;
        let partner = app.partner("P-1").await.id.to_string();
        for (name, input, field) in wrongs(&app, &partner).await {
            assert_eq!(program.refused(name, input.clone()).await.1, field, "{name} {input}");
        }
        let without = app.partner_as(PartnerProfile { vat_number: None, ..App::profile("P-2") }).await;
        let check = json!({ "partner": without.id.to_string(), "status": "VALID" });
        assert_eq!(program.refused("recordVatNumberCheck", check).await.1, json!(["input", "partner"]));
    });
}

#[test]
fn terms_are_refused_with_their_place() {
    story(async |app| {
        let program = Program::of(&app).await;
        let rewards = app.program("AFF", plain_terms()).await.id.to_string();
        let draft = |change: fn(&mut Value)| {
            let phases = json!([{ "fromMonth": 1, "rateBps": 1000 }, { "fromMonth": 13, "rateBps": 500 }]);
            let mut terms = json!({ "tiers": [{ "code": "SILVER", "name": "Sølv", "phases": phases }],
                "attribution": { "sources": [{ "source": "LINK", "days": 90 }] } });
            change(&mut terms);
            json!({ "program": rewards, "terms": terms })
        };
        type Change = fn(&mut Value);
        let wrongs: [(Change, &str, &str); 4] = [
            (
                |terms| terms["tiers"][0]["phases"][1]["rateBps"] = json!(10_001),
                "tiers",
                "tiers: SILVER: phases[1]: 10001 basis points are not between 0 and 10000",
            ),
            (
                |terms| terms["tiers"][0]["phases"][1]["fromMonth"] = json!(-1),
                "tiers",
                "tiers: SILVER: phases[1]: fromMonth -1 is below zero",
            ),
            (
                |terms| terms["payoutSchedule"] = json!("0 0 30 2 *"),
                "payoutSchedule",
                "payoutSchedule: a cron expression that no day ever meets",
            ),
            (
                |terms| terms["payoutSchedule"] = json!("*/5 * * * *"),
                "payoutSchedule",
                "payoutSchedule: more often than once a day",
            ),
        ];
        for (change, field, message) in wrongs {
            let payload = program.mutate("saveProgramDraft", "__typename", draft(change)).await;
            let error = &payload["userErrors"][0];
            assert_eq!((&error["field"], &error["message"]), (&json!(["input", "terms", field]), &json!(message)));
        }
        program.done("saveProgramDraft", "__typename", draft(|_| ())).await;
    });
}

#[test]
fn what_would_be_dropped_in_silence_is_refused() {
    story(async |app| {
        let program = Program::of(&app).await;
        let of = |stripe: &str| json!({ "externalId": "C-1", "name": "Kunde", "stripeCustomerId": stripe });
        program.done("registerCustomer", "__typename", of("cus_1")).await;
        program.done("registerCustomer", "__typename", of("cus_1")).await;
        let refused = program.refused("registerCustomer", of("cus_2")).await;
        assert_eq!(refused, ("INVALID".to_owned(), json!(["input", "stripeCustomerId"])));
        let partner = app.partner("P-1").await.id.to_string();
        let claim =
            json!({ "partner": partner, "kind": "WHOLESALE", "customerExternalId": "C-1", "customerName": "Kunde" });
        let refused = program.refused("createClaimLink", claim).await;
        assert_eq!(refused, ("INVALID".to_owned(), json!(["input", "customerExternalId"])));
        let year_one = json!({ "externalId": "C-2", "name": "Kunde", "registeredAt": "0001-01-01T00:00:00Z" });
        let query = "mutation ($input: RegisterCustomerInput!) { registerCustomer(input: $input) { __typename } }";
        let answer = program.ask(query, json!({ "input": year_one })).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
        assert!(error["message"].as_str().unwrap().contains("lies outside the years 1970 to 2199"), "{answer}");
    });
}
