//! Readers and writers that fail when a token is cancelled: who comes first, what is transferred, who is woken.
#![cfg(feature = "io")]

mod support;

use cancel_tree::io::Cancellable;
use cancel_tree::{CancellationToken, Cancelled, StaticCause};
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use proptest::collection::vec;
use proptest::prelude::*;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::fmt::Debug;
use std::io::{self, BufRead, ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::marker::PhantomPinned;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use support::wakers::Counter;
use support::{balanced, measure};

static WHY: StaticCause = StaticCause::new(&std::fmt::Error);

/// Notes what is called, and does it or is pending. Each transfer is of two bytes.
#[derive(Default)]
struct Pipe {
    blocked: bool,
    calls: Vec<&'static str>,
    consumed: usize,
}

impl Pipe {
    fn called<R>(&mut self, name: &'static str, result: R) -> Poll<io::Result<R>> {
        self.calls.push(name);
        if self.blocked { Poll::Pending } else { Poll::Ready(Ok(result)) }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        buffer[..2].copy_from_slice(b"ab");
        self.called("read", 2)
    }
    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.called("read_vectored", 2)
    }
}

impl AsyncBufRead for Pipe {
    fn poll_fill_buf(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.called("fill_buf", b"ab".as_slice())
    }
    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.consumed += amount;
    }
}

impl AsyncSeek for Pipe {
    fn poll_seek(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: SeekFrom) -> Poll<io::Result<u64>> {
        self.called("seek", 2)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.called("write", 2)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.called("write_vectored", 2)
    }
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.called("flush", ())
    }
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.called("close", ())
    }
}

/// Every poll there is: its name, and how many bytes it has transferred (or where it is).
type Ask = fn(Pin<&mut Cancellable<Pipe>>, &mut Context<'_>) -> Poll<io::Result<u64>>;

const ASKS: [(&str, Ask); 8] = [
    ("read", |pipe, cx| pipe.poll_read(cx, &mut [0; 4]).map_ok(|n| n as u64)),
    ("read_vectored", |pipe, cx| pipe.poll_read_vectored(cx, &mut []).map_ok(|n| n as u64)),
    ("fill_buf", |pipe, cx| pipe.poll_fill_buf(cx).map_ok(|bytes| bytes.len() as u64)),
    ("seek", |pipe, cx| pipe.poll_seek(cx, SeekFrom::Start(2))),
    ("write", |pipe, cx| pipe.poll_write(cx, b"ab").map_ok(|n| n as u64)),
    ("write_vectored", |pipe, cx| pipe.poll_write_vectored(cx, &[]).map_ok(|n| n as u64)),
    ("flush", |pipe, cx| pipe.poll_flush(cx).map_ok(|()| 2)),
    ("close", |pipe, cx| pipe.poll_close(cx).map_ok(|()| 2)),
];

fn ask(counter: &Counter, pipe: &mut Cancellable<Pipe>, which: usize) -> Poll<io::Result<u64>> {
    counter.poll(&mut std::future::poll_fn(|cx| ASKS[which].1(Pin::new(pipe), cx)))
}

/// The error is one that nobody takes for a sign to try again, and says why.
fn is_cancelled(error: io::Error) -> bool {
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.get_ref().unwrap().is::<Cancelled>());
    error.downcast::<Cancelled>().unwrap().cause().is_some_and(|cause| cause.is::<std::fmt::Error>())
}

fn has_failed<R: Debug>(result: Poll<io::Result<R>>) -> bool {
    match result {
        Poll::Ready(result) => is_cancelled(result.unwrap_err()),
        Poll::Pending => false,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    Block(bool),
    Cancel,
}

/// Goes through a schedule with a task for each side, and compares each poll with what it has to say.
fn follow(steps: &[Step]) {
    let (root, sides) = (CancellationToken::new(), [Counter::new(), Counter::new()]);
    let mut pipe = Cancellable::new(Pipe::default(), root.child_token());
    let (mut calls, mut waits, mut wakes) = (Vec::new(), [false; 2], [0; 2]);
    for step in steps {
        match *step {
            Step::Block(blocked) => pipe.get_mut().blocked = blocked,
            Step::Cancel => {
                root.cancel_with(&WHY);
                for side in 0..2 {
                    wakes[side] += usize::from(std::mem::take(&mut waits[side]));
                }
            }
            Step::Ask(which) => {
                let side = usize::from(which >= 4);
                let result = ask(&sides[side], &mut pipe, which);
                if root.is_cancelled() {
                    assert!(has_failed(result));
                } else {
                    calls.push(ASKS[which].0);
                    if pipe.get_ref().blocked {
                        assert!(result.is_pending());
                        waits[side] = true;
                    } else {
                        assert!(matches!(result, Poll::Ready(Ok(2))));
                    }
                }
            }
        }
        assert_eq!(pipe.get_ref().calls, calls, "after a cancel the inner one is not touched");
        assert_eq!([0, 1].map(|side| sides[side].wakes()), wakes, "a cancel wakes each side that waits");
        assert_eq!([0, 1].map(|side| sides[side].kept()), waits.map(usize::from));
    }
    assert_eq!(pipe.token().is_cancelled(), root.is_cancelled());
    assert_eq!(pipe.into_inner().calls, calls);
    assert!(sides.iter().all(|side| side.kept() == 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 500 }, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_schedule_gives_what_the_reference_does(
        steps in vec(prop_oneof![
            5 => (0..ASKS.len()).prop_map(Step::Ask),
            2 => any::<bool>().prop_map(Step::Block),
            1 => Just(Step::Cancel),
        ], 0..16),
    ) {
        balanced(|| follow(&steps));
    }
}

#[test]
fn each_call_is_forwarded_as_what_it_is_and_fails_after_a_cancel() {
    balanced(|| {
        for which in 0..ASKS.len() {
            for blocked in [false, true] {
                follow(&[Step::Block(blocked), Step::Ask(which), Step::Cancel, Step::Ask(which), Step::Ask(which)]);
            }
        }
    });
}

/// One that cancels the token in its poll: what it has transferred is reported; if it has not, it ends though nobody wakes it.
#[test]
fn what_a_poll_has_transferred_is_reported() {
    struct Cancels(CancellationToken, Poll<usize>);
    impl AsyncRead for Cancels {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            self.0.cancel_with(&WHY);
            self.1.map(Ok)
        }
    }
    balanced(|| {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        for transferred in [Poll::Ready(3), Poll::Pending] {
            let token = CancellationToken::new();
            let mut reader = Cancellable::new(Cancels(token.clone(), transferred), token);
            let result = Pin::new(&mut reader).poll_read(cx, &mut [0; 4]);
            match transferred {
                Poll::Ready(_) => assert!(matches!(result, Poll::Ready(Ok(3)))),
                Poll::Pending => assert!(has_failed(result)),
            }
            let Poll::Ready(Err(error)) = Pin::new(&mut reader).poll_read(cx, &mut [0; 4]) else { panic!("cancelled") };
            assert!(is_cancelled(error));
        }
    });
}

/// Bytes that were there before the cancel can be accounted for, and the inner one can be ended.
#[test]
fn what_goes_on_after_a_cancel() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let mut pipe = Cancellable::new(Pipe::default(), token.clone());
        assert!(matches!(ask(&counter, &mut pipe, 2), Poll::Ready(Ok(2))));
        token.cancel();
        AsyncBufRead::consume(Pin::new(&mut pipe), 2);
        assert_eq!(pipe.get_ref().consumed, 2);
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(matches!(Pin::new(&mut pipe).get_pin_mut().poll_flush(cx), Poll::Ready(Ok(()))));
        assert!(matches!(Pin::new(pipe.get_mut()).poll_close(cx), Poll::Ready(Ok(()))));
        assert_eq!(pipe.into_inner().calls, ["fill_buf", "flush", "close"]);
    });
}

/// `read_exact`, `read_to_end`, `write_all` and `copy` try again upon some errors.
#[test]
fn loops_of_others_end() {
    use futures_lite::future::block_on;
    use futures_lite::io::{AsyncReadExt, AsyncWriteExt, copy, repeat, sink};
    balanced(|| {
        let token = CancellationToken::new();
        token.cancel_with(&WHY);
        let reader = || Cancellable::new(repeat(1), token.clone());
        let mut writer = Cancellable::new(sink(), token.clone());
        assert!(is_cancelled(block_on(reader().read_exact(&mut [0; 8])).unwrap_err()));
        assert!(is_cancelled(block_on(reader().read_to_end(&mut Vec::new())).unwrap_err()));
        assert!(is_cancelled(block_on(writer.write_all(b"abc")).unwrap_err()));
        assert!(is_cancelled(block_on(copy(reader(), sink())).unwrap_err()));
        let reader = || Cancellable::new(io::repeat(1), token.clone());
        let mut writer = Cancellable::new(io::sink(), token.clone());
        assert!(is_cancelled(Read::read_exact(&mut reader(), &mut [0; 8]).unwrap_err()));
        assert!(is_cancelled(Read::read_to_end(&mut reader(), &mut Vec::new()).unwrap_err()));
        assert!(is_cancelled(Write::write_all(&mut writer, b"abc").unwrap_err()));
        assert!(is_cancelled(io::copy(&mut reader(), &mut io::sink()).unwrap_err()));
    });
}

/// The token is looked at between the calls of a loop, and not only at its beginning.
#[test]
fn a_blocking_copy_ends_in_its_middle_and_loses_nothing() {
    struct Cancels(CancellationToken, usize);
    impl Read for Cancels {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1 == 3 {
                self.0.cancel_with(&WHY);
            }
            buffer[0] = 7;
            Ok(1)
        }
    }
    balanced(|| {
        let token = CancellationToken::new();
        let mut reader = Cancellable::new(Cancels(token.clone(), 0), token);
        let mut read = Vec::new();
        assert!(is_cancelled(reader.read_to_end(&mut read).unwrap_err()));
        assert_eq!((read.as_slice(), reader.get_ref().1), ([7, 7, 7].as_slice(), 3));
    });
}

#[test]
fn blocking_calls_go_through_until_the_cancel() {
    balanced(|| {
        let token = CancellationToken::new();
        let mut file = Cancellable::new(io::Cursor::new(b"abcdef".to_vec()), token.clone());
        let mut two = [0; 2];
        assert_eq!((file.read(&mut two).unwrap(), &two), (2, b"ab"));
        assert_eq!(file.read_vectored(&mut [IoSliceMut::new(&mut two)]).unwrap(), 2);
        assert_eq!(file.fill_buf().unwrap(), b"ef");
        BufRead::consume(&mut file, 1);
        assert_eq!(file.stream_position().unwrap(), 5);
        assert_eq!(Seek::seek(&mut file, SeekFrom::Start(0)).unwrap(), 0);
        assert_eq!(file.write(b"A").unwrap(), 1);
        assert_eq!(file.write_vectored(&[IoSlice::new(b"BC"), IoSlice::new(b"D")]).unwrap(), 3);
        Write::flush(&mut file).unwrap();
        token.cancel_with(&WHY);
        assert!(is_cancelled(file.read(&mut two).unwrap_err()));
        assert!(is_cancelled(file.read_vectored(&mut []).unwrap_err()));
        assert!(is_cancelled(file.fill_buf().unwrap_err()));
        assert!(is_cancelled(Seek::seek(&mut file, SeekFrom::Start(0)).unwrap_err()));
        assert!(is_cancelled(file.write(b"X").unwrap_err()));
        assert!(is_cancelled(file.write_vectored(&[]).unwrap_err()));
        assert!(is_cancelled(Write::flush(&mut file).unwrap_err()));
        BufRead::consume(&mut file, 1);
        let file = file.into_inner();
        assert_eq!((file.position(), file.get_ref().as_slice()), (5, b"ABCDef".as_slice()));
    });
}

#[test]
fn what_it_costs() {
    balanced(|| {
        let (token, counter) = (CancellationToken::new(), Counter::new());
        let (mut pipe, account) =
            measure(|| Cancellable::new(Pipe { calls: Vec::with_capacity(8), ..Pipe::default() }, token.clone()));
        assert_eq!(account.calls, 1, "the test's own");
        pipe.get_mut().blocked = true;
        let (_, account) = measure(|| assert!(ask(&counter, &mut pipe, 0).is_pending()));
        assert_eq!((account.calls, account.bytes), (0, 0), "the first waiter");
        token.cancel();
        let (error, account) = measure(|| ask(&counter, &mut pipe, 0));
        assert!(matches!(error, Poll::Ready(Err(_))));
        assert_eq!(account.calls, 2, "the error's");
    });
}

/// So `?` does in a function that returns an `io::Result`.
#[test]
fn a_reason_becomes_an_io_error() {
    fn step(token: &CancellationToken) -> io::Result<()> {
        token.check()?;
        Ok(())
    }
    balanced(|| {
        let token = CancellationToken::new();
        assert!(step(&token).is_ok());
        token.cancel_with(&WHY);
        assert!(is_cancelled(step(&token).unwrap_err()));
        assert_eq!(step(&token).unwrap_err().to_string(), "cancelled");
    });
}

assert_impl_all!(Cancellable<Pipe>: AsyncRead, AsyncBufRead, AsyncSeek, AsyncWrite, Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, Debug);
assert_impl_all!(Cancellable<io::Cursor<Vec<u8>>>: Read, BufRead, Seek, Write);
// It is what the one in it is, and no more.
assert_not_impl_any!(Cancellable<()>: AsyncRead, AsyncBufRead, AsyncSeek, AsyncWrite, Read, BufRead, Seek, Write, Clone);
assert_not_impl_any!(Cancellable<Rc<()>>: Send, Sync);
assert_not_impl_any!(Cancellable<PhantomPinned>: Unpin);

#[test]
fn what_it_says_of_itself() {
    balanced(|| {
        let token = CancellationToken::new();
        assert_eq!(format!("{:?}", Cancellable::new((), token)), "Cancellable { is_cancelled: false, .. }");
    });
}
