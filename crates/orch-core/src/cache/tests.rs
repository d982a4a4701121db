//! Caches follow, resume and relist.
