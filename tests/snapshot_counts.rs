//! The living tree: who needs a token. Handles, waiters, callbacks and links, on the heap and in pools.
#![cfg(feature = "std")]

mod support;

use cancel_tree::snapshot::{Listing, TokenSnapshot, TreeSnapshot};
use cancel_tree::time::ManualTimer;
use cancel_tree::{CancellationToken, TokenPool, Unregister, WaitForCancellationFutureOwned};
use std::sync::{Arc, Mutex};
use support::callbacks::{DROPPED, KEPT, RUN, Watch};
use support::contexts::HOUR;
use support::nodes::peak;
use support::wakers::Counter;
use support::{balanced, for_ever, measure, signed};

/// Handles, waiters, callbacks and links.
fn counts(token: &TokenSnapshot) -> [usize; 4] {
    [token.handles(), token.waiters(), token.callbacks(), token.links()]
}

fn of_root(token: &CancellationToken) -> [usize; 4] {
    counts(token.tree().root())
}

fn of_all(tree: &TreeSnapshot) -> Vec<[usize; 4]> {
    tree.tokens().iter().map(counts).collect()
}

#[test]
fn clones_and_what_owns_a_token_are_handles() {
    balanced(|| {
        let token = CancellationToken::named("token");
        assert_eq!(of_root(&token), [1, 0, 0, 0]);
        let clones = [token.clone(), token.clone()];
        assert_eq!(of_root(&token), [3, 0, 0, 0]);
        let owned = token.clone().cancelled_owned();
        let guard = token.clone().drop_guard();
        let borrowed = token.drop_guard_ref().disarm();
        assert_eq!(of_root(borrowed), [5, 0, 0, 0]);
        drop((clones, owned));
        let again = guard.disarm();
        assert_eq!(of_root(&token), [2, 0, 0, 0]);
        drop(again);
        assert_eq!(of_root(&token), [1, 0, 0, 0]);
    });
}

/// The first waits in the token's own slot, seven more in its first block, and so on: none is missed, and none counted twice.
#[test]
fn waiters_are_counted_wherever_they_wait() {
    const MOST: usize = 100;
    balanced(|| {
        let root = CancellationToken::named("root");
        let token = root.naming("token").child_token();
        let seen = || of_all(&root.tree())[1];
        let counters = Counter::many(MOST);
        let mut waits: Vec<_> = (0..MOST).map(|_| token.cancelled()).collect();
        assert_eq!(seen(), [1, 0, 0, 0], "who was not polled does not wait");
        for (n, (wait, counter)) in waits.iter_mut().zip(&counters).enumerate() {
            assert!(counter.poll(wait).is_pending());
            assert!(counter.poll(wait).is_pending());
            assert_eq!(seen(), [1, n + 1, 0, 0]);
            assert_eq!(root.tree().tokens().len(), 2, "where they wait is no token");
        }
        // One of each place goes, and comes again.
        for n in [0, 1, 7, 8, 9, 99, 50] {
            waits[n] = token.cancelled();
            assert_eq!(seen()[1], MOST - 1);
            assert!(counters[n].poll(&mut waits[n]).is_pending());
            assert_eq!(seen()[1], MOST);
        }
        while waits.pop().is_some() {
            assert_eq!(seen()[1], waits.len());
        }
        assert_eq!(root.tree().root().waiters(), 0);
    });
}

#[test]
fn a_cancelled_token_has_no_waiters_left() {
    balanced(|| {
        let token = CancellationToken::named("token");
        let counter = Counter::new();
        let mut waits: Vec<_> = (0..20).map(|_| token.clone().cancelled_owned()).collect();
        assert!(waits.iter_mut().all(|wait: &mut WaitForCancellationFutureOwned| counter.poll(wait).is_pending()));
        assert_eq!(of_root(&token)[1], 20);
        token.cancel();
        assert_eq!(counter.wakes(), 20);
        assert_eq!(of_root(&token)[1..], [0, 0, 0]);
        assert_eq!(token.tree().root().listing(), Listing::Dissolved);
    });
}

#[test]
fn callbacks_are_counted_until_they_are_run_or_gone() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let token = root.naming("token").child_token();
        let seen = || of_all(&root.tree())[1];
        let watches: Vec<_> = (0..4).map(|_| Watch::new()).collect();
        let mut registrations: Vec<_> = watches.iter().map(|watch| token.on_cancel(watch.callback())).collect();
        assert_eq!(seen(), [5, 0, 4, 0], "each registration is a handle");
        assert_eq!(registrations.remove(3).unregister(), Unregister::Prevented);
        assert_eq!(seen(), [4, 0, 3, 0]);
        drop(registrations.remove(2));
        assert_eq!(seen(), [3, 0, 2, 0]);
        registrations.remove(1).detach();
        assert_eq!(seen(), [2, 0, 2, 0], "a detached one is there, and keeps no handle");
        assert_eq!(root.tree().tokens().len(), 2, "a callback is no token");
        token.cancel();
        assert_eq!(seen()[2], 0);
        let fates: Vec<_> = watches.iter().map(|watch| watch.so_far()).collect();
        assert_eq!(fates, [RUN, RUN, DROPPED, DROPPED]);
        drop(registrations);
    });
}

/// A token whose last handle has gone, with a detached callback and somebody below it: it passes on, and has the callback.
#[test]
fn a_detached_callback_is_told_of_a_token_without_handles() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let relay = root.naming("relay").child_token();
        let below = relay.naming("below").child_token();
        let watch = Watch::new();
        relay.on_cancel(watch.callback()).detach();
        drop(relay);
        let tree = root.tree();
        assert_eq!(of_all(&tree), [[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]);
        assert!(tree.to_string().contains("relay: 1 callback, no handle"), "{tree}");
        assert_eq!(watch.so_far(), KEPT);
        drop(below);
        assert_eq!((root.tree().tokens().len(), watch.so_far()), (1, DROPPED));
    });
}

/// In a callback, all that was to be cancelled is; what it looks at there is a cancelled token, whose list is dissolved or
/// being so.
#[test]
fn a_callback_may_look() {
    balanced(|| {
        let root = CancellationToken::named("root");
        let child = root.naming("child").child_token();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let registration = child.on_cancel({
            let (root, child, seen) = (root.clone(), child.clone(), seen.clone());
            move || *seen.lock().unwrap() = vec![root.tree(), child.tree()]
        });
        root.cancel();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen.len(), 2);
        for tree in &seen {
            assert!(tree.root().is_cancelled() && tree.root().listing() != Listing::Complete);
            assert_eq!(tree.tokens().len(), 1);
        }
        drop((registration, child));
    });
}

#[test]
fn links_are_counted_at_their_sources_and_what_is_linked_has_a_tree_of_its_own() {
    balanced(|| {
        let [a, b] = ["a", "b"].map(CancellationToken::named);
        let under_a = a.naming("under a").child_token();
        let linked = CancellationToken::any([&under_a, &b]);
        let below = linked.naming("below").child_token();
        let again = CancellationToken::any([&b, &b, &linked]);
        assert_eq!(of_all(&a.tree()), [[1, 0, 0, 0], [1, 0, 0, 1]]);
        assert_eq!(of_all(&b.tree()), [[1, 0, 0, 2]]);
        assert_eq!(of_all(&linked.tree()), [[1, 0, 0, 1], [1, 0, 0, 0]]);
        assert_eq!(of_all(&again.tree()), [[1, 0, 0, 0]]);
        assert!(b.tree().to_string().starts_with("b: 1 handle, 2 linked tokens\n"), "{}", b.tree());
        drop(again);
        assert_eq!(of_root(&b), [1, 0, 0, 1]);
        b.cancel();
        assert!(linked.is_cancelled() && below.is_cancelled() && !under_a.is_cancelled());
        assert_eq!(of_root(&b)[3], 0);
        drop((below, linked));
        assert_eq!(of_all(&a.tree()), [[1, 0, 0, 0], [1, 0, 0, 0]]);
    });
}

/// Eight places: a first waiter waits in the token, each further one in a hidden node.
#[test]
fn a_tree_in_a_pool_is_told_in_the_same_way() {
    balanced(|| {
        let pool: &'static TokenPool<8> = for_ever(TokenPool::new());
        let root = pool.try_token().unwrap();
        let child = root.try_child_token().unwrap();
        let elder = child.try_child_token().unwrap();
        let younger = child.try_child_token().unwrap();
        let counters = Counter::many(3);
        let mut waits: Vec<_> = counters.iter().map(|_| child.cancelled()).collect();
        for (n, (wait, counter)) in waits.iter_mut().zip(&counters).enumerate() {
            assert!(counter.poll(wait).is_pending());
            assert_eq!(of_all(&root.tree())[1][1], n + 1);
        }
        let registration = elder.try_on_cancel_fn(|()| (), ()).unwrap();
        assert_eq!(pool.in_use(), 7);
        let tree = root.tree();
        assert_eq!(tree.tokens().iter().map(TokenSnapshot::depth).collect::<Vec<_>>(), [0, 1, 2, 2]);
        assert!(tree.tokens().iter().all(|token| token.name().is_none()));
        assert_eq!(of_all(&tree)[1][1], 3);
        assert_eq!(of_all(&tree)[2..], [[2, 0, 1, 0], [1, 0, 0, 0]]);
        assert_eq!((pool.in_use(), tree.is_complete()), (7, true));
        // One that finds no room asks to be polled again: it does not wait.
        let full = pool.try_token().unwrap();
        let mut without = child.cancelled();
        assert!(Counter::new().poll(&mut without).is_pending());
        assert_eq!(of_all(&root.tree())[1][1], 3);
        drop((without, full));
        drop(waits.remove(0));
        assert_eq!(of_all(&root.tree())[1][1], 2);
        drop((waits, registration, younger));
        assert_eq!(of_all(&root.tree()), [[1, 0, 0, 0]; 3]);
        // On the heap, below a pool's token, there are names.
        let named = elder.naming("on the heap").child_token();
        assert_eq!(root.tree().tokens()[3].name(), Some("on the heap"));
        drop(named);
        let linked = pool.try_any([&root, &elder]).unwrap();
        assert_eq!(of_all(&root.tree()), [[1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 1]]);
        drop((linked, child, elder, root));
        assert_eq!(pool.in_use(), 0);
    });
}

/// What the docs say of bytes.
#[test]
#[cfg(target_pointer_width = "64")]
fn names_take_what_is_said() {
    balanced(|| {
        let (root, account) = measure(|| CancellationToken::named("root"));
        assert_eq!((account.calls, account.bytes), (1, 144));
        let (child, account) = measure(|| root.naming("child").child_token());
        assert_eq!((account.calls, account.bytes), (1, 144));
        let name = "owned".to_string();
        let (owned, account) = measure(|| root.naming(name).child_token());
        assert_eq!((account.calls, account.bytes), (1, 144));
        let timer = ManualTimer::new();
        // What the timer itself needs for its first one.
        let first = root.child_with_timer(&timer, HOUR);
        let (plain, without) = measure(|| root.child_with_timer(&timer, HOUR));
        let (named, with) = measure(|| root.naming("timed").child_with_timer(&timer, HOUR));
        assert_eq!((with.calls, with.bytes), (without.calls, without.bytes + 24));
        let (below, account) = measure(|| named.naming("below").child_token());
        assert_eq!((account.calls, account.bytes), (1, 144));
        drop((child, owned, first, plain, below));
    });
}

#[test]
#[cfg(target_pointer_width = "64")]
fn snapshots_take_what_is_said() {
    fn chain(length: usize) -> Vec<CancellationToken> {
        let mut tokens = vec![CancellationToken::named("owned".to_string())];
        (1..length).for_each(|n| tokens.push(tokens[n - 1].child_token()));
        tokens
    }
    fn fan(width: usize) -> Vec<CancellationToken> {
        let mut tokens = vec![CancellationToken::named("owned".to_string())];
        (1..width).for_each(|_| tokens.push(tokens[0].child_token()));
        tokens
    }
    balanced(|| {
        // At a power of two, and just behind one, where vectors have the most room to spare.
        for (grow, size) in [(chain as fn(usize) -> _, 1024), (chain, 1025), (fan, 1024), (fan, 1025), (fan, 1500)] {
            let tokens = grow(size);
            let (tree, account) = measure(|| tokens[0].tree());
            let said = signed(size) * 120 + 5;
            assert_eq!((tree.tokens().len(), account.bytes), (size, said), "and a copy of a name that is owned");
            let peak = peak(|| drop(tokens[0].tree()));
            assert!(said < peak && peak <= 3 * said, "{peak}");
        }
    });
}
