//! Set-based writes.
