//! Frames that wait to be written, in two lanes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Deref;

use bytes::{Buf, Bytes};

use crate::ids::Opaque;
use crate::wire::frame::EncodedFrame;

/// Which queue of a link a frame is written from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Heartbeats, routes, locks, offsets, answers: written first, with bounds of its own.
    Control,
    /// Messages.
    Data,
}

/// The queue of bytes to write.
///
/// Control goes first, at frame boundaries: a data frame of which a part was written is finished before.
#[derive(Default)]
pub(super) struct Outbox {
    control: Queue,
    data: Queue,
}

/// Where a frame is: its lane and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) lane: Lane,
    pub(super) seq: u64,
}

/// One lane. Small frames are appended to one another, large bodies are kept as they are.
#[derive(Default)]
struct Queue {
    chunks: VecDeque<Chunk>,
    frames: VecDeque<Mark>,
    next_seq: u64,
    /// Bytes not written yet.
    bytes: usize,
    /// Bytes of the first frame that are written already.
    begun: usize,
    spare: Vec<Vec<u8>>,
}

struct Mark {
    seq: u64,
    len: usize,
}

enum Chunk {
    /// Whole small frames and the heads of large ones, from `start` on.
    Joined { buf: Vec<u8>, start: usize },
    /// The body of one frame.
    Body(Bytes),
}

impl Outbox {
    /// Appends a frame.
    pub(super) fn push(&mut self, lane: Lane, opaque: Opaque, frame: &EncodedFrame) {
        self.lane_mut(lane).push(opaque, frame);
    }

    /// Takes a frame out again, unless some of it is written: then `false`.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        self.lane_mut(place.lane).remove(place.seq)
    }

    /// Marks the first `n` bytes of [`Outbox::slices`] as written; returns how many frames that completed.
    pub(super) fn advance(&mut self, n: usize) -> u64 {
        let mut left = n;
        let first = self.data.rest_of_begun().min(left);
        left = left.saturating_sub(first);
        let control = self.control.bytes.min(left);
        left = left.saturating_sub(control);
        let frames = self.data.advance(first).saturating_add(self.control.advance(control));
        frames.saturating_add(self.data.advance(left))
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bytes to write next, in order.
    pub(super) fn slices(&self) -> SliceList<'_> {
        let mut out = SliceList::default();
        let first = self.data.rest_of_begun();
        self.data.gather(0, first, &mut out);
        self.control.gather(0, usize::MAX, &mut out);
        self.data.gather(first, usize::MAX, &mut out);
        out
    }

    /// The place the next frame of `lane` will have.
    pub(super) fn next_place(&self, lane: Lane) -> Place {
        Place { lane, seq: self.lane(lane).next_seq }
    }

    /// Whether some of a frame is written.
    pub(super) fn is_begun(&self, place: Place) -> bool {
        let lane = self.lane(place.lane);
        lane.frames.front().is_none_or(|first| place.seq < first.seq || (place.seq == first.seq && lane.begun > 0))
    }

    /// Bytes not written yet, of one lane.
    pub(super) fn bytes(&self, lane: Lane) -> usize {
        self.lane(lane).bytes
    }

    /// Bytes not written yet.
    pub(super) const fn len(&self) -> usize {
        self.control.bytes.saturating_add(self.data.bytes)
    }

    /// Whether everything is written.
    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    const fn lane(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        }
    }

    const fn lane_mut(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Data => &mut self.data,
        }
    }
}

impl Queue {
    fn push(&mut self, opaque: Opaque, frame: &EncodedFrame) {
        let joined = frame.len_bound() <= JOIN_MAX;
        let (mut buf, start) = self.take_tail();
        let before = buf.len();
        frame.write(opaque, &mut buf);
        if joined {
            buf.extend_from_slice(frame.body());
        }
        let mut len = buf.len().saturating_sub(before);
        self.chunks.push_back(Chunk::Joined { buf, start });
        if !joined && !frame.body().is_empty() {
            len = len.saturating_add(frame.body().len());
            self.chunks.push_back(Chunk::Body(frame.body().clone()));
        }
        self.frames.push_back(Mark { seq: self.next_seq, len });
        self.next_seq = self.next_seq.saturating_add(1);
        self.bytes = self.bytes.saturating_add(len);
    }

    fn remove(&mut self, seq: u64) -> bool {
        let Ok(at) = self.frames.binary_search_by_key(&seq, |mark| mark.seq) else { return false };
        if at == 0 && self.begun > 0 {
            return false;
        }
        let before = self.frames.iter().take(at).fold(0, |sum: usize, mark| sum.saturating_add(mark.len));
        let Some(mark) = self.frames.remove(at) else { return false };
        self.bytes = self.bytes.saturating_sub(mark.len);
        self.cut(before.saturating_sub(self.begun), mark.len);
        true
    }

    /// Takes out `len` bytes, `skip` bytes from the front.
    fn cut(&mut self, mut skip: usize, mut len: usize) {
        let mut at = 0;
        while len > 0 {
            let Some(chunk) = self.chunks.get_mut(at) else { return };
            let held = chunk.bytes().len();
            let taken = held.saturating_sub(skip).min(len);
            if taken > 0 {
                chunk.cut(skip, taken);
                len = len.saturating_sub(taken);
            }
            skip = skip.saturating_sub(held);
            if chunk.bytes().is_empty() {
                self.drop_chunk(at);
            } else {
                at = at.saturating_add(1);
            }
        }
    }

    fn advance(&mut self, n: usize) -> u64 {
        let mut left = n.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(left);
        self.begun = self.begun.saturating_add(left);
        while left > 0
            && let Some(chunk) = self.chunks.front_mut()
        {
            let taken = chunk.bytes().len().min(left);
            chunk.cut(0, taken);
            left = left.saturating_sub(taken);
            if chunk.bytes().is_empty() {
                self.drop_chunk(0);
            }
        }
        let mut frames: u64 = 0;
        while let Some(first) = self.frames.front()
            && first.len <= self.begun
        {
            self.begun = self.begun.saturating_sub(first.len);
            self.frames.pop_front();
            frames = frames.saturating_add(1);
        }
        frames
    }

    fn gather<'a>(&'a self, mut skip: usize, mut limit: usize, out: &mut SliceList<'a>) {
        for chunk in &self.chunks {
            let bytes = chunk.bytes();
            let shown = bytes.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(bytes.len());
            let shown = shown.get(..limit).unwrap_or(shown);
            limit = limit.saturating_sub(shown.len());
            if !shown.is_empty() && !out.push(shown) {
                return;
            }
            if limit == 0 {
                return;
            }
        }
    }

    /// What is left of the first frame when a part of it is written, else 0.
    fn rest_of_begun(&self) -> usize {
        match self.frames.front() {
            Some(first) if self.begun > 0 => first.len.saturating_sub(self.begun),
            Some(_) | None => 0,
        }
    }

    /// Takes out the buffer that small frames are appended to.
    fn take_tail(&mut self) -> (Vec<u8>, usize) {
        match self.chunks.pop_back() {
            Some(Chunk::Joined { buf, start }) if buf.len() < CHUNK => return (buf, start),
            Some(full) => self.chunks.push_back(full),
            None => {}
        }
        (self.spare.pop().unwrap_or_default(), 0)
    }

    fn drop_chunk(&mut self, at: usize) {
        if let Some(Chunk::Joined { mut buf, .. }) = self.chunks.remove(at)
            && self.spare.len() < MAX_SPARE
            && buf.capacity() <= SPARE_MAX
        {
            buf.clear();
            self.spare.push(buf);
        }
    }
}

impl Chunk {
    /// Takes out `len` bytes, `skip` bytes from the front. A body is only ever cut at its front.
    fn cut(&mut self, skip: usize, len: usize) {
        match self {
            Self::Joined { start, .. } if skip == 0 => *start = start.saturating_add(len),
            Self::Joined { buf, start } => {
                let from = start.saturating_add(skip).min(buf.len());
                buf.drain(from..from.saturating_add(len).min(buf.len()));
            }
            Self::Body(body) => body.advance(len.min(body.len())),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Joined { buf, start } => buf.get(*start..).unwrap_or_default(),
            Self::Body(body) => body,
        }
    }
}

/// Up to [`MAX_SLICES`] slices for one vectored write.
#[derive(Clone, Copy, Debug, Default)]
pub struct SliceList<'a> {
    slices: [&'a [u8]; MAX_SLICES],
    len: usize,
}

impl<'a> SliceList<'a> {
    fn push(&mut self, slice: &'a [u8]) -> bool {
        let Some(slot) = self.slices.get_mut(self.len) else { return false };
        *slot = slice;
        self.len = self.len.saturating_add(1);
        true
    }
}

impl<'a> Deref for SliceList<'a> {
    type Target = [&'a [u8]];

    fn deref(&self) -> &Self::Target {
        self.slices.get(..self.len).unwrap_or_default()
    }
}

/// Slices offered to one write.
pub const MAX_SLICES: usize = 16;
/// Frames up to this size are appended to one another; the bodies of larger ones are not copied.
const JOIN_MAX: usize = 4 * 1024;
/// A joined chunk takes no more frames from this size on.
const CHUNK: usize = 32 * 1024;
/// Written chunks kept for reuse, per lane, and the capacity up to which one is.
const MAX_SPARE: usize = 2;
const SPARE_MAX: usize = 2 * CHUNK;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]
mod tests {
    use super::*;
    use crate::wire::Codec;
    use crate::wire::header::Preamble;
    use alloc::vec;

    fn frame(body: usize) -> EncodedFrame {
        Preamble::request(7, Codec::Rocketmq).encode(|_| {}, Bytes::from(vec![b'x'; body]))
    }

    fn contents(outbox: &Outbox) -> Vec<u8> {
        outbox.slices().concat()
    }

    #[test]
    fn small_frames_are_joined_and_large_bodies_are_not_copied() {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for (opaque, body) in [0, 10, 5_000, 20, 30, 100_000].into_iter().enumerate() {
            let (frame, opaque) = (frame(body), Opaque(i32::try_from(opaque).unwrap()));
            outbox.push(Lane::Data, opaque, &frame);
            expected.extend_from_slice(&frame.to_bytes(opaque));
        }
        assert_eq!((outbox.slices().len(), outbox.len()), (4, expected.len()));
        assert_eq!(contents(&outbox), expected);
        for n in [1, 60, 4_999, 700, 5, 90_000] {
            outbox.advance(n);
            expected.drain(..n);
            assert_eq!(contents(&outbox), expected);
        }
    }

    #[test]
    fn control_goes_first_at_frame_boundaries() {
        for begun in [0, 1] {
            let mut outbox = Outbox::default();
            let (data, control) = (frame(9_000), frame(1));
            outbox.push(Lane::Data, Opaque(1), &data);
            outbox.push(Lane::Data, Opaque(2), &data);
            outbox.advance(begun);
            outbox.push(Lane::Control, Opaque(3), &control);
            let [one, two] = [1, 2].map(|opaque| data.to_bytes(Opaque(opaque)));
            let three = control.to_bytes(Opaque(3));
            let order = if begun == 0 { [three, one, two] } else { [one.slice(1..), three, two] };
            let mut expected = order.concat();
            let mut frames = 0;
            while !outbox.is_empty() {
                assert_eq!(contents(&outbox), expected);
                let n = 4_000.min(outbox.len());
                frames += outbox.advance(n);
                expected.drain(..n);
            }
            assert_eq!((frames, expected.len()), (3, 0));
        }
    }

    #[test]
    fn frames_are_taken_out_unless_begun() {
        let sizes = [3, 6_000, 40, 0, 4_200, 100, 30_000, 8];
        for gone in 0..sizes.len() {
            for written in [0, 1, 40, 7_000] {
                let mut outbox = Outbox::default();
                let (mut begins, mut stream) = (Vec::new(), Vec::new());
                for (at, body) in sizes.into_iter().enumerate() {
                    let opaque = Opaque(i32::try_from(at).unwrap());
                    begins.push(stream.len());
                    stream.extend_from_slice(&frame(body).to_bytes(opaque));
                    outbox.push(Lane::Data, opaque, &frame(body));
                }
                begins.push(stream.len());
                outbox.advance(written);
                let place = Place { lane: Lane::Data, seq: gone as u64 };
                let begun = begins[gone] < written;
                assert_eq!((outbox.is_begun(place), outbox.remove(place)), (begun, !begun), "{gone} {written}");
                if !begun {
                    stream.drain(begins[gone]..begins[gone + 1]);
                    assert!(!outbox.remove(place));
                }
                assert_eq!(contents(&outbox), &stream[written..], "{gone} {written}");
                assert_eq!(outbox.len(), stream.len() - written);
            }
        }
    }

    #[test]
    fn written_chunks_are_reused() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            (0..1_000).for_each(|_| outbox.push(Lane::Data, Opaque(0), &frame(100)));
            let len = outbox.len();
            outbox.advance(len);
            assert!(outbox.is_empty() && outbox.slices().is_empty());
        }
        assert_eq!((outbox.data.chunks.len(), outbox.data.spare.len()), (0, MAX_SPARE));
        assert!(outbox.data.spare.iter().all(|buf| buf.capacity() <= SPARE_MAX));
    }
}
