//! The living tree: what there is below a token at the moment, to be looked at, printed, or drawn.
//!
//! "Which task has not ended yet?" During a shutdown, before the last resort:
//!
//! ```
//! use cancel_tree::CancellationToken;
//!
//! let server = CancellationToken::named("server");
//! let connection = server.naming("connection 1").child_token();
//! let request = connection.naming("GET /slow").child_token();
//! let other = server.naming("connection 2").child_token();
//! drop(other);
//!
//! assert_eq!(server.tree().to_string(), "\
//! server: 1 handle
//!   connection 1: 1 handle
//!     GET /slow: 1 handle
//! ");
//! ```
//!
//! # What it is a snapshot of
//!
//! The lists are looked into one after the other, while everything else goes on. So it is not the tree of one instant. What is
//! true: each token in it, but the first, stood below its parent when that list was looked into; a token that was there when
//! [`tree`](CancellationToken::tree) was called, and is there when it returns, is in it, unless the list of one of its
//! ancestors is said to be [busy](Listing::Busy), or [dissolved](Listing::Dissolved). The counts of a token are each what they were at
//! some moment of the call.
//!
//! A cancelled token has no children any more: `cancel()` lets go of them when all are marked, and each lives on by its own
//! handles. So who wants to know what a cancel will have to end looks *before* it, and who wants to know what has not ended after
//! it counts that by a tracker of tasks.

mod text;

pub use self::text::Dot;

use crate::tree::{self, Seen};
use crate::{CancellationToken, Cancelled};
use alloc::vec::Vec;
use core::fmt;
#[cfg(all(feature = "std", not(cancel_tree_loom)))]
use std::time::Instant;

/// The living tree.
impl CancellationToken {
    /// What there is to be seen of this token and all below it: see the [module](crate::snapshot).
    ///
    /// # Progress
    ///
    /// Lock-free, O(tokens seen). Nobody waits for it, and it waits for nobody: a list that a drop on another thread is just at
    /// work on, or that is just being cancelled, is passed over and said to be [busy](Listing::Busy); then it can be asked again.
    /// Any other operation on the same tree may run meanwhile, also in a signal handler that interrupts this one. What is dropped
    /// meanwhile in lists that it is inside of stays in memory until it has gone out of them.
    ///
    /// It allocates what the snapshot takes, 120 bytes and the name for each token (64-bit targets), for a moment up to three
    /// times that; so it is not for signal handlers itself. Like the drop of a token it may end what others have left to it: then
    /// what that owned, a closure of a callback for example, is dropped here, at the end.
    ///
    /// The depth of the tree costs no stack.
    ///
    /// # Panics
    ///
    /// If something that it ends for others panics when it is dropped: when all of that has been ended, the first panic goes on.
    /// (Without the feature `std`, a second one aborts the process.)
    #[must_use]
    pub fn tree(&self) -> TreeSnapshot {
        #[cfg(all(feature = "std", not(cancel_tree_loom)))]
        let taken = Instant::now();
        TreeSnapshot {
            tokens: in_order(self.handle().look()),
            #[cfg(all(feature = "std", not(cancel_tree_loom)))]
            taken,
        }
    }
}

/// What was seen of a token and all below it: [`CancellationToken::tree`].
///
/// It owns what it tells, names and reasons, and keeps no token. Printed, it is a tree: a line for each token, and
/// indented below it, the eldest first, its children. [`dot`](Self::dot) is the same for Graphviz.
#[derive(Clone, Debug)]
pub struct TreeSnapshot {
    tokens: Vec<TokenSnapshot>,
    /// Before the look.
    #[cfg(all(feature = "std", not(cancel_tree_loom)))]
    taken: Instant,
}

/// What was seen of one token.
#[derive(Clone)]
pub struct TokenSnapshot {
    seen: Seen,
    reason: Option<Cancelled>,
    parent: usize,
    depth: usize,
    children: usize,
}

/// What could be seen of a token's children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Listing {
    /// All that there were.
    Complete,
    /// None, because somebody was at work on the list: a drop, another snapshot, or a cancel.
    Busy,
    /// None, because the token has been cancelled. Its children, if it had some, are cancelled too, and live on by their own handles.
    Dissolved,
}

impl TreeSnapshot {
    /// The token that was asked.
    #[must_use]
    pub fn root(&self) -> &TokenSnapshot {
        &self.tokens[0]
    }

    /// All tokens: each before its children, and of these the eldest first.
    #[must_use]
    pub fn tokens(&self) -> &[TokenSnapshot] {
        &self.tokens
    }

    /// Whether no list was [busy](Listing::Busy).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.tokens.iter().all(|token| token.listing() != Listing::Busy)
    }

    /// The tree in the language of Graphviz.
    ///
    /// ```
    /// # use cancel_tree::CancellationToken;
    /// let server = CancellationToken::named("server");
    /// let request = server.child_token();
    /// std::fs::write("/dev/null", server.tree().dot().to_string())?; // dot -Tsvg
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn dot(&self) -> Dot<'_> {
        Dot(self)
    }
}

/// Brings what was seen, the youngest first, into the order in which it is told, the eldest first.
fn in_order(seen: Vec<Seen>) -> Vec<TokenSnapshot> {
    // Of each, by its place in `seen`: its eldest child, and the next younger sibling.
    let mut eldest = alloc::vec![0; seen.len()];
    let mut next = alloc::vec![0; seen.len()];
    for (place, token) in seen.iter().enumerate().skip(1) {
        next[place] = core::mem::replace(&mut eldest[token.parent], place);
    }
    let parents: Vec<usize> = seen.iter().map(|token| token.parent).collect();
    let mut seen: Vec<Option<Seen>> = seen.into_iter().map(Some).collect();
    // Where each has come to in `tokens`.
    let mut places = alloc::vec![0; seen.len()];
    let mut tokens: Vec<TokenSnapshot> = Vec::with_capacity(seen.len());
    let mut place = 0;
    while let Some(mut token) = seen[place].take() {
        places[place] = tokens.len();
        let parent = places[parents[place]];
        let depth = if tokens.is_empty() { 0 } else { tokens[parent].depth + 1 };
        if depth > 0 {
            tokens[parent].children += 1;
        }
        tokens.push(TokenSnapshot {
            reason: token.reason.take().map(Cancelled::new),
            seen: token,
            parent,
            depth,
            children: 0,
        });
        if eldest[place] != 0 {
            place = eldest[place];
            continue;
        }
        while next[place] == 0 && place != 0 {
            place = parents[place];
        }
        // At the end the first one, which is gone.
        place = next[place];
    }
    tokens
}

impl TokenSnapshot {
    /// The token's [name](CancellationToken::name).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.seen.name.as_deref()
    }

    /// How far below the token that was asked: 0 for itself.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The place of its parent in [`tokens`](TreeSnapshot::tokens); `None` for the token that was asked.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        (self.depth > 0).then_some(self.parent)
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.reason.is_some()
    }

    /// Why, if it was cancelled.
    #[must_use]
    pub fn reason(&self) -> Option<&Cancelled> {
        self.reason.as_ref()
    }

    /// Its effective [deadline](CancellationToken::deadline).
    #[cfg(all(feature = "std", not(cancel_tree_loom)))]
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        crate::time::instant(self.seen.deadline.since_origin()?)
    }

    /// How many handles there were: the token and its clones, futures and guards that own it, and registrations of callbacks.
    /// 0: it only passes on what its ancestors, its timer, or its sources say.
    #[must_use]
    pub fn handles(&self) -> usize {
        self.seen.handles
    }

    /// How many futures waited for it.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.seen.waiters
    }

    /// How many callbacks were registered with it, and not run.
    #[must_use]
    pub fn callbacks(&self) -> usize {
        self.seen.callbacks
    }

    /// How many tokens are [linked](CancellationToken::any) to it.
    #[must_use]
    pub fn links(&self) -> usize {
        self.seen.links
    }

    /// How many child tokens were seen.
    #[must_use]
    pub fn children(&self) -> usize {
        self.children
    }

    /// Whether these are all of its children.
    #[must_use]
    pub fn listing(&self) -> Listing {
        match self.seen.listing {
            tree::Listing::Seen => Listing::Complete,
            tree::Listing::Busy => Listing::Busy,
            tree::Listing::Dissolved => Listing::Dissolved,
        }
    }
}

impl fmt::Debug for TokenSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSnapshot")
            .field("name", &self.name())
            .field("depth", &self.depth)
            .field("reason", &self.reason)
            .field("handles", &self.handles())
            .field("waiters", &self.waiters())
            .field("callbacks", &self.callbacks())
            .field("links", &self.links())
            .field("listing", &self.listing())
            .finish_non_exhaustive()
    }
}
