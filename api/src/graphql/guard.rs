//! Stands before and behind every operation, whichever surface it comes from.
//!
//! Before: nobody without a session, nothing too large, no variable unknown or missing, no scope exceeded.
//! Behind: every error carries a code, and faults are masked.

use std::any::{Any, TypeId};
use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextRequest, NextValidation,
};
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{
    Data, Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables, async_trait,
};
use billing::keys::Scope as KeyScope;

use super::errors::{self, Code};
use super::measure::{self, Limits, Shape, TooLarge};
use super::scope::RequestId;
use crate::auth::Session;

/// Makes a guard for each request.
pub struct Guard(pub Arc<Shape>);

impl ExtensionFactory for Guard {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Watch(self.0.clone()))
    }
}

struct Watch(Arc<Shape>);

#[async_trait::async_trait]
impl Extension for Watch {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(ctx).await;
        let request = ctx.data_opt::<RequestId>().cloned().unwrap_or_else(RequestId::fresh);
        response.errors = response.errors.into_iter().map(|error| errors::coded(error, &request)).collect();
        response
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let session = of::<Session>(&request.data).cloned();
        let session = session.ok_or_else(|| Code::Unauthenticated.refuse("an API key is needed"))?;
        let kind = inspect(&self.0, &mut request)?.kind;
        let needed = if kind == OperationType::Mutation { KeyScope::Write } else { KeyScope::Read };
        if !session.may(needed) {
            return Err(Code::Forbidden.refuse(format!("the API key lacks the scope {needed}")));
        }
        next.run(ctx, request).await
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let marked = |errors: Vec<ServerError>| errors.into_iter().map(|error| Code::Validation.mark(error)).collect();
        next.run(ctx).await.map_err(marked)
    }
}

fn of<T: Any>(data: &Data) -> Option<&T> {
    data.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref())
}

/// What is known of an operation before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub kind: OperationType,
    /// Fields it begins with.
    pub roots: usize,
}

/// Parses the document, once for the request, and holds it against every limit.
///
/// # Errors
/// The first thing that is wrong, with its code.
pub fn inspect(shape: &Shape, request: &mut Request) -> ServerResult<Operation> {
    if nesting(&request.query) > DEEPEST_BRACKETS {
        return Err(Code::QueryTooLarge.refuse(format!("more than {DEEPEST_BRACKETS} brackets inside each other")));
    }
    request.parsed_query().map_err(|error| Code::Parse.mark(error))?;
    let (variables, name) = (request.variables.clone(), request.operation_name.clone());
    let document = request.parsed_query()?;
    measure::check(shape, &Limits::default(), document, &variables).map_err(|error| match error {
        TooLarge::Cycle(_) => Code::Validation.refuse(error.to_string()),
        _ => Code::QueryTooLarge.refuse(error.to_string()),
    })?;
    let operation = selected(document, name.as_deref())?;
    check_variables(operation, &variables)?;
    Ok(Operation { kind: operation.ty, roots: measure::root_fields(document, operation).len() })
}

/// Brackets inside each other that the parser is given: it recurses, and its stack is the worker's.
const DEEPEST_BRACKETS: usize = 128;

/// How deep brackets nest, counting those in texts and comments too: a bound, not a parse.
fn nesting(query: &str) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    for byte in query.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> ServerResult<&'a OperationDefinition> {
    let refuse = |message: String| Code::OperationResolution.refuse(message);
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => operation,
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next().ok_or_else(|| refuse("the document has no operation".to_owned()))?
        }
        (DocumentOperations::Multiple(operations), Some(name)) => {
            operations.get(name).ok_or_else(|| refuse(format!("the document has no operation {name:?}")))?
        }
        (DocumentOperations::Single(_), Some(name)) => {
            return Err(refuse(format!("the document has no operation {name:?}")));
        }
        (DocumentOperations::Multiple(_), None) => {
            return Err(refuse("the document has several operations: name one in operationName".to_owned()));
        }
    };
    Ok(&operation.node)
}

/// The library executes what it can around a missing variable and never looks at an undeclared one.
fn check_variables(operation: &OperationDefinition, variables: &Variables) -> ServerResult<()> {
    for definition in &operation.variable_definitions {
        let (name, definition) = (&definition.node.name.node, &definition.node);
        let required = !definition.var_type.node.nullable;
        let missing = match variables.get(name) {
            Some(Value::Null) => required,
            Some(_) => false,
            None => required && definition.default_value.is_none(),
        };
        if missing {
            let message = format!("variable ${name} of type {} needs a value", definition.var_type.node);
            return Err(Code::BadUserInput.refuse(message));
        }
    }
    let declared = |name: &str| operation.variable_definitions.iter().any(|of| of.node.name.node == name);
    match variables.keys().find(|name| !declared(name.as_str())) {
        Some(unknown) => Err(Code::BadUserInput.refuse(format!("the operation declares no variable ${unknown}"))),
        None => Ok(()),
    }
}
