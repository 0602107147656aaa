//! Several processes on one database: served by two, worked for by three, replaced one by one while requests come.
//!
//! Each has a pool, a door and workers of its own; they share nothing but PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use api::cli::Failure;
use api::process::{Door, Process};
use billing::{Billing, Page};
use billing_db::Db;
use serde_json::{Value, json};
use tests::{App, world};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{RwLock, oneshot};
use tokio::task::JoinHandle;

use crate::client::Program;

/// Requests that are sent.
const REQUESTS: usize = 240;

/// Who sends them at the same time.
const SENDERS: usize = 6;

/// How long a process takes requests after it was told to end.
const NOTICE: Duration = Duration::from_secs(2);

struct Running {
    place: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Failure>>,
}

/// A process of its own: nothing is shared with the others.
async fn start(app: &App, serves: bool) -> Running {
    let mut settings = billing_db::Settings::new(world().owner.clone());
    settings.distributed = world().database.distributed;
    settings.connections = 8;
    let db = Db::connect(settings).await.expect("a pool");
    let door = if serves { Some(Door::open("127.0.0.1:0").await.expect("a port")) } else { None };
    let place = door.as_ref().map(|door| door.url.trim_start_matches("http://").to_owned()).unwrap_or_default();
    let (stop, stopped) = oneshot::channel::<()>();
    let process = Process { billing: Billing::new(db, app.billing.clock.clone()), door, jobs: Some(1) };
    let told = async {
        let _ = stopped.await;
        NOTICE
    };
    Running { place, stop, ended: tokio::spawn(process.run(told)) }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.ended.await.expect("no panic").expect("it ends well");
    }
}

/// One request on a connection of its own; none when the connection broke before the answer was whole.
async fn ask(place: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(place).await.ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The places that say that they are ready, as a load balancer keeps them.
async fn balance(places: Arc<RwLock<Vec<String>>>, ready: Arc<RwLock<Vec<String>>>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        let all = places.read().await.clone();
        let mut found = Vec::new();
        for place in all {
            if matches!(ask(&place, "GET", "/readyz", "", "").await, Some((200, _))) {
                found.push(place);
            }
        }
        *ready.write().await = found;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends a request until it is answered, always with the same key; the second value counts the answers that made it do so.
async fn send(ready: &RwLock<Vec<String>>, secret: &str, number: usize) -> (Value, usize) {
    let query = "mutation($input: RegisterCustomerInput!) { registerCustomer(input: $input) \
                 { customer { externalId } userErrors { code field message } } }";
    let input = json!({ "externalId": format!("C-{number}"), "name": format!("Kunde {number}") });
    let body = json!({ "query": query, "variables": { "input": input } }).to_string();
    let headers = format!(
        "Authorization: Bearer {secret}\r\nContent-Type: application/json\r\nIdempotency-Key: roll-{number}\r\n"
    );
    for attempt in 0..200 {
        let place = {
            let ready = ready.read().await;
            (!ready.is_empty()).then(|| ready[(number + attempt) % ready.len()].clone())
        };
        let answer = match &place {
            Some(place) => ask(place, "POST", "/graphql", &headers, &body).await,
            None => None,
        };
        match answer {
            Some((200, body)) => return (serde_json::from_str(&body).expect("JSON"), attempt),
            // Busy, or on its way out: to be sent again.
            Some((503 | 409, _)) | None => tokio::time::sleep(Duration::from_millis(25)).await,
            Some((status, body)) => panic!("request {number} is answered {status}: {body}"),
        }
    }
    panic!("request {number} is never answered");
}

#[test]
fn processes_are_replaced_one_by_one_under_load() {
    world().runtime.block_on(async {
        let app = App::new(world().database.db.clone()).await;
        let secret = Program::secret_of(&app).await;
        let (first, second, worker) = (start(&app, true).await, start(&app, true).await, start(&app, false).await);
        let places = Arc::new(RwLock::new(vec![first.place.clone(), second.place.clone()]));
        let (ready, over) = (Arc::new(RwLock::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let balancer = tokio::spawn(balance(Arc::clone(&places), Arc::clone(&ready), Arc::clone(&over)));
        let (next, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (ready, secret, next, again) =
                    (Arc::clone(&ready), secret.clone(), Arc::clone(&next), Arc::clone(&again));
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= REQUESTS {
                            return;
                        }
                        let (answer, attempts) = send(&ready, &secret, number).await;
                        let made = &answer["data"]["registerCustomer"];
                        assert_eq!(made["customer"]["externalId"], format!("C-{number}"), "{answer}");
                        again.fetch_add(attempts, Ordering::Relaxed);
                        // Slow enough that the load lasts as long as the replacement.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                })
            })
            .collect();
        let mut running = vec![worker];
        for old in [first, second] {
            let new = start(&app, true).await;
            places.write().await.push(new.place.clone());
            running.push(new);
            let place = old.place.clone();
            old.stop().await;
            places.write().await.retain(|known| *known != place);
        }
        for sender in senders {
            sender.await.expect("every request is answered");
        }
        over.store(true, Ordering::Relaxed);
        balancer.await.expect("no panic");
        for process in running {
            process.stop().await;
        }
        let (mut made, mut page) = (0, Page::new(None, 100));
        loop {
            let slice = billing::customers::list(&app.billing, app.organization, &page, None).await.expect("customers");
            made += slice.items.len();
            match slice.items.last().filter(|_| slice.has_next) {
                Some(last) => page = Page::new(Some(last.external_id.clone()), 100),
                None => break,
            }
        }
        assert_eq!(made, REQUESTS, "each request had its effect once");
        println!("{} answers were sent for again", again.load(Ordering::Relaxed));
        app.verify().await;
    });
}

#[test]
fn readiness_says_what_is_missing() {
    world().runtime.block_on(async {
        let app = App::new(world().database.db.clone()).await;
        let process = start(&app, true).await;
        let place = process.place.clone();
        let (status, body) = ask(&place, "GET", "/healthz", "", "").await.expect("an answer");
        assert_eq!((status, body.as_str()), (200, r#"{"status":"ok"}"#));
        // The workers may need a moment for their first sign of life.
        let mut answer = (503, String::new());
        let patience = std::time::Instant::now() + Duration::from_secs(20);
        while answer.0 != 200 {
            assert!(std::time::Instant::now() < patience, "it is never ready: {answer:?}");
            assert!(answer.1.is_empty() || answer.1.contains("the workers"), "{answer:?}");
            answer = ask(&place, "GET", "/readyz", "", "").await.expect("an answer");
        }
        assert_eq!(answer.1, r#"{"problems":[],"status":"ready"}"#);
        let Running { stop, ended, .. } = process;
        stop.send(()).expect("it runs");
        let mut told = false;
        while let Some((status, body)) = ask(&place, "GET", "/readyz", "", "").await {
            told |= status == 503 && body.contains("the process was told to end");
        }
        assert!(told, "a process that was told to end says so before it closes its door");
        ended.await.expect("no panic").expect("it ends well");
    });
}
