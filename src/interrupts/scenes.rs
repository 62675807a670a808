//! The operations that are interrupted.

mod waiting;

#[cfg(feature = "alloc")]
pub(super) use self::waiting::MANY_WAIT;
pub(super) use self::waiting::WAIT;
use super::reasons::Why;
use super::world::World;
use core::fmt;

/// What an interrupt does.
#[derive(Clone, Copy)]
pub(super) enum Interrupt {
    Cancel(char),
    /// Fires the alarm.
    Fire,
    Do(Act),
}

/// Something with a name.
pub(super) type Act = (&'static str, fn(&World));

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interrupt::Cancel(name) => write!(f, "a cancel of {name}"),
            Interrupt::Fire => f.write_str("the alarm"),
            Interrupt::Do((name, _)) => f.write_str(name),
        }
    }
}

/// An operation, and where it happens.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// The tokens that there are: a letter for each, with its children behind it in brackets.
    pub(super) tree: &'static str,
    /// What interrupts do: a letter cancels that token, `!` fires the alarm.
    cancels: &'static str,
    /// And what else.
    acts: &'static [Act],
    /// What has been done before.
    pub(super) given: fn(&World),
    pub(super) operation: fn(&World),
}

const fn scene(name: &'static str, tree: &'static str, cancels: &'static str, operation: fn(&World)) -> Scene {
    Scene { name, tree, cancels, acts: &[], given: |_| {}, operation }
}

impl Scene {
    const fn given(self, given: fn(&World)) -> Self {
        Self { given, ..self }
    }

    const fn while_others(self, acts: &'static [Act]) -> Self {
        Self { acts, ..self }
    }

    pub(super) fn interrupts(&self) -> impl Iterator<Item = Interrupt> {
        let cancels =
            self.cancels.chars().map(|letter| if letter == '!' { Interrupt::Fire } else { Interrupt::Cancel(letter) });
        cancels.chain(self.acts.iter().copied().map(Interrupt::Do))
    }
}

pub(super) const CREATE: &[Scene] = &[
    scene("create a root", "s", "s", |w| w.root('r')),
    scene("create a child", "r", "r", |w| w.child('r', 'a')),
    scene("create a second child", "r(a)", "ra", |w| w.child('r', 'b')),
    scene("create a grandchild", "r(a)", "ra", |w| w.child('a', 'b')),
    scene("create a child of a cancelled token", "r", "r", |w| w.child('r', 'a')).given(|w| w.cancel('r')),
    scene("clone", "r(a)", "ra", |w| w.clone_of('a')),
    scene("is_cancelled", "r", "r", |w| w.ask()),
    scene("check and reason", "r", "r", |w| w.why('r')),
];

pub(super) const DROP: &[Scene] = &[
    scene("drop a leaf", "r(a)", "r", |w| w.drop("a")),
    scene("drop one of two handles", "r(a)", "ra", |w| w.drop_clone()).given(|w| w.clone_of('a')),
    scene("drop the first of three siblings", "r(abc)", "r", |w| w.drop("a")),
    scene("drop the middle of three siblings", "r(abc)", "ra", |w| w.drop("b")),
    scene("drop the last of three siblings", "r(abc)", "r", |w| w.drop("c")),
    scene("drop two siblings", "r(abc)", "r", |w| w.drop("ac")),
    scene("drop the root first", "r(a)", "a", |w| w.drop("r")),
    scene("drop the last of a tree without handles", "r(a)s", "s", |w| w.drop("a")).given(|w| w.drop("r")),
    scene("drop a relay: its child takes its place", "r(a(b))", "rb", |w| w.drop("a")),
    scene("drop a relay between siblings", "r(ab(c)d)", "r", |w| w.drop("b")),
    scene("drop two relays, the upper one first", "r(a(b(c)))", "c", |w| w.drop("ab")),
    scene("drop two relays, the lower one first", "r(a(b(c)))", "r", |w| w.drop("ba")),
    scene("drop a leaf: its parent becomes a relay", "r(a(bc))", "rc", |w| w.drop("b")).given(|w| w.drop("a")),
    scene("drop a leaf: its parent goes, too", "r(a(b)c)", "r", |w| w.drop("ab")),
    scene("drop a relay of a waiter", "r(a(b))", "r", |w| w.drop("a")).given(|w| {
        w.wait('b');
        w.poll(0);
    }),
    scene("drop a token whose younger sibling has gone", "r(abc)", "r", |w| w.drop("b")).given(|w| {
        w.drop("ac");
        w.child('r', 'd');
    }),
    scene("drop a whole tree, the root first", "r(a(b)c)", "bc", |w| w.drop("ra")),
    scene("drop a cancelled token", "r(a(b))", "rb", |w| w.drop("a")).given(|w| w.cancel('r')),
    scene("drop a cancelled token of a tree that is not", "r(ab)", "rb", |w| w.drop("a")).given(|w| w.cancel('a')),
];

pub(super) const CANCEL: &[Scene] = &[
    scene("cancel the root", "r(a(b)c)", "ra", |w| w.cancel('r')),
    scene("cancel a subtree", "r(a(b)c)", "rb", |w| w.cancel('a')),
    scene("cancel again", "r(a)", "ra", |w| w.cancel('r')).given(|w| w.cancel('r')),
    scene("cancel with a static cause", "r(a)", "ra", |w| w.cancel_with('r', Why::Operated)),
    scene("cancel by a guard", "r(a)", "ra", |w| w.guard('r')),
    scene("cancel below a relay", "r(a(bc))", "b", |w| w.cancel('r')).given(|w| w.drop("a")),
    scene("cancel what is waited for", "r(a)", "a", |w| w.cancel('r')).given(|w| {
        w.wait('r');
        w.wait('a');
        w.wait('a');
        (0..3).for_each(|which| w.poll(which));
    }),
    scene("cancel what has a callback", "r(a)", "a", |w| w.cancel('r')).given(|w| {
        w.on_cancel('a');
        w.on_cancel('r');
    }),
];

#[cfg(feature = "alloc")]
pub(super) const CANCEL_ON_THE_HEAP: &[Scene] =
    &[scene("cancel with a cause on the heap", "r(a)", "ra", |w| w.cancel_with('r', Why::OnTheHeap))];

pub(super) const CALLBACK: &[Scene] = &[
    scene("on_cancel", "r(a)", "ra", |w| w.on_cancel('a')),
    scene("on_cancel of a cancelled token", "r(a)", "ra", |w| w.on_cancel('a')).given(|w| w.cancel('a')),
    scene("unregister", "r(a)", "a", |w| w.unregister(0)).given(|w| w.on_cancel('a')),
    scene("unregister what has run", "r(a)", "ra", |w| w.unregister(0)).given(|w| {
        w.on_cancel('a');
        w.cancel('r');
    }),
    scene("drop a registration", "r(a)", "r", |w| w.drop_registration(0)).given(|w| w.on_cancel('a')),
    scene("detach", "r(a)", "ra", |w| w.detach(0)).given(|w| w.on_cancel('a')),
    scene("drop a token with a detached callback", "r(a)", "r", |w| w.drop("a")).given(|w| {
        w.on_cancel('a');
        w.detach(0);
    }),
    scene("finished", "r(a)", "ra", |w| w.finished(0)).given(|w| w.on_cancel('a')),
    scene("finished: poll", "r(a)", "ra", |w| w.poll(0)).given(|w| {
        w.on_cancel('a');
        w.finished(0);
    }),
    scene("unregister: wakes who awaits it", "r(a)", "r", |w| w.unregister(0)).given(|w| {
        w.on_cancel('a');
        w.finished(0);
        w.poll(0);
    }),
];

pub(super) const LINKED: &[Scene] = &[
    scene("any of two", "ab", "ab", |w| w.any('L', "ab")),
    scene("any of two, one of them cancelled", "ab", "a", |w| w.any('L', "ab")).given(|w| w.cancel('b')),
    scene("cancel a source", "ab", "aL", |w| w.cancel('a')).given(|w| w.any('L', "ab")),
    scene("cancel a linked token", "ab", "abL", |w| w.cancel('L')).given(|w| w.any('L', "ab")),
    scene("cancel a source of a linked one of a linked one", "ab", "aM", |w| w.cancel('a')).given(|w| {
        w.any('L', "ab");
        w.any('M', "L");
        w.wait('M');
        w.poll(0);
    }),
    scene("drop a linked token", "ab", "a", |w| w.drop("L")).given(|w| w.any('L', "ab")),
    scene("drop a source", "ab", "bL", |w| w.drop("a")).given(|w| w.any('L', "ab")),
];

pub(super) const TIMED: &[Scene] = &[
    scene("child_with_timer", "r", "r!", |w| w.timed('r', 'd', false)),
    scene("child_with_timer: passed", "r", "r", |w| w.timed('r', 'd', true)),
    scene("create a child of a token with a deadline", "r", "rd!", |w| w.child('d', 'e'))
        .given(|w| w.timed('r', 'd', false)),
    scene("fire an alarm", "r", "r!", |w| w.fire()).given(|w| {
        w.timed('r', 'd', false);
        w.child('d', 'e');
        w.wait('e');
        w.poll(0);
    }),
    scene("cancel a token with a deadline", "r", "rd!", |w| w.cancel('d')).given(|w| w.timed('r', 'd', false)),
    scene("cancel the parent of a token with a deadline", "r", "rd!", |w| w.cancel('r'))
        .given(|w| w.timed('r', 'd', false)),
    scene("drop a token with a deadline", "r", "r!", |w| w.drop("d")).given(|w| w.timed('r', 'd', false)),
    scene("drop a token with a deadline, above another", "r", "r!", |w| w.drop("d")).given(|w| {
        w.timed('r', 'd', false);
        w.child('d', 'e');
    }),
    scene("drop an alarm", "r", "rd", |w| w.drop_alarm()).given(|w| w.timed('r', 'd', false)),
    scene("poll on a token with a deadline", "r", "rd!", |w| w.poll(0)).given(|w| {
        w.timed('r', 'd', false);
        w.wait('d');
    }),
];

#[cfg(feature = "std")]
pub(super) const BRANCHES: &[Scene] = &[
    scene("find a token crowded", "r(a)", "ra", |w| w.crowd('r')),
    scene("find a token crowded, while others do", "r", "r", |w| w.crowd('r')).while_others(&[CROWD, MAKE]),
    scene("create a child: a branch", "r", "r", |w| w.child('r', 'a')).given(|w| w.crowd('r')).while_others(&[MAKE]),
    scene("create a child in a branch", "r", "ra", |w| w.child('r', 'b')).while_others(&[MAKE, A]).given(|w| {
        w.crowd('r');
        w.child('r', 'a');
    }),
    scene("create a child in a branch of a cancelled token", "r", "r", |w| w.child('r', 'a')).given(|w| {
        w.crowd('r');
        w.make_and_drop('r');
        w.cancel('r');
    }),
    scene("cancel what has branches", "r(a)", "ab", |w| w.cancel('r')).while_others(&[A, B]).given(|w| {
        w.crowd('a');
        w.child('a', 'b');
        w.child('a', 'c');
    }),
    scene("drop a token with branches", "r(a)", "rb", |w| w.drop("a")).while_others(&[B, C]).given(|w| {
        w.crowd('a');
        w.child('a', 'b');
        w.child('a', 'c');
    }),
    scene("drop a root with branches", "r", "a", |w| w.drop("r")).while_others(&[A]).given(|w| {
        w.crowd('r');
        w.child('r', 'a');
        w.child('r', 'b');
    }),
    scene("drop a child in a branch", "r", "r", |w| w.drop("a")).while_others(&[MAKE, B]).given(|w| {
        w.crowd('r');
        w.child('r', 'a');
        w.child('r', 'b');
    }),
    scene("poll: a second waiter, while the token is found crowded", "r", "r", |w| w.poll(1))
        .while_others(&[CROWD, LEAVE])
        .given(|w| {
            w.wait('r');
            w.wait('r');
            w.poll(0);
        }),
    scene("drop the last handle, of a waiter, on what has branches", "r(a)", "rb", |w| w.forget(0)).given(|w| {
        w.crowd('a');
        w.child('a', 'b');
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.poll(1);
        w.forget(1);
        w.drop("a");
    }),
    scene("look at branches", "r(a)", "ra", |w| w.look('r')).while_others(&[MAKE, B]).given(|w| {
        w.crowd('r');
        w.child('r', 'b');
    }),
];

/// Polls and arms, as a tick interrupt does: on a timer with two places.
pub(super) const STATIC_TIMER: &[Scene] = &[
    scene("StaticTimer: arm", "r", "r", |w| w.ticking('r', 'd')).while_others(&[TICK]),
    scene("StaticTimer: arm in the last place", "r", "", |w| w.ticking('r', 'd'))
        .given(|w| w.ticking('r', 'c'))
        .while_others(&[TICK, C]),
    scene("StaticTimer: poll", "r", "d", |w| w.tick()).given(|w| w.ticking('r', 'd')).while_others(&[TICK, D]),
    scene("StaticTimer: poll what two have armed", "r", "", |w| w.tick()).while_others(&[TICK, D]).given(|w| {
        w.ticking('r', 'c');
        w.ticking('r', 'd');
    }),
    scene("StaticTimer: drop", "r", "r", |w| w.drop("d")).given(|w| w.ticking('r', 'd')).while_others(&[TICK]),
];

/// When a pool is full.
pub(super) const FULL: &[Scene] = &[
    scene("create a child: the last node", "r", "r", |w| w.child('r', 'a'))
        .given(|w| w.fill_up(1))
        .while_others(&[MAKE]),
    scene("create a child: no node", "r", "r", |w| w.child('r', 'a')).given(|w| w.fill_up(0)).while_others(&[MAKE]),
    scene("on_cancel: no node", "r", "r", |w| w.on_cancel('r')).given(|w| w.fill_up(0)),
    scene("any of two: not enough nodes", "ab", "ab", |w| w.any('L', "ab")).given(|w| w.fill_up(2)),
    scene("child_with_timer: no node", "r", "r", |w| w.timed('r', 'd', false)).given(|w| w.fill_up(0)),
    scene("poll: a second waiter, and no node", "r", "r", |w| w.poll(1)).while_others(&[LEAVE]).given(|w| {
        w.wait('r');
        w.wait('r');
        w.poll(0);
        w.fill_up(0);
    }),
    scene("poll: a second waiter, and then a node", "r", "r", |w| w.poll(1)).given(|w| {
        w.wait('r');
        w.wait('r');
        w.poll(0);
        w.fill_up(0);
        w.poll(1);
        w.drop_clone();
    }),
    scene("poll: a second waiter, and then the slot", "r", "r", |w| w.poll(1)).given(|w| {
        w.wait('r');
        w.wait('r');
        w.poll(0);
        w.fill_up(0);
        w.poll(1);
        w.forget(0);
    }),
];

const MAKE: Act = ("a child of r", |w| w.make_and_drop('r'));
#[cfg(feature = "std")]
const CROWD: Act = ("a crowd at r", |w| w.crowd('r'));
const A: Act = ("the drop of a", |w| w.try_drop('a'));
const B: Act = ("the drop of b", |w| w.try_drop('b'));
const C: Act = ("the drop of c", |w| w.try_drop('c'));
const D: Act = ("the drop of d", |w| w.try_drop('d'));
const L: Act = ("the drop of L", |w| w.try_drop('L'));
const LEAVE: Act = ("the drop of a future", |w| w.forget(0));
const TICK: Act = ("a tick", |w| w.tick());
const UNREGISTER: Act = ("an unregister", |w| w.unregister(0));
const DETACH: Act = ("a detach", |w| w.detach(0));

/// While interrupts make and drop, which they may in a pool.
#[cfg(feature = "alloc")]
pub(super) const LOOK: &[Scene] = &[
    scene("look at the tree", "r(a(b)c)", "rab", |w| w.look('r')),
    scene("look at the tree, while all goes", "r(a(b)c)", "r", |w| w.look('r')).while_others(&[A, B, C]),
    scene("look at the tree, while a relay becomes one", "r(a(b(c)))", "", |w| w.look('r')).while_others(&[A, B, C]),
    scene("look at the tree, while others come and go", "r(a)", "r", |w| w.look('r')).while_others(&[MAKE, A]),
    scene("look at the tree, while its waiters go", "r(a)", "a", |w| w.look('r')).while_others(&[LEAVE, A]).given(
        |w| {
            w.wait('a');
            w.wait('a');
            w.poll(0);
            w.poll(1);
        },
    ),
    scene("look at the tree, while a callback is detached", "r(a)", "a", |w| w.look('r'))
        .while_others(&[DETACH, A])
        .given(|w| w.on_cancel('a')),
    scene("look at a source, while a linked token goes", "a(b)c", "ab", |w| w.look('a'))
        .while_others(&[L])
        .given(|w| w.any('L', "bc")),
];

pub(super) const WHILE_OTHERS: &[Scene] = &[
    scene("create a child, while others come and go", "r(a)", "r", |w| w.child('r', 'b')).while_others(&[MAKE, A]),
    scene("drop a leaf, while its siblings go", "r(abc)", "", |w| w.drop("b")).while_others(&[A, C]),
    scene("drop a leaf, while others come and go", "r(ab)", "r", |w| w.drop("a")).while_others(&[MAKE]),
    scene("drop a relay, while its child goes", "r(a(b))", "r", |w| w.drop("a")).while_others(&[B]),
    scene("drop a relay below a root without handles, while its child goes", "r(a(b))", "b", |w| w.drop("a"))
        .given(|w| w.drop("r"))
        .while_others(&[B]),
    scene("drop a relay, while its child becomes one", "r(a(b(c)))", "", |w| w.drop("a")).while_others(&[B, C]),
    scene("drop a relay, while its siblings go", "r(ab(c)d)", "", |w| w.drop("b")).while_others(&[C, D]),
    scene("drop a leaf: a relay, while its child goes", "r(a(bc))", "", |w| w.drop("b"))
        .given(|w| w.drop("a"))
        .while_others(&[C]),
    scene("cancel, while all goes", "r(a(b)c)", "", |w| w.cancel('r')).while_others(&[A, B, C]),
    scene("cancel, while a relay becomes one", "r(a(bc))", "", |w| w.cancel('r')).while_others(&[A, B]),
    scene("cancel, while its waiters go", "r(a)", "a", |w| w.cancel('r')).while_others(&[LEAVE, A]).given(|w| {
        w.wait('a');
        w.wait('a');
        w.poll(0);
        w.poll(1);
    }),
    scene("poll: a second waiter, while the first goes", "r(a)", "r", |w| w.poll(1)).while_others(&[LEAVE]).given(
        |w| {
            w.wait('a');
            w.wait('a');
            w.poll(0);
        },
    ),
    scene("cancel, while a callback is taken back", "r(a)", "a", |w| w.cancel('r'))
        .while_others(&[UNREGISTER])
        .given(|w| w.on_cancel('a')),
    scene("cancel, while a callback is detached", "r(a)", "a", |w| w.cancel('r'))
        .while_others(&[DETACH, A])
        .given(|w| w.on_cancel('a')),
    scene("cancel, while a token with a deadline goes", "r", "!", |w| w.cancel('r'))
        .while_others(&[D])
        .given(|w| w.timed('r', 'd', false)),
    scene("cancel a source, while a linked token goes", "ab", "", |w| w.cancel('a'))
        .while_others(&[L])
        .given(|w| w.any('L', "ab")),
    scene("drop a linked token, while a source goes", "ab", "b", |w| w.drop("L"))
        .while_others(&[A])
        .given(|w| w.any('L', "ab")),
];
