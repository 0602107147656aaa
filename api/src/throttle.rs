//! How often one network address may come: so many requests in a window, then nothing until it ends.
//!
//! What is kept is bounded: addresses whose window has ended are forgotten when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered at once. When even more come within one window, it is an attack, and who is new waits.
const MOST: usize = 100_000;

/// Counts the requests of addresses.
#[derive(Debug)]
pub struct Throttle {
    limit: u32,
    window: Duration,
    seen: Mutex<HashMap<Source, Count>>,
}

/// Whom a request is counted for: an IPv4 address, the network of an IPv6 address, or all that have neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(Option<IpAddr>);

impl Source {
    /// Who has one IPv6 address has 2^64 of them: they count as one.
    pub fn of(address: Option<IpAddr>) -> Source {
        Source(address.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[8..].fill(0);
                IpAddr::from(octets)
            }
            v4 => v4,
        }))
    }
}

#[derive(Debug, Clone, Copy)]
struct Count {
    began: Instant,
    requests: u32,
}

impl Throttle {
    pub fn new(limit: u32, window: Duration) -> Throttle {
        Throttle { limit, window, seen: Mutex::new(HashMap::new()) }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub fn enter(&self, source: Source, now: Instant) -> Result<(), Duration> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST && !seen.contains_key(&source) {
            seen.retain(|_, count| now.duration_since(count.began) < self.window);
            if seen.len() >= MOST {
                return Err(self.window);
            }
        }
        let count = seen.entry(source).or_insert(Count { began: now, requests: 0 });
        if now.duration_since(count.began) >= self.window {
            *count = Count { began: now, requests: 0 };
        }
        if count.requests >= self.limit {
            return Err(self.window.saturating_sub(now.duration_since(count.began)));
        }
        count.requests += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(Some(text.parse().unwrap()))
    }

    #[test]
    fn each_address_has_so_many_in_a_window() {
        let (throttle, begin) = (Throttle::new(2, Duration::from_secs(60)), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let ask = |address: &str, seconds| throttle.enter(source(address), at(seconds)).map_err(|wait| wait.as_secs());
        assert_eq!(ask("192.0.2.1", 0), Ok(()));
        assert_eq!(ask("192.0.2.1", 10), Ok(()));
        assert_eq!(ask("192.0.2.1", 10), Err(50));
        assert_eq!(ask("192.0.2.2", 10), Ok(()));
        assert_eq!(ask("192.0.2.1", 59), Err(1));
        assert_eq!(ask("192.0.2.1", 60), Ok(()));
        assert_eq!(throttle.enter(Source::of(None), at(0)), Ok(()));
    }

    #[test]
    fn a_network_counts_as_one_address() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
