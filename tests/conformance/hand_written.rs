use crate::by_hand::ByHand;
use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use std::future::Future;
use std::thread;

#[derive(Clone)]
struct HandWritten(ByHand);

impl Executor for HandWritten {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

impl Local for HandWritten {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task);
    }
}

#[test]
fn with_nothing_but_std() {
    Row { executor: "written by hand, one thread", package: "-", timer: "ThreadTimer" }.passes(|place| {
        let this = thread::current();
        let executor = HandWritten(ByHand::new(move || this.unpark()));
        let main = async {
            run(executor.clone(), place).await;
            run_local(executor.clone(), place).await;
        };
        executor.0.run_until(main, || (), thread::park);
    });
}
