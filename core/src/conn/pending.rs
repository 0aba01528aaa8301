//! Requests that wait for their answer, in a slab addressed by opaque.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::outbox::{Lane, Place};
use crate::ids::Opaque;
use crate::mutants::mutant;
use crate::time::Instant;

/// The pending requests of a link.
///
/// An opaque is a slot and the generation of its use, packed into a non-negative `i32`. A slot whose request timed
/// out after it was sent stays taken as an *orphan* until its answer comes or newer orphans push it out, so a late
/// answer never meets a newer request. Slots are reused first in, first out: a generation returns only after
/// 2^(31 - slot bits) uses of at least [`MIN_SLOTS`] slots.
pub(super) struct Pending<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
    /// Slot and use of orphans, oldest first; entries whose slot moved on are skipped.
    orphans: VecDeque<(u32, u32)>,
    live_orphans: usize,
    max_orphans: usize,
    slot_bits: u32,
    control: usize,
    data: usize,
    next_check: Instant,
}

struct Slot<T> {
    /// How often the slot was taken; the low bits are the generation.
    uses: u32,
    state: State<T>,
}

enum State<T> {
    Free,
    Waiting(Waiting<T>),
    Orphan,
}

/// A request that waits.
pub(super) struct Waiting<T> {
    /// The submitter's.
    pub(super) token: T,
    /// When it times out.
    pub(super) deadline: Instant,
    /// Its frame in the outbox.
    pub(super) place: Place,
}

/// What an answer's opaque stands for.
pub(super) enum Answered<T> {
    /// A request that waits.
    Request(T),
    /// A request of this link that waits no more.
    Late,
    /// No request of this link.
    Unknown,
}

impl<T> Pending<T> {
    /// A table for so many requests and, beside them, so many orphans.
    pub(super) fn new(max_requests: usize, max_orphans: usize) -> Self {
        let max = u32::try_from(max_requests.saturating_add(max_orphans)).unwrap_or(u32::MAX);
        let slots = max.clamp(MIN_SLOTS, MAX_SLOTS).next_power_of_two();
        Self {
            slots: Vec::new(),
            free: VecDeque::new(),
            orphans: VecDeque::new(),
            live_orphans: 0,
            max_orphans,
            slot_bits: slots.trailing_zeros(),
            control: 0,
            data: 0,
            next_check: Instant::FAR,
        }
    }

    /// Takes a slot for a request; gives the token back when the opaques are used up.
    pub(super) fn insert(&mut self, token: T, deadline: Instant, place: Place) -> Result<Opaque, T> {
        let Some(index) = self.free_slot() else { return Err(token) };
        let generations = self.generations();
        let Some(slot) = self.slots.get_mut(to_usize(index)) else { return Err(token) };
        // The low bits go on from u32::MAX to 0, and the count stays one of a slot that saw every generation.
        slot.uses = slot.uses.checked_add(1).unwrap_or(generations);
        slot.state = State::Waiting(Waiting { token, deadline, place });
        let generation = slot.uses & generations.wrapping_sub(1);
        *self.count(place.lane) = self.count(place.lane).saturating_add(1);
        self.next_check = self.next_check.min(deadline);
        let packed = generation.wrapping_shl(self.slot_bits) | index;
        Ok(Opaque(i32::try_from(packed).unwrap_or_default()))
    }

    /// Finds what an answer belongs to and frees its slot. `begun` tells whether a request's frame is on its way:
    /// the answer to a request that was not sent is an answer to nothing.
    pub(super) fn answer(&mut self, opaque: Opaque, begun: impl FnOnce(Place) -> bool) -> Answered<T> {
        let Ok(packed) = u32::try_from(opaque.0) else { return Answered::Unknown };
        let generations = self.generations();
        if mutant!(19)
            && let Some(any) = self.slots.iter().position(|slot| matches!(slot.state, State::Waiting(_)))
            && let State::Waiting(waiting) = self.vacate(u32::try_from(any).unwrap_or_default())
        {
            return Answered::Request(waiting.token);
        }
        let index = packed & 1_u32.wrapping_shl(self.slot_bits).wrapping_sub(1);
        let generation = packed.wrapping_shr(self.slot_bits);
        let Some(slot) = self.slots.get_mut(to_usize(index)) else { return Answered::Unknown };
        if generation != slot.uses & generations.wrapping_sub(1) {
            let issued = slot.uses >= generations || (1..=slot.uses).contains(&generation);
            return if issued { Answered::Late } else { Answered::Unknown };
        }
        match &slot.state {
            State::Free => return Answered::Late,
            State::Waiting(waiting) if !begun(waiting.place) => return Answered::Unknown,
            State::Waiting(_) | State::Orphan => {}
        }
        match self.vacate(index) {
            State::Waiting(waiting) => Answered::Request(waiting.token),
            State::Orphan | State::Free => Answered::Late,
        }
    }

    /// Takes out every request whose deadline has come. `expired` says whether its frame was begun: then the slot
    /// stays taken as an orphan.
    pub(super) fn expire(&mut self, now: Instant, expired: impl FnMut(Waiting<T>) -> bool) {
        if now >= self.next_check {
            self.take_out(|waiting| waiting.deadline <= now, expired);
        }
    }

    /// Takes out every request that `wanted` names; `begun` says of each whether its slot stays taken as an orphan.
    pub(super) fn take_out(&mut self, wanted: impl Fn(&Waiting<T>) -> bool, mut begun: impl FnMut(Waiting<T>) -> bool) {
        let mut next_check = Instant::FAR;
        for index in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            match self.slots.get(to_usize(index)).map(|slot| &slot.state) {
                Some(State::Waiting(waiting)) if wanted(waiting) => {}
                Some(State::Waiting(waiting)) => {
                    next_check = next_check.min(waiting.deadline);
                    continue;
                }
                Some(State::Free | State::Orphan) | None => continue,
            }
            let State::Waiting(waiting) = self.vacate(index) else { continue };
            if begun(waiting) {
                self.orphan(index);
            }
        }
        self.next_check = next_check;
    }

    /// Takes out every request.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Waiting<T>)) {
        for slot in core::mem::take(&mut self.slots) {
            if let State::Waiting(waiting) = slot.state {
                each(waiting);
            }
        }
        self.free.clear();
        self.orphans.clear();
        (self.live_orphans, self.control, self.data, self.next_check) = (0, 0, 0, Instant::FAR);
    }

    /// When [`Pending::expire`] has something to do at the earliest.
    pub(super) const fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Requests that wait, of one lane.
    pub(super) const fn waiting(&self, lane: Lane) -> usize {
        match lane {
            Lane::Control => self.control,
            Lane::Data => self.data,
        }
    }

    /// Whether no request waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.control == 0 && self.data == 0
    }

    /// Slots kept for late answers.
    #[cfg(test)]
    pub(super) const fn orphans(&self) -> usize {
        self.live_orphans
    }

    fn free_slot(&mut self) -> Option<u32> {
        let len = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        if len >= MIN_SLOTS
            && let Some(index) = self.free.pop_front()
        {
            return Some(index);
        }
        if len >= 1_u32.wrapping_shl(self.slot_bits) {
            return self.free.pop_front();
        }
        self.slots.push(Slot { uses: 0, state: State::Free });
        Some(len)
    }

    fn vacate(&mut self, index: u32) -> State<T> {
        let Some(slot) = self.slots.get_mut(to_usize(index)) else { return State::Free };
        let state = core::mem::replace(&mut slot.state, State::Free);
        match &state {
            State::Waiting(waiting) => {
                let count = self.count(waiting.place.lane);
                *count = count.saturating_sub(1);
                if self.is_empty() {
                    self.next_check = Instant::FAR;
                }
            }
            State::Orphan => self.live_orphans = self.live_orphans.saturating_sub(1),
            State::Free => return state,
        }
        self.free.push_back(index);
        state
    }

    fn orphan(&mut self, index: u32) {
        // `vacate` put the slot at the end of the free list.
        if self.free.back() != Some(&index) {
            return;
        }
        self.free.pop_back();
        let Some(slot) = self.slots.get_mut(to_usize(index)) else { return };
        slot.state = State::Orphan;
        self.orphans.push_back((index, slot.uses));
        self.live_orphans = self.live_orphans.saturating_add(1);
        while self.live_orphans > self.max_orphans
            && let Some((oldest, uses)) = self.orphans.pop_front()
        {
            if is_orphan(&self.slots, oldest, uses) {
                self.vacate(oldest);
            }
        }
        if self.orphans.len() > self.max_orphans.saturating_mul(2) {
            let slots = &self.slots;
            self.orphans.retain(|(index, uses)| is_orphan(slots, *index, *uses));
        }
    }

    fn count(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Data => &mut self.data,
        }
    }

    /// Number of generations that fit beside the slot.
    const fn generations(&self) -> u32 {
        1_u32.wrapping_shl(OPAQUE_BITS.saturating_sub(self.slot_bits))
    }
}

fn is_orphan<T>(slots: &[Slot<T>], index: u32, uses: u32) -> bool {
    slots.get(to_usize(index)).is_some_and(|slot| slot.uses == uses && matches!(slot.state, State::Orphan))
}

fn to_usize(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Bits of a non-negative `i32`.
const OPAQUE_BITS: u32 = 31;
/// So many slots are used before any is used again.
const MIN_SLOTS: u32 = 256;
/// More would leave too few bits for the generation.
const MAX_SLOTS: u32 = 1 << 20;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]
mod tests {
    use super::*;

    const PLACE: Place = Place { lane: Lane::Data, seq: 0 };

    fn insert(pending: &mut Pending<u32>, token: u32, deadline: u64) -> Opaque {
        pending.insert(token, Instant::from_millis(deadline), PLACE).unwrap()
    }

    #[test]
    fn a_generation_comes_back_only_after_all_others() {
        let mut pending = Pending::new(4, 4);
        let first = insert(&mut pending, 0, 1);
        assert!(matches!(pending.answer(first, |_| true), Answered::Request(0)));
        for token in 1..10_000 {
            let opaque = insert(&mut pending, token, 1);
            assert!(opaque.0 >= 0 && opaque != first);
            assert!(matches!(pending.answer(opaque, |_| true), Answered::Request(answered) if answered == token));
            assert!(matches!(pending.answer(first, |_| true), Answered::Late));
        }
    }

    #[test]
    fn opaques_never_issued_are_unknown() {
        let mut pending = Pending::new(4, 4);
        let opaque = insert(&mut pending, 0, 1);
        let next_generation = Opaque(opaque.0 + (1 << pending.slot_bits));
        for unknown in [Opaque(-1), Opaque(i32::MIN), Opaque(opaque.0 + 1), next_generation, Opaque(0)] {
            assert!(matches!(pending.answer(unknown, |_| true), Answered::Unknown), "{unknown:?}");
        }
        assert!(matches!(pending.answer(opaque, |_| false), Answered::Unknown), "not sent yet");
        assert!(matches!(pending.answer(opaque, |_| true), Answered::Request(0)));
    }

    #[test]
    fn a_use_count_at_its_end_goes_on_with_the_next_generation() {
        let mut pending = Pending::new(4, 4);
        let opaque = insert(&mut pending, 0, 1);
        assert!(matches!(pending.answer(opaque, |_| true), Answered::Request(0)));
        (0..255).for_each(|token| assert!(insert(&mut pending, token, 1).0 > 0));
        pending.slots[0].uses = u32::MAX;
        let wrapped = insert(&mut pending, 1, 1);
        assert_eq!(wrapped, Opaque(0));
        assert!(matches!(pending.answer(opaque, |_| true), Answered::Late));
        assert!(matches!(pending.answer(wrapped, |_| true), Answered::Request(1)));
    }

    #[test]
    fn orphans_are_bounded_and_the_oldest_go_first() {
        let mut pending = Pending::new(8, 2);
        let opaques: [Opaque; 4] = core::array::from_fn(|at| insert(&mut pending, at as u32, 10));
        let mut gone = Vec::new();
        pending.expire(Instant::from_millis(10), |waiting| {
            gone.push(waiting.token);
            true
        });
        assert_eq!((gone.as_slice(), pending.orphans(), pending.is_empty()), (&[0, 1, 2, 3][..], 2, true));
        assert!(opaques.iter().all(|opaque| matches!(pending.answer(*opaque, |_| true), Answered::Late)));
        assert_eq!(pending.orphans(), 0);
    }

    #[test]
    fn the_next_check_is_the_earliest_deadline() {
        let mut pending = Pending::new(8, 8);
        insert(&mut pending, 0, 30);
        let soon = insert(&mut pending, 1, 20);
        assert_eq!(pending.next_check(), Instant::from_millis(20));
        assert!(matches!(pending.answer(soon, |_| true), Answered::Request(1)));
        pending.expire(Instant::from_millis(20), |_| unreachable!());
        assert_eq!(pending.next_check(), Instant::from_millis(30));
        pending.expire(Instant::from_millis(30), |_| false);
        assert_eq!((pending.next_check(), pending.orphans()), (Instant::FAR, 0));
    }
}
