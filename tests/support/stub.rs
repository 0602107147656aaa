//! Stripe's API as far as it is asked: lists that a fixture gives, on loopback, in Stripe's own shapes.
//!
//! An answer belongs to the key it is asked with. A copy of a fixture has ids with a suffix; the answer gets it, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Request, Response, handler};
use serde_json::{Value, json};

/// Between an id and the number of its copy.
const COPY: &str = "Copy";

/// The answers of every key.
#[derive(Clone, Default)]
pub struct Stub(Arc<Mutex<HashMap<String, HashMap<String, Value>>>>);

impl Stub {
    /// Begins to answer, and returns the address.
    pub async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0");
        let acceptor = listener.into_acceptor().await.expect("a port");
        let address = acceptor.local_addr().remove(0);
        let address = address.as_socket_addr().expect("an address").to_string();
        let endpoint = poem::EndpointExt::data(answer, self.clone());
        tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(endpoint));
        format!("http://{address}")
    }

    /// What a key is answered; the questions are spelled `GET /v1/refunds?charge=ch_1`.
    pub fn teach(&self, key: &str, lookups: &Value) {
        let answers = lookups.as_object().into_iter().flatten();
        let answers = answers.map(|(question, told)| (question.clone(), told.clone())).collect();
        self.0.lock().expect("the answers").insert(key.to_owned(), answers);
    }

    fn find(&self, key: &str, question: &str) -> Option<Value> {
        let answers = self.0.lock().expect("the answers");
        let (question, number) = original(question);
        let found = answers.get(key)?.get(&question)?.clone();
        Some(match number {
            Some(number) => copy_of(found, number),
            None => found,
        })
    }
}

/// The question about the original, and which copy was asked about.
fn original(question: &str) -> (String, Option<usize>) {
    let Some(at) = question.find(COPY) else { return (question.to_owned(), None) };
    let digits: String = question[at + COPY.len()..].chars().take_while(char::is_ascii_digit).collect();
    (question.replace(&format!("{COPY}{digits}"), ""), digits.parse().ok())
}

/// The same with other ids.
pub fn copy_of(value: Value, number: usize) -> Value {
    match value {
        Value::String(text) if is_id(&text) => Value::String(format!("{text}{COPY}{number}")),
        Value::Array(items) => items.into_iter().map(|item| copy_of(item, number)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, copy_of(value, number))).collect(),
        other => other,
    }
}

fn is_id(text: &str) -> bool {
    let Some((prefix, rest)) = text.split_once('_') else { return false };
    let known = [
        "evt", "in", "cus", "ch", "pi", "re", "du", "dp", "cn", "sub", "si", "il", "inpay", "txn", "cnli", "ii", "py",
        "prec", "cbtxn", "tr",
    ];
    known.contains(&prefix) && rest.len() >= 8 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[handler]
fn answer(request: &Request, poem::web::Data(stub): poem::web::Data<&Stub>) -> Response {
    let key = request.header("authorization").and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let mut parameters: Vec<(String, String)> = request.params().unwrap_or_default();
    parameters.retain(|(name, _)| name != "limit" && name != "starting_after");
    parameters.sort();
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let path = request.uri().path();
    let question = format!("GET {path}?{}", query.join("&"));
    let question = question.trim_end_matches('?');
    let body = stub
        .find(key, question)
        .unwrap_or_else(|| json!({ "object": "list", "data": [], "has_more": false, "url": path }));
    Response::builder().status(StatusCode::OK).content_type("application/json").body(body.to_string())
}
