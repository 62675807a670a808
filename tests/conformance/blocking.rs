//! The same story without futures: threads that block, and threads that poll.

use crate::harness::Row;
use crate::scenario::{HUNG_UP, Place, cause_of, on_timer, tools::marks};
use cancel_tree::time::ThreadTimer;
use cancel_tree::{CancelKind, CancellationToken};
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

type Serving = Vec<JoinHandle<Vec<bool>>>;

/// Two threads that wait for the request's end, each with the marks that it saw when it was told, and one that looks, which
/// may do that in the middle of the cancel.
fn serve(request: &CancellationToken, all: &Arc<Vec<CancellationToken>>, begin: &Arc<Barrier>) -> Serving {
    let ways: [fn(&CancellationToken) -> bool; 3] = [
        |token| {
            token.wait();
            true
        },
        |token| token.wait_timeout(HOUR),
        |token| {
            while token.check().is_ok() {
                thread::yield_now();
            }
            false
        },
    ];
    ways.map(|until_cancelled| {
        let (request, all, begin) = (request.clone(), all.clone(), begin.clone());
        thread::spawn(move || {
            begin.wait();
            let told = until_cancelled(&request);
            let marks = marks(&all);
            assert!(request.is_cancelled());
            if told { marks } else { vec![true; marks.len()] }
        })
    })
    .into()
}

fn scenario(place: Place) {
    let server = place.root();
    let connections = [place.child(&server), place.child(&server)];
    let requests: Vec<_> =
        connections.iter().flat_map(|connection| [(); 2].map(|()| place.child(connection))).collect();
    let all: Arc<Vec<_>> = Arc::new([&[server.clone()][..], &connections, &requests].concat());
    let begin = Arc::new(Barrier::new(requests.len() * 3 + 1));
    let mut serving: Vec<_> = requests.iter().map(|request| serve(request, &all, &begin)).collect();
    begin.wait();
    let ends =
        |threads: Serving| threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>();

    // One connection, and its two requests.
    assert!(!connections[1].wait_timeout(Duration::ZERO));
    assert!(connections[1].cancel_with(&HUNG_UP));
    for marks in serving.split_off(2).into_iter().flat_map(ends) {
        assert!(marks[2] && marks[5] && marks[6], "told before all was marked");
    }
    assert_eq!(marks(&all), [false, false, true, false, false, true, true]);

    // A timeout, which nobody polls, and one that comes too late.
    let timed = on_timer(&ThreadTimer::new(), &connections[0], Duration::from_millis(2));
    let below = place.child(&timed);
    below.wait();
    assert_eq!(below.reason().expect("cancelled").kind(), CancelKind::DeadlineExceeded);
    let timed = on_timer(&ThreadTimer::new(), &connections[0], HOUR);
    let linked = place.any(&[&timed, &connections[0]]);

    // All, from another thread.
    let by = server.clone();
    let canceller = thread::spawn(move || by.cancel_with(Error::from(ErrorKind::ConnectionAborted)));
    for told in [&timed, &linked] {
        told.wait();
        assert_eq!(told.reason().expect("cancelled").kind(), CancelKind::Cancelled);
    }
    for marks in serving.into_iter().flat_map(ends) {
        assert_eq!(marks, [true; 7]);
    }
    assert!(canceller.join().expect("no panic"));
    assert_eq!(cause_of(&requests[3]).as_deref(), Some("the client hung up"), "the first counts");
    assert_eq!(cause_of(&place.child(&requests[0])).as_deref(), Some("connection aborted"));
}

#[test]
fn blocking_forms() {
    Row { executor: "threads that block: `wait`, `wait_timeout`, `check`", package: "-", timer: "ThreadTimer" }
        .passes(scenario);
}
