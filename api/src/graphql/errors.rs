//! What an answer says when something is wrong: `extensions.code` always, and never a fault's inside.
//!
//! A refusal of the business in a mutation is no error but a [`UserError`] in its payload.

use std::sync::Arc;

use async_graphql::{Error, ServerError, SimpleObject};
use billing::{DbError, KeyError, Refusal};
use poem::http::StatusCode;

use super::scope::RequestId;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident;)*) => {
        /// The values of `extensions.code`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }

            /// The HTTP status of an answer that is nothing but this error.
            pub const fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status),* }
            }

            fn named(text: &str) -> Option<Code> {
                match text { $($text => Some(Code::$name),)* _ => None }
            }
        }
    };
}

codes! {
    BadRequest = "BAD_REQUEST", BAD_REQUEST;
    BadUserInput = "BAD_USER_INPUT", BAD_REQUEST;
    Forbidden = "FORBIDDEN", FORBIDDEN;
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", CONFLICT;
    Internal = "INTERNAL_SERVER_ERROR", INTERNAL_SERVER_ERROR;
    NotFound = "NOT_FOUND", NOT_FOUND;
    /// No operation of that name, or several and no name.
    OperationResolution = "OPERATION_RESOLUTION_FAILURE", BAD_REQUEST;
    Parse = "GRAPHQL_PARSE_FAILED", BAD_REQUEST;
    QueryTooLarge = "QUERY_TOO_LARGE", BAD_REQUEST;
    RateLimited = "RATE_LIMITED", TOO_MANY_REQUESTS;
    /// Nothing was done for now; the same request may succeed later.
    Unavailable = "SERVICE_UNAVAILABLE", SERVICE_UNAVAILABLE;
    Unauthenticated = "UNAUTHENTICATED", UNAUTHORIZED;
    Validation = "GRAPHQL_VALIDATION_FAILED", BAD_REQUEST;
}

impl Code {
    /// An error for a resolver to return.
    pub fn error(self, message: impl Into<String>) -> Error {
        let mut error = Error::new(message);
        error.extensions.get_or_insert_default().set("code", self.as_str());
        error
    }

    /// An error of the request as a whole.
    pub fn refuse(self, message: impl Into<String>) -> ServerError {
        self.mark(ServerError::new(message, None))
    }

    /// The error with this code.
    pub fn mark(self, mut error: ServerError) -> ServerError {
        error.extensions.get_or_insert_default().set("code", self.as_str());
        error
    }

    /// The code an error carries.
    pub fn of(error: &ServerError) -> Option<Code> {
        match error.extensions.as_ref()?.get("code")? {
            async_graphql::Value::String(text) => Code::named(text),
            _ => None,
        }
    }
}

/// Something about the input that the business refuses. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct UserError {
    /// What programs compare, such as `EXTERNAL_ID_TAKEN`.
    pub code: String,
    /// The path of the input field that has to change, such as `["input", "externalId"]`; null when none alone can.
    pub field: Option<Vec<String>>,
    /// What people read, in English.
    pub message: String,
}

impl From<&Refusal> for UserError {
    fn from(refusal: &Refusal) -> Self {
        UserError {
            code: refusal.code().to_owned(),
            field: refusal.field().map(|field| vec!["input".to_owned(), field.to_owned()]),
            message: refusal.to_string(),
        }
    }
}

/// Puts errors about a field where a mutation's input has it: amounts carry their currency, lists their items.
pub fn place(errors: &mut [UserError], field: &str, path: &[&str]) {
    let is_at =
        |error: &&mut UserError| error.field.as_ref().and_then(|path| path.get(1)).is_some_and(|at| at == field);
    for error in errors.iter_mut().filter(is_at) {
        let path = path.iter().map(|part| (*part).to_owned());
        error.field = Some(std::iter::once("input".to_owned()).chain(path).collect());
    }
}

/// Gives an error of an executed operation its code; what nobody expected is logged and masked.
pub fn coded(error: ServerError, request: &RequestId) -> ServerError {
    if Code::of(&error).is_some() {
        return error;
    }
    // A loader's errors are shared by everybody who waits for the batch.
    let shared = error.source::<Arc<billing::Error>>().map(AsRef::as_ref);
    if let Some(refusal) = error.source::<Refusal>() {
        return told(&error, &billing::Error::Refused(refusal.clone()), request);
    }
    match error.source::<billing::Error>().or(shared) {
        Some(cause) => told(&error, cause, request),
        None if is_input(&error) => Code::BadUserInput.mark(error),
        None => masked(&error, &error.message, request),
    }
}

fn told(error: &ServerError, cause: &billing::Error, request: &RequestId) -> ServerError {
    let as_said = |code: Code, message: String| code.mark(ServerError { message, source: None, ..error.clone() });
    match cause {
        billing::Error::Refused(refusal @ Refusal::NotFound { .. }) => as_said(Code::NotFound, refusal.to_string()),
        billing::Error::Refused(refusal) => {
            let mut error = as_said(Code::BadUserInput, refusal.to_string());
            error.extensions.get_or_insert_default().set("reason", refusal.code());
            error
        }
        billing::Error::Key(KeyError::Conflict) => as_said(Code::IdempotencyConflict, cause.to_string()),
        billing::Error::Key(KeyError::Malformed) => as_said(Code::BadRequest, cause.to_string()),
        billing::Error::Db(fault) if fault.is_passing() => {
            tracing::warn!(error = %fault, "the database is not available");
            as_said(Code::Unavailable, UNAVAILABLE.to_owned())
        }
        billing::Error::Db(_) | billing::Error::Corrupt(_) => masked(error, cause, request),
    }
}

/// What somebody reads who came at a bad moment.
pub const UNAVAILABLE: &str = "the service is not available right now; try again later";

/// A fault outside of any operation, for the caller: passing ones say so, others are logged and masked.
pub fn fault(error: &billing::Error, request: &RequestId) -> ServerError {
    told(&ServerError::new(String::new(), None), error, request)
}

/// As [`fault`], for faults of the database.
pub fn db_fault(error: DbError, request: &RequestId) -> ServerError {
    fault(&billing::Error::from(error), request)
}

/// The caller learns the request's id, the log learns why.
pub fn masked(error: &ServerError, cause: &(impl std::fmt::Display + ?Sized), request: &RequestId) -> ServerError {
    tracing::error!(%cause, path = ?error.path, "an unexpected fault");
    let mut shown = Code::Internal.mark(ServerError {
        message: "an unexpected fault; give the request id to whoever operates this service".to_owned(),
        source: None,
        locations: error.locations.clone(),
        path: error.path.clone(),
        extensions: None,
    });
    shown.extensions.get_or_insert_default().set("requestId", request.to_string());
    shown
}

/// Errors of the library about an argument have no source; ours always have one, or a code.
fn is_input(error: &ServerError) -> bool {
    let begins = ["Expected input type", "Failed to parse", "Invalid value for", "Variable "];
    error.source.is_none() && begins.iter().any(|begin| error.message.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use async_graphql::Pos;

    use super::*;

    fn code(error: Error) -> (Option<Code>, String) {
        let request = RequestId::given("r-1").unwrap();
        let error = coded(error.into_server_error(Pos { line: 1, column: 1 }), &request);
        (Code::of(&error), error.message)
    }

    #[test]
    fn faults_are_masked_and_passing_ones_say_so() {
        let (found, message) = code(billing::Error::Corrupt("secret detail".to_owned()).into());
        assert_eq!(found, Some(Code::Internal));
        assert!(!message.contains("secret"));
        let (found, message) = code(Arc::new(billing::Error::Db(DbError::Unreachable("host 10.0.0.1".into()))).into());
        assert_eq!(found, Some(Code::Unavailable));
        assert!(!message.contains("10.0.0.1"));
        let (found, _) = code(Error::new("the library's own trouble"));
        assert_eq!(found, Some(Code::Internal));
    }

    #[test]
    fn what_the_caller_did_is_told() {
        let (found, message) = code(billing::Error::Refused(Refusal::AmountOverflow).into());
        assert_eq!(found, Some(Code::BadUserInput));
        assert!(message.contains("64 bits"));
        let (found, message) = code(Arc::new(billing::Error::from(DbError::Unstorable)).into());
        assert_eq!(found, Some(Code::BadUserInput));
        assert!(message.contains("NUL"));
        assert_eq!(code(Code::Forbidden.error("no")).0, Some(Code::Forbidden));
        assert_eq!(code(Error::new("Failed to parse \"Date\": x")).0, Some(Code::BadUserInput));
        assert_eq!(code(billing::Error::Key(KeyError::Conflict).into()).0, Some(Code::IdempotencyConflict));
    }
}
