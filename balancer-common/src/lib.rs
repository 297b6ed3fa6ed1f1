//! What the kernel and the host share.
#![no_std]
