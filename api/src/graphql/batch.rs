//! Runs an operation and its batch reads in one task.
//!
//! A batch starts when the operation cannot go on without it, so what all items of a page need is always one statement,
//! however long resolving the page takes. A caller that hangs up takes its reads with it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

/// How often an operation that can go on at once is polled before other tasks have their turn.
const TURNS: u32 = 64;

/// The reads that an operation has asked for and that have not begun.
#[derive(Clone, Default)]
pub struct Batches(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Batches {
    pub fn add(&self, read: BoxFuture<'static, ()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    }

    fn take(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `operation` to its end, and its reads between its steps.
    pub async fn drive<T>(&self, operation: impl Future<Output = T>) -> T {
        let mut operation = pin!(operation);
        let mut reads = FuturesUnordered::new();
        poll_fn(|cx| {
            let bell = Arc::new(Bell { rung: AtomicBool::new(false), task: cx.waker().clone() });
            let waker = Waker::from(bell.clone());
            for _ in 0..TURNS {
                if let Poll::Ready(outcome) = operation.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(outcome);
                }
                // Large joins pause in the middle: what is still to come belongs into the same batch.
                if bell.answer() {
                    continue;
                }
                reads.extend(self.take());
                while let Poll::Ready(Some(())) = reads.poll_next_unpin(cx) {}
                if !bell.answer() {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

/// Wakes the task, and remembers that it did.
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Bell {
    fn answer(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;
    use std::time::Duration;

    use async_graphql::dataloader::{DataLoader, Loader};

    use super::*;

    struct Doubles(Arc<Mutex<Vec<usize>>>);

    impl Loader<u32> for Doubles {
        type Value = u32;
        type Error = Infallible;

        async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, Infallible> {
            self.0.lock().unwrap().push(keys.len());
            tokio::task::yield_now().await;
            Ok(keys.iter().map(|key| (*key, key * 2)).collect())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_level_is_one_batch_however_slowly_it_is_resolved() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let batches = Batches::default();
        let spawner = batches.clone();
        let loader = DataLoader::new(Doubles(sizes.clone()), move |read| spawner.add(read)).delay(Duration::ZERO);
        let item = async |key: u32| {
            pause().await;
            let twice = loader.load_one(key).await.unwrap().unwrap();
            loader.load_one(1000 + twice).await.unwrap().unwrap()
        };
        let all = batches.drive(futures::future::join_all((0..200).map(item))).await;
        assert_eq!(all, (0..200).map(|key| (1000 + key * 2) * 2).collect::<Vec<_>>());
        assert_eq!(*sizes.lock().unwrap(), [200, 200]);
    }

    /// A resolver that pauses without waiting for anything.
    async fn pause() {
        let mut paused = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
