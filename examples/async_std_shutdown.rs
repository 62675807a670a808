//! A job queue on async-std that shuts down in two steps, with one tree.
//!
//! `service` is the token of all, and `intake` a child of it. Cancelling `intake` is the polite step: no job is taken
//! in any more, and the queue is worked off. Whatever has not ended when the time of grace is over is cancelled by the
//! other step, `service`, which reaches every job: the token of each is a child of it.

use async_std::channel::{Receiver, Sender, bounded, unbounded};
use async_std::{future, task};
use cancel_tree::CancellationToken;
use std::time::Duration;

/// Of the letter that cannot be delivered.
const WRONG_ADDRESS: usize = 2;
const GRACE: Duration = Duration::from_millis(200);

/// A letter arrives after its time; one without a time never does.
struct Letter {
    to: usize,
    takes: Option<Duration>,
}

#[derive(Debug, Default)]
struct Report {
    delivered: Vec<usize>,
    given_up: Vec<usize>,
}

/// Takes letters in until `intake` is cancelled. How many it took.
async fn write_letters(intake: CancellationToken, queue: Sender<Letter>) -> usize {
    for to in 0.. {
        let takes = (to != WRONG_ADDRESS).then_some(Duration::from_millis(10));
        // Waits while the queue is full: a wait, too, that the token ends. A letter is taken in whole or not at all.
        match intake.run_until_cancelled(queue.send(Letter { to, takes })).await {
            Some(sent) => sent.expect("the postmen stay until the queue is closed"),
            None => return to,
        }
    }
    unreachable!("there is always another letter")
}

/// Delivers letters until the queue is empty and nobody can put more into it.
async fn deliver(service: CancellationToken, queue: Receiver<Letter>, delivered: Sender<usize>) -> Report {
    let mut report = Report::default();
    while let Ok(letter) = queue.recv().await {
        let job = service.child_token();
        let delivery = async {
            match letter.takes {
                Some(time) => task::sleep(time).await,
                None => future::pending().await,
            }
        };
        if job.run_until_cancelled(delivery).await.is_some() {
            report.delivered.push(letter.to);
            // Whether anybody counts or not.
            let _ = delivered.try_send(letter.to);
        } else {
            report.given_up.push(letter.to);
        }
    }
    report
}

fn main() {
    task::block_on(async {
        let service = CancellationToken::new();
        let intake = service.child_token();
        let (queue, letters) = bounded(4);
        let (delivered, deliveries) = unbounded();

        let writer = task::spawn(write_letters(intake.clone(), queue));
        let postmen: Vec<_> =
            (0..3).map(|_| task::spawn(deliver(service.clone(), letters.clone(), delivered.clone()))).collect();
        drop(letters);

        for _ in 0..20 {
            deliveries.recv().await.expect("the postmen are at work");
        }
        println!("20 letters are delivered: closing time");

        intake.cancel();
        assert!(!service.is_cancelled(), "a child's cancel does not go up");
        let taken = writer.await;
        println!("the intake is closed after {taken} letters");

        let grace = task::spawn(async move {
            task::sleep(GRACE).await;
            println!("the time of grace is over");
            service.cancel();
        });
        // The writer has dropped its end of the queue, so the postmen end when that is empty: all but the one who
        // looks for the wrong address.
        let mut report = Report::default();
        for postman in postmen {
            let Report { delivered, given_up } = postman.await;
            report.delivered.extend(delivered);
            report.given_up.extend(given_up);
        }
        grace.cancel().await;

        println!("{} letters delivered, given up: {:?}", report.delivered.len(), report.given_up);
        assert!(report.given_up.contains(&WRONG_ADDRESS), "it would have waited for ever");
        assert_eq!(report.delivered.len() + report.given_up.len(), taken, "no letter that was taken in was lost");
    });
}
