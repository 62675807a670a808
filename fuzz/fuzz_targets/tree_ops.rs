//! Any sequence of public operations agrees with the reference. The interpreter is that of `tests/properties.rs`, whose
//! head lists what is compared; three bytes of the input are one operation.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use support::nodes;
use support::ops::{self, Op};

#[path = "../../tests/support"]
mod support {
    pub(crate) mod nodes;
    pub(crate) mod ops;
    pub(crate) mod reference;
}

/// By hand, so that a failing input is printed as operations and a seed is easily written.
#[derive(Debug)]
struct Ops(Vec<Op>);

impl<'a> Arbitrary<'a> for Ops {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Ops(Op::list(input.bytes(input.len())?)))
    }
}

fuzz_target!(|ops: Ops| {
    let _alone = nodes::exclusive();
    ops::run(&ops.0);
});
