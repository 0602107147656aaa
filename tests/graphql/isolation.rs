//! Another organization's ids are answered as ids that nobody has: for every query and every mutation that takes one.
//!
//! What is asked is generated from the schema, so that a new argument is asked for, too.

use std::collections::BTreeMap;

use billing::attribution::leads::{self, NewLead};
use billing::attribution::touches::Clues;
use billing::catalog::Pricing;
use billing::invoicing::run::Goal;
use billing_primitives::CustomerId;
use serde_json::{Map, Value, json};
use tests::desk::{Desk, paid_invoice};
use tests::{App, dkk, story};
use uuid::Uuid;

use crate::client::Program;

/// One object of each kind, by the prefix of its id.
type Ids = BTreeMap<String, String>;

const SCHEMA: &str = "{ __schema { types { kind name
    inputFields { name defaultValue type { ...T } }
    fields { name args { name defaultValue type { ...T } } type { ...T } } enumValues { name } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// An organization with something of everything.
async fn populated(app: &App, program: &Program) -> Ids {
    app.tiers("2026-01").await;
    let plan = app.plan("pro", Pricing::PerSeat).await;
    app.prices("2025-01-01", &[(&plan, dkk(9_995))]).await;
    let partner = app.partner("P-1").await;
    let customer = app.customer("C-1", Some(partner.id)).await;
    app.subscribe("S-1", &customer, &plan, "2026-01-01", 3).await;
    let (partner, plan) = (partner.id.to_string(), plan.id.to_string());
    let price = json!({ "minor": 20_000, "currency": "DKK" });
    let retail = json!({ "partner": partner, "plan": plan, "effectiveOn": "2026-01-01", "unitPrice": price });
    program.done("setRetailPrice", "__typename", retail).await;
    let pin = json!({ "partner": partner, "fromMonth": "2026-02", "tier": "PREMIER", "reason": "Aftale" });
    program.done("pinTier", "__typename", pin).await;
    programme(program, &partner).await;
    commission(app, program, &partner).await;
    app.on("2026-02-01").run("2026-01", Goal::Finalized).await;
    let invoice = app.invoices().await.remove(0).id.to_string();
    let amount = json!({ "minor": 100, "currency": "DKK" });
    let payment = json!({ "invoice": invoice, "amount": amount, "receivedOn": "2026-02-01" });
    program.done("recordPayment", "__typename", payment).await;
    let note = json!({ "invoice": invoice, "lines": [{ "lineNumber": 1, "amount": amount }], "memo": "Kulance" });
    program.done("createCreditNote", "__typename", note).await;
    payout_run(program, &partner).await;
    referrals(app, program, &partner, customer.id).await;
    let query = "query ($partner: ID!) {
        organization { id } customers { nodes { id attributions { id } touches { id } } }
        partners { nodes { id referralCodes { id links { id } } claimLinks { nodes { id } } leads { nodes { id } } } }
        plans { nodes { id } }
        priceLists { nodes { id versions { nodes { id } } } } subscriptions { nodes { id seatChanges { nodes { id } } } }
        tierTables { nodes { id } } tierPins(partner: $partner) { nodes { id } } billingRuns { nodes { id } }
        invoices { nodes { id lines { nodes { id } } } } creditNotes { nodes { id } } payments { nodes { id } }
        retailPrices(partner: $partner) { nodes { id } } ledgerAccounts { nodes { id } } events { nodes { id } }
        commissions { nodes { id entries { id } } } stripeEndpoints { nodes { id } }
        commissionStatements { nodes { id } } payoutRuns { nodes { id } } payouts { nodes { id } }
        programs { nodes { id versions { nodes { id } } } } enrollments { nodes { id } } applications { nodes { id } }
        auditEntries { nodes { id } } apiKeys { nodes { id } } }";
    let mut ids = Ids::new();
    collect(&program.data(query, json!({ "partner": partner })).await, &mut ids);
    // Nobody who is sold to directly has subscriptions, and nobody else has commissions.
    let direct = program.data("{ commissions { nodes { customer { id } } } }", json!({})).await;
    let direct = direct["commissions"]["nodes"][0]["customer"]["id"].as_str().unwrap();
    ids.insert("cus, direct".to_owned(), direct.to_owned());
    ids
}

/// A code of the enrolled partner, and what it has brought.
async fn referrals(app: &App, program: &Program, partner: &str, customer: CustomerId) {
    let enrollments = program.data("{ enrollments { nodes { id } } }", json!({})).await;
    let enrollment = &enrollments["enrollments"]["nodes"][0]["id"];
    let code = json!({ "partner": partner, "enrollment": enrollment, "code": "SOMMER" });
    let made = program.done("createReferralCode", "referralCode { id }", code).await;
    let codes = program.data("{ partners { nodes { referralCodes { id } } } }", json!({})).await;
    // The default code was made first.
    let first = &codes["partners"]["nodes"][0]["referralCodes"][0]["id"];
    assert_ne!(first, &made["referralCode"]["id"]);
    let link = json!({ "code": first, "name": "Forside", "destination": "https://saelger.example" });
    program.done("createReferralLink", "__typename", link).await;
    let touch = json!({ "code": "sommer", "source": "LINK", "customer": customer.to_string() });
    program.done("recordTouch", "__typename", touch).await;
    let claim = json!({ "partner": partner, "kind": "WHOLESALE", "customerExternalId": "C-2", "customerName": "Ny" });
    program.done("createClaimLink", "__typename", claim).await;
    let lead = NewLead {
        code: "SOMMER".to_owned(),
        name: "Kim".to_owned(),
        email: "kim@kunde.example".to_owned(),
        company: None,
        message: None,
        visitor: None,
        clues: Clues::default(),
    };
    leads::submit(&app.billing, app.organization, &lead).await.unwrap();
}

/// Something that the enrolled partner has earned.
async fn commission(app: &App, program: &Program, partner: &str) {
    let found = program.data("{ enrollments { nodes { id } } }", json!({})).await;
    let enrollment = found["enrollments"]["nodes"][0]["id"].as_str().unwrap().parse().unwrap();
    let customer = app.stripe_customer("C-stripe", "cus_1").await;
    app.attribute(customer.id, enrollment, "2026-01-01").await;
    app.on("2026-01-10");
    let desk = Desk::of(app, 1).await;
    for event in paid_invoice("cus_1", 1, "DKK", 1_768_046_400, 100_000) {
        desk.deliver(&event).await;
    }
    let details = json!({ "partner": partner, "holder": "Partner ApS", "iban": "DK50 0040 0440 1162 43" });
    program.done("setPayoutDetails", "__typename", details).await;
    program.done("verifyPayoutDetails", "__typename", json!({ "partner": partner })).await;
}

/// A statement of it, and a payout in a run that is a draft.
async fn payout_run(program: &Program, partner: &str) {
    program.done("makeCommissionStatements", "made", json!({ "month": "2026-01" })).await;
    let found = program.data("{ programs { nodes { id } } }", json!({})).await;
    let run = json!({ "program": found["programs"]["nodes"][0]["id"], "runKey": "2026-01" });
    let made = program.done("openPayoutRun", "payoutRun { payouts { nodes { partner { id } } } }", run).await;
    assert_eq!(made["payoutRun"]["payouts"]["nodes"][0]["partner"]["id"], partner);
}

/// A programme with a version and a draft, the partner in it, and somebody who wants to be.
async fn programme(program: &Program, partner: &str) {
    let tier = json!({ "code": "SILVER", "name": "Sølv", "phases": [{ "fromMonth": 1, "rateBps": 1000 }] });
    let attribution = json!({ "sources": [{ "source": "LINK", "days": 90 }] });
    let terms = json!({ "tiers": [tier], "attribution": attribution, "holdDays": 0 });
    let input = json!({ "externalId": "PR-1", "name": "Affiliates", "currency": "DKK", "terms": terms });
    let made = program.done("createProgram", "program { id }", input).await;
    let id = made["program"]["id"].as_str().unwrap();
    let published = json!({ "program": id, "effectiveFrom": "2026-01-01" });
    program.done("publishProgramVersion", "__typename", published).await;
    program.done("saveProgramDraft", "__typename", json!({ "program": id, "terms": terms })).await;
    let enrollment = json!({ "program": id, "partner": partner, "enrolledFrom": "2026-01-01" });
    program.done("enrollPartner", "__typename", enrollment).await;
    let application = json!({ "program": id, "legalName": "Ny ApS", "contactName": "Bo", "email": "ny@partner.example",
        "country": "DK" });
    program.done("submitApplication", "__typename", application).await;
}

fn collect(value: &Value, ids: &mut Ids) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        Value::Object(fields) => {
            if let Some(id) = fields.get("id").and_then(Value::as_str) {
                let (prefix, _) = id.split_once('_').unwrap();
                ids.entry(prefix.to_owned()).or_insert_with(|| id.to_owned());
            }
            fields.values().for_each(|field| collect(field, ids));
        }
        _ => {}
    }
}

/// An id of the same form that nobody has.
fn nobodys(id: &str) -> String {
    let hex = Uuid::now_v7().simple().to_string();
    let mut parts: Vec<&str> = id.split('_').collect();
    parts[1] = &hex;
    parts.join("_")
}

/// The schema, as far as questions are made of it.
struct Schema(BTreeMap<String, Value>);

/// A value of a question: where an id stands, and what it is for.
struct Question {
    /// Such as `recordPayment(input.invoice)`.
    name: String,
    text: String,
    variables: Value,
    /// The place of the id in the variables, as a JSON pointer.
    at: String,
}

impl Schema {
    async fn of(program: &Program) -> Schema {
        let told = program.data(SCHEMA, json!({})).await;
        let types = told["__schema"]["types"].as_array().unwrap();
        Schema(types.iter().map(|ty| (ty["name"].as_str().unwrap().to_owned(), ty.clone())).collect())
    }

    fn fields(&self, ty: &str) -> &[Value] {
        self.0[ty]["fields"].as_array().unwrap()
    }

    /// A value that passes the type; ids are the asker's own, by what the argument is called.
    fn sample(&self, name: &str, ty: &Value, own: &Ids) -> Value {
        match ty["kind"].as_str().unwrap() {
            "NON_NULL" => self.sample(name, &ty["ofType"], own),
            "LIST" => json!([self.sample(name, &ty["ofType"], own)]),
            "ENUM" => self.0[ty["name"].as_str().unwrap()]["enumValues"][0]["name"].clone(),
            "INPUT_OBJECT" => self.object(ty["name"].as_str().unwrap(), own),
            _ => match ty["name"].as_str().unwrap() {
                "ID" => json!(own[kind_of(name)]),
                "Boolean" => json!(true),
                "Int" | "Count" | "MinorUnits" => json!(1),
                "Currency" => json!("DKK"),
                "Date" => json!("2026-02-01"),
                "DateTime" => json!("2026-02-01T00:00:00Z"),
                "Month" => json!("2026-02"),
                "Rate" => json!("7.46"),
                "String" if name == "email" => json!("a@partner.example"),
                "String" if name == "tier" => json!("PREMIER"),
                "String" if name == "secrets" => json!("whsec_0123456789abcdef"),
                "String" => json!("DK"),
                other => panic!("what is a value of {other}?"),
            },
        }
    }

    fn object(&self, ty: &str, own: &Ids) -> Value {
        let fields = self.0[ty]["inputFields"].as_array().unwrap().iter();
        let needed = fields.filter(|field| is_needed(field));
        let member = |field: &Value| {
            let name = field["name"].as_str().unwrap();
            (name.to_owned(), self.sample(name, &field["type"], own))
        };
        Value::Object(needed.map(member).collect())
    }

    /// One question for each id that a field of `root` takes.
    fn questions(&self, root: &str, own: &Ids) -> Vec<Question> {
        let mut all = Vec::new();
        for field in self.fields(root) {
            for path in self.id_paths(field["args"].as_array().unwrap()) {
                all.push(self.question(root, field, &path, own));
            }
        }
        all
    }

    /// Where ids stand below some arguments or input fields.
    fn id_paths(&self, members: &[Value]) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for member in members {
            let (name, (inner, list)) = (member["name"].as_str().unwrap().to_owned(), named(&member["type"]));
            let begin = if list { vec![name, "0".to_owned()] } else { vec![name] };
            match &self.0[inner]["inputFields"] {
                _ if inner == "ID" => paths.push(begin),
                Value::Array(fields) => {
                    paths.extend(self.id_paths(fields).into_iter().map(|rest| [begin.clone(), rest].concat()));
                }
                _ => {}
            }
        }
        paths
    }

    fn question(&self, root: &str, field: &Value, path: &[String], own: &Ids) -> Question {
        let name = field["name"].as_str().unwrap();
        let needs = |arg: &&Value| arg["name"] == path[0].as_str() || is_needed(arg);
        let args: Vec<&Value> = field["args"].as_array().unwrap().iter().filter(needs).collect();
        let mut variables = Map::new();
        let (mut declared, mut given) = (Vec::new(), Vec::new());
        for arg in args {
            let name = arg["name"].as_str().unwrap();
            declared.push(format!("${name}: {}", written(&arg["type"])));
            given.push(format!("{name}: ${name}"));
            let value = if name == "id" { json!("") } else { self.sample(name, &arg["type"], own) };
            variables.insert(name.to_owned(), value);
        }
        let operation = if root == "Mutation" { "mutation" } else { "query" };
        let selection = self.selection(named(&field["type"]).0);
        let text = format!("{operation} ({}) {{ {name}({}) {selection} }}", declared.join(", "), given.join(", "));
        let at = format!("/{}", path.join("/"));
        Question { name: format!("{name}({})", path.join(".")), text, variables: Value::Object(variables), at }
    }

    /// Enough of a type to tell something from nothing.
    fn selection(&self, ty: &str) -> String {
        let has = |name: &str| self.fields(ty).iter().any(|field| field["name"] == name);
        if has("userErrors") {
            "{ userErrors { code field message } }".to_owned()
        } else if has("pageInfo") {
            "{ nodes { __typename } pageInfo { hasNextPage } }".to_owned()
        } else {
            "{ __typename }".to_owned()
        }
    }
}

/// Arguments and fields that are asked for though their types do not say so.
const WANTED: [&str; 7] = ["delta", "overrides", "ownedOn", "planRules", "rateBps", "seats", "terms"];

fn is_needed(member: &Value) -> bool {
    let required = member["type"]["kind"] == "NON_NULL" && member["defaultValue"].is_null();
    required || WANTED.contains(&member["name"].as_str().unwrap())
}

/// The kind of object that an argument of this name means.
fn kind_of(name: &str) -> &'static str {
    match name {
        "partner" | "parent" | "owner" | "ownedBy" | "referredBy" => "par",
        "program" => "prog",
        "before" | "after" => "pgv",
        "enrollment" => "enr",
        "application" => "app",
        "claimLink" => "clm",
        "code" => "rfc",
        "customer" => "cus",
        "lead" => "lead",
        "plan" => "plan",
        "subscription" => "sub",
        "tierTable" => "tie",
        "pin" => "pin",
        "invoice" | "subject" => "inv",
        "payment" => "pay",
        "commission" => "com",
        "endpoint" => "whe",
        "payout" => "pyt",
        "payoutRun" => "prun",
        "key" => "key",
        other => panic!("what does {other} mean?"),
    }
}

/// The named type inside, and whether it is in a list.
fn named(ty: &Value) -> (&str, bool) {
    match ty["kind"].as_str().unwrap() {
        "NON_NULL" => named(&ty["ofType"]),
        "LIST" => (named(&ty["ofType"]).0, true),
        _ => (ty["name"].as_str().unwrap(), false),
    }
}

fn written(ty: &Value) -> String {
    match ty["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", written(&ty["ofType"])),
        "LIST" => format!("[{}]", written(&ty["ofType"])),
        _ => ty["name"].as_str().unwrap().to_owned(),
    }
}

/// Puts a value where a JSON pointer says; objects on the way there are made.
fn put(variables: &mut Value, at: &str, value: &str) {
    let mut place = variables;
    for part in at.split('/').skip(1) {
        place = match place {
            Value::Array(items) => &mut items[part.parse::<usize>().unwrap()],
            other => {
                if other.is_null() {
                    *other = json!({});
                }
                other.as_object_mut().unwrap().entry(part).or_insert(Value::Null)
            }
        };
    }
    *place = json!(value);
}

/// The answer with the id taken out of its messages.
async fn answer(program: &Program, question: &Question, id: &str) -> Value {
    let mut variables = question.variables.clone();
    put(&mut variables, &question.at, id);
    let mut answer = program.ask(&question.text, variables).await;
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("extensions");
    }
    let written = answer.to_string();
    let hex = id.split('_').nth(1).unwrap();
    serde_json::from_str(&written.replace(id, "<id>").replace(hex, "<hex>")).unwrap()
}

#[test]
fn foreign_ids_are_answered_as_ids_that_nobody_has() {
    story(async |app| {
        let theirs = App::new(app.billing.db.clone()).await;
        let (program, stranger) = (Program::of(&app).await, Program::of(&theirs).await);
        let (own, foreign) = (populated(&app, &program).await, populated(&theirs, &stranger).await);
        assert_eq!(own.keys().collect::<Vec<_>>(), foreign.keys().collect::<Vec<_>>());
        let schema = Schema::of(&program).await;

        let queries = schema.questions("Query", &own);
        for question in &queries {
            for id in foreign.values() {
                let found = answer(&program, question, id).await;
                let nothing = answer(&program, question, &nobodys(id)).await;
                assert_eq!(found, nothing, "{} with {id}", question.name);
            }
            let mut told = 0;
            for id in own.values() {
                let nothing = answer(&program, question, &nobodys(id)).await;
                told += usize::from(answer(&program, question, id).await != nothing);
            }
            assert!(told > 0, "{} tells nobody anything", question.name);
        }
        let mutations = schema.questions("Mutation", &own);
        let mut unrefused = Vec::new();
        for question in &mutations {
            let id = &foreign[kind_of(question.at.rsplit('/').next().unwrap())];
            let found = answer(&program, question, id).await;
            let nothing = answer(&program, question, &nobodys(id)).await;
            assert_eq!(found, nothing, "{} with {id}", question.name);
            let field = question.name.split('(').next().unwrap();
            if found["data"][field]["userErrors"][0]["code"] != "NOT_FOUND" {
                unrefused.push(format!("{}: {found}", question.name));
            }
        }
        assert!(unrefused.is_empty(), "{unrefused:#?}");
        assert!(queries.len() >= 20 && mutations.len() >= 20, "{} and {}", queries.len(), mutations.len());
        theirs.verify().await;
    });
}

#[test]
fn every_kind_of_object_is_found_by_its_id_and_only_by_its_organization() {
    story(async |app| {
        let theirs = App::new(app.billing.db.clone()).await;
        let (program, stranger) = (Program::of(&app).await, Program::of(&theirs).await);
        let own = populated(&app, &program).await;
        let query = "query ($id: ID!) { node(id: $id) { __typename id } }";
        let mut kinds = Vec::new();
        for id in own.values() {
            let found = program.data(query, json!({ "id": id })).await["node"].take();
            assert_eq!(&found["id"], id.as_str());
            kinds.push(found["__typename"].as_str().unwrap().to_owned());
            assert_eq!(stranger.data(query, json!({ "id": id })).await, json!({ "node": null }), "{id}");
        }
        kinds.sort_unstable();
        kinds.dedup();
        let possible = "{ __type(name: \"Node\") { possibleTypes { name } } }";
        let possible = program.data(possible, json!({})).await["__type"]["possibleTypes"].take();
        let mut possible: Vec<&str> =
            possible.as_array().unwrap().iter().map(|ty| ty["name"].as_str().unwrap()).collect();
        possible.sort_unstable();
        assert_eq!(kinds, possible);
    });
}

#[test]
fn a_cursor_of_another_organization_leads_nowhere() {
    story(async |app| {
        let theirs = App::new(app.billing.db.clone()).await;
        let (program, stranger) = (Program::of(&app).await, Program::of(&theirs).await);
        populated(&app, &program).await;
        populated(&theirs, &stranger).await;
        for list in
            ["invoices", "payments", "creditNotes", "billingRuns", "ledgerAccounts", "events", "auditEntries", "leads"]
        {
            let query =
                format!("query ($after: String) {{ {list}(first: 1, after: $after) {{ pageInfo {{ endCursor }} }} }}");
            let mut page = stranger.data(&query, json!({})).await;
            let cursor = json!({ "after": page[list]["pageInfo"]["endCursor"].take() });
            assert!(cursor["after"].is_string(), "{list}");
            stranger.data(&query, cursor.clone()).await;
            let answer = program.ask(&query, cursor).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{list}");
        }
    });
}
