//! Objects by their global id: the prefix says which noun it is.

use async_graphql::{Context, ID, Interface, Object, Result};
use billing::organizations;
use billing_primitives::{OrganizationId, PartnerId};

use super::organization::Organization;
use super::partners::Partner;
use super::scope::Scope;

/// Whatever has an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "&ID", desc = "The global id: a prefix that names the kind, and 32 hex digits."))]
pub enum Node {
    Organization(Organization),
    Partner(Partner),
}

#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id, whatever it is; null when there is none.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "A global id.")] id: ID) -> Result<Option<Node>> {
        let scope = Scope::of(ctx)?;
        by_prefix(scope, &id).await
    }
}

/// One arm per noun whose rows can be read by id.
macro_rules! loaded {
    ($scope:expr, $id:expr, $prefix:expr; $($ty:ty => $node:ident),* $(,)?) => {
        match $prefix {
            $(<$ty>::PREFIX => match $id.parse::<$ty>() {
                Ok(id) => Ok($scope.load(id).await?.map(|row| Node::$node(row.into()))),
                Err(_) => Ok(None),
            },)*
            _ => Ok(None),
        }
    };
}

async fn by_prefix(scope: &Scope, id: &ID) -> Result<Option<Node>> {
    let prefix = id.split_once('_').map_or("", |(prefix, _)| prefix);
    if prefix == OrganizationId::PREFIX {
        // Only the caller's own exists for it.
        let own = id.parse() == Ok(scope.organization());
        return match own {
            true => {
                Ok(Some(organizations::get(&scope.billing, scope.organization()).await.map(Organization::from)?.into()))
            }
            false => Ok(None),
        };
    }
    loaded!(scope, id, prefix; PartnerId => Partner)
}
