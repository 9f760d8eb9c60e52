//! Data sets, readers and batching.
