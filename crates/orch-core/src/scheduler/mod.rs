//! Decides where things go.
