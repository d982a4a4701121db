//! A busy program that is its own shim: `init` first thing in a synchronous `main`, and no other program.
//!
//! Has a `main` of its own, for the usual one of tests starts threads first.

mod common;

fn main() {
    common::stress::main();
}
