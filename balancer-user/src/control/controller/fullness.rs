//! Backends that have as many flows as they may: the packet path lets nobody new onto them at once, the Maglev table
//! follows within a moment.

use super::{Control, Member};

/// One that was full has room again when it has one part in this many fewer flows, so that its table does not change
/// with every connection that ends.
const ROOM: u64 = 20;

impl Control {
    /// How many live flows a backend may have before it takes no new client; 0: any number.
    pub(super) fn max_flows(&self, member: &Member) -> u32 {
        let service = self.services.iter().find(|it| it.name == member.named.service);
        let backend = service.and_then(|it| it.backends.iter().find(|it| it.name == member.named.backend));
        backend.and_then(|it| it.max_flows).unwrap_or(0)
    }

    /// Takes note of backends that are full, or have room again; whether there are such.
    pub(super) fn note_full(&mut self) -> bool {
        let turned: Vec<_> =
            self.members.iter().filter_map(|(number, member)| self.turned(*number, member)).collect();
        for (number, full) in &turned {
            let Some(member) = self.members.get_mut(number) else { continue };
            member.full = *full;
            match full {
                true => tracing::warn!(
                    "{}: it has as many flows as it may (max_flows): no new client",
                    member.title()
                ),
                false => tracing::info!("{}: it has room for new clients again", member.title()),
            }
        }
        !turned.is_empty()
    }

    fn turned(&self, number: u16, member: &Member) -> Option<(u16, bool)> {
        let limit = u64::from(self.max_flows(member));
        let full = match limit {
            0 => false,
            _ if member.full => self.live(number) > limit - limit.div_ceil(ROOM),
            _ => self.live(number) >= limit,
        };
        (full != member.full).then_some((number, full))
    }
}
