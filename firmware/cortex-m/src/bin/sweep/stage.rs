//! What an operation is done to, and what is to be true of it afterwards.

use crate::hand::{Act, hand, task, task_waker};
use cancel_tree::time::{Alarm, Timer};
use cancel_tree::{
    CancellationToken, NotRegistered, Registration, StaticCause, TokenPool, Unregister, WaitForCancellationFutureOwned,
};
use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, RawWaker, RawWakerVTable, Waker};
use core::time::Duration;
use cortex_m::interrupt::{self, Mutex};
use portable_atomic::{AtomicU32, Ordering::SeqCst};

pub static POOL: TokenPool<16> = TokenPool::new();

/// Who has cancelled.
#[derive(Debug)]
struct By(&'static str);

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for By {}

/// The interrupt's.
pub static THEIRS: StaticCause = StaticCause::new(&By("interrupt"));
/// The operation's.
pub static OURS: StaticCause = StaticCause::new(&By("thread"));

/// Wakers that count: how often each was woken, and how many there are.
static WAKES: [AtomicU32; 8] = [const { AtomicU32::new(0) }; 8];
static WAKERS: AtomicU32 = AtomicU32::new(0);

fn counting_waker(count: usize) -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
    fn clone(count: *const ()) -> RawWaker {
        WAKERS.fetch_add(1, SeqCst);
        RawWaker::new(count, &VTABLE)
    }
    fn wake(count: *const ()) {
        wake_by_ref(count);
        drop(count);
    }
    fn wake_by_ref(count: *const ()) {
        WAKES[count as usize].fetch_add(1, SeqCst);
    }
    fn drop(_: *const ()) {
        WAKERS.fetch_sub(1, SeqCst);
    }
    // SAFETY: the functions of the table take an index.
    unsafe { Waker::from_raw(clone(count as *const ())) }
}

/// A future that is polled with a waker of its own each time.
pub struct Waits {
    future: WaitForCancellationFutureOwned,
    token: CancellationToken,
    /// The indices of its last waker, and of the one before.
    waker: Option<usize>,
    earlier: Option<usize>,
    ready: bool,
}

impl Waits {
    pub fn on(token: &CancellationToken) -> Self {
        Self { future: token.clone().cancelled_owned(), token: token.clone(), waker: None, earlier: None, ready: false }
    }

    /// It has been polled, with this waker.
    pub fn polled(mut self, waker: usize) -> Self {
        self.poll(waker);
        assert!(!self.ready && WAKES[waker].load(SeqCst) == 0);
        self
    }

    pub fn poll(&mut self, waker: usize) {
        self.earlier = self.waker.replace(waker);
        self.ready = Pin::new(&mut self.future).poll(&mut Context::from_waker(&counting_waker(waker))).is_ready();
    }

    /// The waker of the last poll, and no earlier one, is woken once by the cancel, if that poll has not said `Ready`.
    fn verify(&mut self) {
        let cancelled = self.token.is_cancelled();
        let woken = |waker: Option<usize>| waker.map(|waker| WAKES[waker].load(SeqCst));
        if !self.ready {
            assert!(woken(self.waker).is_none_or(|woken| woken == u32::from(cancelled)), "wake-ups");
            assert!(woken(self.earlier).is_none_or(|woken| woken == 0), "an earlier waker was woken");
        }
        self.poll(WAKES.len() - 1);
        assert!(self.ready == cancelled, "ready");
    }
}

/// Runs of the callback.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// A tree: `root`, `near` below it, the rest below `near`.
pub struct Stage {
    pub root: Option<CancellationToken>,
    pub near: Option<CancellationToken>,
    /// What a cancel of `near` reaches.
    pub below: [Option<CancellationToken>; 4],
    /// What it does not.
    pub other: Option<CancellationToken>,
    /// Takes up nodes.
    pub ballast: [Option<CancellationToken>; 14],
    pub waits: [Option<Waits>; 3],
    pub callback: Option<Result<Registration, NotRegistered>>,
    pub unregistered: Option<Unregister>,
    pub detached: bool,
    /// A child of `near` with a deadline, and whether the operation's alarm decided.
    pub timed: Option<CancellationToken>,
    pub alarm: Option<Alarm>,
    pub fired: Option<bool>,
    /// Whether the operation's cancel of `root` decided.
    pub decided: Option<bool>,
    /// The same, of `near`.
    pub part: Option<bool>,
    /// Nodes that come back in the operation, if nobody else does anything.
    pub back: Option<usize>,
    before: usize,
    /// The operation asked for the last node.
    last: bool,
}

/// When the interrupt's task waits for `near`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It is the first: no node.
    First,
    /// Polled for the first time when it is woken.
    Later,
    /// There is none.
    Never,
}

impl Stage {
    pub fn new(act: Act, wait: Wait, prepare: fn(&mut Self)) -> Self {
        assert_eq!(POOL.in_use(), 0);
        WAKES.iter().chain([&CALLS]).for_each(|count| count.store(0, SeqCst));
        let root = POOL.try_token().unwrap();
        let near = root.try_child_token().unwrap();
        // SAFETY: the SysTick is stopped, and nobody has the task's waker.
        let (hand, task) = unsafe { (hand(), task()) };
        (hand.act, hand.decided, hand.saw) = (act, false, false);
        (hand.root, hand.near) = (Some(root.clone()), Some(near.clone()));
        (task.drops, task.polled, task.ready) = (false, false, false);
        task.waits = (wait != Wait::Never).then(|| near.clone().cancelled_owned());
        if wait == Wait::First {
            task_waker().wake();
        }
        let mut stage = Self {
            root: Some(root),
            near: Some(near),
            below: Default::default(),
            other: None,
            ballast: Default::default(),
            waits: Default::default(),
            callback: None,
            unregistered: None,
            detached: false,
            timed: None,
            alarm: None,
            fired: None,
            decided: None,
            part: None,
            back: None,
            before: 0,
            last: false,
        };
        prepare(&mut stage);
        // SAFETY: it does not run.
        unsafe { crate::hand::task() }.drops = act == Act::WakeToDrop;
        stage.before = POOL.in_use();
        stage
    }

    pub fn near(&self) -> &CancellationToken {
        self.near.as_ref().unwrap()
    }

    pub fn child(&self) -> Option<CancellationToken> {
        child_of(self.near())
    }

    pub fn callback(&mut self) {
        let call = |calls: &AtomicU32| {
            calls.fetch_add(1, SeqCst);
        };
        self.callback = Some(self.near().try_on_cancel_fn(call, &CALLS));
    }

    pub fn ask_for_last(&mut self) {
        self.below[0] = self.near().try_child_token().ok();
        self.last = true;
    }

    pub fn timed(&mut self) {
        self.timed = Some(self.near().try_child_with_timer(&Egg, Duration::from_secs(1)).unwrap());
    }

    /// Gives the interrupt what it has not; `near` is above all of it.
    pub fn give<const M: usize>(&mut self, tokens: [Option<CancellationToken>; M]) {
        // SAFETY: the SysTick is stopped.
        let hand = unsafe { hand() };
        hand.below.iter_mut().zip(tokens).for_each(|(place, token)| *place = token);
    }

    /// What was promised, whatever was interrupted where. Then all is dropped.
    pub fn verify(mut self, fired: bool) {
        // SAFETY: the SysTick is stopped.
        let hand = unsafe { hand() };
        let in_use = POOL.in_use();
        let root_cancelled = self.decided.is_some() || fired && hand.act.cancels_root();
        let cancelled = root_cancelled || self.part.is_some() || fired && hand.act == Act::CancelNear;
        let is = |token: &Option<CancellationToken>| token.as_ref().map(CancellationToken::is_cancelled);
        assert!(is(&self.root).is_none_or(|is| is == root_cancelled), "root");
        assert!(is(&self.near).is_none_or(|is| is == cancelled), "near");
        assert!(self.below.iter().chain(&hand.below).filter_map(is).all(|is| is == cancelled), "below");
        assert!(is(&self.other) != Some(true), "what is not below");
        assert!(is(&hand.made).is_none_or(|is| is == cancelled), "what the interrupt made");
        let timed = is(&self.timed).is_none_or(|is| is == (cancelled || self.fired.is_some()));
        assert!(timed, "with a deadline");
        assert!(!hand.saw || cancelled, "seen cancelled");

        // One decides.
        let theirs = |token: &CancellationToken| by(token) == Some("interrupt");
        if let Some(root) = &self.root {
            let both = fired && hand.act.cancels_root();
            assert!(self.decided.is_none_or(|ours| ours != (both && hand.decided)), "who has decided");
            assert!(theirs(root) == (both && hand.decided), "the reason of the root");
        }
        if let Some(near) = &self.near {
            let decided = fired && self.part.map_or(hand.decided, |ours| !ours);
            assert!(theirs(near) == decided, "the reason");
            let all = self.below.iter().chain(&hand.below).chain([&hand.made]).flatten();
            assert!(all.filter_map(by).all(|who| Some(who) == by(near)), "the reason of what is below");
        }
        if let (Some(timed), Some(ours)) = (&self.timed, self.fired) {
            assert!(timed.reason().unwrap().is_deadline_exceeded() == ours, "the reason of what has a deadline");
        }

        assert!(!self.last || self.below[0].is_some() != hand.made.is_some(), "who has the last node");
        self.waits.iter_mut().flatten().for_each(Waits::verify);
        // SAFETY: it does not run.
        let task = unsafe { task() };
        assert!(!task.ready || cancelled, "the task is ready");
        assert!(!cancelled || !task.polled || task.waits.is_none(), "the task was not woken");
        let calls = CALLS.load(SeqCst);
        let expected = match (&self.callback, self.unregistered) {
            (Some(Err(NotRegistered::PoolFull)), _) => panic!("no node for a callback"),
            (_, Some(Unregister::Prevented)) | (Some(Err(_)), None) => 0,
            (_, Some(_)) => 1,
            (Some(Ok(_)), None) => u32::from(cancelled),
            (None, None) => u32::from(cancelled && self.detached),
        };
        assert!(calls == expected, "{calls} calls");
        let alone = !fired || hand.act == Act::Look;
        assert!(!alone || self.back.is_none_or(|back| in_use + back == self.before), "{in_use} nodes in use");

        hand.drop_all();
        task.waits = None;
        drop(self);
        assert!(POOL.in_use() == 0, "{} nodes are not back", POOL.in_use());
        assert!(WAKERS.load(SeqCst) == 0, "a waker is left");
    }
}

pub fn child_of(token: &CancellationToken) -> Option<CancellationToken> {
    Some(token.try_child_token().unwrap())
}

fn by(token: &CancellationToken) -> Option<&'static str> {
    token.reason()?.cause()?.downcast_ref::<By>().map(|by| by.0)
}

/// Every node can be had again.
pub fn fill() {
    let all: [_; 16] = core::array::from_fn(|_| POOL.try_token());
    assert!(all.iter().all(Result::is_ok) && POOL.try_token().is_err());
    drop(all);
    assert_eq!(POOL.in_use(), 0);
}

/// A timer for one alarm, which has to be asked for it.
struct Egg;
struct Armed;

static ALARM: Mutex<Cell<Option<Alarm>>> = Mutex::new(Cell::new(None));

pub fn alarm() -> Option<Alarm> {
    interrupt::free(|section| ALARM.borrow(section).take())
}

impl Timer for Egg {
    type Armed = Armed;

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn arm(&self, _: Duration, alarm: Alarm) -> Armed {
        interrupt::free(|section| ALARM.borrow(section).set(Some(alarm)));
        Armed
    }

    fn disarm(_: &Armed) {}
}

impl Drop for Armed {
    fn drop(&mut self) {
        // The alarm is dropped with interrupts open.
        alarm();
    }
}
