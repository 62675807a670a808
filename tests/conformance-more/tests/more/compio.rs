use crate::harness::Row;
use crate::scenario::{Executor, Local, run, run_local};
use compio_runtime::Runtime;
use std::future::Future;

#[derive(Clone)]
struct Compio;

impl Executor for Compio {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }
}

impl Local for Compio {
    fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        compio_runtime::spawn(task).detach();
    }
}

#[test]
fn compio() {
    let row = Row { executor: "compio", package: "compio-runtime", timer: "ThreadTimer" };
    if let Err(error) = Runtime::new() {
        return row.skip(&format!("no runtime on this kernel: {error}"));
    }
    row.passes(|place| {
        Runtime::new().expect("it was there just now").block_on(async {
            run(Compio, place).await;
            run_local(Compio, place).await;
        });
    });
}
