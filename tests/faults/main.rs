//! What must hold when processes die, databases stall and workers meet: on a real PostgreSQL.

#[cfg(test)]
mod queue;
#[cfg(test)]
mod support;
#[cfg(test)]
mod workers;
