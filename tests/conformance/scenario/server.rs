//! A server's token, three connections below it, four requests below each of these, and for each request five that want to
//! know when it ends: each hears of its own cancel and of those above, and of no other.

use super::tools::{Arrivals, Promise, Promised, marks, poll_with, promise};
use super::{Executor, HUNG_UP, Place, Why, cause_of, start};
use cancel_tree::{CancelKind, CancellationToken, Registration, Unregister};
use std::future::pending;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Poll, Waker};

const CONNECTIONS: usize = 3;
const REQUESTS: usize = 4;
/// A connection, and its requests.
const FAMILY: usize = 1 + REQUESTS;
const ALL: Range<usize> = 0..1 + CONNECTIONS * FAMILY;

fn connection(number: usize) -> Range<usize> {
    1 + number * FAMILY..1 + (number + 1) * FAMILY
}

fn request(connection: usize, number: usize) -> usize {
    self::connection(connection).start + 1 + number
}

/// The tree, parents first: the server, a connection, its requests, the next connection…
struct Tree {
    tokens: Vec<CancellationToken>,
    /// Written before each cancel; whoever is told has to see it.
    step: AtomicU32,
}

/// What one of a request's tasks saw when it was told.
struct End {
    kind: CancelKind,
    cause: Option<String>,
    /// The whole tree. `None` of who was not told, but has looked: that may have been in the middle of a cancel.
    marks: Option<Vec<bool>>,
    step: u32,
}

impl Tree {
    fn new(place: Place) -> Self {
        let mut tokens = vec![place.root()];
        for _ in 0..CONNECTIONS {
            let connection = place.child(&tokens[0]);
            let requests: Vec<_> = (0..REQUESTS).map(|_| place.child(&connection)).collect();
            tokens.push(connection);
            tokens.extend(requests);
        }
        Self { tokens, step: AtomicU32::new(0) }
    }

    fn end(&self, request: usize) -> End {
        let token = &self.tokens[request];
        let kind = token.reason().expect("told, so cancelled").kind();
        End { kind, cause: cause_of(token), marks: Some(marks(&self.tokens)), step: self.step.load(Relaxed) }
    }

    /// What is cancelled now: all of these, and nothing else.
    fn assert_cancelled(&self, cancelled: impl IntoIterator<Item = usize>) {
        let mut expected = [false; ALL.end];
        cancelled.into_iter().for_each(|index| expected[index] = true);
        assert_eq!(marks(&self.tokens), expected);
    }
}

/// Says at its drop that the future that holds it is gone.
struct Gone(Arc<AtomicU32>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Four tasks and a callback for one request.
fn serve<E: Executor>(
    executor: &E,
    tree: &Arc<Tree>,
    request: usize,
    begun: &Arrivals,
) -> (Vec<Promised<End>>, Registration) {
    let token = || tree.tokens[request].clone();
    let at = || (tree.clone(), begun.clone());

    let (told, arrivals) = at();
    let waits = start(executor, async move {
        arrivals.begin(told.tokens[request].cancelled()).await;
        told.end(request)
    });

    let (told, arrivals) = at();
    let owned = token().cancelled_owned();
    let waits_owned = start(executor, async move {
        arrivals.begin(owned).await;
        told.end(request)
    });

    let (told, arrivals) = at();
    let works = start(executor, async move {
        let dropped = Arc::new(AtomicU32::new(0));
        let gone = Gone(dropped.clone());
        let mut work = pin!(told.tokens[request].run_until_cancelled(async move {
            let _gone = gone;
            pending::<()>().await;
        }));
        assert_eq!(arrivals.begin(work.as_mut()).await, None);
        assert_eq!(dropped.load(Relaxed), 1, "the work is gone when it is given up");
        told.end(request)
    });

    let (told, arrivals) = at();
    let polls = start(executor, async move {
        arrivals
            .begin(async {
                while told.tokens[request].check().is_ok() {
                    E::give_way().await;
                }
            })
            .await;
        End { marks: None, ..told.end(request) }
    });

    let (promise, calls): (Promise<End>, _) = promise();
    let told = tree.clone();
    let registration = token().on_cancel(move || promise.keep(told.end(request)));

    (vec![waits, waits_owned, works, polls, calls], registration)
}

type Served = (Vec<Promised<End>>, Registration);

/// All that served this request have come to their end, for this reason, and when the first of them was told, all of
/// `scope` had been marked.
async fn has_ended(served: Served, scope: Range<usize>, cause: Option<&str>, step: u32) {
    let (ends, registration) = served;
    for end in ends {
        let end = end.await;
        assert_eq!((end.kind, end.cause.as_deref()), (CancelKind::Cancelled, cause));
        let marks = end.marks.unwrap_or(vec![true; ALL.end]);
        assert!(marks[scope.clone()].iter().all(|&marked| marked), "told before all was marked");
        assert!(end.step >= step, "what came before the cancel is to be seen");
    }
    registration.finished().await;
    assert_eq!(registration.unregister(), Unregister::Done);
}

pub(super) async fn a_server_its_connections_and_their_requests<E: Executor>(executor: &E, place: Place) {
    let tree = Arc::new(Tree::new(place));
    let begun = Arrivals::of(CONNECTIONS * REQUESTS * 4);
    let mut served: Vec<Vec<Option<Served>>> = (0..CONNECTIONS)
        .map(|c| (0..REQUESTS).map(|r| Some(serve(executor, &tree, request(c, r), &begun))).collect())
        .collect();
    begun.all().await;
    tree.assert_cancelled([]);

    // One request, by the task that looks on.
    let first = request(0, 0);
    tree.step.store(1, Relaxed);
    tree.tokens[first].cancel();
    tree.assert_cancelled([first]);
    has_ended(served[0][0].take().expect("once"), first..first + 1, None, 1).await;

    // One connection, by a task of its own.
    let by = tree.clone();
    start(executor, async move {
        by.step.store(2, Relaxed);
        assert!(by.tokens[connection(1).start].cancel_with(&HUNG_UP), "nobody else has");
        by.assert_cancelled(connection(1).chain([first]));
    })
    .await;
    for served in &mut served[1] {
        has_ended(served.take().expect("once"), connection(1), Some("the client hung up"), 2).await;
    }
    let open = |served: &[Option<Served>]| {
        let ends: Vec<_> = served.iter().flatten().flat_map(|(ends, _)| ends).collect();
        assert!(ends.iter().all(|end| end.is_open()));
        ends.len()
    };
    assert_eq!((open(&served[0]), open(&served[2])), (3 * 5, 4 * 5), "the others go on");

    // All, from another thread, while the tasks run.
    let (by, (promise, returned)) = (tree.clone(), promise());
    executor.elsewhere(move || {
        by.step.store(3, Relaxed);
        let decided = by.tokens[0].cancel_with(std::io::Error::other(Why("the server is stopped")));
        promise.keep((decided, marks(&by.tokens)));
    });
    for served in served.into_iter().flatten().flatten() {
        has_ended(served, ALL, Some("the server is stopped"), 3).await;
    }
    let (decided, marks) = returned.await;
    assert!(decided);
    assert!(marks.into_iter().all(|marked| marked), "all is marked when the cancel returns");

    // Who was cancelled before keeps its reason, and those that come late have their parent's.
    assert!(!tree.tokens[0].cancel_with(&HUNG_UP), "too late");
    let late = |parent: usize| place.child(&tree.tokens[parent]);
    assert_eq!(cause_of(&late(first)), None);
    assert_eq!(cause_of(&late(connection(1).start)).as_deref(), Some("the client hung up"));
    assert_eq!(cause_of(&late(0)).as_deref(), Some("the server is stopped"));
    let late = late(request(2, 1));
    assert_eq!(poll_with(&mut late.cancelled(), Waker::noop()), Poll::Ready(()));
    assert_eq!(late.run_until_cancelled(async { panic!("never polled") }).await, None::<()>);
    let (promise, mut called) = self::promise();
    let registration = late.on_cancel(move || promise.keep(()));
    assert_eq!(poll_with(&mut called, Waker::noop()), Poll::Ready(()), "run here and now");
    assert_eq!(registration.unregister(), Unregister::Done);
}
