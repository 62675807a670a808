//! What can be done to a world: the words that scenes are written in. A token is called by its letter, a future and a callback
//! by their number. Linked tokens have capital letters.

use super::attached::Until;
use super::injector::{demand, unseen};
use super::reasons::{Reasons, Why};
use super::world::{Home, POOL, World};
use crate::{CancellationToken, PoolFull};
use core::future::pending;
use core::pin::pin;
use core::task::{Context, Waker};
use std::boxed::Box;
use std::vec::Vec;

/// Tokens.
impl World {
    pub(super) fn root(&self, name: char) {
        let token = match self.home {
            #[cfg(feature = "alloc")]
            Home::Heap => CancellationToken::new(),
            Home::Pool => POOL.try_token().expect("room"),
        };
        self.born(name, &[], false, token);
    }

    /// Many make children of the token at once.
    #[cfg(feature = "std")]
    pub(super) fn crowd(&self, name: char) {
        self.with(name, |token| token.handle().open_branches());
        self.crowded.set(true);
    }

    pub(super) fn child(&self, parent: char, name: char) {
        let token = self.with(parent, |token| match self.home {
            #[cfg(feature = "alloc")]
            Home::Heap => Ok(token.child_token()),
            Home::Pool => token.try_child_token(),
        });
        self.perhaps_born(name, &[parent], false, token);
    }

    /// A child that goes again.
    pub(super) fn make_and_drop(&self, parent: char) {
        match self.with(parent, CancellationToken::try_child_token) {
            Ok(child) => {
                let may = self.may(&self.member(parent)) != Reasons::NONE;
                unseen(|| demand(may || !child.is_cancelled(), "a child was born cancelled for no reason"));
                let due = self.member(parent).due.get();
                unseen(|| demand(child.is_cancelled() || !due, "a child of a cancelled token is not cancelled"));
            }
            Err(PoolFull) => self.is_full(),
        }
    }

    /// A token that there was perhaps no room for.
    pub(super) fn perhaps_born(
        &self,
        name: char,
        heard: &[char],
        linked: bool,
        token: Result<CancellationToken, PoolFull>,
    ) {
        match token {
            Ok(token) => self.born(name, heard, linked, token),
            Err(PoolFull) => self.is_full(),
        }
    }

    /// The pool says that it is full.
    pub(super) fn is_full(&self) {
        demand(self.full.get(), "a pool says that it is full, and is not");
    }

    /// A token that is linked to some.
    pub(super) fn any(&self, name: char, sources: &str) {
        let names: Vec<_> = sources.chars().collect();
        let members: Vec<_> = names.iter().map(|&name| self.member(name)).collect();
        let tokens: Vec<_> = members.iter().map(|member| member.token.borrow()).collect();
        let sources = tokens.iter().map(|token| token.as_ref().expect("a source"));
        let linked = match self.home {
            #[cfg(feature = "alloc")]
            Home::Heap => Ok(CancellationToken::any(sources)),
            Home::Pool => POOL.try_any(sources),
        };
        drop(tokens);
        self.perhaps_born(name, &names, true, linked);
    }

    pub(super) fn clone_of(&self, name: char) {
        let clone = self.with(name, CancellationToken::clone);
        self.clones.borrow_mut().push(clone);
    }

    pub(super) fn drop_clone(&self) {
        let clone = self.clones.borrow_mut().pop();
        drop(clone.expect("a clone"));
    }

    pub(super) fn drop(&self, names: &str) {
        names.chars().for_each(|name| drop(self.take(name).expect("a token")));
    }

    /// Unless somebody uses it.
    pub(super) fn try_drop(&self, name: char) {
        drop(self.take(name));
    }

    /// Cancels by the drop of a guard.
    pub(super) fn guard(&self, name: char) {
        let guard = self.with(name, CancellationToken::clone).drop_guard();
        self.cancelling(&self.member(name), Why::Plain, || {
            drop(guard);
            None
        });
    }

    /// Looks at every token.
    pub(super) fn ask(&self) {
        for member in self.all() {
            if let Some(token) = &*member.token.borrow() {
                let _ = token.is_cancelled();
            }
        }
    }

    /// Looks at all that is below a token: as nobody else is in the middle of anything, all of it can be seen.
    #[cfg(feature = "alloc")]
    pub(super) fn look(&self, name: char) {
        let tree = self.with(name, CancellationToken::tree);
        unseen(|| demand(tree.is_complete(), "a list is busy, and nobody is at work on it"));
    }

    /// Asks a token for its reason: once there, it is there.
    pub(super) fn why(&self, name: char) {
        let (first, second) = self.with(name, |token| (token.check().is_err(), token.reason().is_some()));
        demand(second || !first, "a reason has gone");
    }

    /// Takes what is left in the pool, but for some.
    pub(super) fn fill_up(&self, but: usize) {
        while POOL.in_use() + but < POOL.capacity() {
            self.clones.borrow_mut().push(POOL.try_token().expect("room"));
        }
        self.full.set(true);
    }
}

/// Futures.
impl World {
    /// One of the end of a token.
    pub(super) fn wait(&self, name: char) {
        let future = self.with(name, CancellationToken::clone).cancelled_owned();
        self.attach(Until::Cancelled(name), Box::pin(future));
    }

    /// One that is never ready but by the end of a token.
    pub(super) fn race(&self, name: char) {
        let race = self.with(name, CancellationToken::clone).run_until_cancelled_owned(pending::<()>());
        let race = async {
            race.await;
        };
        self.attach(Until::Cancelled(name), Box::pin(race));
    }

    pub(super) fn poll(&self, which: usize) {
        self.poll_with(which, false);
    }

    /// Polls with another waker.
    pub(super) fn poll_anew(&self, which: usize) {
        self.poll_with(which, true);
    }

    /// Makes a future that borrows its token, polls it, and drops it.
    pub(super) fn poll_and_drop(&self, name: char) {
        self.with(name, |token| {
            let future = pin!(token.cancelled());
            let _ = future.poll(&mut Context::from_waker(Waker::noop()));
        });
    }
}
