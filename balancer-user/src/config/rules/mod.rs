//! Rules that span several values.

mod across;
mod modes;
mod translation;
mod within;

pub(super) use across::check as across;
pub(super) use translation::check as translation;
pub(super) use within::check as within;
