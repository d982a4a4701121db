//! Measurements; each file in `benches/` is one.
