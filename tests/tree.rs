//! The tree itself: who is whose clone, whom a cancel reaches, what a drop does not do. And the guards.

mod support;

use cancel_tree::{CancellationToken, DropGuard, DropGuardRef};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use support::balanced;

/// C1.
#[test]
fn clones_are_one_token() {
    balanced(|| {
        let token = CancellationToken::new();
        let clone = token.clone();
        let hasher = RandomState::new();
        assert_eq!(token, clone);
        assert_eq!(hasher.hash_one(&token), hasher.hash_one(&clone));

        clone.cancel();
        assert!(token.is_cancelled());
        assert_eq!(token, clone);
        assert_eq!(clone, token.clone());
    });
}

/// C1.
#[test]
fn a_child_is_another_token_than_its_parent() {
    balanced(|| {
        let token = CancellationToken::new();
        let (first, second) = (token.child_token(), token.child_token());
        assert_ne!(first, token);
        assert_ne!(first, second);
        assert_eq!(HashSet::from([token, first, second]).len(), 3);
    });
}

/// C1: being born cancelled does not make it its parent.
#[test]
fn a_child_that_is_born_cancelled_is_another_token_than_its_parent() {
    balanced(|| {
        let token = CancellationToken::new();
        token.cancel();
        let (first, second) = (token.child_token(), token.child_token());
        assert_ne!(first, token);
        assert_ne!(first, second);
        assert_eq!(HashSet::from([token, first.clone(), first, second]).len(), 3);
    });
}

/// C1.
#[test]
fn a_token_stays_the_same_key_when_it_is_cancelled() {
    balanced(|| {
        let (mine, other) = (CancellationToken::new(), CancellationToken::new());
        let names = HashMap::from([(mine.clone(), "mine"), (other.clone(), "other")]);
        mine.cancel();
        assert_eq!(names[&mine], "mine");
        assert_eq!(names[&other], "other");
        assert!(!names.contains_key(&mine.child_token()));
    });
}

#[test]
fn the_default_is_a_new_token_that_is_not_cancelled() {
    balanced(|| {
        let token = CancellationToken::default();
        assert!(!token.is_cancelled());
        assert_ne!(token, CancellationToken::default());
    });
}

#[test]
fn debug_output_says_whether_the_token_is_cancelled() {
    balanced(|| {
        let token = CancellationToken::new();
        assert_eq!(format!("{token:?}"), "CancellationToken { is_cancelled: false }");
        token.cancel();
        assert_eq!(format!("{token:?}"), "CancellationToken { is_cancelled: true }");
        assert_eq!(format!("{:?}", token.cancelled()), "WaitForCancellationFuture { .. }");
        assert_eq!(format!("{:?}", token.cancelled_owned()), "WaitForCancellationFutureOwned { .. }");
    });
}

/// Three levels below the root, three children each; `path` is which child one goes to.
struct Family {
    members: Vec<(Vec<usize>, CancellationToken)>,
}

impl Family {
    fn new() -> Self {
        let mut members = vec![(Vec::new(), CancellationToken::new())];
        for next in 0..1 + 3 + 9 {
            for child in 0..3 {
                let (mut path, token) = (members[next].0.clone(), members[next].1.child_token());
                path.push(child);
                members.push((path, token));
            }
        }
        Self { members }
    }

    #[track_caller]
    fn assert_cancelled_from(&self, top: &[usize]) {
        for (path, token) in &self.members {
            assert_eq!(token.is_cancelled(), path.starts_with(top), "{path:?} after a cancel of {top:?}");
        }
    }
}

/// C1: down, and neither up nor sideways, from each of the forty.
#[test]
fn a_cancel_reaches_the_descendants_and_nobody_else() {
    balanced(|| {
        for index in 0..Family::new().members.len() {
            let family = Family::new();
            let (top, token) = &family.members[index];
            token.cancel();
            family.assert_cancelled_from(top);
            token.cancel();
            family.assert_cancelled_from(top);
        }
    });
}

/// C2, C3: what was cancelled before is no obstacle to a cancel from above.
#[test]
fn a_cancel_reaches_what_lies_below_and_beside_tokens_that_are_cancelled_already() {
    balanced(|| {
        let family = Family::new();
        for path in [&[1, 1, 1][..], &[0, 2], &[0, 0, 0], &[1, 1]] {
            family.members.iter().find(|(member, _)| member == path).expect("a member").1.cancel();
        }
        let live = family.members.iter().filter(|(_, token)| !token.is_cancelled()).count();
        assert_eq!(live, 40 - 4 - 4 - 1);
        family.members[0].1.cancel();
        family.assert_cancelled_from(&[]);
    });
}

/// C4.
#[test]
fn children_of_a_cancelled_token_are_born_cancelled_and_so_are_theirs() {
    balanced(|| {
        let root = CancellationToken::new();
        let token = root.child_token();
        root.cancel();
        let child = token.child_token();
        assert!(child.is_cancelled());
        assert!(child.child_token().is_cancelled());
        assert!(child.child_token().child_token().is_cancelled());
    });
}

/// C7.
#[test]
fn dropping_the_last_handle_of_a_token_cancels_neither_it_nor_its_children() {
    balanced(|| {
        let root = CancellationToken::new();
        let child = root.child_token();
        let leaf = child.child_token();
        drop(root);
        assert!(!child.is_cancelled());
        drop(child.clone());
        drop(child);
        assert!(!leaf.is_cancelled());
        let late = leaf.child_token();
        assert!(!late.is_cancelled());
        leaf.cancel();
        assert!(late.is_cancelled());
    });
}

/// C7, C8: a chain of seven, without each subset of them, cancelled from each that is left.
#[test]
fn tokens_whose_handles_are_gone_pass_on_what_their_ancestors_say() {
    const LENGTH: usize = 7;
    balanced(|| {
        for dropped in 0_u32..1 << LENGTH {
            let is_dropped = |index: usize| dropped >> index & 1 == 1;
            for top in (0..LENGTH).filter(|&index| !is_dropped(index)) {
                let mut chain = vec![Some(CancellationToken::new())];
                for _ in 1..LENGTH {
                    chain.push(chain.last().and_then(Option::as_ref).map(CancellationToken::child_token));
                }
                for (index, token) in chain.iter_mut().enumerate() {
                    if is_dropped(index) {
                        *token = None;
                    }
                }
                chain[top].as_ref().expect("it is left").cancel();
                for (index, token) in chain.iter().enumerate() {
                    if let Some(token) = token {
                        assert_eq!(token.is_cancelled(), index >= top, "{index}, without {dropped:b}, from {top}");
                    }
                }
            }
        }
    });
}

/// All orders of `items`.
fn orders(items: &[usize]) -> Vec<Vec<usize>> {
    let Some((&first, rest)) = items.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for order in orders(rest) {
        for place in 0..=order.len() {
            let mut order = order.clone();
            order.insert(place, first);
            all.push(order);
        }
    }
    all
}

/// C1, C7: six tokens dropped in each order, and, after each number of drops, cancelled from each that is left.
#[test]
fn any_order_of_drops_with_a_cancel_in_between_cancels_just_the_descendants() {
    // A root with three children, the middle one with two of its own.
    const PARENTS: [usize; 6] = [0, 0, 0, 0, 2, 2];
    balanced(|| {
        for order in orders(&[0, 1, 2, 3, 4, 5]) {
            for drops in 0..order.len() {
                for &top in &order[drops..] {
                    let mut tokens = vec![Some(CancellationToken::new())];
                    for parent in &PARENTS[1..] {
                        tokens.push(tokens[*parent].as_ref().map(CancellationToken::child_token));
                    }
                    for &index in &order[..drops] {
                        tokens[index] = None;
                    }
                    tokens[top].as_ref().expect("it is left").cancel();
                    for &index in &order[drops..] {
                        let below = index == top || PARENTS[index] == top || PARENTS[PARENTS[index]] == top;
                        let token = tokens[index].take().expect("it is left");
                        assert_eq!(token.is_cancelled(), below, "{index}, {drops} drops of {order:?}, from {top}");
                    }
                }
            }
        }
    });
}

/// C7: of the tokens below a dropped one, some are gone and some come later.
#[test]
fn a_dropped_token_passes_on_to_children_that_its_children_made_later() {
    balanced(|| {
        let root = CancellationToken::new();
        let middle = root.child_token();
        let (left, right) = (middle.child_token(), middle.child_token());
        drop(middle);
        let late = right.child_token();
        drop(right);
        let later = left.child_token();
        drop(left);
        let latest = root.child_token();
        assert!(![&late, &later, &latest].iter().any(|token| token.is_cancelled()));
        root.cancel();
        assert!([&late, &later, &latest].iter().all(|token| token.is_cancelled()));
    });
}

#[test]
fn a_guard_cancels_its_token_when_it_is_dropped() {
    balanced(|| {
        let root = CancellationToken::new();
        let token = root.child_token();
        let child = token.child_token();
        let guard: DropGuard = token.clone().drop_guard();
        assert_eq!(guard.token(), &token);
        assert!(format!("{guard:?}").starts_with("DropGuard {"));
        assert!(!token.is_cancelled());
        drop(guard);
        assert!(token.is_cancelled() && child.is_cancelled());
        assert!(!root.is_cancelled());
    });
}

#[test]
fn a_guard_that_has_the_last_handle_cancels_the_descendants() {
    balanced(|| {
        let guard = CancellationToken::new().drop_guard();
        let leaf = guard.token().child_token().child_token();
        drop(guard);
        assert!(leaf.is_cancelled());
    });
}

#[test]
fn a_disarmed_guard_gives_its_token_back_and_cancels_nothing() {
    balanced(|| {
        let token = CancellationToken::new();
        let back = token.clone().drop_guard().disarm();
        assert_eq!(back, token);
        drop(back);
        assert!(!token.is_cancelled());
    });
}

#[test]
fn a_guard_by_reference_cancels_its_token_when_it_is_dropped() {
    balanced(|| {
        let root = CancellationToken::new();
        let token = root.child_token();
        let guard: DropGuardRef<'_> = token.drop_guard_ref();
        assert_eq!(guard.token(), &token);
        assert!(format!("{guard:?}").starts_with("DropGuardRef {"));
        assert!(!token.is_cancelled());
        drop(guard);
        assert!(token.is_cancelled());
        assert!(!root.is_cancelled());
    });
}

#[test]
fn a_disarmed_guard_by_reference_gives_the_reference_back_and_cancels_nothing() {
    balanced(|| {
        let token = CancellationToken::new();
        let back: &CancellationToken = token.drop_guard_ref().disarm();
        assert!(std::ptr::eq(back, &token));
        assert!(!token.is_cancelled());
    });
}

#[test]
fn guards_cancel_also_when_a_panic_leaves_the_scope() {
    balanced(|| {
        let (owned, referred) = (CancellationToken::new(), CancellationToken::new());
        let panic = std::panic::catch_unwind(|| {
            let _owned = owned.clone().drop_guard();
            let _referred = referred.drop_guard_ref();
            panic!("out of here");
        });
        assert!(panic.is_err());
        assert!(owned.is_cancelled() && referred.is_cancelled());
    });
}

#[test]
fn a_guard_of_a_token_that_is_cancelled_already_is_harmless() {
    balanced(|| {
        let token = CancellationToken::new();
        let guard = token.clone().drop_guard();
        token.cancel();
        drop(guard);
        drop(token.drop_guard_ref());
        assert!(token.is_cancelled());
    });
}
