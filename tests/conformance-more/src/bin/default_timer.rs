//! What the default timer does on WebAssembly: it panics. There is no thread to start, and without WASI no clock.

use cancel_tree::CancellationToken;
use std::time::Duration;

fn main() {
    let _ = CancellationToken::new().child_with_timeout(Duration::from_millis(1));
}
