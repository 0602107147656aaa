//! The client against a server that answers what it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers the given statuses and bodies in turn; keeps the request lines and headers.
async fn stub(answers: Vec<(u16, Value)>) -> (StripeClient, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = seen.clone();
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            requests.lock().unwrap().push(String::from_utf8(request).unwrap());
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    });
    let client = StripeClient::new("sk_test_fixture", Some(&base)).unwrap();
    (client.with_pause(Duration::from_millis(1)), seen)
}

fn lines(seen: &Mutex<Vec<String>>) -> Vec<String> {
    seen.lock().unwrap().iter().map(|request| request.lines().next().unwrap().to_owned()).collect()
}

fn failure(message: &str) -> Value {
    json!({"error": {"type": "api_error", "message": message}})
}

fn refund(id: &str) -> Value {
    json!({"id": id, "amount": 5, "status": "succeeded", "charge": {"id": "ch_1", "object": "charge"}})
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let (client, seen) = stub(vec![
        (200, json!({"data": [refund("re_1"), refund("re_2")], "has_more": true})),
        (200, json!({"data": [refund("re_3")], "has_more": false})),
    ])
    .await;
    let facts = client.fetch(&Lookup::RefundsOfCharge("ch_1".to_owned())).await.unwrap();
    assert_eq!(facts.iter().map(Fact::id).collect::<Vec<_>>(), ["re_1", "re_2", "re_3"]);
    assert_eq!(facts[0].keys().charge.as_deref(), Some("ch_1"));
    assert_eq!(
        lines(&seen),
        [
            "GET /v1/refunds?charge=ch_1&limit=100 HTTP/1.1",
            "GET /v1/refunds?charge=ch_1&limit=100&starting_after=re_2 HTTP/1.1",
        ]
    );
    let request = seen.lock().unwrap()[0].to_lowercase();
    assert!(request.contains("authorization: bearer sk_test_fixture"), "{request}");
    assert!(request.contains("stripe-version: 2026-"), "{request}");
}

#[tokio::test]
async fn the_payments_of_an_intent_name_their_invoices() {
    let file = fixture_json("2026-09-30.endive/28-two-partial-payments.json");
    let (key, answer) = file["api_lookups"].as_object().unwrap().iter().find(|(key, _)| key.contains("pi_")).unwrap();
    let intent = key.split("payment_intent]=").nth(1).unwrap().split('&').next().unwrap();
    let (client, seen) = stub(vec![(200, answer.clone())]).await;
    let facts = client.fetch(&Lookup::PaymentsOfIntent(intent.to_owned())).await.unwrap();
    let [Fact::PaymentLink(link)] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!((link.amount, link.payment_intent.as_deref()), (3000, Some(intent)));
    let line = format!(
        "GET /v1/invoice_payments?payment%5Bpayment_intent%5D={intent}&payment%5Btype%5D=payment_intent&limit=100 HTTP/1.1"
    );
    assert_eq!(lines(&seen), [line]);
}

#[tokio::test]
async fn an_invoice_of_many_lines_becomes_whole() {
    let file = fixture_json("2026-09-30.endive/06-mixed-subscription-and-oneoff.json");
    let mut event = file["deliveries"][0]["event"].clone();
    let whole = event["data"]["object"]["lines"]["data"].as_array().unwrap().clone();
    let cut = json!({"data": [whole[0]], "has_more": true});
    event["data"]["object"]["lines"] = cut;
    let parsed = Event::parse(event.to_string().as_bytes()).unwrap();
    let Fact::Invoice(incomplete) = &parsed.facts[0] else { panic!() };
    let held = assess(incomplete, &Related::default(), DisputePolicy::ReverseAtOnce).unwrap();
    assert_eq!((held.base_minor, held.hold, held.flags), (0, true, vec![Flag::LinesIncomplete]));

    let lookup = Lookup::InvoiceLines(incomplete.id.clone());
    assert!(parsed.lookups.contains(&lookup));
    let page = |line: &Value, more: bool| json!({"data": [line], "has_more": more});
    let (client, seen) =
        stub(vec![(200, event["data"]["object"].clone()), (200, page(&whole[0], true)), (200, page(&whole[1], false))])
            .await;
    let facts = client.fetch(&lookup).await.unwrap();
    assert!(replaces((&facts[0], parsed.created), (&parsed.facts[0], parsed.created)));
    assert!(!replaces((&parsed.facts[0], parsed.created), (&facts[0], parsed.created)));
    let Fact::Invoice(invoice) = &facts[0] else { panic!() };
    let assessed = assess(invoice, &Related::default(), DisputePolicy::ReverseAtOnce).unwrap();
    assert_eq!((assessed.base_minor, assessed.hold, assessed.flags), (4900, false, vec![]));
    assert!(lines(&seen)[1].contains("/lines?limit=100"));
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let empty = json!({"data": [], "has_more": false});
    let (client, seen) = stub(vec![(429, failure("slow down")), (503, Value::Null), (200, empty)]).await;
    assert_eq!(client.fetch(&Lookup::PaymentsOfInvoice("in_1".to_owned())).await, Ok(vec![]));
    assert_eq!(lines(&seen).len(), 3);
}

#[tokio::test]
async fn after_three_attempts_it_is_left_for_later() {
    let (client, seen) = stub(vec![(500, failure("one")), (502, failure("two")), (500, failure("three"))]).await;
    let refused = client.fetch(&Lookup::RefundsOfCharge("ch_1".to_owned())).await;
    assert_eq!(refused, Err(StripeError::Passing("500: three".to_owned())));
    assert_eq!(lines(&seen).len(), 3);
}

#[tokio::test]
async fn nobody_at_home_passes() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = StripeClient::new("sk_test_fixture", Some(&format!("http://{free}"))).unwrap();
    let refused = client.with_pause(Duration::ZERO).fetch(&Lookup::RefundsOfCharge("ch_1".to_owned())).await;
    assert!(matches!(refused, Err(StripeError::Passing(_))), "{refused:?}");
}

#[tokio::test]
async fn what_stripe_refuses_is_asked_once() {
    let (client, seen) = stub(vec![(404, failure("no such charge"))]).await;
    let refused = client.fetch(&Lookup::RefundsOfCharge("ch_1".to_owned())).await;
    assert_eq!(refused, Err(StripeError::Refused("404: no such charge".to_owned())));
    assert_eq!(lines(&seen).len(), 1);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let (client, _) = stub(vec![(200, json!({"data": [{"id": "re_1"}], "has_more": false}))]).await;
    let refused = client.fetch(&Lookup::RefundsOfCharge("ch_1".to_owned())).await;
    assert_eq!(refused, Err(StripeError::Refused("refund.amount is missing".to_owned())));
}

#[tokio::test]
async fn an_id_is_no_path() {
    let (client, seen) = stub(vec![]).await;
    for id in ["", "../account", "in_1?x=1", "in_1/pay", "in_é"] {
        let refused = client.fetch(&Lookup::InvoiceLines(id.to_owned())).await;
        assert!(matches!(refused, Err(StripeError::Refused(_))), "{id}");
    }
    assert!(lines(&seen).is_empty());
}

#[test]
fn the_key_is_not_shown() {
    let client = StripeClient::new("sk_live_secret", None).unwrap();
    assert!(!format!("{client:?}").contains("sk_live"));
    assert!(matches!(StripeClient::new("sk\n", None), Err(StripeError::Refused(_))));
}
