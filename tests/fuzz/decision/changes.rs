//! What may have been changed of a frame that leaves, and what must have been.

use std::ops::Range;

use super::{modes::CLAMP, owners::End, places::Places};

/// Ends of an ICMP error, and of the packet that it quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Error {
    pub(super) ends: [End; 2],
    pub(super) quoted: [End; 2],
    pub(super) proto: u8,
}

/// The ends of a packet before and after it was sent on with one hop fewer, of which nothing was changed but its ends, and what
/// a SYN announces.
///
/// # Errors
/// If more was, or a checksum is not right any more.
pub(super) fn aged(before: &[u8], after: &[u8]) -> Result<Option<[[End; 2]; 2]>, String> {
    let Some(places) = Places::of(before) else { return Ok(None) };
    let mut may = Vec::new();
    if places.is_tcp() || places.is_udp() {
        may.push(places.transport..places.transport + 4);
        may.extend(places.sum());
    }
    if let (Some((range, was)), Some((_, is))) = (places.segment_size(before), places.segment_size(after)) {
        if is != was && (is != CLAMP || was < is) {
            return Err(format!("the segment size was {was} and is {is}"));
        }
        may.push(range);
    }
    sent_on(before, after, &places, may)?;
    Ok(Some([places.ends(before), places.ends(after)]))
}

/// An ICMP error before and after it was translated; `None` if it is not to be understood.
///
/// # Errors
/// As [`aged`].
pub(super) fn error(before: &[u8], after: &[u8]) -> Result<Option<[Error; 2]>, String> {
    let Some(places) = Places::of(before) else { return Ok(None) };
    let Some(quoted) = Places::quoted(before, places.transport + 8, places.v4) else { return Ok(None) };
    let mut may = quoted.addresses().to_vec();
    may.push(quoted.transport..quoted.transport + 4);
    may.extend(quoted.header_sum());
    may.extend(places.sum());
    sent_on(before, after, &places, may)?;
    if quoted.header_right(before) != quoted.header_right(after) {
        return Err("the checksum of the quoted header".to_owned());
    }
    let read = |frame| Error { ends: places.ends(frame), quoted: quoted.ends(frame), proto: quoted.proto };
    Ok(Some([read(before), read(after)]))
}

/// One hop fewer; nothing else is changed than the ends and what `may` be; checksums are right if they were.
fn sent_on(before: &[u8], after: &[u8], places: &Places, mut may: Vec<Range<usize>>) -> Result<(), String> {
    if Places::of(after) != Some(*places) || before.len() != after.len() {
        return Err(format!("it is another kind of packet now: {after:02x?}"));
    }
    may.extend(places.addresses());
    may.extend(places.header_sum());
    let hops = places.hops();
    may.push(hops..hops + 1);
    let differs = |at: &usize| before[*at] != after[*at] && !may.iter().any(|range| range.contains(at));
    let changed = (12..before.len()).find(differs);
    let none = |frame: &[u8]| places.is_udp() && places.sum().is_some_and(|sum| frame[sum] == [0, 0]);
    for (holds, what) in [
        (changed.is_none(), format!("byte {changed:?} was changed: {before:02x?}, {after:02x?}")),
        (before[hops] > 1 && after[hops] == before[hops] - 1, format!("hops {}", after[hops])),
        (places.header_right(before) == places.header_right(after), "the header's checksum".to_owned()),
        (places.right(before) == places.right(after), format!("the checksum of {after:02x?}")),
        (none(before) || !none(after), "a checksum of 0 says that there is none".to_owned()),
    ] {
        if !holds {
            return Err(what);
        }
    }
    Ok(())
}
