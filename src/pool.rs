//! Tokens without a heap.

use crate::CancellationToken;
use crate::tree::{AnyHome, Handle, Linking, Places};
use core::borrow::Borrow;
use core::error::Error;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// Room for `N` nodes, for trees without a heap. Made to be a `static`:
///
/// ```
/// use cancel_tree::{CancellationToken, PoolFull, TokenPool};
///
/// static POOL: TokenPool<4> = TokenPool::new();
///
/// # fn main() -> Result<(), PoolFull> {
/// let device = POOL.try_token()?;
/// let transfer = device.try_child_token()?;
/// let packet = transfer.try_child_token()?;
///
/// transfer.cancel(); // from an interrupt, for example
/// assert!(packet.is_cancelled());
///
/// let last = device.try_child_token()?;
/// assert_eq!(device.try_child_token(), Err(PoolFull));
/// drop((transfer, packet, last));
/// assert_eq!(POOL.in_use(), 1);
/// # Ok(())
/// # }
/// ```
///
/// The tokens are those of the heap, with the same promises; all that differs is where their nodes come from. What is made of a
/// token by a method that begins with `try_`, and a second waiter of it, takes a node from where the token came from. (With
/// `alloc`, `child_token` and the other methods that cannot fail take theirs from the heap, whatever they are called on.)
///
/// # What takes a node
///
/// | | nodes |
/// |---|---|
/// | a token, a child, one with a deadline | 1 |
/// | a clone; the first that waits for a token | none |
/// | each further one that waits for it at the same time | 1 |
/// | a callback | 1; 1 more for those that await its end |
/// | [`try_any`](Self::try_any) | 1, and 1 for each source |
///
/// If a further waiter finds the pool full, its future wakes its own task and says `Pending`: it is polled again, and again, until
/// there is a node for it, or the token is cancelled. It loses no wake-up, but it keeps its executor busy meanwhile.
///
/// # When it comes back
///
/// When the token, or what else it was, has been dropped and nothing below it is left: before the drop returns, unless another thread (or
/// the code that this has interrupted) is at work on the same parent's list. Then it is back when that has left the
/// list. A token that is dropped but has something below it keeps its node, until only one child is left, which takes its
/// place. (But for a token with a deadline, a linked one, and one with detached callbacks: their nodes stay until all below is gone.) An
/// alarm that its timer has not dropped keeps the node of its token.
///
/// A node that ends inside of a `cancel()` comes back there; if a timer has something in it, if it is a linked token, or has a cause that
/// is on the heap, it waits for the next drop of a token of the pool, or for the next call that would find it full.
///
/// # Size
///
/// On 32-bit targets 80 bytes a node, on 64-bit ones 144; and three words. It is all zero bits at first: so a `static` is in
/// `.bss`, and takes no room in an image.
///
/// A pool without a node does not compile, nor one with more than a node can count as its children: it has to be fewer than 2¹² on
/// targets without 64-bit atomics, and fewer than 2²⁴ on others.
///
/// ```compile_fail,E0080
/// static NONE: cancel_tree::TokenPool<0> = cancel_tree::TokenPool::new();
/// ```
///
/// Its tokens borrow it for ever, so that it can be neither dropped nor moved under them:
///
/// ```compile_fail,E0597
/// let pool = cancel_tree::TokenPool::<4>::new();
/// let token = pool.try_token();
/// ```
pub struct TokenPool<const N: usize> {
    places: Places<N>,
}

impl<const N: usize> TokenPool<N> {
    /// A pool with all of its nodes free.
    #[cfg(not(cancel_tree_loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self { places: Places::new() }
    }

    #[cfg(cancel_tree_loom)]
    #[must_use]
    #[expect(missing_docs, reason = "as above")]
    pub fn new() -> Self {
        Self { places: Places::new() }
    }

    /// A token that is not cancelled and has no parent. As [`CancellationToken::new`], but in this pool.
    ///
    /// Lock-free. It looks for a place where one was free last, and so O(1) as a rule; at the worst at each place, and again at those
    /// that others have taken meanwhile. That a pool is full is seen at one look.
    ///
    /// # Errors
    ///
    /// If `N` nodes are in use at that moment.
    pub fn try_token(&'static self) -> Result<CancellationToken, PoolFull> {
        Handle::root_in(self.places.pool()).map(CancellationToken::from_handle)
    }

    /// A token that is cancelled when one of several is, wherever they live. As [`CancellationToken::any`], but in this pool: one node,
    /// and one for each source.
    ///
    /// Its time grows with the square of the number of sources, for each is compared with those before it.
    ///
    /// # Errors
    ///
    /// If there are not enough nodes. Then nothing is left of the token, or in the sources.
    pub fn try_any<S: Borrow<CancellationToken>>(
        &'static self,
        sources: impl IntoIterator<Item = S>,
    ) -> Result<CancellationToken, PoolFull> {
        let mut linking = Linking::new(AnyHome::Pool(self.places.pool()))?;
        sources.into_iter().try_for_each(|source| linking.add(source.borrow().handle()))?;
        Ok(CancellationToken::from_handle(linking.finish()))
    }

    /// `N`.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// How many nodes are in use, at one moment. Wait-free.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.places.used()
    }
}

impl<const N: usize> Default for TokenPool<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for TokenPool<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPool").field("capacity", &N).field("in_use", &self.in_use()).finish()
    }
}

// As tokens: no operation can be seen half done.
impl<const N: usize> UnwindSafe for TokenPool<N> {}
impl<const N: usize> RefUnwindSafe for TokenPool<N> {}

/// All nodes of a pool, or all alarms of a timer, are in use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is full")
    }
}

impl Error for PoolFull {}

/// Why [`CancellationToken::try_on_cancel_fn`] has registered nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum NotRegistered {
    /// The token is cancelled already.
    Cancelled,
    /// The token's pool is full.
    PoolFull,
}

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the token is cancelled already"),
            Self::PoolFull => PoolFull.fmt(f),
        }
    }
}

impl Error for NotRegistered {}
