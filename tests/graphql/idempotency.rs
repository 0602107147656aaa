//! Retrying a write with its key is safe: one effect, the first answer, whatever happened in between.

use api::health::Readiness;
use billing::{Page, partners};
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::http::StatusCode;
use poem::test::TestClient;
use serde_json::{Value, json};
use tests::{App, console, story, world};

use crate::client::Program;

const CREATE: &str = "mutation ($input: CreatePartnerInput!) { createPartner(input: $input) {
    partner { id externalId } userErrors { code field } } }";

fn partner(external_id: &str) -> Value {
    json!({ "input": {
        "externalId": external_id, "legalName": "Partner", "email": "p@partner.example", "street": "Gade 2",
        "postalCode": "5000", "city": "Odense", "country": "DK", "currency": "DKK",
    } })
}

/// An answer with what its head says.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    replayed: bool,
    body: String,
}

struct Keyed {
    client: TestClient<BoxEndpoint<'static, Response>>,
    secret: String,
}

impl Keyed {
    async fn of(app: &App) -> Keyed {
        let secret = Program::secret_of(app).await;
        Keyed {
            client: TestClient::new(api::server::routes(&app.billing, Readiness::default()).unwrap().boxed()),
            secret,
        }
    }

    async fn send(&self, key: &str, variables: &Value) -> Answer {
        let request = self.client.post("/graphql").header("authorization", format!("Bearer {}", self.secret));
        let request = request.header("idempotency-key", key);
        let mut answer = request.body_json(&json!({ "query": CREATE, "variables": variables })).send().await.0;
        let replayed = answer.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
        Answer { status: answer.status(), replayed, body: answer.take_body().into_string().await.unwrap() }
    }
}

async fn count(app: &App) -> usize {
    partners::list(&app.billing, app.organization, &Page::new(None, 100)).await.unwrap().items.len()
}

#[test]
fn the_same_key_answers_the_same_and_another_body_is_a_conflict() {
    story(async |app| {
        let program = Keyed::of(&app).await;
        let first = program.send("create-1", &partner("P-1")).await;
        assert_eq!((first.status, first.replayed), (StatusCode::OK, false));
        // A server that starts anew knows the key: it stands in the database.
        let restarted = Keyed::of(&app).await;
        let again = restarted.send("create-1", &partner("P-1")).await;
        assert_eq!((again.status, again.replayed, &again.body), (StatusCode::OK, true, &first.body));
        let other = restarted.send("create-1", &partner("P-2")).await;
        assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.body);
        assert_eq!(count(&app).await, 1);
    });
}

#[test]
fn a_refusal_is_kept_too() {
    story(async |app| {
        let program = Keyed::of(&app).await;
        let wrong = partner("");
        let first = program.send("wrong", &wrong).await;
        assert!(first.body.contains("INVALID"), "{}", first.body);
        let again = program.send("wrong", &wrong).await;
        assert_eq!((again.replayed, &again.body), (true, &first.body));
    });
}

#[test]
fn parallel_calls_with_one_key_do_it_once() {
    story(async |app| {
        let program = Keyed::of(&app).await;
        let body = partner("P-1");
        let calls = (0..8).map(|_| program.send("once", &body));
        let answers = futures::future::join_all(calls.collect::<Vec<_>>()).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        assert!(answers.iter().all(|answer| answer.body.contains(r#""externalId":"P-1""#)), "{answers:?}");
        assert_eq!(count(&app).await, 1);
    });
}

#[test]
fn a_crash_between_commit_and_answer_is_answered_from_the_outcome() {
    story(async |app| {
        let program = Keyed::of(&app).await;
        let first = program.send("crashed", &partner("P-1")).await;
        // As if the process had died after the commit: what was done is known, what was answered is not.
        let organization = app.organization.uuid();
        let forget = format!(
            "SET app.organization = '{organization}';
             UPDATE idempotency_key SET response = NULL WHERE organization_id = '{organization}'"
        );
        console(&world().owner, &forget).await;
        let again = program.send("crashed", &partner("P-1")).await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &first.body));
        assert_eq!(count(&app).await, 1);
    });
}

#[test]
fn a_key_is_1_to_255_printable_characters() {
    story(async |app| {
        let program = Keyed::of(&app).await;
        for (key, status) in [
            ("k".repeat(255), StatusCode::OK),
            ("k".repeat(256), StatusCode::BAD_REQUEST),
            (String::new(), StatusCode::BAD_REQUEST),
        ] {
            let answer = program.send(&key, &partner(&format!("P-{}", key.len()))).await;
            assert_eq!(answer.status, status, "{} characters: {}", key.len(), answer.body);
        }
    });
}
