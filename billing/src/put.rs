//! What giving the same fact again does.

/// The outcome of putting a fact that may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put<T> {
    Made(T),
    Changed(T),
    Unchanged(T),
}

impl<T> Put<T> {
    pub fn into_inner(self) -> T {
        match self {
            Put::Made(value) | Put::Changed(value) | Put::Unchanged(value) => value,
        }
    }
}
