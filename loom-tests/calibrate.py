#!/usr/bin/env python3
"""Breaks the core in one place at a time; the models must notice.

    calibrate.py                 each guard, re-check and order of steps is removed once (the table below)
    calibrate.py --orderings     each memory ordering is weakened once
    calibrate.py ... NAME        only those whose name contains NAME (of orderings: file:line, and the line)
    calibrate.py ... --only lib  looks at the models in the crate alone (the timer's; of others: cancel,drop,...)

Works on a copy of the tree, at the bounds that the models have by themselves. A twin that is not noticed, or a text that
is no longer found, fails the run. What a weakened ordering may do without being noticed is listed in ARGUED, each with
its reason; nothing else may survive.
"""

import argparse, concurrent.futures, os, pathlib, queue, re, shutil, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TREE = "src/tree/"
TIMER = "src/time/fixed/"
IN_THE_TIMER = "lib time::fixed::model::"

# name, binary and model that must notice, file, then pairs: what stands there, what the broken twin has instead
GUARDS = [
    ("retry", "collapse three_relays_in_a_row_collapse_at_once",
     "state.rs", "(State(left.0 | RETRY), Duty::None)", "(left, Duty::None)"),
    ("retain_before_push", "cancel a_child_created_during_a_cancel_is_cancelled",
     "birth.rs", "        at(parent).state.add_child();\n", "        // late\n",
     "            Ok(()) => Push::Done,", "            Ok(()) => {\n at(parent).state.add_child();\n Push::Done\n }",
     "        at(parent).state.cancel_child();\n        false\n", "        false\n"),
    ("temporary_claim", "collapse a_child_below_a_relay_is_reached_by_a_cancel_during_the_collapse",
     "release.rs", "at(parent).state.add_child();", "",
     "let claims = CHILD * (1 + reap(parent, node, duty == Duty::Bury, bin));",
     "let claims = CHILD * (Word::from(duty != Duty::Relocate) + reap(parent, node, duty == Duty::Bury, bin));"),
    ("handed", "drop a_child_dropped_during_a_cancel_is_freed_once",
     "hand_over.rs", "if !at(node).state.hand_over().is_linked() {\n                bin.put(node);\n            }",
     "at(node).state.hand_over();\n            bin.put(node);"),
    ("handed_by_pin_holder", "collapse a_child_below_a_relay_is_reached_by_a_cancel_during_the_collapse",
     "hand_over.rs", "(true, _) => state.unpinned().handed(),", "(true, _) => state.unpinned(),"),
    ("news_by_read_modify_write", "drop news_that_comes_while_news_is_taken_is_not_lost",
     "prune.rs", "            if head.is_pruning() {\n                // A read-modify-write",
     "            if head.has_news() {\n                return 0;\n            }\n            if head.is_pruning() {\n                // A read-modify-write"),
    ("mark_before_stack", "drop news_that_comes_while_news_is_taken_is_not_lost",
     "prune.rs",
     "if at(parent).head.replace(head, head.without(MARKED), Acquire, Relaxed).is_ok() {\n                    todo = at(parent).dead.swap(ptr::null_mut(), Acquire); // Acquire (E3).\n                }",
     "todo = at(parent).dead.swap(ptr::null_mut(), Acquire);\n at(parent).head.change(Acquire, |head| head.without(MARKED));"),
    ("limbo", "drop a_sibling_that_lives_on_is_reached_behind_a_dropped_one",
     "prune.rs", "return claims + leave_cancelled(parent, unlinked, bin);",
     "bin.put_all(unlinked.0);\n                return claims + leave_cancelled(parent, Unlinked(ptr::null_mut()), bin);"),
    ("last_pruner_sweeps", "drop a_sibling_that_lives_on_is_reached_behind_a_dropped_one",
     "prune.rs", ".is_done() { sweep(parent, bin) } else { 0 }",
     ".is_done() { 0 } else { let _ = sweep; let _ = bin; 0 }"),
    ("only_an_only_child_leaves_by_one_step", "drop two_children_dropped_at_once_are_both_unlinked",
     "prune.rs", "            && next_of(node).is_null()\n", ""),
    ("a_claim_while_the_list_is_dissolved", "dissolve a_child_is_dropped_while_its_root_goes",
     "state.rs", "(left.claimed(), Duty::Dissolve)", "(left, Duty::Dissolve)"),
    ("dissolved_by_who_comes_second", "dissolve a_child_is_dropped_while_its_root_goes",
     "sweep.rs", "!before.is_cancelled() && !before.is_pruning()", "!before.is_cancelled()"),
    ("orphans_are_dissolved_in_turn", "dissolve a_fork_without_handles_goes_with_its_root",
     "state.rs", "(false, false) if !self.has_handle() && left.is_bare_root() => (left.claimed(), Swept::Orphan),", ""),
    ("an_orphan_is_kept_by_a_claim", "dissolve a_fork_without_handles_goes_with_its_root",
     "state.rs", "(left.claimed(), Swept::Orphan),", "(left, Swept::Orphan),"),
    ("orphans_of_pin_holders_are_dissolved", "dissolve a_child_becomes_a_relay_while_its_root_goes",
     "hand_over.rs", "(false, false) => state.unpinned().claimed(),", "(false, false) => state.unpinned(),",
     "                    if !state.is_dead() {\n                        bin.put_orphan(node);\n                    }\n", ""),
    ("who_looks_is_alone", "look two_look_while_a_child_goes",
     "look.rs", "if head.is_pruning() || head.is_forwarded() {", "if head.is_forwarded() {"),
    ("who_looks_leaves_as_a_pruner", "look a_cancel_reaches_all_while_somebody_looks",
     "look.rs", "let claims = prune(owner, ptr::null_mut(), Relays::Collapse, &mut self.bin);",
     "let _ = (prune as unsafe fn(_, _, _, _) -> _, Relays::Collapse, ptr::null_mut::<Node>());\n let claims = 0;\n at(owner).head.change(crate::primitives::Release, |head| head.without(super::head::PRUNING));"),
    ("who_looks_leaves_the_inner_list_first", "look a_token_goes_with_all_below_it_while_somebody_looks_there",
     "look.rs", "if let Some(List { owner, .. }) = self.lists.pop() {",
     "if !self.lists.is_empty() {\n let List { owner, .. } = if self.lists.last().unwrap().next.is_null() { self.lists.remove(0) } else { unreachable!() };"),
    ("who_looks_gives_claims_back", "look a_child_is_dropped_while_somebody_looks_and_somebody_cancels",
     "look.rs", "release(owner, claims * CHILD, &mut self.bin);", "let _ = (claims, release, CHILD);"),
    ("who_looks_has_seen_the_children", "look a_child_is_made_while_somebody_looks",
     "look.rs", "head.with(super::head::PRUNING), Acquire, Relaxed)", "head.with(super::head::PRUNING), Relaxed, Relaxed)"),
    ("who_waits_looks_again", "tracker who_begins_to_wait_during_the_last_exit_is_told_of_the_end",
     "src/task/task_tracker.rs", "            if state.await_end(begun) {\n                return Poll::Pending;\n            }\n",
     "            state.await_end(begun);\n            return Poll::Pending;\n"),
    ("who_waits_is_found_first", "tracker who_begins_to_wait_during_the_last_exit_is_told_of_the_end",
     "src/task/task_tracker.rs", "            self.waiter = Some(Waiter::new(state, cx.waker()));\n",
     "            let awaited = state.await_end(begun);\n            self.waiter = Some(Waiter::new(state, cx.waker()));\n",
     "            if state.await_end(begun) {\n", "            if awaited {\n"),
    ("who_is_told_looks_again", "tracker who_is_told_late_of_an_older_round_goes_on_waiting",
     "src/task/task_tracker.rs", "            // Told, perhaps of an older round (calibration `who_is_told_looks_again`).\n",
     "                self.begun = None;\n                return Poll::Ready(());\n"),
    ("who_notifies_wakes", "tracker who_begins_to_wait_during_the_last_exit_is_told_of_the_end",
     "src/task/waiters.rs", "first.map_or((), Waker::wake)", "first.map_or((), drop)"),
    ("who_notifies_wakes_all", "tracker who_begins_to_wait_without_a_seat_during_the_last_exit_is_told_of_the_end",
     "src/task/waiters.rs", "woken.next().map(Waker::wake).is_some()", "woken.next().map(drop).is_some()"),
    ("the_seats_are_looked_at_under_the_lock", "tracker who_begins_to_wait_during_the_last_exit_is_told_of_the_end",
     "src/task/seats.rs", "self.whom.is_some() && self.seats.taken", "self.seats.taken"),
    ("who_finds_no_seat_says_so", "tracker who_begins_to_wait_without_a_seat_during_the_last_exit_is_told_of_the_end",
     "src/task/seats.rs", "            row.was_full = true;\n", "            row.was_full = false;\n"),
    ("the_proxy_has_its_waker_first", "tracker who_is_told_late_of_an_older_round_goes_on_waiting",
     "src/task/waiters.rs", "Lock::new(Some(waker)), state", "Lock::new(None), state",
     "                break Self { proxy,", "                *proxy.waker.lock() = Some(waker);\n                break Self { proxy,"),
    ("who_is_told_at_once_listens_again", "tracker who_is_told_late_of_an_older_round_goes_on_waiting",
     "src/task/waiters.rs", "Context::from_waker(&known)).is_pending() {", "Context::from_waker(&known)).is_pending() || true {"),
    ("a_round_ends_with_its_step", "tracker a_round_that_was_ended_is_not_taken_for_the_next",
     "src/task/state.rs", "if seen & AWAITED != 0 && Snapshot(seen).settled(next(seen)) != next(seen) {", "if seen & AWAITED != 0 && self.look().is_over() {"),
    ("dead_stack_is_closed", "drop two_children_dropped_during_a_cancel_are_freed_once",
     "sweep.rs", "at(parent).dead.swap(Node::CLOSED, Acquire)", "at(parent).dead.swap(core::ptr::null_mut(), Acquire)"),
    ("prev_is_forgotten", "drop news_that_comes_while_news_is_taken_is_not_lost",
     "list.rs", "            set_before(next, ptr::null_mut());\n", ""),
    ("claim_check", "collapse three_relays_in_a_row_collapse_at_once",
     "collapse.rs", "if at(relay).state.load(Acquire).has_one_child_only() {",
     "if at(relay).state.load(Acquire).has_one_child_only() || true {"),
    ("commit_excludes_cancel", "collapse a_child_below_a_relay_is_reached_by_a_cancel_during_the_collapse",
     "collapse.rs",
     "if at(relay).head.replace(head.with(PRUNING), forwarded, Relaxed, Relaxed).is_ok() {",
     "let _ = forwarded;\n            at(relay).head.change(Relaxed, |head| head.without(PRUNING).with(MARKED));\n            if true {"),
    ("child_is_pinned", "collapse a_child_below_a_relay_is_reached_by_a_cancel_during_the_collapse",
     "collapse.rs", "        if !pin(heir) {", "        if !pin(heir) && false {"),
    ("next_before_parent", "collapse a_relay_collapses_between_siblings_and_a_cancel",
     "collapse.rs", "                    at(heir).next.store(next_of(relay), Relaxed);\n", "",
     "                    replace(parent, relay, heir);\n",
     "                    let next = next_of(relay);\n                    replace(parent, relay, heir);\n                    at(heir).next.store(next, Relaxed);\n"),
    ("link_of_a_child_with_handles", "wait a_relay_collapses_above_a_waiter_during_a_cancel",
     "collapse.rs",
     "Commit::Failed { died: if release_pin(heir) { ptr::null_mut() } else { heir } }", "Commit::Failed { died: heir }"),
    ("unpin_only_as_seen", "collapse three_relays_in_a_row_collapse_at_once",
     "collapse.rs", "unsafe { at(node).state.replace(seen, seen.unpinned(), Release, Relaxed).is_ok() }",
     "let _ = seen;\n    unsafe { release_pin(node) }"),
    ("sweep_leaves_the_pinned", "dissolve a_child_becomes_a_relay_while_its_root_goes",
     "sweep.rs", "Swept::Pinned => {}", "Swept::Pinned => claims += 1,"),
    ("next_before_unlink", "drop a_child_dropped_during_a_cancel_is_freed_once",
     "sweep.rs", "            let next = next_of(node);\n            match unlink(&at(node).state) {",
     "            let swept = unlink(&at(node).state);\n            let next = next_of(node);\n            match swept {"),
    ("losers_help", "cancel a_cancel_that_races_an_ancestors_returns_with_its_descendants_cancelled",
     "cancel.rs", "                if head.is_done() {\n                    return Mark::Skip;\n                }\n                break;",
     "                return Mark::Skip;"),
    ("last_visitor_sweeps", "collapse two_cancels_meet_a_collapse",
     "visit.rs", "Ok(_) if left < VISITOR => break,", "Ok(_) if visit & CLOSED == 0 => break,"),
    ("no_visitor_after_the_last", "cancel both_of_two_cancels_return_with_everything_cancelled",
     "visit.rs", "while visit & CLOSED == 0 {", "while visit & CLOSED == 0 || true {"),
    ("sweep_waits_for_the_pruner", "drop a_sibling_that_lives_on_is_reached_behind_a_dropped_one",
     "visit.rs", "if !at(owner).head.change(Release, |head| head.with(MARKED)).is_pruning() {",
     "if !at(owner).head.change(Release, |head| head.with(MARKED)).is_pruning() || true {"),
    ("walkers_follow_the_heir", "collapse a_child_below_a_relay_is_reached_by_a_cancel_during_the_collapse",
     "cancel.rs", "            if head.is_forwarded() {\n                return Mark::Alias(head.first());\n            }",
     "            if head.is_forwarded() {\n                return Mark::Skip;\n            }\n            if false {\n                return Mark::Alias(head.first());\n            }"),
    ("walkers_come_back_past_the_relay", "collapse a_relay_collapses_between_siblings_and_a_cancel",
     "cancel.rs", "if at(parent).head.load(Relaxed).is_forwarded() {",
     "if at(parent).head.load(Relaxed).is_forwarded() && false {"),
    ("the_last_handle_keeps_a_node_in_a_list", "wait the_last_handle_goes_while_its_waiter_is_woken",
     "release.rs", "if !seen.stays() && slot::leave(node) {", "if false && slot::leave(node) {"),
    ("a_handle_that_was_passed_on_is_given_back", "wait the_last_handle_goes_while_its_waiter_is_woken",
     "wake.rs", "if finished.kept {", "if false && finished.kept {"),
    ("a_forgotten_waker_is_not_listed_without_a_handle", "last_handle a_future_that_was_forgotten_does_not_keep_its_token_in_a_list",
     "slot.rs", "                SET => FREE,\n", "                SET => return false,\n"),
    ("a_listed_waker_is_taken_by_one", "wait a_waiter_dropped_during_a_cancel_leaves_nothing",
     "slot.rs", "waker: (seen & SET != 0).then(", "waker: (seen & (SET | GONE) != 0).then("),
    ("a_block_ends_before_its_token", "last_handle the_last_handle_of_a_token_with_a_block_goes_during_a_cancel",
     "release.rs", "            block::end(first, bin);", "            let _ = block::end;"),
    ("an_open_block_ends_with_its_token", "last_handle the_last_handle_of_a_token_with_two_blocks_goes_during_a_cancel",
     "block.rs", "            purse.end(bin);\n", "            let _ = (purse, &bin);\n"),
    ("one_first_block", "waiters two_second_waiters_at_once_make_one_block_that_stays",
     "annex.rs", "annex.node().is_null().then(|| annex.with_node(block))", "Some(Annex(ptr::null_mut()).with_branches(annex.branches()).with_node(block))"),
    ("who_reads_the_purse_takes_a_handle_by_that", "waiters a_full_block_goes_while_another_comes",
     "purse.rs", "            match self.0.compare_exchange(seen, seen.map_addr(|address| address + 1), Acquire, Relaxed) {\n                Ok(_) => break,",
     "            unsafe { at(block_of(seen)) }.state.add(1);\n            match Ok(seen) {\n                Ok(_) => break,"),
    ("a_purse_is_filled_after_the_count", "waiters a_full_block_goes_while_another_comes",
     "purse.rs", "            at(block).state.add(spent);\n", "",
     "                    Ok(_) => return,\n                    Err(newer) => seen = newer,\n                }\n            }\n            at(block).state.give_back(spent);\n",
     "                    Ok(_) => return at(block).state.add(spent),\n                    Err(newer) => seen = newer,\n                }\n            }\n"),
    ("a_full_block_leaves_the_purse", "waiters two_fifth_waiters_at_once_fill_a_block_and_open_another",
     "purse.rs", "Ok(_) => return spend_all(seen, &mut Bin::immediate()),", "Ok(_) => return,"),
    ("who_opens_a_block_in_vain_keeps_one_handle", "waiters two_fourth_waiters_at_once_open_one_block",
     "purse.rs", "            at(block).state.give_back(FULL);\n", ""),
    ("a_waker_that_comes_after_the_canceller_is_its_futures", "wait the_second_waiter_polls_again_with_another_waker_during_a_cancel",
     "block.rs", "    (before & FIRED != 0).then(|| unsafe {", "    (before & FIRED != 0 && false).then(|| unsafe {"),
    ("a_fired_waker_is_the_cancellers", "wait a_second_waiter_dropped_during_a_cancel_leaves_nothing",
     "block.rs", "        (before & FIRED == 0).then(|| waker.assume_init())", "        (before & FIRED == 0 || true).then(|| waker.assume_init())"),
    ("who_is_gone_is_not_woken", "waiters a_further_waiter_dropped_by_another_waker_is_not_woken",
     "block/fired.rs", "let is_there = slots.word.load(Relaxed) & (1 << slot) != 0;", "let is_there = slots.word.load(Relaxed) & (1 << slot) != 0 || true;"),
    ("the_bit_comes_back", "waiters the_latest_waker_of_a_third_waiter_is_woken",
     "block.rs", "            slot.word.fetch_add(set(slot.bit), Relaxed);\n", ""),
    ("a_block_is_kept_while_it_is_woken", "waiters a_full_block_goes_while_it_is_woken",
     "wake.rs", "            if woken.fired.is_none() {\n                woken.give_back();\n            }\n", "            woken.give_back();\n",
     "            self.give_back();\n            if is_there", "            if is_there"),
    ("who_panics_is_not_woken_again", "wait a_waker_of_a_block_that_panics_is_not_woken_again",
     "block/fired.rs", "                let slot = fired.wakers.trailing_zeros();\n", "                let before = *fired;\n                let slot = fired.wakers.trailing_zeros();\n",
     "                if is_there {\n                    waker.wake();\n", "                if is_there {\n                    let after = core::mem::replace(fired, before);\n                    waker.wake();\n                    *fired = after;\n"),
    ("all_words_of_a_block_are_fired", "waiters a_fourth_waiter_during_a_cancel_is_ready_or_woken",
     "block/fired.rs", "        while self.is_none() && self.more {", "        while self.is_none() && self.more && self.segment < 1 {"),
    ("branches_are_announced", "branches a_child_in_a_branch_is_cancelled_and_leaves_nothing",
     "branch.rs", "                if !announce(token) || !at(token)", "                let _ = announce;\n                if !at(token)"),
    ("branches_end_with_their_token", "branches a_token_goes_while_a_child_in_its_branch_does",
     "branch.rs", "            unsafe { release(branch, HANDLE, bin) };", "            let _ = (branch, &mut *bin);"),
    ("a_directory_is_closed_when_it_is_empty", "branches a_directory_is_used_again",
     "branch.rs", "    let directory = &SHARED.directories[number - 1];\n", "    let directory = &SHARED.directories[number - 1];\n    directory.close();\n",
     "    directory.close();\n}", "}"),
    ("who_finds_a_token_crowded_in_vain_closes_the_directory", "branches two_threads_find_the_token_crowded_at_once",
     "branch.rs", "                    directory.close();\n", ""),
    ("a_branch_in_vain_ends", "branches two_threads_of_one_hint_plant_one_branch",
     "branch.rs", "                release(branch, HANDLE, &mut Bin::immediate());\n                other", "                other"),
    ("a_branch_is_no_others", "branches two_threads_of_one_hint_plant_one_branch",
     "branch.rs", "match place.compare_exchange(ptr::null_mut(), branch, Release, Acquire) {", "match Ok::<_, *mut Node>(place.swap(branch, crate::primitives::AcqRel)) {"),
    ("a_branch_stands_before_it_is_used", "branches a_branch_that_is_just_being_planted_is_reached",
     "branch.rs", "        if !push(token, branch) {\n            give_up(branch);\n            return token;\n        }\n", "",
     "            Ok(_) => branch,", "            Ok(_) => {\n                let _ = push(token, branch);\n                branch\n            }"),
    ("a_token_is_asked_before_its_branch", "branches a_child_that_is_made_in_a_branch_during_a_cancel_is_cancelled",
     "birth.rs", "        // `a_token_is_asked_before_its_branch`).\n        if at(parent).reason.is_set() || !push_token(host, node) {", "        if !push_token(host, node) {"),
    ("who_looks_sees_through_branches", "branches who_looks_sees_the_children_in_branches",
     "look.rs", "                let listing = path.enter(node, owner);\n                if listing", "                let listing = Listing::Seen;\n                if listing"),
    ("a_cause_of_a_branch_is_for_the_next_drop", "branches a_canceller_ends_the_branches_of_a_token_that_was_waited_for",
     "memory/mod.rs", "self.deferred && !belongs_to_the_heap(node)", "self.deferred"),
    ("a_block_and_branches_share_a_word", "branches a_block_and_branches_come_at_once",
     "annex.rs", "Self(node.map_addr(|address| address | (self.0.addr() & NUMBER)))", "Self(node)"),
    ("a_block_is_announced", "waiters a_waiter_and_another_that_cancels_leave_nothing",
     "block/place.rs", "        if !announce_block(token) {\n", "        let _ = announce_block;\n        if false {\n"),
    ("no_block_comes_after_the_mark", "waiters a_second_waiter_during_a_cancel_is_ready_or_woken",
     "announce.rs", "unsafe { at(token).annex.last_block_of(token) }", "unsafe { at(token).annex.load(Acquire).block_of(token) }"),
    ("who_goes_on_says_so", "waiters a_third_waiter_during_a_cancel_is_ready_or_woken",
     "block.rs", "match word.compare_exchange(seen, seen | MORE, Release, Acquire) {", "match word.compare_exchange(seen, seen, Release, Acquire) {"),
    ("who_makes_a_segment_is_alone", "waiters two_third_waiters_at_once_make_one_segment_and_open_one_block",
     "block/layout.rs", "if place.compare_exchange(ptr::null_mut(), made, Release, Acquire).is_err() {", "if Err::<(), _>(place.swap(made, Release)).is_err() && false {"),
    ("a_token_is_kept_while_its_block_is_woken", "last_handle the_last_waiter_in_a_block_goes_during_a_cancel",
     "wake.rs", "if block.is_null() || !at(node).state.try_retain() {", "if block.is_null() {",
     "            release_handle_into(node, &mut Bin::deferred());\n            !stays", "            !stays"),
    ("what_is_retained_is_given_back", "last_handle the_last_waiter_in_a_block_goes_during_a_cancel",
     "wake.rs", "            release_handle_into(node, &mut Bin::deferred());\n            !stays", "            !stays"),
    ("no_handle_comes_after_the_last", "last_handle the_last_waiter_in_a_block_goes_during_a_cancel",
     "state/word.rs", "while state.has_handle() && !state.is_handed() {", "while state.has_handle() {"),
    ("who_is_not_the_last_ends_no_block", "last_handle the_last_waiter_in_a_block_goes_during_a_cancel",
     "release.rs", "            if !at(node).state.release_or_announce_the_last() {\n                return 0;\n            }\n", "            at(node).state.release_or_announce_the_last();\n"),
    ("who_looks_keeps_a_first_block", "look the_last_waiter_in_a_block_goes_while_somebody_looks",
     "look.rs", "if block.is_null() || !at(token).state.try_retain() {", "if block.is_null() {",
     "        release_handle_into(token, bin);\n", "        let _ = (release_handle_into, bin);\n"),
    ("who_is_not_alone_takes_a_step", "dissolve a_child_is_dropped_while_its_root_goes",
     "release.rs", "return if seen.is_only(HANDLE) { end_alone", "return if seen.is_only(HANDLE) || seen.is_unflagged() { end_alone"),
    ("in_a_list_nobody_is_alone", "drop two_children_dropped_at_once_are_both_unlinked",
     "release.rs", "        if !at(node).state.release_leaf() {\n            return release_thoroughly(node, State::CHILD, HANDLE);\n        }\n",
     "        if true {\n            return end_alone(node, own);\n        }\n"),
    ("who_is_still_on_the_way_has_a_claim", "dissolve a_child_is_dropped_while_its_root_goes",
     "sweep.rs", "if at(root).state.load(Acquire).is_only(HANDLE + claims * CHILD) {", "if at(root).state.load(Acquire).is_only(HANDLE + claims * CHILD) || true {"),
    ("who_is_alone_looks_at_the_dead", "dissolve two_children_are_dropped_while_their_root_goes",
     "sweep.rs", "            let none = end_all(dead, bin);", "            let none = end_all(if dead.is_null() { dead } else { core::ptr::null_mut() }, bin);"),
    ("a_cause_is_noted_in_the_head", "reason a_childs_own_reason_and_its_parents_do_not_mix",
     "cancel.rs", "let cause = if reason.is_counted() { WAITED } else { 0 };", "let cause = if reason.is_counted() { 0 } else { 0 };"),
    ("a_cause_is_noted_at_birth", "reason a_child_created_below_a_cancel_has_its_reason",
     "mod.rs", "let cause = if reason.is_counted() { WAITED } else { 0 };", "let cause = if reason.is_counted() { 0 } else { 0 };"),
    ("a_lone_waiter_is_marked_before_it_is_woken", "wait a_child_comes_while_a_lone_waiter_is_woken",
     "cancel.rs", "at(root).head.replace(waited, frozen(waited), AcqRel, Relaxed).is_ok()", "at(root).head.replace(waited, frozen(waited), AcqRel, Relaxed).is_ok() || true"),
    ("what_stays_is_no_lone_waiter", "linked an_alarm_and_a_cancel_decide_between_them",
     "cancel.rs", "load(Relaxed) != waited || at(root).state.load(Relaxed).stays() {", "load(Relaxed) != waited {"),
    ("who_is_known_is_marked", "drop children_leave_in_every_order_while_another_comes",
     "list.rs", "*prev = before.map_addr(|address| address | TOLD)", "*prev = before"),
    ("waited_is_announced", "wait a_waiter_that_registers_during_a_cancel_is_ready_or_woken",
     "slot.rs", "        if announce(node) {\n            return Arm::Armed(());", "        let _ = announce;\n        if true {\n            return Arm::Armed(());"),
    ("announce_sees_the_cancel", "wait a_waiter_that_registers_during_a_cancel_is_ready_or_woken",
     "slot.rs", "            if head.is_cancelled() {\n                help(node);\n                return false;\n            }", ""),
    ("a_cancelled_registration_is_taken_back", "wait a_waiter_that_registers_during_a_cancel_is_ready_or_woken",
     "slot.rs", "        match disarm(node) {\n            Some(waker) => Arm::Cancelled(waker),",
     "        match disarm(node).filter(|_| false) {\n            Some(waker) => Arm::Cancelled(waker),"),
    ("a_fired_slot_is_not_published", "wait a_slot_goes_from_one_future_to_another_during_a_cancel",
     "slot.rs", "        Some(copy(&at(node).waker).assume_init())\n    }\n}", "        drop(copy(&at(node).waker).assume_init());\n        None\n    }\n}"),
    ("fire_ends_the_slot", "wait the_waker_of_the_latest_poll_is_the_one_that_is_woken",
     "slot.rs", "at(node).slot.fetch_or(FIRED, AcqRel) == SET", "at(node).slot.fetch_or(0, AcqRel) == SET"),
    ("reason_first", "reason a_child_created_below_a_cancel_has_its_reason",
     "cancel.rs",
     "!reason.is_counted() {\n            at(node).reason.decide(reason);\n", "!reason.is_counted() {\n",
     "                return if head.is_waited() { waited.noted(node, marked) } else { Mark::by_us(marked) };\n            }\n        }\n        mark_thoroughly",
     "                at(node).reason.decide(reason);\n                return if head.is_waited() { waited.noted(node, marked) } else { Mark::by_us(marked) };\n            }\n        }\n        mark_thoroughly",
     "            // Before the mark: whoever finds that finds the reason, if it is not the plain one (calibration `reason_first`).\n            at(node).reason.decide(reason);\n", "",
     "                Ok(()) => return if head.is_waited()", "                Ok(()) => return if { at(node).reason.decide(reason); head.is_waited() }"),
    ("reason_of_the_owner", "reason a_childs_own_reason_and_its_parents_do_not_mix",
     "cancel.rs", "                    (owner, node) = (node, first);\n                    reason = at(owner).reason.word();",
     "                    (owner, node) = (node, first);"),
    ("another_reason_is_announced", "reason a_childs_own_reason_beside_a_plain_cancel_is_decided_once_and_final",
     "announce.rs", "        if !state.is_linked() || state.stays() {", "        if !state.is_linked() || state.stays() || true {"),
    ("what_is_announced_is_heeded", "reason a_childs_own_reason_beside_a_plain_cancel_is_decided_once_and_final",
     "announce.rs", "            if at(node).visit.load(Relaxed) & ANNOUNCED == 0 {", "            if at(node).visit.load(Relaxed) & ANNOUNCED == 0 || true {"),
    ("who_marks_heeds_what_is_announced", "reason a_childs_own_reason_beside_a_plain_cancel_is_decided_once_and_final",
     "cancel.rs", "                help(node);\n                return self.noted", "                at(node).reason.set_plain();\n                return self.noted"),
    ("what_is_announced_is_announced_by_a_step", "reason a_waited_childs_own_reason_beside_a_plain_cancel_is_decided_once_and_final",
     "announce.rs", "        while !head.is_cancelled() {\n            // A step", "        while !head.is_cancelled() {\n            if head.is_waited() {\n                return true;\n            }\n            // A step"),
    ("what_stays_has_its_reason_first", "linked an_alarm_that_fires_while_it_is_armed_and_a_cancel_decide_between_them",
     "cancel.rs", "head.is_quiet() && !at(node).state.load(Relaxed).stays() {", "head.is_quiet() {"),
    ("what_stays_is_passed_on_the_way", "linked an_alarm_that_fires_while_it_is_armed_has_a_younger_sibling",
     "cancel.rs", "is_childless(node) && !at(node).state.load(Relaxed).stays() {", "is_childless(node) {"),
    ("only_the_plain_reason_comes_after_the_mark", "reason a_child_created_below_a_cancel_has_its_reason",
     "cancel.rs", "if reason.is_plain() && head.is_quiet()", "if head.is_quiet()"),
    ("done_is_not_flagged", "cancel a_cancel_of_what_has_no_children_that_races_its_parents_returns_with_it_cancelled",
     "cancel.rs", ".is_done() && at(root).reason.is_set()", ".is_done()"),
    ("walkers_help", "cancel both_of_two_cancels_return_with_everything_cancelled",
     "cancel.rs", "                help(node);\n                if head", "                if head"),
    ("walkers_help_what_is_done", "cancel both_of_two_cancels_return_with_all_children_cancelled",
     "cancel.rs", "`walkers_help_what_is_done`).\n                help(node);\n", "`).\n                if !head.is_done() {\n                    help(node);\n                }\n"),
    ("a_poll_helps", "cancel who_is_ready_finds_the_token_cancelled",
     "slot.rs", "                help(node);\n", ""),
    ("a_push_helps", "cancel who_makes_a_child_that_is_born_cancelled_finds_its_parent_cancelled",
     "birth.rs", "        // The child is to have its reason (calibration `a_push_helps`).\n        help(parent);\n", ""),
    ("who_helps_overwrites_nothing", "reason a_child_created_below_a_cancel_has_its_reason",
     "announce.rs", "        if at(node).reason.is_missing() {", "        if at(node).reason.is_missing() || true {"),
    ("an_heir_is_left_by_its_parent", "collapse a_relay_collapses_between_siblings_and_a_cancel",
     "cancel.rs", "(heir, _) => (node, owner) = after(heir),", "(heir, _) => node = next_of(heir),"),
    ("one_reason", "reason of_two_reasons_for_one_token_one_is_decided_and_final",
     "reason.rs", "match self.0.compare_exchange(Self::at_birth(false), reason.0, Release, Relaxed) {\n            Ok(_) => true,",
     "match Ok::<_, *mut ()>(self.0.swap(reason.0, Release)) {\n            Ok(seen) if !Word(seen).is_set() => true,\n            Ok(_) => false,"),
    ("a_cause_is_counted_for_each_node", "reason a_reason_outlives_its_tokens",
     "reason.rs", "            reason.retain();\n            let decided = self.set(reason);",
     "            let decided = self.set(reason);"),
    ("prevented_or_run", "callback a_callback_unregistered_during_a_cancel_is_prevented_or_runs",
     "wake.rs", "Role::Callback if slot::claim(node) => {", "Role::Callback if slot::claim(node) || true => {"),
    ("detach_looks_twice", "callback a_callback_detached_beside_two_cancels_runs_once",
     "callback.rs", "let duty = if at(node).slot.load(Relaxed) == slot::SET {", "let duty = if true {"),
    ("detach_keeps_the_node_for_its_look", "callback a_callback_detached_during_a_cancel_runs_once",
     "state.rs", "State((self.0 | DETACHED) + CHILD)", "State(self.0 | DETACHED)",
     "State(self.0 - CHILD).left_detached()", "self.left_detached()"),
    ("a_token_keeps_its_detached_callbacks", "callback a_detached_callback_of_a_token_without_handles_is_still_run",
     "callback.rs", "        at(parent).state.keep();\n", ""),
    ("a_detached_callback_ends_with_its_token", "callback a_detached_callback_ends_with_its_token",
     "memory/mod.rs", "if state.keeps() && !head.is_cancelled() {", "if false {"),
    ("done_meets_the_token", "callback who_waits_for_the_end_of_a_callback_is_woken",
     "callback.rs", "        if seen.addr() & DONE != 0 {\n            return Ok(None);\n        }\n", "        if seen.addr() == DONE {\n            return Ok(Some(Handle::root()));\n        }\n"),
    ("payload_before_waited", "linked a_parent_is_cancelled_while_a_timer_is_armed",
     "timed.rs", "    unsafe {\n        payload::<Timed<T>>(node).with_mut(|cell| (*cell).assume_init_mut().armed = Some(armed));\n        if !slot::announce(node) {",
     "    unsafe {\n        let announced = slot::announce(node);\n        payload::<Timed<T>>(node).with_mut(|cell| (*cell).assume_init_mut().armed = Some(armed));\n        if !announced {"),
    ("disarmed_by_who_armed", "linked a_parent_is_cancelled_while_a_timer_is_armed",
     "timed.rs", "        if !slot::announce(node) {", "        if !slot::announce(node) && false {"),
    ("no_claim_on_the_dead", "linked an_alarm_of_a_token_that_is_gone_does_nothing",
     "weak.rs", "unsafe { at(node).state.try_add_child() }.then_some(node)",
     "unsafe {\n at(node).state.add_child();\n true\n }.then_some(node)"),
    ("memory_outlives_the_tree", "linked an_alarm_of_a_token_that_is_gone_does_nothing",
     "extended.rs", "if tail(node).memory.fetch_sub(1, AcqRel) == 1 {", "if tail(node).memory.fetch_sub(1, AcqRel) != 0 {"),
    ("an_anchor_is_no_relay", "linked an_alarm_reaches_what_is_below_a_token_that_is_dropped",
     "state.rs", "self.0 & (!FLAGS | STAYS | KEEPS) == CHILD", "self.0 & (!FLAGS | KEEPS) == CHILD"),
    ("a_place_is_taken_by_one", "pool two_who_take_at_once_have_two_places",
     "memory/pool.rs", "&& home.compare_exchange(ptr::null_mut(), self.0.as_ptr(), AcqRel, Relaxed).is_ok()",
     "&& { home.store(self.0.as_ptr(), Release); true }"),
    ("a_permit_for_each_place", "pool of_two_who_take_the_last_place_one_has_it",
     "memory/pool.rs", "match used.compare_exchange(seen, seen + 1, Acquire, Relaxed) {",
     "match { used.store(seen + 1, Relaxed); Ok::<usize, usize>(seen) } {"),
    ("the_place_before_the_permit", "pool a_place_given_back_is_had_by_the_next",
     "memory/pool.rs", "        (*place).home.store(ptr::null_mut(), Release);\n", "",
     "        pool.header().used.fetch_sub(1, Release);\n", "        pool.header().used.fetch_sub(1, Release);\n        (*place).home.store(ptr::null_mut(), Release);\n"),
    ("no_room_for_a_waiter_is_no_lost_wake_up", "pool a_waiter_without_room_loses_no_wake_up",
     "wait.rs", "Err(Unborn::Full(waker, _)) => waker.wake(),", "Err(Unborn::Full(..)) => {}"),
    ("a_cancel_gives_places_back", "pool a_place_that_a_cancel_finds_dead_comes_back",
     "memory/mod.rs", "} else if ends_quietly(node) {", "} else if false && ends_quietly(node) {"),
    ("a_full_pool_empties_the_graveyard", "pool what_a_cancel_has_left_is_there_for_who_finds_the_pool_full",
     "memory/home.rs", "            self.graveyard().empty();\n", ""),
    ("a_pin_is_no_detachment", "linked a_linked_token_goes_while_its_source_collapses_during_a_cancel",
     "state.rs", "(true, _) if left.stays() && left.has_retry() => left.left_detached(),", "(true, _) if left.stays() => left.left_detached(),"),
    ("links_before_wakers", "linked a_cancel_goes_on_through_linked_tokens_before_it_wakes",
     "cancel.rs", "        waited.follow_links(&mut bin);\n", ""),
    ("a_place_is_filled_before_it_is_armed", IN_THE_TIMER + "what_is_armed_and_due_is_fired_by_the_poll_that_follows_or_by_one_beside_it",
     TIMER + "place.rs", "        place.state.store(ARMED, Release);\n", "",
     "        // Relaxed, both: released with the word (P4).\n", "        place.state.store(ARMED, Release);\n"),
    ("one_poll_claims", IN_THE_TIMER + "of_two_polls_one_fires_and_both_know_what_is_still_to_come",
     TIMER + "place.rs", "if self.state.compare_exchange(ARMED, CLAIMED, Acquire, Relaxed).is_err() {",
     "if self.state.swap(CLAIMED, Acquire) != ARMED {"),
    ("who_claims_looks_at_the_time", IN_THE_TIMER + "nothing_is_fired_before_its_time",
     TIMER + "place.rs", "if self.at().is_some_and(|at| at <= now) {", "if self.at().is_some_and(|at| at <= now) || true {"),
    ("a_claimed_place_is_left_to_the_poll", IN_THE_TIMER + "an_alarm_dropped_during_a_poll_is_given_back",
     TIMER + "place.rs", "claimed => claimed | ORPHAN,", "_ => BUSY,"),
    ("who_fires_gives_an_orphan_back", IN_THE_TIMER + "an_alarm_dropped_during_a_poll_is_given_back",
     TIMER + "place.rs", "                self.state.store(FREE, Release);\n            }\n            return match", "            }\n            return match"),
    ("an_orphan_is_met_by_read_modify_write", IN_THE_TIMER + "an_alarm_dropped_during_a_poll_is_given_back",
     TIMER + "place.rs", "let is_orphan = self.state.swap(FIRED, Release) & ORPHAN != 0;",
     "let is_orphan = self.state.load(Relaxed) & ORPHAN != 0;\n            self.state.store(FIRED, Release);"),
    ("who_gives_a_claim_back_takes_an_orphan_out", IN_THE_TIMER + "an_alarm_dropped_while_it_is_given_back_is_not_lost",
     TIMER + "place.rs", "            if seen & ORPHAN != 0 {\n                let alarm", "            if seen & ORPHAN != 0 && false {\n                let alarm"),
    ("the_cell_is_empty_before_the_place_is_free", IN_THE_TIMER + "a_place_that_is_armed_again_during_a_poll_has_one_alarm",
     TIMER + "place.rs", "            let alarm = self.take();\n            // Release: pairs with the acquire in `vacate`: the cell is empty.\n"
     "            let is_orphan = self.state.swap(FIRED, Release) & ORPHAN != 0;\n",
     "            let is_orphan = self.state.swap(FIRED, Release) & ORPHAN != 0;\n            let alarm = self.take();\n"),
    ("an_alarm_that_is_left_is_told_of", IN_THE_TIMER + "who_is_left_an_alarm_by_another_poll_has_that_ones_time",
     TIMER + "place.rs", "if self.state.compare_exchange_weak(seen, seen | AGAIN, Release, Relaxed).is_ok() {",
     "if self.state.compare_exchange_weak(seen, seen, Release, Relaxed).is_ok() {"),
    ("who_is_told_reads_the_clock_again", IN_THE_TIMER + "who_is_left_an_alarm_by_another_poll_has_that_ones_time",
     TIMER + "mod.rs", "Claim::Again => *now = C::now().max(*now),", "Claim::Again => {}"),
    ("a_poll_looks_until_nothing_is_due", IN_THE_TIMER + "who_is_left_an_alarm_by_another_poll_has_that_ones_time",
     TIMER + "mod.rs", "                Claim::Lost => {}", "                Claim::Lost => return (None, next),"),
    ("what_is_claimed_counts_if_it_is_to_come", IN_THE_TIMER + "nothing_is_fired_before_its_time",
     TIMER + "place.rs", "if seen != ARMED && seen & !AGAIN != CLAIMED {", "if seen != ARMED {"),
    ("places_are_tried_in_their_order", IN_THE_TIMER + "with_room_for_all_nobody_is_refused",
     TIMER + "mod.rs", "timer.places.iter().find_map(Place::reserve)",
     "(0..N).find_map(|i| timer.places[if at.subsec_nanos() == 0 { N - 1 - i } else { i }].reserve())"),
]

# A weakened ordering that no model notices, and why the stronger one stays: parts of its name as printed, and the reason.
ARGUED = [
    ("prune.rs", "Release->Relaxed", "head.with(MARKED), Release, Relaxed", "E4: loom's read-modify-writes always read the newest value;"
     " elsewhere the swap of the stack could come before the push that the mark speaks of"),
    ("prune.rs", "Acquire->Relaxed", "head.without(MARKED), Acquire, Relaxed", "E4: the other side of it"),
    ("list.rs", "Release->Relaxed", "at(prev).next.store(next, Release)", "E12: `next` may be an heir that came into the list"
     " in the same session, and the walker one that was there before: three actors, three preemptions"),
    ("announce.rs", "Acquire->Relaxed", "let state = at(root).state.load(Acquire)", "E10: a node that has left its list has its reason, but"
     " elsewhere another could come before that in the word's order; loom's read-modify-writes always read the newest value"),
    ("sweep.rs", "Release->Relaxed", "let before = unsafe { at(root).head.change(Release", "E9: who dissolves has written nothing that a pruner reads; it is"
     " as in a cancel, where who comes second has to see the walk"),
    ("branch.rs", "Acquire->Relaxed", "match place.compare_exchange(ptr::null_mut(), branch, Release, Acquire)", "E17: whose branch it is"
     " wrote its words before anybody saw it; loom has no older value of them to show"),
    ("annex.rs", "Acquire->Relaxed", "self.0.fetch_update(Release, Acquire, closed)", "E17: as that; whose block it is wrote its words before"),
    ("purse.rs", "Release->Relaxed", "seen, seen.map_addr(|address| address - spent)", "E17: elsewhere who takes a handle could give it"
     " back in the block's state before it was added there; loom's read-modify-writes always read the newest value"),
    ("purse.rs", "AcqRel->Release", "compare_exchange(seen, block, AcqRel", "E17: the other side of it"),
    ("fixed/place.rs", "AcqRel->Acquire", "compare_exchange(FREE, BUSY", "a place freed, and then one before it taken: elsewhere both could be"
     " found taken by one alarm; loom's read-modify-writes, the failed ones too, always read the newest value"),
    ("fixed/place.rs", "Acquire->Relaxed", "compare_exchange(FREE, BUSY", "the other side of it"),
]

ORDERING = re.compile(r"\b(AcqRel|Acquire|Release)\b")
WEAKER = {"AcqRel": ["Acquire", "Release"], "Acquire": ["Relaxed"], "Release": ["Relaxed"]}


def guards():
    for name, model, file, *pairs in GUARDS:
        path = file if file.startswith("src/") else TREE + file
        text = (ROOT / path).read_text()
        for old, new in zip(pairs[::2], pairs[1::2]):
            if text.count(old) != 1:
                sys.exit(f"{name}: the text to be replaced stands {text.count(old)} times in {path}:\n{old}")
            text = text.replace(old, new)
        yield name, model, path, text


def orderings():
    for file in [*sorted((ROOT / TREE).rglob("*.rs")), ROOT / TIMER / "place.rs", ROOT / "src/task/state.rs"]:
        path, text = str(file.relative_to(ROOT)), file.read_text()
        for match in ORDERING.finditer(text):
            number = text.count("\n", 0, match.start()) + 1
            line = text.splitlines()[number - 1].strip()
            code = line.split("//")[0]
            column = match.start() - text.rfind("\n", 0, match.start()) - 1
            indent = len(text.splitlines()[number - 1]) - len(text.splitlines()[number - 1].lstrip())
            if column - indent >= len(code) or line.startswith("use "):
                continue
            for weaker in WEAKER[match[1]]:
                yield f"{path.removeprefix(TREE)}:{number} {match[1]}->{weaker}  {line[:80]}", None, path, text[: match.start()] + f"crate::primitives::{weaker}" + text[match.end() :]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--orderings", action="store_true")
    options.add_argument("--seconds", type=int, default=1200, help="limit for one run of the models")
    options.add_argument("--only", help="binaries of the models, where some are enough: cancel,drop,…")
    options.add_argument("--jobs", type=int, default=os.cpu_count(), help="twins that are tried at the same time")
    options.add_argument("name", nargs="?", default="")
    options = options.parse_args()
    # Incremental: one function changes from twin to twin.
    env = os.environ | {"RUST_BACKTRACE": "0", "CARGO_TERM_COLOR": "never", "CARGO_INCREMENTAL": "1"}
    folder = pathlib.Path(os.environ.get("CALIBRATE_DIR") or tempfile.mkdtemp(prefix="calibrate-"))

    def copy_of_the_tree(number):
        copy = folder / str(number)
        for part in ("src", "loom-tests/tests", "tests/support"):
            shutil.rmtree(copy / part, ignore_errors=True)
        for part in ("src", "loom-tests", "tests/support"):
            shutil.copytree(ROOT / part, copy / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target"))
        shutil.copy(ROOT / "README.md", copy / "README.md")
        return copy

    def target(binary):
        return ["--lib"] if binary == "lib" else ["--test", binary]

    def models(copy, *which):
        """The output of the models, or of the one that is named; None if they do not end."""
        if options.only and not which:
            which = [word for only in options.only.split(",") for word in target(only)]
        command = ["cargo", "nextest", "run", "--manifest-path", str(copy / "loom-tests/Cargo.toml"), "--fail-fast", *which]
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=options.seconds)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout + done.stderr

    def verdict_of(output):
        if output is None:
            return "noticed: does not end"
        if "could not compile" in output:
            return "BROKEN: does not compile"
        failed = re.findall(r"(?:FAIL|SIGABRT|SIGSEGV) .*?\] .*?(\S+)$", output, re.M)
        if failed:
            return f"noticed by {failed[0]}"
        return "SURVIVED" if re.search(r"Summary .* passed", output) else "BROKEN: the models did not run"

    def try_twin(copy, name, model, path, text):
        """What the models say of one broken twin, made in that copy of the tree."""
        original = (copy / path).read_text()
        (copy / path).write_text(text)
        try:
            verdict = "SURVIVED"
            if model:
                binary, test = model.split()
                verdict = verdict_of(output := models(copy, *target(binary), "-E", f"test(={test})"))
            if verdict == "SURVIVED":
                verdict = verdict_of(output := models(copy))
                verdict += f" (not by {model})" if model else ""
        finally:
            (copy / path).write_text(original)
        if verdict.startswith("SURVIVED") and any(all(part in name for part in argued[:3]) for argued in ARGUED):
            verdict = "argued"
        return verdict, output

    twins = queue.SimpleQueue()
    for twin in orderings() if options.orderings else guards():
        if options.name in twin[0]:
            twins.put(twin)
    noticed, survived = [], []

    def work(number):
        copy = copy_of_the_tree(number)
        while True:
            try:
                name, *twin = twins.get_nowait()
            except queue.Empty:
                return
            start = time.time()
            verdict, output = try_twin(copy, name, *twin)
            if verdict.startswith("noticed"):
                noticed.append(name)
            if verdict.startswith(("SURVIVED", "BROKEN")):
                survived.append(name)
                if verdict.startswith("BROKEN"):
                    print(output[-1500:])
            print(f"{name}: {verdict} [{time.time() - start:.0f} s]", flush=True)

    # Each compiles one crate at a time, so there is a core for each.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(work, number) for number in range(min(options.jobs, twins.qsize()))]:
            done.result()
    print(f"{len(noticed)} noticed, {len(survived)} not")
    sys.exit(bool(survived))


main()
