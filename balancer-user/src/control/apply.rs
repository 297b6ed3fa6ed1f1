//! Takes the steps: the only place that writes what the packet path follows.

use super::{
    judge::WantedBackend,
    maglev::MaglevInputs,
    reconcile::{Standing, Step},
};
use crate::dataplane::{Dataplane, DataplaneError};

/// What taking the steps came to.
#[derive(Debug, Default)]
pub struct Applied {
    /// Steps that were taken.
    pub taken: usize,
    /// Services with the fingerprint of the table that stands there now.
    pub tables: Vec<(u16, u64)>,
    /// Steps that the tables refused; the next reconciliation tries them again.
    pub refused: Vec<DataplaneError>,
}

/// Takes every step in its order. One that is refused does not keep the others back: a dead backend must be
/// marked also when there is no room for a new listener.
pub fn apply(steps: Vec<Step>, tables: &mut Dataplane, standing: &mut Standing, seed: &[u8; 16]) -> Applied {
    let mut applied = Applied::default();
    for step in steps {
        match take(&step, tables, seed) {
            Ok(table) => {
                applied.taken += 1;
                applied.tables.extend(table);
                standing.took(step);
            }
            Err(error) => applied.refused.push(error),
        }
    }
    applied
}

fn take(step: &Step, tables: &mut Dataplane, seed: &[u8; 16]) -> Result<Option<(u16, u64)>, DataplaneError> {
    match step {
        Step::SetService(number, line) => tables.set_service(*number, line.identity, line.affinity_timeout),
        Step::SetWay(number, v4, way) => tables.set_way(*number, *v4, way)?,
        Step::SetNextHop(number, hop) => tables.set_next_hop(*number, *hop),
        Step::SetBackend(WantedBackend { number, identity, state, schedule, max_flows, hop: _, ways: _ }) => {
            tables.set_schedule(*number, *schedule);
            tables.set_max_flows(*number, *max_flows);
            tables.set_backend(*number, *identity, *state);
        }
        Step::SetMaglev(number, inputs) => return set_maglev(*number, inputs, tables, seed).map(Some),
        Step::SetListeners(listeners, origins) => tables.set_listeners(listeners, origins)?,
        Step::ClearBackend(number) => tables.clear_backend(*number),
        Step::ClearService(number) => tables.clear_service(*number),
    }
    Ok(None)
}

/// A table with the same slots as the one that stands is not written: it would push out the previous one.
fn set_maglev(
    service: u16,
    inputs: &MaglevInputs,
    tables: &mut Dataplane,
    seed: &[u8; 16],
) -> Result<(u16, u64), DataplaneError> {
    let slots = inputs.slots(seed);
    if tables.maglev(service, slots.len() as u32).as_deref() != Some(&slots[..]) {
        tables.set_maglev(service, &slots)?;
    }
    Ok((service, inputs.fingerprint(&slots)))
}
