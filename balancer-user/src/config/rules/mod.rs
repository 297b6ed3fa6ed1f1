//! Rules that span several values.
//!
//! One rule of the design has nothing to say here: `l2dsr` changes MAC addresses alone, so it carries either family to
//! any backend, and there is no family that it cannot cross.

mod across;
mod within;

pub(super) use across::check as across;
pub(super) use within::check as within;
