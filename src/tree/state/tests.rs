use super::*;
use crate::primitives::Relaxed;

fn after(state: Word, claims: Word) -> (Word, Duty) {
    let (state, duty) = State(state).released(claims);
    (state.0, duty)
}

#[test]
fn the_last_claim_on_a_linked_node_obliges_to_bury_it() {
    assert_eq!(after(HANDLE | LINKED, HANDLE), (LINKED, Duty::Bury));
    assert_eq!(after(CHILD | LINKED, CHILD), (LINKED, Duty::Bury));
}

#[test]
fn the_last_claim_on_a_root_frees_it() {
    assert_eq!(after(HANDLE, HANDLE), (0, Duty::Free));
}

#[cfg(feature = "alloc")]
#[test]
fn a_last_handle_goes_with_what_says_so() {
    assert_eq!(after(HANDLE | HANDED | LINKED, LAST_HANDLE), (LINKED, Duty::Bury));
    assert_eq!(after(HANDLE | HANDED, LAST_HANDLE), (0, Duty::Free));
    assert_eq!(after(HANDLE | HANDED | CHILD | LINKED, LAST_HANDLE), (CHILD | LINKED | PINNED, Duty::Relocate));
    assert_eq!(after(HANDLE | HANDED | CHILD | LINKED, CHILD), (HANDLE | HANDED | LINKED, Duty::None));
    assert_eq!(State(HANDLE | HANDED | LINKED).swept().1, Swept::Alive);
}

#[cfg(feature = "alloc")]
#[test]
fn nobody_takes_a_handle_beside_the_last() {
    let state = AtomicState::new(State::CHILD);
    assert!(state.try_retain());
    assert!(!state.release_or_announce_the_last());
    assert!(state.release_or_announce_the_last());
    assert!(!state.try_retain());
    assert_eq!(state.release(LAST_HANDLE), Duty::Bury);
    assert!(!state.try_retain());
}

#[test]
fn a_node_that_becomes_a_relay_is_pinned_in_the_same_step() {
    assert_eq!(after(HANDLE | CHILD | LINKED, HANDLE), (CHILD | LINKED | PINNED, Duty::Relocate));
    assert_eq!(after((2 * CHILD) | LINKED, CHILD), (CHILD | LINKED | PINNED, Duty::Relocate));
}

#[test]
fn a_pinned_node_that_becomes_a_relay_again_is_marked_for_its_holder() {
    assert_eq!(after((2 * CHILD) | LINKED | PINNED, CHILD), (CHILD | LINKED | PINNED | RETRY, Duty::None));
}

#[test]
fn a_node_that_dies_under_the_pin_is_left_to_the_holder() {
    assert_eq!(after(CHILD | LINKED | PINNED, CHILD), (LINKED | PINNED, Duty::None));
    assert_eq!(after(CHILD | PINNED, CHILD), (PINNED, Duty::None));
}

#[test]
fn a_node_that_stays_is_never_a_relay() {
    let stays = EXTENDED | STAYS;
    assert_eq!(after(HANDLE | CHILD | LINKED | stays, HANDLE), (CHILD | LINKED | stays, Duty::None));
    assert_eq!(after(HANDLE | CHILD | LINKED | KEEPS, HANDLE), (CHILD | LINKED | KEEPS, Duty::None));
    assert!(!State(CHILD | LINKED | stays).has_one_child_only());
}

#[test]
fn what_stays_and_dies_under_a_pin_is_left_to_the_holder_of_the_pin() {
    let pinned = EXTENDED | STAYS | PINNED;
    assert_eq!(after(HANDLE | LINKED | pinned, HANDLE), (LINKED | pinned, Duty::None));
    assert_eq!(after(CHILD | LINKED | pinned, CHILD), (LINKED | pinned, Duty::None));
    assert_eq!(after(HANDLE | pinned, HANDLE), (pinned, Duty::None));
}

#[test]
fn a_detached_callback_ends_with_the_claim_of_who_ran_it() {
    let detached = EXTENDED | STAYS | DETACHED;
    let dead = EXTENDED | STAYS;
    assert_eq!(after(HANDLE | CHILD | LINKED | detached, CHILD), (LINKED | HANDED | dead, Duty::None));
    assert_eq!(after(HANDLE | CHILD | detached, CHILD), (dead, Duty::Free));
    assert_eq!(after(HANDLE | (2 * CHILD) | LINKED | detached, CHILD), (CHILD | LINKED | detached, Duty::None));
    assert_eq!(after(CHILD | LINKED | detached, CHILD), (LINKED | HANDED | dead, Duty::None));
}

#[test]
fn the_last_handle_of_a_root_obliges_to_dissolve_its_list() {
    // With a claim for whoever has the duty.
    assert_eq!(after(HANDLE | CHILD, HANDLE), (2 * CHILD, Duty::Dissolve));
    assert_eq!(after(HANDLE | (2 * CHILD), HANDLE + CHILD), (2 * CHILD, Duty::Dissolve));
    // Once: by the one who takes the handle.
    assert_eq!(after(2 * CHILD, CHILD), (CHILD, Duty::None));
}

#[test]
fn a_root_that_can_be_cancelled_without_a_handle_or_carries_something_is_not_dissolved() {
    for kept in [EXTENDED | STAYS, KEEPS, PINNED, LINKED] {
        assert_eq!(after(HANDLE | (2 * CHILD) | kept, HANDLE), ((2 * CHILD) | kept, Duty::None));
    }
    assert_eq!(after(HANDLE | CHILD | EXTENDED, HANDLE), ((2 * CHILD) | EXTENDED, Duty::Dissolve));
}

#[test]
fn what_is_swept_is_told_by_what_it_is_at_that_step() {
    let swept = |state: Word| {
        let (left, swept) = State(state | LINKED).swept();
        (left.0, swept)
    };
    assert_eq!(swept(HANDLE), (HANDLE, Swept::Alive));
    assert_eq!(swept(2 * CHILD), (3 * CHILD, Swept::Orphan));
    assert_eq!(swept((2 * CHILD) | EXTENDED), ((3 * CHILD) | EXTENDED, Swept::Orphan));
    assert_eq!(swept((2 * CHILD) | EXTENDED | STAYS), ((2 * CHILD) | EXTENDED | STAYS, Swept::Alive));
    assert_eq!(swept((2 * CHILD) | KEEPS), ((2 * CHILD) | KEEPS, Swept::Alive));
    assert_eq!(swept(CHILD | PINNED), (CHILD | PINNED, Swept::Pinned));
    assert_eq!(swept(PINNED), (PINNED, Swept::Pinned));
    assert_eq!(swept(HANDED), (HANDED, Swept::Handed));
    assert_eq!(swept(0), (0, Swept::Dying));
}

/// Runs this test again in a process of its own, where `overflows` has to end it by an abort.
#[cfg(all(feature = "std", unix))]
fn aborts(test: &str, overflows: impl FnOnce()) {
    use std::os::unix::process::ExitStatusExt;
    const ALONE: &str = "CANCEL_TREE_OVERFLOW";
    if std::env::var_os(ALONE).is_some() {
        overflows();
        return;
    }
    let this = std::env::current_exe().expect("the test program");
    let test = std::format!("tree::state::tests::{test}");
    let mut again = std::process::Command::new(this);
    let output = again.args(["--exact", &test]).env(ALONE, "1").output().expect("the test program runs");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "no abort: {output:?}");
}

#[test]
#[cfg(all(feature = "std", unix))]
fn more_handles_than_fit_abort() {
    aborts("more_handles_than_fit_abort", || {
        let state = AtomicState::new(State(MAX_HANDLES << HANDLE_SHIFT));
        state.retain();
        state.retain();
    });
}

#[test]
#[cfg(all(feature = "std", unix))]
fn more_handles_than_fit_abort_in_a_purse() {
    aborts("more_handles_than_fit_abort_in_a_purse", || {
        let state = AtomicState::new(State((MAX_HANDLES - 1) << HANDLE_SHIFT));
        state.add(2);
        state.add(2);
    });
}

#[test]
#[cfg(all(feature = "std", unix))]
fn more_children_than_fit_abort() {
    aborts("more_children_than_fit_abort", || {
        let state = AtomicState::new(State(HANDLE + (MAX_CHILDREN << CHILD_SHIFT)));
        state.add_child();
        state.add_child();
    });
}

#[test]
fn as_many_as_fit_do_not() {
    let state = AtomicState::new(State(((MAX_HANDLES - 1) << HANDLE_SHIFT) + ((MAX_CHILDREN - 1) << CHILD_SHIFT)));
    state.retain();
    state.add_child();
    assert!(state.load(Relaxed) == State((MAX_HANDLES << HANDLE_SHIFT) + (MAX_CHILDREN << CHILD_SHIFT)));
}
