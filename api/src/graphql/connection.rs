//! Relay connections over [`billing::Slice`]: forward paging behind opaque cursors.
//!
//! A cursor names its list and its organization; any other is refused, so that no page begins at a foreign key.

use std::borrow::Cow;

use async_graphql::{Error, OutputType, SimpleObject, TypeName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use billing::{Page, Slice};
use billing_primitives::OrganizationId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errors::Code;

/// Items of a page whose length was not asked for.
pub const USUAL_PAGE: i64 = 25;

/// Where a page lies in its list.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct PageInfo {
    /// Whether there are items after this page.
    pub has_next_page: bool,
    /// Whether there are items before this page.
    pub has_previous_page: bool,
    /// Cursor of the first item; null on an empty page.
    pub start_cursor: Option<String>,
    /// Cursor of the last item, to be sent as `after`; null on an empty page.
    pub end_cursor: Option<String>,
}

/// One item of a list and its place in it.
#[derive(SimpleObject)]
#[graphql(name_type)]
pub struct Edge<T: OutputType> {
    /// Marks this place in this list; opaque.
    pub cursor: String,
    /// The item.
    pub node: T,
}

impl<T: OutputType> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::type_name()).into()
    }
}

/// One page of a list.
pub struct Connection<T: OutputType> {
    edges: Vec<Edge<T>>,
    page_info: PageInfo,
}

impl<T: OutputType> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

/// One page of a list.
#[async_graphql::Object(name_type)]
impl<T: OutputType> Connection<T> {
    /// The items with their cursors.
    async fn edges(&self) -> &[Edge<T>] {
        &self.edges
    }

    /// The items alone.
    async fn nodes(&self) -> Vec<&T> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Where this page lies.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }
}

/// The arguments of a list, read: which list it is, and which page of it is asked for.
pub struct List<K> {
    tag: &'static str,
    organization: OrganizationId,
    pub page: Page<K>,
}

impl<K: Serialize + DeserializeOwned> List<K> {
    /// `tag` names the list; two lists that are sorted differently must not share one.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a page longer than 100 and for a cursor that is not of this list.
    pub fn of(
        tag: &'static str,
        organization: OrganizationId,
        first: Option<i32>,
        after: Option<&str>,
    ) -> Result<Self, Error> {
        let first = first.map_or(USUAL_PAGE, i64::from);
        if !(0..=Page::<K>::MOST).contains(&first) {
            return Err(Code::BadUserInput.error(format!("first is 0 to {}", Page::<K>::MOST)));
        }
        let wrong = || Code::BadUserInput.error("after is not a cursor of this list");
        let after = after.map(|cursor| read_cursor(tag, organization, cursor).ok_or_else(wrong)).transpose()?;
        Ok(List { tag, organization, page: Page::new(after, first) })
    }

    /// The page of a list that was read as a whole, in its order; `is_after` says which rows come behind a cursor.
    pub fn cut<R>(&self, rows: Vec<R>, is_after: impl Fn(&R, &K) -> bool) -> Slice<R> {
        let wanted = usize::try_from(self.page.first).unwrap_or_default();
        let mut rows = rows.into_iter().filter(|row| self.page.after.as_ref().is_none_or(|after| is_after(row, after)));
        let items = rows.by_ref().take(wanted).collect();
        Slice { items, has_next: rows.next().is_some() }
    }

    /// The page that was read; `key` is what the list is sorted by.
    ///
    /// # Errors
    /// A fault: the key cannot be written down.
    pub fn connection<R, T>(&self, slice: Slice<R>, key: impl Fn(&R) -> K) -> Result<Connection<T>, Error>
    where
        T: OutputType + From<R>,
    {
        let edge = |row: R| {
            let cursor = serde_json::to_vec(&(self.tag, self.organization, key(&row)))?;
            Ok(Edge { cursor: URL_SAFE_NO_PAD.encode(cursor), node: T::from(row) })
        };
        let edges = slice.items.into_iter().map(edge).collect::<Result<Vec<_>, serde_json::Error>>()?;
        let page_info = PageInfo {
            has_next_page: slice.has_next,
            has_previous_page: self.page.after.is_some(),
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges.last().map(|edge| edge.cursor.clone()),
        };
        Ok(Connection { edges, page_info })
    }
}

fn read_cursor<K: DeserializeOwned>(tag: &str, organization: OrganizationId, cursor: &str) -> Option<K> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (list, of, key): (String, OrganizationId, K) = serde_json::from_slice(&bytes).ok()?;
    (list == tag && of == organization).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(tag: &'static str, organization: OrganizationId, cursor: &str) -> Result<Page<String>, Error> {
        List::of(tag, organization, Some(2), Some(cursor)).map(|list| list.page)
    }

    #[test]
    fn a_cursor_leads_to_the_next_page_of_its_own_list_only() {
        let (ours, theirs) = (OrganizationId::new(), OrganizationId::new());
        let list = List::of("partners", ours, Some(2), None).unwrap();
        let slice = Slice { items: vec!["a".to_owned(), "é\u{1F600}".to_owned()], has_next: true };
        let connection: Connection<String> = list.connection(slice, String::clone).unwrap();
        let end = connection.page_info.end_cursor.clone().unwrap();
        assert!(connection.page_info.has_next_page && !connection.page_info.has_previous_page);

        assert_eq!(page("partners", ours, &end).unwrap().after.as_deref(), Some("é\u{1F600}"));
        for (tag, organization, cursor) in [
            ("partners", theirs, end.as_str()),
            ("customers", ours, end.as_str()),
            ("partners", ours, ""),
            ("partners", ours, "bm90IGpzb24"),
            ("partners", ours, &end[1..]),
            ("partners", ours, "☃"),
        ] {
            assert!(page(tag, organization, cursor).is_err(), "{tag} {cursor}");
        }
    }

    #[test]
    fn a_list_is_cut_into_pages() {
        let organization = OrganizationId::new();
        let cut = |first, after: Option<i32>| {
            let after = after.map(|key| serde_json::to_vec(&("seats", organization, key)).unwrap());
            let after = after.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
            let list = List::of("seats", organization, Some(first), after.as_deref()).unwrap();
            let slice = list.cut(vec![1, 2, 4], |row, after| row > after);
            (slice.items, slice.has_next)
        };
        assert_eq!(cut(2, None), (vec![1, 2], true));
        assert_eq!(cut(2, Some(2)), (vec![4], false));
        assert_eq!(cut(2, Some(3)), (vec![4], false));
        assert_eq!(cut(3, None), (vec![1, 2, 4], false));
        assert_eq!(cut(2, Some(4)), (vec![], false));
    }

    #[test]
    fn a_page_has_a_length() {
        let list =
            |first| List::<String>::of("partners", OrganizationId::new(), first, None).map(|list| list.page.first);
        assert_eq!(list(None).unwrap(), 25);
        assert_eq!(list(Some(100)).unwrap(), 100);
        assert!(list(Some(101)).is_err());
        assert!(list(Some(-1)).is_err());
    }
}
