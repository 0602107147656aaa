//! The public doors: what a seller's own site may send without a secret, and what it never learns.

use api::health::Readiness;
use billing::attribution::claims::{self, NewClaim};
use billing::attribution::{self, ClaimKind, LeadFilter};
use billing::programs::{self, ProgramChange};
use billing::{Page, customers, organizations};
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::http::StatusCode;
use poem::test::{TestClient, TestRequestBuilder};
use serde_json::{Value, json};
use tests::{App, plain_terms, story};

use crate::client::Program;

struct Site {
    client: TestClient<BoxEndpoint<'static, Response>>,
    key: String,
}

type Asked<'a> = TestRequestBuilder<'a, BoxEndpoint<'static, Response>>;

impl Site {
    async fn of(app: &App) -> Site {
        let key = organizations::get(&app.billing, app.organization).await.unwrap().publishable_key.unwrap();
        Site { client: TestClient::new(api::server::routes(&app.billing, Readiness::default()).unwrap().boxed()), key }
    }

    fn post(&self, what: &str) -> Asked<'_> {
        self.client.post(format!("/public/{what}"))
    }

    async fn told(request: Asked<'_>) -> (StatusCode, Value) {
        let mut answer = request.send().await.0;
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let status = answer.status();
        (status, serde_json::from_str(&answer.take_body().into_string().await.unwrap()).unwrap_or_default())
    }

    async fn send(&self, what: &str, body: Value) -> (StatusCode, Value) {
        Site::told(self.post(what).header("authorization", format!("Bearer {}", self.key)).body_json(&body)).await
    }

    async fn ok(&self, what: &str, body: Value) -> Value {
        let (status, answer) = self.send(what, body).await;
        assert_eq!(status, StatusCode::OK, "{what}: {answer}");
        answer
    }
}

/// A partner with the code P-1 in the default programme.
async fn scheme(app: &App) {
    app.on("2026-05-01");
    let program = app.program("AFF", plain_terms()).await;
    let change = ProgramChange { name: None, is_default: Some(true) };
    programs::update(&app.billing, &app.caller(), program.id, &change).await.unwrap();
    let partner = app.partner("P-1").await;
    app.enroll(&program, partner.id).await;
}

/// The source by which a customer is credited.
async fn credited(app: &App, external_id: &str) -> Option<String> {
    let customer = customers::by_external_id(&app.billing, app.organization, external_id).await.unwrap()?;
    let rows = attribution::attributions_of(&app.billing, app.organization, &[customer.id]).await.unwrap();
    rows.first().map(|row| row.source.to_string())
}

#[test]
fn a_visitor_becomes_a_credited_customer() {
    story(async |app| {
        scheme(&app).await;
        let site = Site::of(&app).await;
        let page = "https://saelger.example/?ref=p-1";
        let visitor = site.ok("touches", json!({ "code": "p-1", "url": page })).await["visitor"].take();
        let customer =
            json!({ "externalId": "C-1", "name": "Kunde", "email": "kim@kunde.example", "visitors": [visitor] });
        assert_eq!(site.ok("customers", customer.clone()).await, json!({ "status": "ok" }));
        assert_eq!(site.ok("customers", customer).await, json!({ "status": "ok" }), "twice is once");
        assert_eq!(credited(&app, "C-1").await.as_deref(), Some("LINK"));
        let lead = json!({ "code": "P-1", "name": "Ole", "email": "ole@kunde.example", "message": "Ring" });
        site.ok("leads", lead).await;
        let filter = LeadFilter::default();
        let leads = attribution::leads(&app.billing, app.organization, &Page::new(None, 10), &filter).await.unwrap();
        assert_eq!(leads.items.len(), 1);
    });
}

#[test]
fn answers_do_not_tell_what_is_known() {
    story(async |app| {
        scheme(&app).await;
        let site = Site::of(&app).await;
        let shape = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        for (what, known, unknown) in [
            ("touches", json!({ "code": "P-1" }), json!({ "code": "nobodys" })),
            (
                "leads",
                json!({ "code": "P-1", "name": "O", "email": "o@kunde.example" }),
                json!({ "code": "X?", "name": "O", "email": "o@kunde.example" }),
            ),
            (
                "applications",
                json!({ "legalName": "N", "contactName": "N", "email": "n@new.example", "country": "DK", "code": "P-1" }),
                json!({ "legalName": "N", "contactName": "N", "email": "n@new.example", "country": "DK", "code": "??" }),
            ),
        ] {
            let (known, unknown) = (site.ok(what, known).await, site.ok(what, unknown).await);
            assert_eq!(shape(&known), shape(&unknown), "{what}");
        }
        // Somebody else's customer cannot be reached by its name: not its touches, not its address, not its Stripe id.
        app.customer("C-9", None).await;
        let thief = json!({ "externalId": "C-9", "name": "Tyv", "email": "tyv@tyv.example", "code": "P-1" });
        assert_eq!(site.ok("customers", thief).await, json!({ "status": "ok" }));
        let kept = customers::by_external_id(&app.billing, app.organization, "C-9").await.unwrap().unwrap();
        assert_eq!((kept.name.as_str(), kept.email, credited(&app, "C-9").await), ("Kunde C-9", None, None));
        let stripe = json!({ "externalId": "C-8", "name": "Tyv", "stripeCustomerId": "cus_1" });
        for (what, wrong, field) in [
            ("customers", stripe, "stripeCustomerId"),
            ("touches", json!({}), "code"),
            ("leads", json!({ "code": "P-1" }), "name"),
        ] {
            let (status, answer) = site.send(what, wrong).await;
            assert_eq!((status, &answer["field"]), (StatusCode::BAD_REQUEST, &json!(field)), "{answer}");
        }
        // What cannot be stored is the caller's mistake and no fault.
        let with_key = json!({ "key": "avp_\u{0}", "code": "P-1" });
        let (status, answer) = Site::told(site.post("touches").body_json(&with_key)).await;
        assert_eq!((status, &answer["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("INVALID")));
        let lead = json!({ "code": "P-1", "name": "O", "email": "p@kunde.example", "message": "a\u{0}b" });
        assert_eq!(site.send("leads", lead).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        let applicant = json!({ "program": "\u{0}", "legalName": "N", "contactName": "N", "email": "n@new.example",
            "country": "DK" });
        assert_eq!(site.send("applications", applicant).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        // What cannot be right is told, known or not.
        for external_id in ["C-9", "C-7"] {
            let wrong = json!({ "externalId": external_id, "name": "X", "email": "x" });
            let (status, answer) = site.send("customers", wrong).await;
            assert_eq!((status, &answer["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("email")));
        }
    });
}

#[test]
fn a_claim_link_is_used_once() {
    story(async |app| {
        scheme(&app).await;
        let site = Site::of(&app).await;
        let partner = billing::partners::by_external_id(&app.billing, app.organization, "P-1").await.unwrap().unwrap();
        let claim = NewClaim {
            partner: partner.id,
            kind: ClaimKind::Affiliate,
            enrollment: None,
            customer_external_id: "C-1".to_owned(),
            customer_name: "Kunde".to_owned(),
            email: None,
            plan: None,
            seats: None,
            expires_in_days: None,
        };
        let made = claims::create(&app.billing, &app.caller(), &claim).await.unwrap().into_inner();
        let body = json!({ "token": made.token.unwrap().reveal(), "email": "kim@kunde.example" });
        let answer = site.ok("claims", body.clone()).await;
        assert_eq!(answer, json!({ "customer": { "externalId": "C-1", "name": "Kunde" } }));
        assert_eq!(credited(&app, "C-1").await.as_deref(), Some("CLAIM_LINK"));
        let without_id = |mut answer: Value| {
            answer["requestId"].take();
            answer
        };
        let (status, used) = site.send("claims", body).await;
        let (_, unknown) = site.send("claims", json!({ "token": "avc_0", "email": "kim@kunde.example" })).await;
        assert_eq!((status, &used["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("CLAIM_LINK_INVALID")));
        assert_eq!(without_id(used), without_id(unknown));
    });
}

#[test]
fn the_organization_is_named_by_key_or_host() {
    story(async |app| {
        scheme(&app).await;
        let (site, program) = (Site::of(&app).await, Program::of(&app).await);
        let body = json!({ "code": "P-1" });
        let status = async |request: Asked<'_>| Site::told(request).await.0;
        assert_eq!(
            status(site.post("touches").body_json(&json!({ "code": "P-1", "key": site.key }))).await,
            StatusCode::OK
        );
        assert_eq!(status(site.post("touches").body_json(&body)).await, StatusCode::UNAUTHORIZED);
        let host = format!("{}.saelger.example", app.external_id);
        program.done("setPublicHost", "organization { publicHost }", json!({ "host": host.to_uppercase() })).await;
        let by_host = || site.post("touches").header("host", format!("{host}:443")).body_json(&body);
        assert_eq!(status(by_host()).await, StatusCode::OK);
        let theirs = App::new(app.billing.db.clone()).await;
        let taken = Program::of(&theirs).await.refused("setPublicHost", json!({ "host": host })).await;
        assert_eq!(taken, ("HOST_TAKEN".to_owned(), json!(["input", "host"])));
        program.done("setPublicHost", "organization { publicHost }", json!({})).await;
        assert_eq!(status(by_host()).await, StatusCode::UNAUTHORIZED);
        // A rolled key names nobody, and a secret key is no publishable one.
        let rolled =
            program.done("rollPublishableKey", "organization { publishableKey }", json!({ "confirm": true })).await;
        let new = rolled["organization"]["publishableKey"].as_str().unwrap().to_owned();
        let secret = Program::secret_of(&app).await;
        for (key, expected) in
            [(&site.key, StatusCode::UNAUTHORIZED), (&secret, StatusCode::UNAUTHORIZED), (&new, StatusCode::OK)]
        {
            let request = site.post("touches").header("authorization", format!("Bearer {key}")).body_json(&body);
            assert_eq!(status(request).await, expected);
        }
        // And a publishable key opens nothing else.
        let request = site.client.post("/graphql").header("authorization", format!("Bearer {new}"));
        let answer = request.body_json(&json!({ "query": "{ organization { name } }" })).send().await;
        answer.assert_status(StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn the_door_is_narrow() {
    story(async |app| {
        scheme(&app).await;
        let site = Site::of(&app).await;
        let asked = site.client.options("/public/touches").header("origin", "https://saelger.example").send().await.0;
        assert_eq!(asked.status(), StatusCode::NO_CONTENT);
        assert_eq!(asked.headers()["access-control-allow-headers"], "authorization, content-type, x-request-id");
        site.client.get("/public/touches").send().await.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        let with_key =
            |body: String| site.post("touches").header("authorization", format!("Bearer {}", site.key)).body(body);
        let big = json!({ "code": "P-1", "url": "x".repeat(16 * 1024) }).to_string();
        assert_eq!(Site::told(with_key(big)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        for wrong in ["", "[]", "{\"code\": 1}", "{\"code\": \"P-1\", \"amount\": 1}"] {
            assert_eq!(Site::told(with_key(wrong.to_owned())).await.0, StatusCode::BAD_REQUEST, "{wrong}");
        }
        let mut last = StatusCode::OK;
        for _ in 0..60 {
            let answer =
                site.post("touches").header("authorization", format!("Bearer {}", site.key)).body("{}").send().await.0;
            last = answer.status();
            if last == StatusCode::TOO_MANY_REQUESTS {
                let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait));
            }
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    });
}
