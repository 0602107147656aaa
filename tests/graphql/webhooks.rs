//! The door for Stripe: what is signed comes in once, everything else is turned away and counted.

use api::health::Readiness;
use billing::inbox::{self, EventFilter, EventReason, EventStatus, NewEndpoint, StripeEvent};
use billing::organizations::Mode;
use billing::{Billing, Page};
use billing_db::{Db, Settings};
use billing_primitives::{CustomerId, StripeEndpointId, Timestamp};
use futures::future::join_all;
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::http::StatusCode;
use poem::test::TestClient;
use serde_json::{Value, json};
use tests::desk::signature;
use tests::{App, story, world};

const OLD: &str = "whsec_0000000000000000old";
const NEW: &str = "whsec_0000000000000000new";
/// Noon of the day on which stories begin.
const NOW: i64 = 1_767_268_800;

struct Door {
    client: TestClient<BoxEndpoint<'static, Response>>,
    app: App,
    endpoint: StripeEndpointId,
}

/// What was answered.
struct Answer {
    status: StatusCode,
    body: Value,
    allow: String,
    retry_after: Option<u32>,
}

impl Door {
    async fn of(app: &App) -> Door {
        let endpoint = NewEndpoint { name: "live".to_owned(), secrets: vec![OLD.to_owned(), NEW.to_owned()] };
        let made = inbox::add_endpoint(&app.billing, &app.caller(), &endpoint).await.unwrap().into_inner();
        Door::over(app, &app.billing, made.id)
    }

    fn over(app: &App, billing: &Billing, endpoint: StripeEndpointId) -> Door {
        let client = TestClient::new(api::server::routes(billing, Readiness::default()).unwrap().boxed());
        Door { client, app: app.clone(), endpoint }
    }

    async fn post_to(&self, endpoint: &str, header: Option<&str>, body: impl Into<poem::Body>) -> Answer {
        let mut request = self.client.post(format!("/webhooks/stripe/{endpoint}")).body(body);
        if let Some(header) = header {
            request = request.header("stripe-signature", header);
        }
        told(request.send().await.0).await
    }

    async fn post(&self, header: &str, body: impl Into<poem::Body>) -> Answer {
        self.post_to(&self.endpoint.to_string(), Some(header), body).await
    }

    async fn events(&self) -> Vec<StripeEvent> {
        let page = Page::new(None, 100);
        let organization = self.app.organization;
        inbox::events(&self.app.billing, organization, &page, &EventFilter::default()).await.unwrap().items
    }

    async fn rejected(&self) -> i64 {
        inbox::endpoints(&self.app.billing, self.app.organization).await.unwrap()[0].rejected
    }
}

async fn told(mut answer: Response) -> Answer {
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (allow, retry_after) = (header("allow").unwrap_or_default(), header("retry-after"));
    let body = answer.take_body().into_string().await.unwrap();
    Answer {
        status: answer.status(),
        body: serde_json::from_str(&body).unwrap(),
        allow,
        retry_after: retry_after.map(|seconds| seconds.parse().unwrap()),
    }
}

fn event(id: &str, livemode: bool) -> String {
    json!({
        "id": id, "object": "event", "type": "coupon.created", "created": NOW, "livemode": livemode,
        "api_version": "2025-03-31.basil", "data": { "object": { "id": "co_1", "object": "coupon" } },
    })
    .to_string()
}

#[test]
fn what_is_signed_comes_in_as_it_was_sent() {
    story(async |app| {
        let door = Door::of(&app).await;
        let at: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(at.microseconds() / 1_000_000, NOW);
        let body = event("evt_good", true);
        let answer = door.post(&signature(OLD, NOW, &body), body.clone()).await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({ "received": true })));
        // While a secret is rolled either signs, and a header may carry the signatures of both.
        let rolled = event("evt_rolled", true);
        let stranger = signature("whsec_somebody_elses", NOW, &rolled);
        let both = format!("{stranger},{}", signature(NEW, NOW, &rolled).split_once(',').unwrap().1);
        assert_eq!(door.post(&both, rolled).await.status, StatusCode::OK);
        for (id, seconds) in [("evt_slow", -300), ("evt_ahead", 300)] {
            let body = event(id, true);
            assert_eq!(door.post(&signature(NEW, NOW + seconds, &body), body).await.status, StatusCode::OK, "{id}");
        }
        let stored = door.events().await;
        let ids: Vec<&str> = stored.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids, ["evt_ahead", "evt_good", "evt_rolled", "evt_slow"]);
        assert_eq!((stored[1].body.as_str(), stored[1].status), (body.as_str(), EventStatus::Received));
        assert_eq!(door.rejected().await, 0);
    });
}

#[test]
fn what_is_forged_stale_or_too_large_is_turned_away_and_counted() {
    story(async |app| {
        let door = Door::of(&app).await;
        let body = event("evt_1", true);
        let good = signature(NEW, NOW, &body);
        let changed = body.replace("coupon.created", "invoice.paid");
        let mut headers = vec![
            ("somebody else's secret", signature("whsec_somebody_elses", NOW, &body), &body),
            ("an old signature", signature(NEW, NOW - 301, &body), &body),
            ("one of the future", signature(NEW, NOW + 301, &body), &body),
            ("another body", good.clone(), &changed),
            ("another time", good.replace(&NOW.to_string(), &(NOW + 1).to_string()), &body),
            ("no signature", format!("t={NOW}"), &body),
            ("no time", good.split_once(',').unwrap().1.to_owned(), &body),
            ("another version", good.replace("v1=", "v0="), &body),
        ];
        headers.push(("nothing", String::new(), &body));
        for (what, header, body) in &headers {
            let answer = door.post(header, (*body).clone()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
            // The same for all of them: no hint at what was wrong.
            let told = json!({ "type": "about:blank", "title": "Bad Request", "status": 400,
                "requestId": answer.body["requestId"] });
            assert_eq!(answer.body, told, "{what}");
        }
        assert_eq!(door.post_to(&door.endpoint.to_string(), None, body.clone()).await.status, StatusCode::BAD_REQUEST);
        let turned_away = i64::try_from(headers.len()).unwrap() + 1;
        assert_eq!(door.rejected().await, turned_away);

        let large = " ".repeat(5 * 1024 * 1024);
        let answer = door.post(&signature(NEW, NOW, &large), large).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(door.rejected().await, turned_away + 1);
        let longest = format!("{body}{}", " ".repeat(api::webhooks::LONGEST_EVENT - body.len()));
        assert_eq!(door.post(&signature(NEW, NOW, &longest), longest).await.status, StatusCode::OK);
        assert_eq!(door.events().await.len(), 1);
    });
}

#[test]
fn an_event_that_comes_often_is_one() {
    story(async |app| {
        let door = Door::of(&app).await;
        let body = event("evt_often", true);
        let header = signature(NEW, NOW, &body);
        let answers = join_all((0..10).map(|_| door.post(&header, body.clone()))).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        assert_eq!(door.events().await.len(), 1);
        assert_eq!(door.post(&header, body).await.status, StatusCode::OK);
        assert_eq!(door.events().await.len(), 1);
    });
}

#[test]
fn only_known_endpoints_and_only_posts_are_answered() {
    story(async |app| {
        let door = Door::of(&app).await;
        let body = event("evt_1", true);
        let header = signature(NEW, NOW, &body);
        let nobodys = StripeEndpointId::new().to_string();
        let customer = CustomerId::new().to_string();
        for unknown in [nobodys.as_str(), customer.as_str(), "whe_", "%00", "whe_1%2f..%2f"] {
            let answer = door.post_to(unknown, Some(&header), body.clone()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}");
            let answer = door.post_to(unknown, Some(&header), " ".repeat(600 * 1024)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown} with too much");
        }
        let got = told(door.client.get(format!("/webhooks/stripe/{}", door.endpoint)).send().await.0).await;
        assert_eq!((got.status, got.allow.as_str()), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        assert_eq!((door.rejected().await, door.events().await.len()), (0, 0));
    });
}

#[test]
fn what_cannot_be_used_is_kept_and_acknowledged() {
    story(async |app| {
        let door = Door::of(&app).await;
        for body in ["not json".to_owned(), "{}".to_owned(), event("", true), event("evt_test", false)] {
            let answer = door.post(&signature(NEW, NOW, &body), body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{body}");
        }
        let reasons: Vec<_> = door.events().await.iter().map(|event| (event.status, event.reason)).collect();
        let parked = |reason| (EventStatus::Parked, Some(reason));
        assert_eq!(reasons[0], parked(EventReason::LivemodeMismatch));
        assert_eq!(reasons[1..], [parked(EventReason::Unreadable); 3]);
    });
}

#[test]
fn an_endpoint_of_a_test_organization_takes_test_events() {
    story(async |app| {
        let test = App::with(app.billing.db.clone(), |new| new.mode = Mode::Test).await;
        let door = Door::of(&test).await;
        for (id, livemode) in [("evt_1", false), ("evt_2", true)] {
            let body = event(id, livemode);
            assert_eq!(door.post(&signature(NEW, NOW, &body), body).await.status, StatusCode::OK);
        }
        let reasons: Vec<_> = door.events().await.iter().map(|event| event.reason).collect();
        assert_eq!(reasons, [None, Some(EventReason::LivemodeMismatch)]);
    });
}

#[test]
fn while_the_database_is_away_stripe_is_told_to_come_back() {
    story(async |app| {
        let db = Db::connect(Settings::new(world().owner.clone())).await.unwrap();
        db.close();
        let billing = Billing::new(db, app.billing.clock.clone());
        let door = Door::over(&app, &billing, StripeEndpointId::new());
        let body = event("evt_1", true);
        let answer = door.post(&signature(NEW, NOW, &body), body).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.retry_after.is_some_and(|seconds| seconds > 0));
    });
}
