//! Tests of the whole agent on the fake runtime, in virtual time.
