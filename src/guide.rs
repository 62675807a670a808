//! Pages to read, one for each question. What the docs of an item say is not repeated here, but put together.
//!
//! | your question | page |
//! |---|---|
//! | which call do I want? | [`choosing`] |
//! | I have code on `tokio_util::sync::CancellationToken` | [`from_tokio_util`] |
//! | I come from Go and its `context` | [`from_go`] |
//! | I have no heap, or an interrupt that has to stop something | [`firmware`] |
//! | I write an executor, or a runtime | [`executors`] |
//! | how can this work without a lock? | [`how_it_works`] |
//! | why should I believe that it does? | [`how_it_is_checked`] |
//!
//! Every snippet in them that is Rust is compiled and run with the tests of this crate.

pub mod choosing {
    #![doc = include_str!("guide/choosing.md")]
}
pub mod executors {
    #![doc = include_str!("guide/executors.md")]
}
pub mod firmware {
    #![doc = include_str!("guide/firmware.md")]
}
pub mod from_go {
    #![doc = include_str!("guide/from_go.md")]
}
pub mod from_tokio_util {
    #![doc = include_str!("guide/from_tokio_util.md")]
}
pub mod how_it_is_checked {
    #![doc = include_str!("guide/how_it_is_checked.md")]
}
pub mod how_it_works {
    #![doc = include_str!("guide/how_it_works.md")]
}
