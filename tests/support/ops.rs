//! Sequences of public operations, and an interpreter that runs them against the crate and against the reference at once
//! and compares everything after every step. Shared by `tests/properties.rs` and the fuzz targets.

use super::nodes;
use world::World;

mod parts;
mod world;

/// One step. The numbers choose among what is there, modulo how much that is, so that every step can be done; if there
/// is nothing to choose from, nothing is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    New,
    Child {
        of: u8,
    },
    Clone {
        token: u8,
    },
    Drop {
        token: u8,
    },
    Cancel {
        token: u8,
    },
    Compare {
        left: u8,
        right: u8,
    },
    Wait {
        token: u8,
        owned: bool,
    },
    RunUntilCancelled {
        token: u8,
        owned: bool,
    },
    WithToken {
        token: u8,
        owned: bool,
    },
    Poll {
        wait: u8,
        waker: u8,
    },
    Finish {
        wait: u8,
    },
    DropWait {
        wait: u8,
    },
    Guard {
        token: u8,
        owned: bool,
    },
    DropGuard {
        guard: u8,
    },
    Disarm {
        guard: u8,
    },
    /// With one of two causes that are static, or with an error.
    CancelWith {
        token: u8,
        cause: u8,
    },
    OnCancel {
        token: u8,
        hand_back: bool,
    },
    Unregister {
        registration: u8,
    },
    DropRegistration {
        registration: u8,
    },
    Detach {
        registration: u8,
    },
    Finished {
        registration: u8,
    },
    /// Of up to five tokens, one of which may stand there twice.
    Any {
        first: u8,
        how: u8,
    },
    /// On a clock that only `Advance` moves.
    Timed {
        of: u8,
        after: u8,
    },
    Advance {
        by: u8,
    },
}

impl Op {
    /// How many bytes of a fuzzer's input are one step.
    pub(crate) const BYTES: usize = 3;
    /// First bytes below this are all kinds of steps; those above repeat.
    pub(crate) const KINDS: u8 = 64;

    /// Every three bytes are some step. The order is part of the corpus: add to it only by taking a repetition's place.
    pub(crate) fn from_bytes([kind, a, b]: [u8; Self::BYTES]) -> Self {
        let owned = b % 3 == 0;
        match kind % Self::KINDS {
            0 | 1 => Op::New,
            2..=11 => Op::Child { of: a },
            12 | 13 => Op::Clone { token: a },
            14..=18 => Op::Drop { token: a },
            19 => Op::Cancel { token: a },
            20 => Op::Compare { left: a, right: b },
            21..=23 => Op::Wait { token: a, owned },
            24 => Op::RunUntilCancelled { token: a, owned },
            25 => Op::WithToken { token: a, owned },
            26..=32 => Op::Poll { wait: a, waker: b },
            33 => Op::Finish { wait: a },
            34 | 35 => Op::DropWait { wait: a },
            36 => Op::Guard { token: a, owned },
            37 => Op::DropGuard { guard: a },
            38 | 39 => Op::Disarm { guard: a },
            40 | 41 => Op::CancelWith { token: a, cause: b },
            42..=46 => Op::OnCancel { token: a, hand_back: b % 4 == 0 },
            47 | 48 => Op::Unregister { registration: a },
            49 => Op::DropRegistration { registration: a },
            50 | 51 => Op::Detach { registration: a },
            52 | 53 => Op::Finished { registration: a },
            54..=57 => Op::Any { first: a, how: b },
            58..=61 => Op::Timed { of: a, after: b },
            _ => Op::Advance { by: a },
        }
    }

    /// A fuzzer's input; what is left over at its end is ignored.
    #[allow(dead_code, reason = "not every user has bytes")]
    pub(crate) fn list(bytes: &[u8]) -> Vec<Self> {
        bytes.chunks_exact(Self::BYTES).map(|op| Self::from_bytes([op[0], op[1], op[2]])).collect()
    }
}

/// Runs a list of steps, then drops what is left in some order (every other list: polls and cancels in between), and
/// checks that nothing is left.
pub(crate) fn run(ops: &[Op]) {
    let bytes = nodes::bytes();
    let mut world = World::new();
    for &op in ops {
        world.step(op);
        world.check();
    }
    let drops_only = ops.len() % 2 == 0;
    // Any order will do, so long as it is the same for the same list.
    let mut choice = ops.len() as u64;
    loop {
        choice = choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (at, waker) = ((choice >> 40) as u8, (choice >> 48) as u8);
        let (tokens, waits, guards) = (!world.tokens.is_empty(), !world.waits.is_empty(), !world.guards.is_empty());
        let registrations = !world.registrations.is_empty();
        world.step(match (choice >> 33) % 16 {
            0..=2 if waits && !drops_only => Op::Poll { wait: at, waker },
            3 if tokens && !drops_only => Op::Cancel { token: at },
            4..=5 if waits => Op::DropWait { wait: at },
            6 if guards => Op::DropGuard { guard: at },
            7 | 8 if registrations => Op::DropRegistration { registration: at },
            9 if registrations => Op::Detach { registration: at },
            10 if !drops_only => Op::Advance { by: waker },
            _ if tokens => Op::Drop { token: at },
            _ if waits => Op::DropWait { wait: at },
            _ if guards => Op::DropGuard { guard: at },
            _ if registrations => Op::Unregister { registration: at },
            _ => break,
        });
        world.check();
    }
    nodes::empty_graveyard();
    assert_eq!(nodes::live(), world.nodes, "nodes are left when everything has been dropped");
    world.check_ends();
    drop(world);
    assert_eq!(nodes::bytes(), bytes, "memory is left when everything has been dropped");
}
