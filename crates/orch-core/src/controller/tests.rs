//! Controllers converge, retry, take turns and clean up.
