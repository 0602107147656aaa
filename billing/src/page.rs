//! Every list is paged: a slice behind a cursor, never the whole table.

/// Where a page begins and how long it is. `after` is the sort key of the last item of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    pub after: Option<K>,
    pub first: i64,
}

impl<K> Page<K> {
    /// The longest page anybody gets.
    pub const MOST: i64 = 100;

    pub fn new(after: Option<K>, first: i64) -> Self {
        Page { after, first: first.clamp(0, Self::MOST) }
    }

    /// One more than asked for, to know whether there is a next page.
    pub(crate) fn limit(&self) -> i64 {
        self.first + 1
    }

    pub(crate) fn slice<T>(&self, mut items: Vec<T>) -> Slice<T> {
        let wanted = usize::try_from(self.first).unwrap_or_default();
        let has_next = items.len() > wanted;
        items.truncate(wanted);
        Slice { items, has_next }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<T> {
    pub items: Vec<T>,
    pub has_next: bool,
}
