//! A program with an API key: it speaks to the routes over HTTP, in process.

use api::health::Readiness;
use billing::Billing;
use billing::keys::{self, NewKey, Scope};
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::test::TestClient;
use serde_json::{Value, json};
use tests::App;

/// Speaks for one organization.
pub struct Program {
    client: TestClient<BoxEndpoint<'static, Response>>,
    secret: String,
}

impl Program {
    /// A program that may read and write, with a key of its own.
    pub async fn of(app: &App) -> Program {
        Program::over(app, app.billing.clone()).await
    }

    /// The secret of a new key that may read and write.
    pub async fn secret_of(app: &App) -> String {
        let new = NewKey { name: "test".to_owned(), scopes: vec![Scope::Read, Scope::Write], expires_at: None };
        let made = keys::create(&app.billing, &app.caller(), &new).await.expect("a key").into_inner();
        made.secret.expect("a secret").reveal().to_owned()
    }

    /// As [`Program::of`], answered over `billing`.
    pub async fn over(app: &App, billing: Billing) -> Program {
        let secret = Program::secret_of(app).await;
        let routes = api::server::routes(&billing, Readiness::default()).expect("routes");
        Program { client: TestClient::new(routes.boxed()), secret }
    }

    /// The whole answer to an operation.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let request = self.client.post("/graphql").header("authorization", format!("Bearer {}", self.secret));
        let answer = request.body_json(&json!({ "query": query, "variables": variables })).send().await;
        let body = answer.0.into_body().into_string().await.expect("a body");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The data of an operation in which nothing is wrong.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}\n{answer:#}");
        answer["data"].take()
    }

    /// The payload of one mutation, selected as `fields`; `userErrors` is selected, too.
    pub async fn mutate(&self, name: &str, fields: &str, input: Value) -> Value {
        let of = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query = format!(
            "mutation ($input: {of}!) {{ {name}(input: $input) {{ {fields} userErrors {{ code field message }} }} }}"
        );
        self.data(&query, json!({ "input": input })).await[name].take()
    }

    /// As [`Program::mutate`], of a mutation that is not refused.
    pub async fn done(&self, name: &str, fields: &str, input: Value) -> Value {
        let payload = self.mutate(name, fields, input).await;
        assert_eq!(payload["userErrors"], json!([]), "{name}");
        payload
    }

    /// Code and field of the refusal of a mutation.
    pub async fn refused(&self, name: &str, input: Value) -> (String, Value) {
        let mut payload = self.mutate(name, "__typename", input).await;
        let error = &mut payload["userErrors"][0];
        (error["code"].as_str().expect("a refusal").to_owned(), error["field"].take())
    }
}
