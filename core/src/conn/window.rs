//! The receive window of a link: one buffer that grows with the bytes received.

use alloc::vec;
use alloc::vec::Vec;

/// Received bytes that are not a whole frame yet, at `start..end` of a buffer that stays initialised.
///
/// The buffer doubles when it has been filled to its end, never because a length word asks for it: it is at most
/// twice as large as what the peer has sent. After a large frame it falls back to [`KEEP`] bytes.
#[derive(Debug, Default)]
pub(super) struct Window {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    filled: bool,
    grown: bool,
}

impl Window {
    /// Free space behind the bytes held, at most `max` bytes; the buffer never exceeds `limit`.
    ///
    /// It is empty only when `limit` bytes are held, which are then a whole frame.
    pub(super) fn space(&mut self, max: usize, limit: usize) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.buf.len().saturating_sub(self.end) < max {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        }
        let full = self.end >= self.buf.len();
        if full || (self.filled && self.buf.len() < KEEP) {
            let size = self.buf.len().saturating_mul(2).max(INITIAL).min(limit);
            if size > self.buf.len() {
                self.buf.resize(size, 0);
            }
        }
        self.filled = false;
        let end = self.end.saturating_add(max).min(self.buf.len());
        self.buf.get_mut(self.end..end).unwrap_or_default()
    }

    /// Takes in `n` bytes that were read into the space.
    pub(super) fn commit(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.buf.len());
        self.filled = self.end == self.buf.len();
        self.grown |= n > 0;
    }

    /// Drops the first `n` bytes held.
    pub(super) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Gives memory back after a large frame.
    pub(super) fn shrink(&mut self) {
        if self.buf.len() > KEEP && self.bytes().len() < KEEP {
            let mut buf = vec![0; KEEP];
            let held = self.bytes().len();
            if let Some(space) = buf.get_mut(..held) {
                space.copy_from_slice(self.bytes());
            }
            (self.buf, self.start, self.end, self.filled) = (buf, 0, held, false);
        }
    }

    /// Whether bytes came in since this was last asked.
    pub(super) fn take_grown(&mut self) -> bool {
        core::mem::take(&mut self.grown)
    }

    /// The bytes held.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buf.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether no byte is held.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes of memory.
    pub(super) const fn capacity(&self) -> usize {
        self.buf.len()
    }
}

/// The first size of the buffer.
const INITIAL: usize = 16 * 1024;
/// What the buffer falls back to, and the size up to which a busy link makes it grow to save reads.
const KEEP: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn feed(window: &mut Window, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let space = window.space(left, LIMIT).len();
            assert!(space > 0 && space <= left);
            window.commit(space);
            left = left.saturating_sub(space);
        }
    }

    #[test]
    fn it_grows_only_when_filled_and_falls_back() {
        let mut window = Window::default();
        assert_eq!(window.space(usize::MAX, LIMIT).len(), INITIAL);
        window.commit(INITIAL - 1);
        assert_eq!(window.space(usize::MAX, LIMIT).len(), 1);
        window.commit(1);
        assert_eq!(window.space(usize::MAX, LIMIT).len(), INITIAL);
        feed(&mut window, 500_000);
        assert_eq!(window.capacity(), 512 * 1024);
        window.consume(500_000);
        window.shrink();
        assert_eq!((window.capacity(), window.bytes().len()), (KEEP, INITIAL));
    }

    #[test]
    fn it_stops_at_its_limit() {
        let mut window = Window::default();
        feed(&mut window, LIMIT);
        assert_eq!(window.space(1, LIMIT).len(), 0);
        assert_eq!(window.capacity(), LIMIT);
    }

    #[test]
    fn what_is_left_of_a_read_moves_to_the_front() {
        let mut window = Window::default();
        let space = window.space(usize::MAX, LIMIT);
        space[INITIAL - 2..].copy_from_slice(b"ab");
        window.commit(INITIAL);
        window.consume(INITIAL - 2);
        assert!(window.space(INITIAL, LIMIT).len() >= INITIAL - 2);
        assert_eq!(window.bytes(), b"ab");
    }
}
