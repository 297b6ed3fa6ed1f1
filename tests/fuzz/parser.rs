//! Any bytes as a frame.

use crate::{
    hold,
    reading::{
        agreement::agrees,
        fate::{aimed, one_fate},
    },
};

/// The input is a frame. Another parser reads it alike; nothing is read beyond what was checked; it has one fate, also
/// when it is turned towards the service.
///
/// # Panics
/// If that does not hold.
pub fn parser(frame: &[u8]) {
    hold(agrees(frame));
    hold(one_fate(frame));
    hold(one_fate(&aimed(frame.to_vec())));
}
