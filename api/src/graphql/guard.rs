//! Stands before and behind every operation, whichever surface it comes from.
//!
//! Before: nobody without a session, nothing too large, no variable unknown or missing, no scope exceeded.
//! Behind: every error carries a code, and faults are masked.

use std::any::{Any, TypeId};
use std::collections::HashSet;
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
        let marked = |error: ServerError| Code::Validation.mark(ServerError { message: shown(error.message), ..error });
        next.run(ctx).await.map_err(|errors| errors.into_iter().take(MOST_ERRORS).map(marked).collect())
    }
}

/// Errors of one document that are told; the answer is not to outgrow the question.
const MOST_ERRORS: usize = 20;

/// A message that quotes the document, cut to a length for reading.
fn shown(message: String) -> String {
    match message.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
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
    let declared: HashSet<&str> = operation.variable_definitions.iter().map(|of| of.node.name.node.as_str()).collect();
    match variables.keys().find(|name| !declared.contains(name.as_str())) {
        Some(unknown) => Err(Code::BadUserInput.refuse(format!("the operation declares no variable ${unknown}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Variables;
    use billing::{Actor, Caller};
    use billing_primitives::{ApiKeyId, OrganizationId};
    use serde_json::json;

    use super::super::{Schema, builder, sdl};
    use super::*;

    fn guarded() -> Schema {
        builder().extension(Guard(Arc::new(Shape::of(&sdl()).unwrap()))).finish()
    }

    fn session(scopes: &[KeyScope]) -> Session {
        let caller = Caller { organization: OrganizationId::new(), actor: Actor::ApiKey(ApiKeyId::new()), key: None };
        Session { caller, scopes: scopes.to_vec() }
    }

    /// The codes of an operation's errors, asked with both scopes.
    async fn codes(request: impl Into<Request>) -> Vec<Code> {
        let request = request.into().data(session(&[KeyScope::Read, KeyScope::Write]));
        let response = guarded().execute(request).await;
        response.errors.iter().map(|error| Code::of(error).unwrap()).collect()
    }

    #[tokio::test]
    async fn nobody_without_a_session_learns_anything() {
        for query in ["{ __typename }", "{ __schema { types { name } } }", "{ organization { id } }", "{"] {
            let response = guarded().execute(query).await;
            assert_eq!(Code::of(&response.errors[0]), Some(Code::Unauthenticated), "{query}");
        }
    }

    #[tokio::test]
    async fn scopes_bind() {
        let asked = async |query: &str, scopes: &[KeyScope]| {
            let response = guarded().execute(Request::new(query).data(session(scopes))).await;
            response.errors.first().and_then(Code::of)
        };
        let mutation = r#"mutation { revokeApiKey(input: { key: "key_1" }) { apiKey { id } } }"#;
        assert_eq!(asked(mutation, &[KeyScope::Read]).await, Some(Code::Forbidden));
        assert_eq!(asked("{ __typename }", &[KeyScope::Write]).await, Some(Code::Forbidden));
        assert_eq!(asked("{ __typename }", &[KeyScope::Read]).await, None);
    }

    #[tokio::test]
    async fn every_error_has_a_code() {
        let bomb: String = (0..30).map(|n| format!(" fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1)).collect();
        let bomb = format!("{{ ...f0 }}{bomb} fragment f30 on Query {{ __typename }}");
        for (query, code) in [
            ("{", Code::Parse),
            ("{ nothing }", Code::Validation),
            ("{ ...a } fragment a on Query { ...a }", Code::Validation),
            ("query A { __typename } query B { __typename }", Code::OperationResolution),
            ("query ($id: ID!) { node(id: $id) { id } }", Code::BadUserInput),
            (bomb.as_str(), Code::QueryTooLarge),
            // There is no scope here: the library's own error is masked.
            ("{ organization { id } }", Code::Internal),
        ] {
            assert_eq!(codes(query).await, [code], "{query}");
        }
    }

    #[tokio::test]
    async fn variables_are_declared_and_given() {
        let asked = async |query: &str, variables: serde_json::Value| {
            codes(Request::new(query).variables(Variables::from_json(variables))).await
        };
        let type_of = "query ($name: String!) { __type(name: $name) { name @skip(if: false) } }";
        assert_eq!(asked(type_of, json!({ "name": "Partner" })).await, []);
        assert_eq!(asked(type_of, json!({ "name": null })).await, [Code::BadUserInput]);
        assert_eq!(asked(type_of, json!({})).await, [Code::BadUserInput]);
        assert_eq!(asked(type_of, json!({ "name": "Partner", "other": 1 })).await, [Code::BadUserInput]);
        let usual = "query ($name: String! = \"Partner\") { __type(name: $name) { name } }";
        assert_eq!(asked(usual, json!({})).await, []);
        assert_eq!(asked(usual, json!({ "name": null })).await, [Code::BadUserInput]);
    }

    #[tokio::test]
    async fn deep_texts_do_not_reach_the_parser() {
        let deepest = super::super::http::LONGEST_BODY;
        for (open, close) in [("{a", "}"), ("{a(b:[", "])}"), ("[", "]")] {
            let deep = open.repeat(deepest / (open.len() + close.len())) + &close.repeat(deepest / 8);
            assert_eq!(codes(deep.as_str()).await, [Code::QueryTooLarge], "{open}");
        }
        let types = format!("query ($a: {}Int{}) {{ __typename }}", "[".repeat(60_000), "]".repeat(60_000));
        assert_eq!(codes(types.as_str()).await, [Code::QueryTooLarge]);
    }

    /// What GraphiQL and code generators send.
    const INTROSPECTION: &str = "
        query IntrospectionQuery { __schema {
            queryType { name } mutationType { name } subscriptionType { name }
            types { ...FullType } directives { name description locations args { ...InputValue } }
        } }
        fragment FullType on __Type {
            kind name description
            fields(includeDeprecated: true) {
                name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
            }
            inputFields { ...InputValue } interfaces { ...TypeRef }
            enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
            possibleTypes { ...TypeRef }
        }
        fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
        fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
            kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
    ";

    #[tokio::test]
    async fn introspection_passes_and_everything_is_described() {
        let request = Request::new(INTROSPECTION).data(session(&[KeyScope::Read]));
        let response = guarded().execute(request).await;
        assert_eq!(response.errors, []);
        let answer = response.data.into_json().unwrap();
        let types = answer["__schema"]["types"].as_array().unwrap();
        let own = |name: &str| !name.starts_with("__") && !["Boolean", "Float", "ID", "Int", "String"].contains(&name);
        for ty in types.iter().filter(|ty| own(ty["name"].as_str().unwrap())) {
            assert!(ty["description"].is_string(), "{}", ty["name"]);
            for list in ["fields", "inputFields", "enumValues"] {
                for member in ty[list].as_array().into_iter().flatten() {
                    assert!(member["description"].is_string(), "{}.{}", ty["name"], member["name"]);
                    let arguments = member["args"].as_array().into_iter().flatten();
                    for argument in arguments.filter(|argument| argument["name"] != "input") {
                        assert!(argument["description"].is_string(), "{}({})", member["name"], argument["name"]);
                    }
                }
            }
        }
    }
}
