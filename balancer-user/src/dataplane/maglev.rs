//! Writes Maglev tables: three a service in one pool, the retired one is written while the others are read.

use super::{Dataplane, DataplaneError, listeners::store_number};
use crate::sys;
use balancer_common::{
    layout::MAGLEV_TABLES,
    table::{
        TableId,
        line::{HostLine, Line},
        service::{self, MaglevRoot, maglev_lines},
    },
};

/// Word of a service's line that holds its block in the pool: first line 32, lines of one table 32. Only the agent
/// reads it.
const WORD_BLOCK: usize = 3;

/// A service's block of three tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u32,
    lines: u32,
}

impl Block {
    fn of(line: &HostLine) -> Option<Self> {
        let bits = line.load(WORD_BLOCK);
        (bits != 0).then_some(Self { first: bits as u32, lines: (bits >> 32) as u32 })
    }

    fn end(self) -> u32 {
        self.first + MAGLEV_TABLES * self.lines
    }
}

impl Dataplane {
    fn service_line(&self, service: u16) -> &HostLine {
        &self.tables.lines(TableId::Services)[usize::from(service)]
    }

    /// Makes `slots` the current table of a service; the one before becomes the previous one.
    ///
    /// # Errors
    /// If the pool is full, or the kernel cannot say when the last reader has left.
    pub fn set_maglev(&mut self, service: u16, slots: &[u16]) -> Result<(), DataplaneError> {
        let block = self.block_for(service, slots.len() as u32)?;
        let line = self.service_line(service);
        let old = MaglevRoot::from_bits(line.load(service::WORD_ROOT));
        let retired = (0..MAGLEV_TABLES)
            .map(|table| block.first + table * block.lines)
            .find(|first| *first != old.current && *first != old.previous)
            .unwrap_or(block.first);
        // Packets that still read the retired table since the switch before.
        sys::wait_for_readers().map_err(DataplaneError::Membarrier)?;
        let lines = &self.tables.lines(TableId::Maglev)[retired as usize..];
        for (slot, number) in (0..).zip(slots) {
            let line = &lines[(slot / balancer_common::table::NUMBERS_PER_LINE) as usize];
            store_number(line, slot, *number);
        }
        let new = MaglevRoot { current: retired, previous: old.current };
        line.store(service::WORD_ROOT, new.bits());
        Ok(())
    }

    /// The service's block, or a new one where the pool has room.
    fn block_for(&self, service: u16, size: u32) -> Result<Block, DataplaneError> {
        let lines = maglev_lines(size);
        if let Some(block) = Block::of(self.service_line(service))
            && block.lines == lines
        {
            return Ok(block);
        }
        let pool = self.tables.lines(TableId::Maglev).len() as u32;
        let mut taken: Vec<Block> =
            self.tables.lines(TableId::Services).iter().filter_map(Block::of).collect();
        taken.sort_by_key(|block| block.first);
        // Line 0 stays empty: the number 0 names no table.
        let mut first = 1;
        for block in taken {
            if block.first >= first + MAGLEV_TABLES * lines {
                break;
            }
            first = first.max(block.end());
        }
        let block = Block { first, lines };
        if block.end() > pool {
            return Err(DataplaneError::MaglevPoolFull { service, size });
        }
        let line = self.service_line(service);
        line.store(service::WORD_ROOT, 0);
        line.store(WORD_BLOCK, u64::from(first) | u64::from(lines) << 32);
        Ok(block)
    }

    /// The current table of a service with `size` slots; `None` if it has none.
    #[must_use]
    pub fn maglev(&self, service: u16, size: u32) -> Option<Vec<u16>> {
        self.slots(self.root_of(service).current, size)
    }

    /// The table before the current one.
    #[must_use]
    pub fn maglev_previous(&self, service: u16, size: u32) -> Option<Vec<u16>> {
        self.slots(self.root_of(service).previous, size)
    }

    fn root_of(&self, service: u16) -> MaglevRoot {
        service::maglev_root(&self.tables, service)
    }

    fn slots(&self, first: u32, size: u32) -> Option<Vec<u16>> {
        (first != 0).then(|| (0..size).map(|slot| service::maglev_slot(&self.tables, first, slot)).collect())
    }
}
