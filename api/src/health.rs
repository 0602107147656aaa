//! `/healthz`: the process lives. `/readyz`: it can work, and wants to.
//!
//! A load balancer sends nobody to a process that is not ready. A node of a cluster that is away does not make it so: the
//! organizations on the other nodes are served; it is told as `degraded`.

use std::time::Duration;

use billing::Billing;
use jobs::Heartbeat;
use poem::http::StatusCode;
use poem::{Endpoint, Request, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::server::json_response;

/// Busy workers give a sign of life three times a lease of thirty seconds, idle ones each second.
const SILENCE: Duration = Duration::from_secs(45);

/// The process lives; whether it can work is another question.
pub fn healthy() -> Response {
    json_response(StatusCode::OK, "application/json", &json!({ "status": "ok" }))
}

/// Whether the process was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Working,
    /// It takes requests for this long yet, so that whoever sends them can learn of it.
    Ending {
        notice: Duration,
    },
}

/// What a process says of itself when it is asked whether it is ready.
#[derive(Clone)]
pub struct Readiness {
    /// Of the workers in this process, if it has any.
    pub workers: Option<Heartbeat>,
    pub life: watch::Receiver<Life>,
}

impl Default for Readiness {
    /// Without workers, and nobody will ever tell it to end.
    fn default() -> Self {
        Readiness { workers: None, life: watch::channel(Life::Working).1 }
    }
}

/// Answers `/readyz`.
pub struct Ready {
    pub billing: Billing,
    pub readiness: Readiness,
}

impl Endpoint for Ready {
    type Output = Response;

    async fn call(&self, _: Request) -> poem::Result<Response> {
        let found = self.billing.db.ready().await;
        let mut problems: Vec<(&str, String)> = found.into_iter().map(|of| (of.check, of.detail)).collect();
        if let Some(heartbeat) = &self.readiness.workers
            && heartbeat.age().is_none_or(|age| age > SILENCE)
        {
            problems.push(("workers", "the workers of this process do not get through to the queue".to_owned()));
        }
        if *self.readiness.life.borrow() != Life::Working {
            problems.push(("process", "the process was told to end".to_owned()));
        }
        let away = problems.iter().any(|(check, _)| *check != "cluster");
        let (code, status) = match (away, problems.is_empty()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            (false, false) => (StatusCode::OK, "degraded"),
            (false, true) => (StatusCode::OK, "ready"),
        };
        let problems = problems.into_iter().map(|(check, detail)| json!({ "check": check, "detail": detail }));
        let problems: Vec<Value> = problems.collect();
        Ok(json_response(code, "application/json", &json!({ "status": status, "problems": problems })))
    }
}
