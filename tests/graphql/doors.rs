//! The door itself: what may come in how, and what is turned away before anything runs.

use api::health::Readiness;
use std::time::{Duration, Instant};

use billing::keys::{self, NewKey, Scope};
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::http::StatusCode;
use poem::test::{TestClient, TestRequestBuilder};
use serde_json::{Value, json};
use tests::{App, story};

use crate::client::Program;

const NAME: &str = "{ organization { name } }";
const WRITE: &str =
    "mutation { setPartnerStatus(input: { partner: \"par_0\", status: SUSPENDED }) { userErrors { code } } }";

struct Door {
    client: TestClient<BoxEndpoint<'static, Response>>,
}

impl Door {
    fn of(app: &App) -> Door {
        Door { client: TestClient::new(api::server::routes(&app.billing, Readiness::default()).unwrap().boxed()) }
    }

    /// Status, code of the first error, and the `Allow` header.
    async fn told(request: TestRequestBuilder<'_, BoxEndpoint<'static, Response>>) -> (StatusCode, String, String) {
        let mut answer = request.send().await.0;
        let allow = answer.headers().get("allow").map_or("", |value| value.to_str().unwrap()).to_owned();
        let status = answer.status();
        let body: Value = serde_json::from_str(&answer.take_body().into_string().await.unwrap()).unwrap_or_default();
        let code = body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned();
        (status, code, allow)
    }

    /// Code of the first error of a document, asked the ordinary way.
    async fn code(&self, secret: &str, query: &str) -> String {
        let request = self.client.post("/graphql").header("authorization", format!("Bearer {secret}"));
        Door::told(request.body_json(&json!({ "query": query }))).await.1
    }
}

#[test]
fn only_what_a_browser_cannot_be_tricked_into_comes_in() {
    story(async |app| {
        let (door, bearer) = (Door::of(&app), format!("Bearer {}", Program::secret_of(&app).await));
        let post = || door.client.post("/graphql").header("authorization", &bearer);
        let get = |query: &str| door.client.get("/graphql").header("authorization", &bearer).query("query", &query);
        let body = json!({ "query": NAME }).to_string();
        assert_eq!(Door::told(post().body_json(&json!({ "query": NAME }))).await.0, StatusCode::OK);
        assert_eq!(Door::told(get(NAME)).await.0, StatusCode::OK);
        let (status, _, allow) = Door::told(get(WRITE)).await;
        assert_eq!((status, allow.contains("POST")), (StatusCode::METHOD_NOT_ALLOWED, true));
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let answer = Door::told(post().header("content-type", kind).body(body.clone())).await;
            assert_eq!(answer.0, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
        }
        let batch = Door::told(post().body_json(&json!([{ "query": NAME }]))).await;
        assert_eq!(batch.0, StatusCode::BAD_REQUEST);
        let large = json!({ "query": NAME, "variables": { "a": "x".repeat(200 * 1024) } });
        assert_eq!(Door::told(post().body_json(&large)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(Door::told(door.client.put("/graphql")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    });
}

#[test]
fn a_key_opens_what_its_scopes_say() {
    story(async |app| {
        let door = Door::of(&app);
        let none = Door::told(door.client.post("/graphql").body_json(&json!({ "query": NAME }))).await;
        assert_eq!((none.0, none.1.as_str()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
        for wrong in ["avk_live_00", "nonsense", ""] {
            assert_eq!(door.code(wrong, "{ __schema { queryType { name } } }").await, "UNAUTHENTICATED", "{wrong:?}");
        }
        let new = NewKey { name: "reader".to_owned(), scopes: vec![Scope::Read], expires_at: None };
        let made = keys::create(&app.billing, &app.caller(), &new).await.unwrap().into_inner();
        let secret = made.secret.unwrap().reveal().to_owned();
        assert_eq!(door.code(&secret, NAME).await, "");
        assert_eq!(door.code(&secret, WRITE).await, "FORBIDDEN");
        keys::revoke(&app.billing, &app.caller(), made.key.id).await.unwrap();
        assert_eq!(door.code(&secret, NAME).await, "UNAUTHENTICATED");
    });
}

#[test]
fn what_is_too_large_is_refused_before_it_runs() {
    story(async |app| {
        let (door, secret) = (Door::of(&app), Program::secret_of(&app).await);
        let begin = Instant::now();
        assert_eq!(door.code(&secret, &fragment_bomb()).await, "QUERY_TOO_LARGE");
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        let aliases: String = (0..600).map(|n| format!("a{n}: organization {{ id name city country }} ")).collect();
        assert_eq!(door.code(&secret, &format!("{{ {aliases} }}")).await, "QUERY_TOO_LARGE");
        let deep = (0..20).fold("externalId".to_owned(), |inner, _| format!("parent {{ {inner} }}"));
        let deep = format!("{{ partners {{ nodes {{ {deep} }} }} }}");
        assert_eq!(door.code(&secret, &deep).await, "QUERY_TOO_LARGE");
        let wide =
            "{ partners(first: 100) { nodes { parent { parent { parent { parent { parent { parent { id } } } } } } } }
            b: customers(first: 100) { nodes { id } } }";
        assert_eq!(door.code(&secret, wide).await, "");
        assert_eq!(door.code(&secret, "{ partners(first: 101) { nodes { id } } }").await, "BAD_USER_INPUT");
        assert_eq!(door.code(&secret, "query ($id: ID!) { node(id: $id) { id } }").await, "BAD_USER_INPUT");
        assert_eq!(door.code(&secret, "{ nothing }").await, "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(door.code(&secret, "{ organization { ").await, "GRAPHQL_PARSE_FAILED");
    });
}

/// Thirty fragments, each of which spreads the next one twice: a billion selections when they are written out.
fn fragment_bomb() -> String {
    let fragments: String = (0..30)
        .map(|n| {
            let next = n + 1;
            format!("fragment f{n} on Organization {{ ...f{next} ...f{next} }} ")
        })
        .collect();
    format!("{{ organization {{ ...f0 }} }} {fragments} fragment f30 on Organization {{ name }}")
}
