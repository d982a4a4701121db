//! Fakes and conformance suites.
