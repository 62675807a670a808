//! A pipeline that is shut down from its source to its sink, so that nothing that was accepted is lost.
//!
//! An acceptor takes orders, three workers carry them out, a writer writes down what came of it. Each is a stage: the acceptor is told to
//! stop, the workers may finish what is in the queue, and the writer what they have sent. One order cannot be
//! finished: the worker that has it is told to stop when the time to drain is over, and says so.

use cancel_tree::CancellationToken;
use cancel_tree::task::{Shutdown, Stage, TaskTracker};
use smol::channel::{Receiver, Sender, bounded, unbounded};
use std::future;
use std::time::Duration;

#[derive(Clone, Copy)]
enum Order {
    Square(u64),
    /// The one that takes for ever.
    Riddle,
}

/// Takes orders until it is told to stop.
async fn accept(stop: CancellationToken, orders: Receiver<Order>, queue: Sender<Order>) {
    while let Some(Ok(order)) = stop.run_until_cancelled(orders.recv()).await {
        // Not under the token: what was taken is passed on.
        queue.send(order).await.expect("the workers outlive the acceptor");
    }
}

/// Ends when the queue has ended; of what takes longer than that, when it is told to stop.
async fn work(stop: CancellationToken, queue: Receiver<Order>, results: Sender<String>) {
    while let Ok(order) = queue.recv().await {
        let result = match order {
            Order::Square(n) => format!("{n} squared is {}", n * n),
            Order::Riddle => {
                let answer = stop.run_until_cancelled(future::pending::<String>()).await;
                answer.unwrap_or_else(|| "the riddle was not solved".into())
            }
        };
        results.send(result).await.expect("the writer outlives the workers");
    }
}

/// Ends when the results have ended.
async fn write(results: Receiver<String>, written: Sender<String>) {
    while let Ok(result) = results.recv().await {
        println!("written: {result}");
        written.send(result).await.expect("main listens");
    }
}

fn main() {
    smol::block_on(async {
        let [acceptor, workers, writer] = [(); 3].map(|()| (TaskTracker::new(), CancellationToken::new()));
        let (customer, orders) = unbounded();
        let (queue_in, queue) = bounded(2);
        let (results_in, results) = bounded(2);
        let (written_in, written) = unbounded();

        // Each channel ends when those who send into it have gone.
        smol::spawn(acceptor.0.track_future(accept(acceptor.1.clone(), orders, queue_in))).detach();
        for _ in 0..3 {
            let work = work(workers.1.clone(), queue.clone(), results_in.clone());
            smol::spawn(workers.0.track_future(work)).detach();
        }
        drop((queue, results_in));
        smol::spawn(writer.0.track_future(write(results, written_in))).detach();

        for order in [Order::Riddle].into_iter().chain((1..=9).map(Order::Square)) {
            customer.send(order).await.expect("the acceptor listens");
        }
        // Something has come out at the other end: that is all we wanted to see. (In a server: a signal has come.)
        written.recv().await.expect("the writer writes");

        let report = Shutdown::new()
            .stage(Stage::new("acceptor", &acceptor.0, &acceptor.1).grace(Duration::from_secs(10)))
            .stage(
                Stage::new("workers", &workers.0, &workers.1)
                    .drain(Duration::from_millis(200))
                    .grace(Duration::from_secs(10)),
            )
            .stage(Stage::new("writer", &writer.0, &writer.1).drain(Duration::from_secs(10)))
            .run()
            .await;

        println!("{report}");
        assert!(report.is_complete());
        // The writer has gone, with all that was sent to it: so this ends.
        let mut more = 0;
        while written.recv().await.is_ok() {
            more += 1;
        }
        println!("{} results, and nobody is left", more + 1);
    });
}
