use crate::harness::Row;
use crate::scenario::tools::{Promised, promise};
use crate::scenario::{Executor, Local, Place, on_timer, run, run_local};
use cancel_tree::CancellationToken;
use cancel_tree::time::EmbassyTimer;
use embassy_executor::Spawner;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

static TIMER: EmbassyTimer = EmbassyTimer::new();

#[embassy_executor::task]
async fn timer() {
    TIMER.run().await
}

/// Its tasks are static: so there is room for so many, and what they run is in a box.
#[embassy_executor::task(pool_size = 96)]
async fn work(work: Pin<Box<dyn Future<Output = ()>>>) {
    work.await;
}

/// Where to run the scenario, and whom to tell.
type Order = (Place, Sender<()>);

#[embassy_executor::task]
async fn scenario(spawner: Spawner, orders: Vec<Promised<Order>>) {
    for order in orders {
        let (place, done) = order.await;
        run(Embassy(spawner), place).await;
        run_local(Embassy(spawner), place).await;
        let _ = done.send(());
    }
}

#[derive(Clone)]
struct Embassy(Spawner);

impl Executor for Embassy {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }
    fn child_with_timeout(&self, parent: &CancellationToken, timeout: Duration) -> CancellationToken {
        on_timer(&&TIMER, parent, timeout)
    }
}

impl Local for Embassy {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(work(Box::pin(task)).expect("room for a task"));
    }
}

#[test]
fn embassy() {
    let row = Row { executor: "embassy-executor, on the host", package: "embassy-executor", timer: "EmbassyTimer" };
    let (orders, ordered): (Vec<_>, Vec<_>) = [promise(), promise()].into_iter().unzip();
    // An executor never ends, nor does the timer's task: so there is one.
    thread::spawn(move || {
        let executor = Box::leak(Box::new(embassy_executor::Executor::new()));
        executor.run(|spawner| {
            spawner.spawn(timer().expect("the first"));
            spawner.spawn(scenario(spawner, ordered).expect("the first"));
        })
    });
    let orders = RefCell::new(orders.into_iter());
    row.passes(|place| {
        let (done, is_done) = channel();
        orders.borrow_mut().next().expect("one for each place").keep((place, done));
        is_done.recv().expect("no panic");
    });
}
