//! How big an operation is, known before it runs: selections after fragment expansion, depth and complexity.
//!
//! Linear in the length of the document, however often its fragments spread each other: every fragment is measured
//! once. What a field costs follows from its type in the printed schema, so a new field cannot forget its price.

use std::collections::HashMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, FieldDefinition, OperationDefinition, OperationType, Selection, SelectionSet,
    Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Positioned, Value, Variables};
use billing::Page;

use super::connection::USUAL_PAGE;

/// Sets inside sets, fragments included: what the walk itself goes into. Fields have their own limit, [`Limits`].
const DEEPEST_NESTING: usize = 64;

/// What an operation may amount to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub selections: usize,
    pub depth: usize,
    pub complexity: usize,
    /// Fields that an operation begins with: each is a read or a write of its own.
    pub roots: usize,
    /// Values in the answer, as far as pages tell: what complexity does not count are the scalars of its objects.
    pub values: usize,
    /// Characters of a field's name or alias: the answer repeats it with every item.
    pub name: usize,
    /// Directives on one selection.
    pub directives: usize,
    /// Lists inside lists of an introspection: each level multiplies the answer.
    pub introspection_lists: usize,
    /// Root fields that introspect.
    pub introspections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            selections: 2000,
            depth: 16,
            complexity: 5000,
            roots: 100,
            values: 100_000,
            name: 100,
            directives: 5,
            introspection_lists: 2,
            introspections: 5,
        }
    }
}

/// Why an operation is not measured to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("the operation has more than {0} selections, its fragments expanded")]
    Selections(usize),
    #[error("the operation is more than {0} fields deep")]
    Depth(usize),
    #[error("the operation's complexity is {found}, and {limit} is the most: ask for shorter pages or fewer lists")]
    Complexity { found: usize, limit: usize },
    #[error("the operation begins with more than {0} fields")]
    Roots(usize),
    #[error("the answer may have {found} values, and {limit} is the most: ask for fewer fields or shorter pages")]
    Values { found: usize, limit: usize },
    #[error("a field's name or alias has more than {0} characters")]
    Name(usize),
    #[error("a selection has more than {0} directives")]
    Directives(usize),
    #[error("the introspection has more than {0} lists inside each other")]
    IntrospectionLists(usize),
    #[error("the operation introspects more than {0} times")]
    Introspections(usize),
    #[error("the operation nests more than {DEEPEST_NESTING} selection sets")]
    Nesting,
    #[error("fragment {0:?} spreads itself")]
    Cycle(String),
}

/// What a field of the schema leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    /// A scalar, an enum or an amount: comes with its object.
    Free,
    /// Part of a connection (an edge, the page's info): counted by the connection.
    Part(String),
    Object(String),
    Connection(String),
}

/// The schema, as far as measuring needs it: where each field of each type leads.
#[derive(Debug, Default)]
pub struct Shape(HashMap<String, HashMap<String, Target>>);

impl Shape {
    /// Reads the printed schema.
    ///
    /// # Errors
    /// The text is no schema.
    pub fn of(sdl: &str) -> Result<Shape, async_graphql::parser::Error> {
        let mut composite = HashMap::new();
        for definition in parse_schema(sdl)?.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node.to_string();
            match definition.node.kind {
                TypeKind::Object(object) => composite.insert(name, object.fields),
                TypeKind::Interface(interface) => composite.insert(name, interface.fields),
                TypeKind::Union(_) => composite.insert(name, Vec::new()),
                TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => None,
            };
        }
        let target = |field: &FieldDefinition| match named(&field.ty.node) {
            "Money" => Target::Free,
            name if !composite.contains_key(name) => Target::Free,
            name if name == "PageInfo" || name.ends_with("Edge") => Target::Part(name.to_owned()),
            name if name.ends_with("Connection") => Target::Connection(name.to_owned()),
            name => Target::Object(name.to_owned()),
        };
        let fields = |fields: &Vec<Positioned<FieldDefinition>>| {
            fields.iter().map(|field| (field.node.name.node.to_string(), target(&field.node))).collect()
        };
        Ok(Shape(composite.iter().map(|(name, of)| (name.clone(), fields(of))).collect()))
    }

    fn target(&self, parent: Option<&str>, field: &str) -> Option<&Target> {
        self.0.get(parent?)?.get(field)
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => named(inner),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    selections: usize,
    depth: usize,
    complexity: usize,
    values: usize,
    lists: usize,
}

impl Size {
    fn beside(self, other: Size) -> Size {
        Size {
            selections: self.selections.saturating_add(other.selections),
            depth: self.depth.max(other.depth),
            complexity: self.complexity.saturating_add(other.complexity),
            values: self.values.saturating_add(other.values),
            lists: self.lists.max(other.lists),
        }
    }
}

/// Measures every operation and every fragment of a document.
///
/// # Errors
/// The first limit that is passed.
pub fn check(
    shape: &Shape,
    limits: &Limits,
    document: &ExecutableDocument,
    variables: &Variables,
) -> Result<(), TooLarge> {
    let mut walk = Walk { shape, limits, document, variables, fragments: HashMap::new() };
    // Unused fragments too: validation walks them as well.
    for name in document.fragments.keys() {
        walk.fragment(name, 0)?;
    }
    let mut selections = 0_usize;
    for (_, operation) in document.operations.iter() {
        let root = if operation.node.ty == OperationType::Mutation { "Mutation" } else { "Query" };
        let size = walk.set(&operation.node.selection_set.node, Some(root), 0)?;
        selections = selections.saturating_add(size.selections);
        if selections > limits.selections {
            return Err(TooLarge::Selections(limits.selections));
        }
        check_operation(limits, &root_fields(document, &operation.node), size)?;
    }
    Ok(())
}

fn check_operation(limits: &Limits, roots: &[&Field], size: Size) -> Result<(), TooLarge> {
    let introspections = roots.iter().filter(|field| field.name.node.starts_with("__")).count();
    if roots.len() > limits.roots {
        return Err(TooLarge::Roots(limits.roots));
    }
    if introspections > limits.introspections {
        return Err(TooLarge::Introspections(limits.introspections));
    }
    if size.lists > limits.introspection_lists {
        return Err(TooLarge::IntrospectionLists(limits.introspection_lists));
    }
    // An introspection is deep and costs no statement.
    if introspections == roots.len() {
        return Ok(());
    }
    if size.depth > limits.depth {
        return Err(TooLarge::Depth(limits.depth));
    }
    if size.complexity > limits.complexity {
        return Err(TooLarge::Complexity { found: size.complexity, limit: limits.complexity });
    }
    if size.values > limits.values {
        return Err(TooLarge::Values { found: size.values, limit: limits.values });
    }
    Ok(())
}

/// The fields an operation begins with, fragments expanded; only for documents that passed [`check`].
pub fn root_fields<'a>(document: &'a ExecutableDocument, operation: &'a OperationDefinition) -> Vec<&'a Field> {
    let mut fields = Vec::new();
    let mut sets = vec![&operation.selection_set.node];
    while let Some(set) = sets.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => fields.push(&field.node),
                Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let fragment = document.fragments.get(&spread.node.fragment_name.node);
                    sets.extend(fragment.map(|fragment| &fragment.node.selection_set.node));
                }
            }
        }
    }
    fields
}

struct Walk<'a> {
    shape: &'a Shape,
    limits: &'a Limits,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// `None` while the fragment is being measured: meeting it then is a cycle.
    fragments: HashMap<&'a str, Option<Size>>,
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet, parent: Option<&str>, nesting: usize) -> Result<Size, TooLarge> {
        if nesting > DEEPEST_NESTING {
            return Err(TooLarge::Nesting);
        }
        let mut sum = Size::default();
        for selection in &set.items {
            if selection.node.directives().len() > self.limits.directives {
                return Err(TooLarge::Directives(self.limits.directives));
            }
            let size = match &selection.node {
                Selection::Field(field) => self.field(&field.node, parent, nesting)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, nesting + 1)?,
                Selection::InlineFragment(inline) => {
                    let condition =
                        inline.node.type_condition.as_ref().map(|condition| condition.node.on.node.as_str());
                    self.set(&inline.node.selection_set.node, condition.or(parent), nesting + 1)?
                }
            };
            sum = sum.beside(Size { selections: size.selections.saturating_add(1), ..size });
        }
        if sum.selections > self.limits.selections {
            return Err(TooLarge::Selections(self.limits.selections));
        }
        Ok(sum)
    }

    /// Without the selection that spreads it. Unknown fragments are left to validation.
    fn fragment(&mut self, name: &str, nesting: usize) -> Result<Size, TooLarge> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else { return Ok(Size::default()) };
        match self.fragments.get(name.as_str()) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(TooLarge::Cycle(name.to_string())),
            None => {}
        }
        self.fragments.insert(name, None);
        let condition = fragment.node.type_condition.node.on.node.as_str();
        let size = self.set(&fragment.node.selection_set.node, Some(condition), nesting)?;
        self.fragments.insert(name, Some(size));
        Ok(size)
    }

    /// Without the selection that is the field itself.
    fn field(&mut self, field: &'a Field, parent: Option<&str>, nesting: usize) -> Result<Size, TooLarge> {
        let name = field.name.node.as_str();
        if name.len().max(field.response_key().node.len()) > self.limits.name {
            return Err(TooLarge::Name(self.limits.name));
        }
        let shape = self.shape;
        let target = shape.target(parent, name);
        let inside = match target {
            Some(Target::Object(ty) | Target::Connection(ty) | Target::Part(ty)) => Some(ty.as_str()),
            Some(Target::Free) | None => None,
        };
        let children = self.set(&field.selection_set.node, inside, nesting + 1)?;
        let leaf = field.selection_set.node.items.is_empty();
        let items = if let Some(Target::Connection(_)) = target { self.page_length(field) } else { 1 };
        let complexity = match target {
            Some(Target::Free) => 0,
            Some(Target::Part(_)) => children.complexity,
            Some(Target::Connection(_)) => items.saturating_mul(children.complexity).max(1),
            Some(Target::Object(_)) => children.complexity.saturating_add(1),
            // Introspection, or a field that validation will not find.
            None => children.complexity.saturating_add(usize::from(!leaf)),
        };
        let multiplies = target.is_none() && matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes");
        Ok(Size {
            selections: children.selections,
            depth: children.depth + 1,
            complexity,
            values: items.saturating_mul(children.values).saturating_add(1),
            lists: children.lists + usize::from(multiplies),
        })
    }

    /// How many items a connection may bring: `first`, as far as it can be known, within what is ever answered.
    fn page_length(&self, field: &Field) -> usize {
        let most = usize::try_from(Page::<()>::MOST).unwrap_or(usize::MAX);
        let usual = usize::try_from(USUAL_PAGE).unwrap_or(most);
        let Some(argument) = field.get_argument("first") else { return usual };
        // A variable without a value has its default, or nothing: the longest page is on the safe side.
        let given = argument.node.clone().into_const_with(|name| self.variables.get(&name).cloned().ok_or(()));
        let given = match given {
            Ok(Value::Null) => return usual,
            Ok(Value::Number(number)) => number.as_u64(),
            Ok(_) | Err(()) => None,
        };
        given.and_then(|given| usize::try_from(given).ok()).unwrap_or(most).min(most)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::time::{Duration, Instant};

    use async_graphql::parser::parse_query;

    use super::*;

    const SCHEMA: &str = "
        type Query { partners(first: Int): PartnerConnection!, partner: Partner, node: Node }
        type Mutation { make: Partner }
        interface Node { id: ID! }
        type Partner implements Node { id: ID!, due: Money!, parent: Partner, customers(first: Int): PartnerConnection! }
        type PartnerConnection { nodes: [Partner!]!, edges: [PartnerEdge!]!, pageInfo: PageInfo! }
        type PartnerEdge { cursor: String!, node: Partner! }
        type PageInfo { hasNextPage: Boolean! }
        type Money { minor: Int! }
        schema { query: Query, mutation: Mutation }
    ";

    fn told(query: &str, limits: Limits) -> Result<(), TooLarge> {
        let shape = Shape::of(SCHEMA).unwrap();
        check(&shape, &limits, &parse_query(query).unwrap(), &Variables::default())
    }

    fn complexity(query: &str) -> usize {
        match told(query, Limits { complexity: 0, ..Limits::default() }) {
            Err(TooLarge::Complexity { found, .. }) => found,
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn what_things_cost() {
        for (query, cost) in [
            ("{ partner { id due { minor } } }", 1),
            ("{ partner { id parent { id } } }", 2),
            ("{ partners { nodes { id due { minor } } } }", 25),
            ("{ partners(first: 10) { edges { cursor node { id } } pageInfo { hasNextPage } } }", 10),
            ("{ partners(first: 1000) { nodes { id } } }", 100),
            ("query ($n: Int = 3) { partners(first: $n) { nodes { id } } }", 100),
            ("{ partners(first: 10) { nodes { customers(first: 5) { nodes { id } } } } }", 60),
            ("{ partners { pageInfo { hasNextPage } } }", 1),
            ("{ node { ... on Partner { parent { id } } } }", 2),
            ("{ partner { ...P } } fragment P on Partner { parent { parent { id } } }", 3),
            ("mutation { make { parent { id } } }", 2),
        ] {
            assert_eq!(complexity(query), cost, "{query}");
        }
    }

    #[test]
    fn limits_hold() {
        let deep = format!("{{ partner {} {{ id }} {} }}", "{ parent ".repeat(20), "}".repeat(20));
        assert_eq!(told(&deep, Limits::default()), Err(TooLarge::Depth(16)));
        let wide = format!("{{ partner {{ {} }} }}", "id ".repeat(2001));
        assert_eq!(told(&wide, Limits::default()), Err(TooLarge::Selections(2000)));
        let directives = "{ partner { id @include(if: true) @a @b @c @d @e } }";
        assert_eq!(told(directives, Limits::default()), Err(TooLarge::Directives(5)));
        let many = "{ partners(first: 100) { nodes { customers(first: 100) { nodes { id } } } } }";
        assert!(matches!(told(many, Limits::default()), Err(TooLarge::Complexity { found: 10_100, .. })));
        let long = format!("{{ partner {{ {}: id }} }}", "x".repeat(101));
        assert_eq!(told(&long, Limits::default()), Err(TooLarge::Name(100)));
        let roots: String = (0..101).map(|n| format!("a{n}: partner {{ id }} ")).collect();
        assert_eq!(told(&format!("{{ {roots} }}"), Limits::default()), Err(TooLarge::Roots(100)));
        let wide: String = (0..1500).map(|n| format!("a{n}: id ")).collect();
        let wide = format!("{{ partners(first: 100) {{ nodes {{ {wide} }} }} }}");
        assert_eq!(told(&wide, Limits::default()), Err(TooLarge::Values { found: 150_101, limit: 100_000 }));
    }

    #[test]
    fn a_fragment_bomb_is_counted_not_walked() {
        let mut bomb = "{ partner { ...f0 } }".to_owned();
        for n in 0..50 {
            let next = n + 1;
            write!(bomb, " fragment f{n} on Partner {{ ...f{next} ...f{next} }}").unwrap();
        }
        bomb.push_str(" fragment f50 on Partner { id }");
        let begun = Instant::now();
        assert_eq!(told(&bomb, Limits::default()), Err(TooLarge::Selections(2000)));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn cycles_and_long_chains_end() {
        let cycle = "{ partner { ...a } } fragment a on Partner { ...b ...b } fragment b on Partner { ...a ...a }";
        assert!(matches!(told(cycle, Limits::default()), Err(TooLarge::Cycle(_))));
        let unused = "{ partner { id } } fragment a on Partner { parent { ...a } }";
        assert!(matches!(told(unused, Limits::default()), Err(TooLarge::Cycle(_))));
        let mut chain = "{ partner { ...f0 } }".to_owned();
        for n in 0..3000 {
            write!(chain, " fragment f{n} on Partner {{ ...f{} }}", n + 1).unwrap();
        }
        chain.push_str(" fragment f3000 on Partner { id }");
        assert!(told(&chain, Limits::default()).is_err());
    }

    #[test]
    fn introspection_is_exempt_from_depth_but_not_from_multiplying() {
        let types = "ofType { ".repeat(18) + "name" + &" }".repeat(18);
        assert_eq!(told(&format!("{{ __schema {{ types {{ {types} }} }} }}"), Limits::default()), Ok(()));
        let multiplied = "fields { type { ".repeat(3) + "name" + &" } }".repeat(3);
        let query = format!("{{ __schema {{ types {{ {multiplied} }} }} }}");
        assert_eq!(told(&query, Limits::default()), Err(TooLarge::IntrospectionLists(2)));
        let often: String = (0..6).map(|n| format!("a{n}: __schema {{ types {{ name }} }} ")).collect();
        assert_eq!(told(&format!("{{ {often} }}"), Limits::default()), Err(TooLarge::Introspections(5)));
        let mixed = format!("{{ partner {{ id }} __schema {{ types {{ {types} }} }} }}");
        assert_eq!(told(&mixed, Limits::default()), Err(TooLarge::Depth(16)));
    }

    #[test]
    fn root_fields_are_found_inside_fragments() {
        let query = "mutation { make ...a ... { c: make } } fragment a on Mutation { b: make }";
        let document = parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        assert_eq!(root_fields(&document, &operation.node).len(), 3);
    }
}
