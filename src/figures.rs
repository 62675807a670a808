#![doc = include_str!("../benches/README.md")]
//!
//! # Plots
//!
//! Of the same run; both axes are logarithmic.
//!
#![doc = include_str!("../benches/figures/cancel_width.svg")]
//!
#![doc = include_str!("../benches/figures/cancel_depth.svg")]
//!
#![doc = include_str!("../benches/figures/drop_width.svg")]
//!
#![doc = include_str!("../benches/figures/siblings_oldest.svg")]
//!
#![doc = include_str!("../benches/figures/children_one_parent.svg")]
//!
#![doc = include_str!("../benches/figures/waiter_shared_token_taken.svg")]
//!
#![doc = include_str!("../benches/figures/wake_one_token.svg")]
