//! Several threads on trees in one small pool, which is full most of the time.
//!
//! No node may be had twice (a token would be cancelled, or woken, with another), none may be lost (after each round the pool is
//! empty, and gives all that it has), and what is cancelled reaches everything below.

mod support;

use cancel_tree::{CancellationToken, PoolFull, TokenPool, WaitForCancellationFutureOwned};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use support::wakers::Counter;
use support::{Random, until_done};

const NODES: usize = 12;
const THREADS: u64 = 4;
const STEPS: usize = 300;

/// What one thread has.
#[derive(Default)]
struct Hand {
    tokens: Vec<CancellationToken>,
    waits: Vec<(WaitForCancellationFutureOwned, Counter)>,
    refused: usize,
}

impl Hand {
    fn step(&mut self, root: &CancellationToken, random: &mut Random) {
        let any = |hand: &Self, random: &mut Random| {
            let tokens = &hand.tokens;
            if tokens.is_empty() { root.clone() } else { tokens[random.below(tokens.len())].clone() }
        };
        match random.below(12) {
            0..4 => match any(self, random).try_child_token() {
                Ok(child) => self.tokens.push(child),
                Err(PoolFull) => self.refused += 1,
            },
            4 => {
                let clone = any(self, random);
                self.tokens.push(clone);
            }
            5..8 if !self.tokens.is_empty() => {
                drop(self.tokens.swap_remove(random.below(self.tokens.len())));
            }
            8 | 9 => {
                let counter = Counter::new();
                let mut wait = any(self, random).cancelled_owned();
                let ready = counter.poll(&mut wait).is_ready();
                if !ready {
                    self.waits.push((wait, counter));
                }
            }
            10 if !self.waits.is_empty() => {
                drop(self.waits.swap_remove(random.below(self.waits.len())));
            }
            11 if random.below(8) == 0 => {
                let Some(top) = self.tokens.pop().filter(|token| token != root) else { return };
                let below = [top.try_child_token(), top.try_child_token()];
                top.cancel();
                assert!(below.iter().flatten().all(CancellationToken::is_cancelled));
            }
            _ => {}
        }
    }

    /// The root is cancelled: nobody waits any more.
    fn end(self) -> usize {
        assert!(self.tokens.iter().all(CancellationToken::is_cancelled));
        for (mut wait, counter) in self.waits {
            // One that found the pool full has woken itself at its poll.
            assert_eq!(counter.wakes(), 1, "woken twice, or never");
            assert!(counter.poll(&mut wait).is_ready());
        }
        self.refused
    }
}

#[test]
fn no_node_is_had_twice_and_none_is_lost() {
    static POOL: TokenPool<NODES> = TokenPool::new();
    let (mut done, refused) = (until_done(2), AtomicUsize::new(0));
    let mut rounds = 0;
    while !done() {
        rounds += 1;
        let root = POOL.try_token().unwrap();
        let hands = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let root = &root;
                    scope.spawn(move || {
                        let (mut hand, mut random) = (Hand::default(), Random(rounds * THREADS + thread));
                        for step in 0..STEPS {
                            hand.step(root, &mut random);
                            if thread == 0 && step == STEPS / 2 && rounds % 2 == 0 {
                                root.cancel();
                            }
                        }
                        hand
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        root.cancel();
        for hand in hands {
            refused.fetch_add(hand.end(), Relaxed);
        }
        drop(root);
        assert_eq!(POOL.in_use(), 0, "round {rounds}");
        let all = [(); NODES].map(|()| POOL.try_token().expect("an empty pool has room"));
        assert_eq!(POOL.try_token(), Err(PoolFull));
        drop(all);
    }
    assert!(refused.into_inner() > 0, "the pool was never full: the storm proves little");
}
